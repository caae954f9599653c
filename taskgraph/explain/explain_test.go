package explain_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/explain"
)

func TestWithLeavesSharedHistoryAlone(t *testing.T) {
	base := explain.Provenance{Kind: "k"}.With(explain.Step{Transform: "a"})
	left := base.With(explain.Step{Transform: "left"})
	right := base.With(explain.Step{Transform: "right"})
	if got := left.Steps[1].Transform + right.Steps[1].Transform; got != "leftright" || len(base.Steps) != 1 {
		t.Errorf("steps are shared: %v %v %v", base, left, right)
	}
}

func TestStoryTellsEachDecisionInOrder(t *testing.T) {
	var log explain.Log
	log.Select(explain.Selection{Label: "a", Filter: "target_tasks_method: default", Kept: true, Rule: "all rules pass"})
	log.Select(explain.Selection{Label: "b", Filter: "target_tasks_method: default", Rule: "run_on_projects", Input: "[other]"})
	log.Optimize(explain.Optimization{Label: "a", Phase: "remove", Outcome: explain.Kept, Strategy: "skip-unless-changed", Arg: []any{"src/**"}, Reason: "src/x matches src/**"})
	log.Optimize(explain.Optimization{Label: "a", Phase: "replace", Outcome: explain.Replaced, TaskID: "T", Reason: "listed in existing_tasks"})
	log.Morphed(explain.Morph{Label: "a", Morph: "add_index_tasks", Change: "70 routes moved"})
	p := explain.Provenance{Kind: "k", File: "taskcluster/kinds/k/kind.yml", Line: 7, Entry: "a", Loader: "default"}.
		With(explain.Step{Transform: "t", Keys: []string{"worker"}, Note: "os=linux"})
	var out strings.Builder
	if err := log.Story("a", p).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	want := `a: replaced by task T
  from taskcluster/kinds/k/kind.yml:7 entry "a", read by default
  t changed worker (os=linux)
  selected by target_tasks_method: default: all rules pass
  remove: kept, src/x matches src/** [skip-unless-changed ["src/**"]]
  replace: replaced by task T, listed in existing_tasks
  morph add_index_tasks: 70 routes moved
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if b := log.Story("b", explain.Provenance{}); len(b.Selections) != 1 || b.Selections[0].Kept {
		t.Errorf("story of b: %+v", b)
	}
}

func TestNilLogDropsEverything(t *testing.T) {
	var log *explain.Log
	log.Select(explain.Selection{})
	log.Optimize(explain.Optimization{})
	log.Morphed(explain.Morph{})
	log.Print("x")
	if s := log.Story("a", explain.Provenance{}); s.Label != "a" {
		t.Error("a nil log has no story")
	}
}
