package labels_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/labels"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

func tree() fstest.MapFS {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }
	return fstest.MapFS{
		"taskcluster/config.yml": file(`trust-domain: td
task-priority: low
workers: {aliases: {small: {provisioner: p, implementation: generic-worker, os: linux, worker-type: w}}}
taskgraph: {repositories: {r: {name: R}}}
try: {uncommon-tasks: [rare]}
`),
		"taskcluster/kinds/a/kind.yml": file(`loader: taskgraph.loader.transform:loader
transforms: [taskgraph.transforms.task:transforms]
tasks:
  one: &it {description: One., run-on-projects: [all], run-on-tasks-for: [all], worker-type: small, worker: {max-run-time: 60, command: [['true']]}}
  rare: {<<: *it, run-on-projects: []}
`),
		"taskcluster/kinds/b/kind.yml": file(`loader: taskgraph.loader.transform:loader
transforms: [taskgraph.transforms.task:transforms]
kind-dependencies: [a]
tasks:
  x-1: &it {description: X., attributes: {test_platform: linux, test_chunk: 1}, dependencies: {a: a-one}, run-on-projects: [all], run-on-tasks-for: [all], worker-type: small, worker: {max-run-time: 60, command: [['true']]}}
  x-2: {<<: *it, attributes: {test_platform: linux, test_chunk: 2}}
  y-3: {<<: *it, attributes: {test_platform: linux}}
`),
	}
}

func parameters(t *testing.T) *params.Parameters {
	t.Helper()
	p, err := params.New(params.Defaults(params.Facts{RepositoryType: "git"}), params.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// made makes the list of a tree, and remembers what was asked of it.
func made(t *testing.T, tree fs.FS) (labels.List, *labels.Recorder) {
	t.Helper()
	asked := labels.NewRecorder(tree)
	res, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: asked, Parameters: parameters(t), Fast: true}, taskgraph.TargetSet)
	if err != nil {
		t.Fatal(err)
	}
	list, err := labels.From(res)
	if err != nil {
		t.Fatal(err)
	}
	return list, asked
}

func TestTheListKnowsItsTasks(t *testing.T) {
	list, _ := made(t, tree())
	if diff := cmp.Diff([]string{"a-one", "a-rare", "b-x-1", "b-x-2", "b-y-3"}, list.Labels()); diff != "" {
		t.Fatal(diff)
	}
	if !list[0].Target || list[1].Target || !list[1].Uncommon || list[0].Uncommon {
		t.Errorf("%+v", list)
	}
	folded := list.Folded()
	if diff := cmp.Diff([]string{"a-one", "a-rare", "b-x-*", "b-y-3"}, folded.Labels()); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"b-x-*", "X.", "kind: b, platform: linux, 2 chunks", "runs on: p/w, takes at most 2m0s", "needs: 1 (1 with what those need): a-one",
	}
	if about := folded.ByLabel()["b-x-*"].About(); len(about) != 6 || cmp.Diff(want, about[:5]) != "" {
		t.Errorf("%q", about)
	}
}

func TestAListIsKeptUntilTheTreeIsAnother(t *testing.T) {
	cache := labels.Cache{Dir: t.TempDir()}
	key, err := labels.Key(parameters(t), "here")
	if err != nil {
		t.Fatal(err)
	}
	if other, err := labels.Key(parameters(t), "there"); err != nil || other == key {
		t.Errorf("%s, %v", other, err)
	}
	list, asked := made(t, tree())
	if _, ok := cache.Get(key, tree()); ok {
		t.Error("there is a list before one is kept")
	}
	if err := cache.Put(key, asked, list); err != nil {
		t.Fatal(err)
	}
	got, ok := cache.Get(key, tree())
	if !ok {
		t.Fatal("the list is not kept")
	}
	if diff := cmp.Diff(list.Labels(), got.Labels()); diff != "" {
		t.Error(diff)
	}
	for name, change := range map[string]func(tree fstest.MapFS){
		"a changed kind": func(tree fstest.MapFS) {
			tree["taskcluster/kinds/a/kind.yml"].Data = append(tree["taskcluster/kinds/a/kind.yml"].Data, '\n')
		},
		"a new kind":     func(tree fstest.MapFS) { tree["taskcluster/kinds/c/kind.yml"] = tree["taskcluster/kinds/a/kind.yml"] },
		"a kind removed": func(tree fstest.MapFS) { delete(tree, "taskcluster/kinds/b/kind.yml") },
	} {
		t.Run(name, func(t *testing.T) {
			changed := tree()
			change(changed)
			if _, ok := cache.Get(key, changed); ok {
				t.Error("the old list is taken")
			}
		})
	}
	t.Run("not after another file has changed", func(t *testing.T) {
		changed := tree()
		changed["src/main.c"] = &fstest.MapFile{Data: []byte("x")}
		if _, ok := cache.Get(key, changed); !ok {
			t.Error("the list is made anew")
		}
	})
	t.Run("only the last are kept", func(t *testing.T) {
		for i := range 30 {
			if err := cache.Put(key+string(rune('a'+i)), asked, list); err != nil {
				t.Fatal(err)
			}
		}
		kept := 0
		for i := range 30 {
			if _, ok := cache.Get(key+string(rune('a'+i)), tree()); ok {
				kept++
			}
		}
		if kept != 20 {
			t.Errorf("%d are kept", kept)
		}
	})
}
