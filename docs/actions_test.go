package docs_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/cron"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

// actionsOf gives the actions of a tree with this at the end of its config.yml, and files.
func actionsOf(t *testing.T, more string, files fstest.MapFS) (*action.Registry, *config.GraphConfig, *params.Parameters) {
	t.Helper()
	if files == nil {
		files = fstest.MapFS{}
	}
	sample, _, _ := strings.Cut(read(t, sampleProject+"/taskcluster/config.yml"), "actions:\n") // the page has its own
	files["taskcluster/config.yml"] = &fstest.MapFile{Data: []byte(sample + more)}
	c, err := config.Load(files, "taskcluster")
	if err != nil {
		t.Fatal(err)
	}
	p, err := params.FromMap(map[string]any{"level": "1", "project": "mine"}, false)
	if err != nil {
		t.Fatal(err)
	}
	r, err := action.New(t.Context(), action.Tree{Config: c, Params: p, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return r, c, p
}

func TestEveryActionIsExplained(t *testing.T) {
	page := read(t, "reference/actions.md")
	r, _, _ := actionsOf(t, example(t, "reference/actions.md", "yaml"), nil)
	if n := len(r.All()); n != len(action.Builtin().All())+4 {
		t.Errorf("the example asks for %d actions in all", n)
	}
	for _, d := range r.All() {
		if !strings.Contains(page, "| `"+d.Name+"`") || !strings.Contains(page, "| `"+d.Permission+"` |") {
			t.Errorf("actions.md does not explain %s, of permission %s", d.Callback, d.Permission)
		}
	}
}

func TestEveryEffectIsExplained(t *testing.T) {
	page := read(t, "reference/actions.md")
	for _, do := range []string{star.CreateTasks, star.CreateTask, star.RerunTask, star.CancelTask, star.CancelGroup, star.Decide} {
		if name := "`effect." + strings.ReplaceAll(do, "-", "_") + "("; !strings.Contains(page, name) {
			t.Errorf("actions.md does not explain %s", name)
		}
	}
}

func TestTheExampleOfAnActionMakesTheTasksItSays(t *testing.T) {
	r, c, p := actionsOf(t, "", fstest.MapFS{"taskcluster/actions.star": {Data: []byte(example(t, "how-to/write-an-action.md", "python"))}})
	var tasks []*graph.Task
	for _, label := range []string{"test-linux", "test-mac", "build-linux"} {
		kind, _, _ := strings.Cut(label, "-")
		tasks = append(tasks, &graph.Task{Kind: kind, Label: label, Definition: map[string]any{"metadata": map[string]any{"name": label, "description": "Tests"}}})
	}
	full, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	group := taskgraph.TaskID("docs", "decision")
	got, err := r.Run(t.Context(), "stress", action.Call{
		ActionTaskID: taskgraph.TaskID("docs", "action"), TaskGroupID: group, Input: map[string]any{"platform": "linux"}, Config: c, Now: time.Unix(1780000000, 0),
		Push: action.Push{DecisionTaskID: group, Parameters: p, Full: full, LabelToTaskID: map[string]string{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]int{}
	for _, n := range got.Tasks {
		made[n.Label+", "+n.Definition["metadata"].(map[string]any)["description"].(string)]++
	}
	if diff := cmp.Diff(map[string]int{"test-linux, Tests (stress)": 5}, made); diff != "" {
		t.Error(diff)
	}
}

func TestTheCronExampleIsDueWhenItSays(t *testing.T) {
	f, err := cron.Parse(cron.Name, []byte(example(t, "reference/cron-yml.md", "yaml")))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{"2026-03-02T02:37:00Z": "nightly", "2026-03-01T18:00:00Z": "weekly-cleanup", "2026-03-02T18:00:00Z": ""} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		verdicts, wrong := f.Due(now, cron.Branch{Project: "mine"})
		due := ""
		for _, v := range verdicts {
			if v.Due {
				due += v.Name
			}
		}
		if due != want || len(wrong) > 0 {
			t.Errorf("at %s %q is due, not %q: %v", at, due, want, wrong)
		}
	}
	page := read(t, "reference/cron-yml.md")
	for _, group := range f.Jobs[0].Context(cron.Repository{Role: "repo:x"}, cron.Push{}, cron.Start{}) {
		for name := range group.(map[string]any) {
			if !strings.Contains(page, "."+name+"`") {
				t.Errorf("cron-yml.md does not explain the name %s", name)
			}
		}
	}
}
