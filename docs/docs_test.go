// Package docs_test holds the documentation to what the program does: examples run, tables are
// complete, and links, anchors included, lead somewhere. tools/check-docs checks more, without Go.
package docs_test

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/transform/builtin"
	"github.com/treeline-ci/treeline/templates"
)

// sampleProject is the tree of the project that the examples are about.
const sampleProject = "../app/sample/project"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// example is the page's first block of code in the language.
func example(t *testing.T, page, language string) string {
	t.Helper()
	_, after, ok := strings.Cut(read(t, page), "```"+language+"\n")
	text, _, closed := strings.Cut(after, "\n```")
	if !ok || !closed {
		t.Fatalf("%s has no example in %s", page, language)
	}
	return text + "\n"
}

func somePush() templates.Event {
	return templates.LocalPush(templates.Push{
		Repository: "http://127.0.0.1:8080/git/mine", Project: "mine", Role: "repo:local/mine", Level: 3, Owner: "me@example.com",
		Branch: "main", Revision: strings.Repeat("5", 40), PushID: 1, Time: time.Unix(1780000000, 0),
		DecisionTaskID: "fN1SbArXTPSVFNUvaOlinQ", RootURL: "http://127.0.0.1:8080",
	})
}

func TestTheTaskclusterYMLExampleMakesADecisionTask(t *testing.T) {
	file, err := templates.Parse([]byte(example(t, "reference/taskcluster-yml.md", "yaml")), "taskcluster-yml.md")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := file.Render(somePush())
	if err != nil || len(tasks) != 1 {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	if d := tasks[0].Definition; d.TaskQueueID != "built-in/decision" || !cmp.Equal(d.Scopes, []string{"assume:repo:local/mine:branch:main"}) {
		t.Errorf("%+v", d)
	}
}

func TestEveryNameOfAPushIsExplained(t *testing.T) {
	page := read(t, "reference/taskcluster-yml.md")
	for name, value := range somePush().Context {
		object, _ := value.(map[string]any)
		names := []string{name}
		for key := range object {
			names = append(names, name+"."+key)
		}
		if len(object) > 0 {
			names = names[1:]
		}
		for _, n := range names {
			if !strings.Contains(page, "`"+n+"`") {
				t.Errorf("taskcluster-yml.md does not explain %s", n)
			}
		}
	}
}

func TestTheKindExampleMakesTheTasksItSays(t *testing.T) {
	tree := fstest.MapFS{"taskcluster/kinds/test/kind.yml": {Data: []byte(example(t, "reference/kinds.md", "yaml"))}}
	for _, name := range []string{"taskcluster/config.yml", "taskcluster/pebble.star", "taskcluster/kinds/build/kind.yml"} {
		tree[name] = &fstest.MapFile{Data: []byte(read(t, path.Join(sampleProject, name)))}
	}
	p, err := params.ForDecision(params.Decision{
		BaseRepository: "http://127.0.0.1/git/mine", HeadRepository: "http://127.0.0.1/git/mine", HeadRef: "refs/heads/main", HeadRev: "5",
		Project: "mine", Owner: "me@example.com", Level: "3", PushlogID: "1", RepositoryType: "git", TasksFor: "git-push", Pushdate: 1780000000,
	})
	if err != nil {
		t.Fatal(err)
	}
	result, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: tree, Parameters: p, IDSeed: "docs", Now: time.Unix(1780000000, 0)}, taskgraph.Full)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"build-site", "test-shell-dash", "test-shell-sh"}, result.Full.Keys()); diff != "" {
		t.Error(diff)
	}
}

func TestEveryTransformIsExplained(t *testing.T) {
	page := read(t, "reference/kinds.md")
	for _, name := range slices.Sorted(maps.Keys(builtin.Registry())) {
		short := strings.TrimSuffix(name, ":transforms")
		if !strings.Contains(page, "`"+short+"`") && !strings.Contains(page, "`"+short[strings.LastIndexByte(short, '.')+1:]+"`") {
			t.Errorf("kinds.md does not explain %s", name)
		}
	}
}

