package loader_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/loader"
)

// tree makes a tree of kinds: pairs of a file's name below taskcluster/kinds and its text.
func tree(files ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for i := 0; i+1 < len(files); i += 2 {
		out["taskcluster/kinds/"+files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return out
}

func TestItemsAreMergedInOrder(t *testing.T) {
	kinds, err := loader.Kinds(tree("k/kind.yml", `
task-defaults: {routes: [a], worker: {env: {A: "1"}}, by: {by-x: {p: 1, default: 2}}, n: 1}
tasks-from: [more.yml, none.yml]
tasks:
  z: {routes: [z], worker: {env: {B: "2"}}, by: {by-y: {q: 3, default: 4}}, n: null}
  a: {name: other, by: {c: d}}
`, "k/more.yml", "task-defaults: {routes: [m], n: [1]}\nx: {n: [2], routes: [x]}\n", "k/none.yml", "", "k/notes.txt", "", "empty/README", ""), "taskcluster", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(kinds) != 1 || kinds[0].Name != "k" || kinds[0].Dir != "taskcluster/kinds/k" {
		t.Fatalf("kinds: %v", kinds)
	}
	items, err := kinds[0].Items()
	if err != nil {
		t.Fatal(err)
	}
	env := func(names ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(names); i += 2 {
			m[names[i].(string)] = names[i+1]
		}
		return map[string]any{"env": m}
	}
	want := []map[string]any{
		{"name": "z", "task-from": "kind.yml", "routes": []any{"a", "z"}, "worker": env("A", "1", "B", "2"), "by": map[string]any{"by-y": map[string]any{"q": int64(3), "default": int64(4)}}, "n": nil},
		{"name": "a", "task-from": "kind.yml", "routes": []any{"a"}, "worker": env("A", "1"), "by": map[string]any{"by-x": map[string]any{"p": int64(1), "default": int64(2)}, "c": "d"}, "n": int64(1)},
		{"name": "x", "task-from": "more.yml", "routes": []any{"a", "m", "x"}, "worker": env("A", "1"), "by": map[string]any{"by-x": map[string]any{"p": int64(1), "default": int64(2)}}, "n": []any{int64(1), int64(2)}},
	}
	got := make([]map[string]any, len(items))
	for i, it := range items {
		got[i] = it.Values()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if file, line := items[2].Place([]string{"routes"}, false); file != "taskcluster/kinds/k/more.yml" || line != 2 {
		t.Errorf("routes of x stand at %s:%d", file, line)
	}
	if file, line := items[2].Place([]string{"worker", "env"}, false); file != "taskcluster/kinds/k/kind.yml" || line != 2 {
		t.Errorf("the environment of x stands at %s:%d", file, line)
	}
}

func TestTargetsBringWhatTheyDependOn(t *testing.T) {
	files := tree("a/kind.yml", "kind-dependencies: [b]", "b/kind.yml", "kind-dependencies: [c]", "c/kind.yml", "", "d/kind.yml", "kind-dependencies: [a]", "docker-image/kind.yml", "")
	for _, c := range []struct {
		targets []string
		want    string
	}{
		{nil, "c docker-image b a d"},
		{[]string{"b"}, "c docker-image b"},
		{[]string{"d", "c"}, "c docker-image b a d"},
	} {
		kinds, err := loader.Kinds(files, "taskcluster", c.targets)
		if err != nil {
			t.Fatal(err)
		}
		order, err := loader.Order(kinds)
		if err != nil || strings.Join(order, " ") != c.want {
			t.Errorf("%v: %v, %v; want %s", c.targets, order, err, c.want)
		}
	}
	if _, err := loader.Kinds(files, "taskcluster", []string{"e"}); err == nil || !strings.Contains(err.Error(), `taskcluster/kinds: there is no kind "e"; is "a" meant?`) {
		t.Error(err)
	}
	delete(files, "taskcluster/kinds/docker-image/kind.yml")
	if _, err := loader.Kinds(files, "taskcluster", []string{"c"}); err != nil {
		t.Errorf("a tree without docker images: %v", err)
	}
}

func TestTransformsOfAKind(t *testing.T) {
	for _, c := range []struct{ kind, want string }{
		{"", "taskgraph.transforms.run:transforms taskgraph.transforms.task:transforms"},
		{"transforms: [a.b, 'c:d', x/y.star:f]", "a.b:transforms c:d x/y.star:f taskgraph.transforms.run:transforms taskgraph.transforms.task:transforms"},
		{"loader: taskgraph.loader.transform:loader\ntransforms: []", ""},
		{"loader: taskgraph.loader.transform:loader\ntransforms: [taskgraph.transforms.task]", "taskgraph.transforms.task:transforms"},
	} {
		kinds, err := loader.Kinds(tree("k/kind.yml", c.kind), "taskcluster", nil)
		if err != nil {
			t.Fatal(err)
		}
		refs, err := kinds[0].Transforms()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range refs {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%q: %s, want %s", c.kind, got, c.want)
		}
	}
}

func TestKeysThatLookMisspeltAreWarnedOf(t *testing.T) {
	kinds, err := loader.Kinds(tree("k/kind.yml", "kind-dependancies: []\nmac-signing: {}\n"), "taskcluster", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(kinds[0].Warnings) != 1 || kinds[0].Warnings[0].Error() != `taskcluster/kinds/k/kind.yml:1: the key "kind-dependancies" has no meaning of its own here; is "kind-dependencies" meant?` {
		t.Errorf("%v", kinds[0].Warnings)
	}
}
