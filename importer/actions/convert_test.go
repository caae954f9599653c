package actions_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/importer/actions"
	"github.com/treeline-ci/treeline/local/starter"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

var update = flag.Bool("update", false, "write what conversions give into testdata")

var project = starter.Project{Name: "app", Type: "git", Remote: "https://github.com/acme/app", Forge: "GitHub", DefaultBranch: "main"}

// occasions are the events for which graphs are made.
var occasions = []struct {
	name string
	over map[string]any
}{
	{"push to main", map[string]any{"tasks_for": "github-push", "head_ref": "refs/heads/main", "base_ref": "refs/heads/main"}},
	{"push to main, documents only", map[string]any{"tasks_for": "git-push", "head_ref": "refs/heads/main", "files_changed": []any{"README.md", "web/docs/x"}}},
	{"push to a topic", map[string]any{"tasks_for": "git-push", "head_ref": "refs/heads/topic"}},
	{"push of v1.2", map[string]any{"tasks_for": "github-push", "head_ref": "refs/tags/v1.2", "head_tag": "v1.2"}},
	{"pull request", map[string]any{"tasks_for": "github-pull-request", "head_ref": "refs/heads/main", "base_ref": "refs/heads/main", "level": "1"}},
	{"pull request of a stranger", map[string]any{"tasks_for": "github-pull-request-untrusted", "head_ref": "refs/heads/main", "base_ref": "refs/heads/main", "level": "1"}},
	{"pull request for a topic", map[string]any{"tasks_for": "github-pull-request", "head_ref": "refs/heads/x", "base_ref": "refs/heads/topic", "level": "1"}},
}

func generate(t *testing.T, files fstest.MapFS, upTo taskgraph.Stage, over map[string]any) *taskgraph.Result {
	t.Helper()
	values := params.Defaults(params.Facts{RepositoryURL: "https://github.com/acme/app", RepositoryType: "git", HeadRef: "main", HeadRev: strings.Repeat("1", 40), FilesChanged: []string{"web/src/a"}})
	maps.Copy(values, over)
	p, err := params.FromMap(values, true)
	if err != nil {
		t.Fatal(err)
	}
	r, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: p, Fast: true, Scripts: fstest.MapFS{"run-task": {Data: []byte("x")}, "fetch-content": {Data: []byte("x")}}}, upTo)
	if err != nil {
		t.Fatalf("%v\n%s", err, files["taskcluster/config.yml"].Data)
	}
	return r
}

// graphs lists which tasks run at which event.
func graphs(t *testing.T, files fstest.MapFS, r *actions.Result) string {
	t.Helper()
	var b strings.Builder
	list := slices.Clone(occasions)
	for _, w := range r.Workflows {
		if files[".cron.yml"] != nil && strings.Contains(string(files[".cron.yml"].Data), w.Kind+"-by-cron") && w.Kind != "" {
			list = append(list, struct {
				name string
				over map[string]any
			}{"cron " + w.Kind, map[string]any{"tasks_for": "cron", "head_ref": "refs/heads/main", "target_tasks_method": w.Kind + "-by-cron"}})
		}
	}
	for _, o := range list {
		var labels []string
		for _, task := range generate(t, files, taskgraph.Optimized, o.over).Optimized.All() {
			labels = append(labels, task.Label)
		}
		slices.Sort(labels)
		fmt.Fprintf(&b, "%s: %s\n", o.name, strings.Join(labels, " "))
	}
	return b.String()
}

// TestWorkflowsBecomeGraphs converts the workflows of testdata, makes the graphs of several events of what that gives, and
// compares all of it with what the file says. -update writes it there, to be read.
func TestWorkflowsBecomeGraphs(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 5 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			in, want := fstest.MapFS{}, map[string]string{}
			out := &txtar.Archive{Comment: archive.Comment}
			for _, f := range archive.Files {
				if rest, ok := strings.CutPrefix(f.Name, "want/"); ok {
					want[rest] = string(f.Data)
					continue
				}
				in[f.Name] = &fstest.MapFile{Data: f.Data}
				out.Files = append(out.Files, f)
			}
			got := convert(t, in)
			for _, key := range slices.Sorted(maps.Keys(got)) {
				out.Files = append(out.Files, txtar.File{Name: "want/" + key, Data: []byte(got[key])})
			}
			if *update {
				if err := os.WriteFile(name, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-file +now:\n%s", diff)
			}
		})
	}
}

// convert is a conversion as files: the report, the graphs, and what was written but for what all have.
func convert(t *testing.T, in fstest.MapFS) map[string]string {
	t.Helper()
	r, err := actions.Convert(in, project, actions.Options{Repository: "acme/app"})
	if err != nil {
		t.Fatal(err)
	}
	got, report := map[string]string{}, ""
	for _, w := range r.Workflows {
		report += fmt.Sprintf("%s: %s, kind %q, %d jobs, %d tasks, %d left\n", w.File, w.State, w.Kind, w.Jobs, w.Tasks, w.Left)
	}
	for _, m := range r.Remarks {
		report += m.String() + "\n"
	}
	for _, s := range r.Secrets {
		report += fmt.Sprintf("secret %s (%s): %s\n", s.Name, s.Scope, strings.Join(s.Tasks, ", "))
	}
	got["report"] = report
	files := fstest.MapFS{}
	for _, f := range r.Files {
		files[f.Name] = &fstest.MapFile{Data: []byte(f.Content)}
		if f.Name != ".taskcluster.yml" && f.Name != "taskcluster/config.yml" {
			got[f.Name] = f.Content
		}
	}
	generate(t, files, taskgraph.Morphed, nil)
	got["graphs"] = graphs(t, files, r)
	return got
}