func TestEveryStrategyIsExplained(t *testing.T) {
	text := read(t, "reference/optimization.md")
	for name := range optimize.Builtin() {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("optimization.md does not explain %s", name)
		}
	}
}

func TestTheStarlarkExampleIsTheSampleProjects(t *testing.T) {
	if source := read(t, sampleProject+"/taskcluster/pebble.star"); !strings.Contains(source, example(t, "reference/starlark.md", "python")) {
		t.Error("starlark.md shows another function than taskcluster/pebble.star of the sample project")
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)#:]*)#([^)]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noSlug  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

func TestAnchorsLeadToHeadings(t *testing.T) {
	err := filepath.WalkDir(".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".md" {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			target := name
			if m[1] != "" {
				target = path.Join(path.Dir(name), m[1])
			}
			if !slices.Contains(anchors(read(t, target)), m[2]) {
				t.Errorf("%s: %s has no heading for #%s", name, target, m[2])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// anchors are the names that forges give to a page's headings.
func anchors(page string) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		out = append(out, strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return out
}

func TestEveryParameterIsExplained(t *testing.T) {
	page := read(t, "reference/parameters.md")
	names := slices.Sorted(maps.Keys(params.Defaults(params.Facts{})))
	for _, name := range append(names, "code-review", "target-kinds") {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("parameters.md does not explain %s", name)
		}
	}
	for _, name := range params.Types() {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("parameters.md does not explain the type %s", name)
		}
	}
}

func TestTheHooksExampleDeclaresAndChangesParameters(t *testing.T) {
	config := read(t, path.Join(sampleProject, "taskcluster/config.yml"))
	config = strings.Replace(config, "taskgraph:\n", example(t, "reference/parameters.md", "yaml"), 1)
	tree := fstest.MapFS{
		"taskcluster/config.yml": {Data: []byte(config)}, "taskcluster/hooks.star": {Data: []byte(example(t, "reference/parameters.md", "python"))},
	}
	hooks, err := taskgraph.ReadHooks(t.Context(), tree, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := hooks.Decide(t.Context(), params.Decision{Level: "3", RepositoryType: "git", HeadTag: "v1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"ship", []any{"nightly"}, "taskcluster/target.star:release"}, []any{p.Get("shipping_phase"), p.Get("channels"), p.Get("target_tasks_method")}); diff != "" {
		t.Error(diff)
	}
}

func TestTheTargetTasksExampleSelects(t *testing.T) {
	config := read(t, path.Join(sampleProject, "taskcluster/config.yml")) + example(t, "reference/target-tasks.md", "yaml")
	kind := "loader: taskgraph.loader.transform:loader\ntransforms: [taskgraph.transforms.task]\ntask-defaults: {worker-type: succeed, description: d}\ntasks:\n  a: {shipping-phase: ship}\n  b: {}\n"
	tree := fstest.MapFS{
		"taskcluster/config.yml": {Data: []byte(config)}, "taskcluster/kinds/test/kind.yml": {Data: []byte(kind)}, "taskcluster/kinds/build/kind.yml": {Data: []byte(kind)},
	}
	for _, c := range []struct {
		method  string
		filters []string
		want    []string
	}{
		{"releases", nil, []string{"build-a", "test-a"}},
		{"quick", nil, []string{"build-a", "build-b"}},
		{"releases", []string{"target_tasks_method", "quick"}, []string{"build-a"}},
	} {
		p, err := params.FromMap(map[string]any{"project": "mine", "target_tasks_method": c.method, "filters": c.filters}, false)
		if err != nil {
			t.Fatal(err)
		}
		result, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: tree, Parameters: p, NoVerify: true}, taskgraph.TargetSet)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, result.TargetSet); diff != "" {
			t.Errorf("%s, %v: %s", c.method, c.filters, diff)
		}
	}
}
