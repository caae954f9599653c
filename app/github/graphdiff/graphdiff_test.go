package graphdiff_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/graphdiff"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/templates"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// tree is a tree in memory.
type tree struct{ fstest.MapFS }

func (tree) Prefetch(...string) error { return nil }

const decisionYML = `version: 1
policy: {pullRequests: public}
tasks:
  - taskQueueId: built-in/decision
    schedulerId: pebble-level-1
    deadline: {$fromNow: 1 day}
    metadata: {name: Decision, description: Decides, owner: nobody@example.com, source: "https://example.com"}
    scopes: ["assume:repo:github.com/acme/app:pull-request"]
    payload: {}
`

// project is the sample's tree with changes; a text of "-" takes a file away.
func project(t testing.TB, changes map[string]string) tree {
	t.Helper()
	out := tree{fstest.MapFS{".taskcluster.yml": {Data: []byte(decisionYML)}}}
	from := os.DirFS("../../sample/project")
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == ".taskcluster.yml" {
			return err
		}
		text, err := fs.ReadFile(from, name)
		out.MapFS[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range changes {
		out.MapFS[name] = &fstest.MapFile{Data: []byte(text)}
		if text == "-" {
			delete(out.MapFS, name)
		}
	}
	return out
}

func changed(base, head tree) []graphdiff.Change {
	var out []graphdiff.Change
	for name, f := range head.MapFS {
		if old := base.MapFS[name]; old == nil || string(old.Data) != string(f.Data) {
			out = append(out, graphdiff.Change{Path: name, Both: old != nil})
		}
	}
	for name := range base.MapFS {
		if head.MapFS[name] == nil {
			out = append(out, graphdiff.Change{Path: name})
		}
	}
	return out
}

func request(t testing.TB, base, head tree) graphdiff.Request {
	t.Helper()
	scripts, err := runtask.Scripts()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
	facts := params.Decision{
		BaseRepository: "https://example.com/acme/app.git", HeadRepository: "https://example.com/acme/app.git", BaseRef: "refs/heads/main", HeadRef: "refs/heads/patch",
		BaseRev: strings.Repeat("a", 40), HeadRev: strings.Repeat("b", 40), Project: "app", Owner: "ada@example.com", Level: "1", PushlogID: "0", RepositoryType: "git",
		TasksFor: "github-pull-request", Now: now,
	}
	push := facts
	push.TasksFor, push.Level, push.HeadRef = "github-push", "3", "refs/heads/main"
	return graphdiff.Request{
		Base: base, Head: head, BaseRevision: facts.BaseRev, HeadRevision: facts.HeadRev, Changed: changed(base, head), Pull: facts, Push: push, Scripts: scripts,
		Event: templates.Event{TasksFor: "github-pull-request", Event: map[string]any{}, Now: now, Seed: "x", OwnTaskID: "fN1SbArXTPSVFNUvaOlinQ"}, Known: graphdiff.NewKnown(),
	}
}

func compare(t testing.TB, base, head tree, changes ...func(*graphdiff.Request)) graphdiff.Outcome {
	t.Helper()
	r := request(t, base, head)
	for _, change := range changes {
		change(&r)
	}
	out, err := graphdiff.Compare(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const lint = "taskcluster/kinds/lint/kind.yml"

func TestWhatAPullRequestDoesToTheGraph(t *testing.T) {
	base := project(t, nil)
	text := string(base.MapFS[lint].Data)
	head := project(t, map[string]string{lint: text + `
  awk:
    description: Runs the Markdown program on nothing.
    symbol: awk
    scopes: ["secrets:get:garbage/` + "```" + `", "queue:get-artifact:x"]
    run:
      command: awk -f bin/markdown.awk /dev/null
`})
	out := compare(t, base, head)
	if !out.Concerned || len(out.Head) > 0 || len(out.Report.Sets) != 2 {
		t.Fatalf("%+v", out)
	}
	for _, s := range out.Report.Sets {
		if diff := cmp.Diff([]string{"lint-awk"}, s.Added); diff != "" || len(s.Removed) > 0 {
			t.Error(s.Name, diff)
		}
	}
	s := out.State("https://ci.example.com/x")
	if s.Status != checks.Completed || s.Conclusion != checks.Neutral || !strings.HasPrefix(s.Title, "🔴 2 new scopes; github-pull-request: 1 added") {
		t.Errorf("%s %s", s.Conclusion, s.Title)
	}
	for _, want := range []string{"````diff\n- queue:get-artifact:x\n- secrets:get:garbage/```\n````\n", "[The whole comparison](https://ci.example.com/x)", "| `github-push` |", "critical path"} {
		if !strings.Contains(s.Summary, want) {
			t.Errorf("the summary lacks %q:\n%s", want, s.Summary)
		}
	}
	if !strings.Contains(s.Text, "lint-awk") {
		t.Error(s.Text)
	}
	if out.Took > 2*time.Second {
		t.Errorf("it took %v", out.Took)
	}
}

func TestTasksOnWorkersThatNoneRanOnAreShown(t *testing.T) {
	base := project(t, nil)
	const config = "taskcluster/config.yml"
	head := project(t, map[string]string{config: strings.Replace(string(base.MapFS[config].Data), "worker-type: work", "worker-type: signing", 1)})
	s := compare(t, base, head).State("")
	if !strings.HasPrefix(s.Title, "🔴 1 new task queue; ") || !strings.Contains(s.Summary, "**New task queues**, on which no task was before:\n\n```diff\n- local/signing\n") {
		t.Errorf("%s\n%s", s.Title, s.Summary)
	}
}

func TestOnlyWhatTheGeneratorReadsConcernsIt(t *testing.T) {
	base := project(t, map[string]string{"data/list.txt": "one\n", "data/deep/a.txt": "a\n", "taskcluster/kinds/data/kind.yml": `
loader: taskcluster/data.star:items
transforms: [taskgraph.transforms.task]
`, "taskcluster/data.star": `
def items(context):
    names = tree.read("data/list.txt").split() + [n for n in tree.glob("data/deep/*")]
    if tree.exists("data/extra.txt"):
        names = names + ["extra"]
    return []
`})
	for _, c := range []struct {
		name    string
		changes map[string]string
		want    bool
	}{
		{"nothing", nil, false},
		{"a page", map[string]string{"pages/index.md": "other\n"}, false},
		{"a new page", map[string]string{"pages/new/x.md": "other\n"}, false},
		{"a kind", map[string]string{lint: string(base.MapFS[lint].Data) + "\n# more\n"}, true},
		{".taskcluster.yml", map[string]string{".taskcluster.yml": decisionYML + "# more\n"}, true},
		{"a file that Starlark reads", map[string]string{"data/list.txt": "two\n"}, true},
		{"a file in a directory that Starlark lists", map[string]string{"data/deep/b.txt": "b\n"}, true},
		{"one less there", map[string]string{"data/deep/a.txt": "-"}, true},
		{"a file that Starlark looked for in vain", map[string]string{"data/extra.txt": "here\n"}, true},
		{"another beside it", map[string]string{"data/other.txt": "here\n"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := map[string]string{}
			for name, f := range base.MapFS {
				all[name] = string(f.Data)
			}
			for name, text := range c.changes {
				all[name] = text
			}
			r := request(t, base, project(t, all))
			for _, round := range []string{"first", "with what is remembered"} {
				out, err := graphdiff.Compare(t.Context(), r)
				if err != nil || out.Concerned != c.want || len(out.Head) > 0 {
					t.Errorf("%s: %+v %v", round, out, err)
				}
			}
		})
	}
}

func TestTheBaseSaysWhatIsCompared(t *testing.T) {
	base := project(t, map[string]string{
		".taskcluster.yml":            decisionYML + "treeline: {graphDiff: {stage: full, parameters: ['taskcluster/params/*.yml']}}\n",
		"taskcluster/params/beta.yml": "level: '1'\nhead_ref: beta\n", "taskcluster/params/nightly.yml": "target_tasks_method: default\n",
	})
	head := project(t, map[string]string{".taskcluster.yml": decisionYML + "treeline: {graphDiff: false}\n", lint: string(base.MapFS[lint].Data) + "\n# more\n"})
	out := compare(t, base, head)
	var got []string
	for _, s := range out.Report.Sets {
		got = append(got, s.Name)
	}
	if diff := cmp.Diff([]string{"beta", "nightly"}, got); diff != "" || out.Report.Stage != "full" {
		t.Error(diff, out.Report.Stage, out.Head, out.Base)
	}
	if out := compare(t, head, base); out.Concerned {
		t.Error("it wants no comparison")
	}
}

// Who has to know all that a change brings sees the full graphs of both events, whatever the base says.
func TestTheWholeIsComparedWhateverTheBaseSays(t *testing.T) {
	whole := func(r *graphdiff.Request) { r.Whole = true }
	head := map[string]string{lint: string(project(t, nil).MapFS[lint].Data) + `
  awk:
    description: Runs where somebody asks for it.
    symbol: awk
    run-on-projects: []
    scopes: ["secrets:get:garbage/app"]
    run: {command: awk -f bin/markdown.awk /dev/null}
`}
	for name, extra := range map[string]string{
		"nothing": "", "off": "treeline: {graphDiff: false}\n", "one event": "treeline: {graphDiff: {stage: optimized, parameters: [github-pull-request]}}\n",
	} {
		config := map[string]string{".taskcluster.yml": decisionYML + extra}
		base := project(t, config)
		config[lint] = head[lint]
		out := compare(t, base, project(t, config), whole)
		var sets []string
		for _, s := range out.Report.Sets {
			sets = append(sets, s.Name)
		}
		if diff := cmp.Diff([]string{"github-pull-request", "github-push"}, sets); diff != "" || out.Report.Stage != "full" {
			t.Error(name, diff, out.Report.Stage, out.Head, out.Base)
		}
		if diff := cmp.Diff([]string{"scope secrets:get:garbage/app"}, out.Gains("r")); diff != "" {
			t.Error(name, diff)
		}
	}
}

func TestWhatAHeadGains(t *testing.T) {
	base := project(t, nil)
	for name, c := range map[string]struct {
		head map[string]string
		want []string
	}{
		"nothing":                {map[string]string{"README.md": "other\n"}, nil},
		"another file of config": {map[string]string{".taskcluster.yml": decisionYML + "# words\n"}, []string{".taskcluster.yml as of sha256 "}},
		"no file of config":      {map[string]string{".taskcluster.yml": "-"}, []string{".taskcluster.yml as of sha256 none"}},
		"a fault":                {map[string]string{lint: "tasks: ["}, []string{"whatever r has"}},
	} {
		got := compare(t, base, project(t, c.head), func(r *graphdiff.Request) { r.Whole = true }).Gains("r")
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], c.want[i]) {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
	out := compare(t, base, project(t, map[string]string{lint: string(base.MapFS[lint].Data) + "\n# more\n"}), func(r *graphdiff.Request) { r.Whole, r.Limit = true, time.Nanosecond })
	if got := out.Gains("r"); out.Beyond == "" || len(got) != 1 || !strings.HasPrefix(got[0], "whatever r has") {
		t.Errorf("beyond a limit: %q %s", got, out.Beyond)
	}
}

func TestTheDecisionTaskIsComparedToo(t *testing.T) {
	more := strings.Replace(decisionYML, `:pull-request"]`, `:*"]`, 1)
	out := compare(t, project(t, nil), project(t, map[string]string{".taskcluster.yml": more}))
	last := out.Report.Sets[len(out.Report.Sets)-1]
	if diff := cmp.Diff([]string{"assume:repo:github.com/acme/app:*"}, out.Report.NewScopes()); diff != "" || last.Name != ".taskcluster.yml" {
		t.Error(last.Name, diff)
	}
}

func TestFaultsOfTheHeadStandAtTheirLines(t *testing.T) {
	base := project(t, nil)
	for _, c := range []struct {
		name, file, text string
		line             int
	}{
		{"a kind", lint, strings.Replace(string(base.MapFS[lint].Data), "description:", "descripton:", 1), 0},
		{"no YAML", lint, "a: [\n", 0},
		{".taskcluster.yml", ".taskcluster.yml", decisionYML + "polity: 1\n", 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := compare(t, base, project(t, map[string]string{c.file: c.text}))
			s := out.State("")
			if len(out.Head) == 0 || len(s.Annotations) == 0 || s.Annotations[0].Path != c.file || s.Conclusion != checks.Neutral {
				t.Fatalf("%+v %+v", out, s)
			}
			if c.line != 0 && s.Annotations[0].StartLine != c.line || s.Annotations[0].StartLine == 0 {
				t.Errorf("line %d", s.Annotations[0].StartLine)
			}
			if !strings.HasPrefix(s.Title, "No graph: "+c.file) {
				t.Error(s.Title)
			}
		})
	}
	out := compare(t, project(t, map[string]string{lint: "a: [\n"}), base)
	if s := out.State(""); out.Base == "" || !strings.Contains(s.Summary, lint) {
		t.Errorf("%+v", s)
	}
}

// matrix asks for very many tasks.
func matrix(n int) string {
	var b strings.Builder
	b.WriteString("loader: taskgraph.loader.transform:loader\ntransforms: [taskgraph.transforms.matrix:transforms, taskcluster/pebble.star:defaults, taskgraph.transforms.run:transforms, taskgraph.transforms.task:transforms]\ntasks:\n  bomb:\n    description: bomb\n    symbol: b\n    run: {command: \"true\"}\n    matrix:\n      set-name: \"{matrix[a]}-{matrix[b]}-{matrix[c]}\"\n")
	for _, dim := range []string{"a", "b", "c"} {
		fmt.Fprintf(&b, "      %s: [", dim)
		for i := range n {
			fmt.Fprintf(&b, "%d, ", i)
		}
		b.WriteString("]\n")
	}
	return b.String()
}

func TestAHostileHeadMeetsLimits(t *testing.T) {
	base := project(t, nil)
	star := "def items(context):\n    for i in range(1000000000):\n        pass\n    return []\n"
	for _, c := range []struct {
		name    string
		changes map[string]string
		change  func(*graphdiff.Request)
	}{
		{"a matrix", map[string]string{"taskcluster/kinds/bomb/kind.yml": matrix(58)}, func(r *graphdiff.Request) { r.Memory = 200 << 20 }},
		{"a loop", map[string]string{"taskcluster/kinds/bomb/kind.yml": "loader: taskcluster/bomb.star:items\ntransforms: []\n", "taskcluster/bomb.star": star}, nil},
		{"no time", map[string]string{lint: string(base.MapFS[lint].Data) + "\n# more\n"}, func(r *graphdiff.Request) { r.Limit = time.Nanosecond }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(t, base, project(t, c.changes))
			r.Limit = 5 * time.Second
			if c.change != nil {
				c.change(&r)
			}
			began := time.Now()
			out, err := graphdiff.Compare(t.Context(), r)
			if err != nil || out.Beyond == "" && len(out.Head) == 0 {
				t.Errorf("%+v %v", out, err)
			}
			if took := time.Since(began); took > 12*time.Second {
				t.Errorf("it took %v", took)
			}
			if s := out.State(""); s.Summary == "" || s.Conclusion != checks.Neutral {
				t.Errorf("%+v", s)
			}
			if out.Beyond == "" && !strings.Contains(fmt.Sprint(out.Head), "takes more than") {
				t.Errorf("it met no limit: %v", out.Head)
			}
			t.Log(time.Since(began), out.Beyond)
		})
	}
}

func TestACancelledComparisonIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	base := project(t, nil)
	if out, err := graphdiff.Compare(ctx, request(t, base, project(t, map[string]string{lint: string(base.MapFS[lint].Data) + "\n# more\n"}))); err == nil {
		t.Errorf("%+v", out)
	}
}

func TestALargeComparisonIsCutWithinGitHubsLimits(t *testing.T) {
	base := project(t, nil)
	var b strings.Builder
	b.Write(base.MapFS[lint].Data)
	for i := range 2000 {
		fmt.Fprintf(&b, "\n  more-%d:\n    description: Number %d.\n    symbol: m%d\n    scopes: [\"secrets:get:%d-%s\"]\n    run:\n      command: \"true\"\n", i, i, i, i, strings.Repeat("s", 60))
	}
	out := compare(t, base, project(t, map[string]string{lint: b.String()}))
	s := out.State("https://ci.example.com/x")
	if len(s.Summary) > 29_000 || len(s.Text) > 29_000 || !strings.Contains(s.Text, "[the whole comparison](https://ci.example.com/x)") || !strings.Contains(s.Summary, "… and 1960 more") {
		t.Errorf("%d %d\n%s", len(s.Summary), len(s.Text), s.Summary)
	}
	t.Logf("2,000 tasks: %v", out.Took)
	if out.Took > 4*time.Second { // of a machine with other work; the promise is 2 s
		t.Errorf("it took %v", out.Took)
	}
}
