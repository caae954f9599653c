package decision_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
)

func TestActionsEqualTheGoldens(t *testing.T) {
	goldentest.Each(t, func(t *testing.T, s goldentest.Set) {
		actions, err := decision.Actions(decision.ActionsInput{Params: s.Params(t), TrustDomain: "synth", TaskclusterYML: goldentest.TaskclusterYML(t)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := decision.JSON(actions)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(s.Bytes(t, "actions.json")), string(got)+"\n"); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDisabledActions(t *testing.T) {
	s := goldentest.Sets(t)[0]
	in := decision.ActionsInput{Params: s.Params(t), TrustDomain: "synth", Disabled: []string{"cancel-all"}}
	got, err := decision.Actions(in)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got["actions"].([]any)); n != len(decision.Builtin())-1 {
		t.Errorf("%d actions are left", n)
	}
	in.Disabled = []string{"nope"}
	if _, err := decision.Actions(in); err == nil || !strings.Contains(err.Error(), `there is no action "nope"`) {
		t.Errorf("an unknown action: %v", err)
	}
}

func TestArtifacts(t *testing.T) {
	goldentest.Each(t, func(t *testing.T, s goldentest.Set) {
		log := &explain.Log{}
		log.Optimize(explain.Optimization{Label: "a", Phase: "remove", Outcome: explain.Removed, Strategy: "always", Reason: "so"})
		log.Optimize(explain.Optimization{Label: "b", Phase: "replace", Outcome: explain.Replaced, TaskID: "T", Reason: "found"})
		in := decision.Input{Params: s.Params(t), Full: s.Graph(t, "full.json"), Morphed: s.Graph(t, "morphed.json"),
			Targets: s.Labels(t, "target.labels"), LabelToTaskID: map[string]string{"a": "T"}, Actions: map[string]any{}, Log: log}
		got, err := decision.Artifacts(in)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"actions.json", "explain.json", "full-task-graph.json", "label-to-taskid.json", "optimizations.log", "parameters.yml", "runnable-jobs.json", "target-tasks.json", "task-graph.json"}
		if diff := cmp.Diff(want, decision.Names(got)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(string(s.Bytes(t, "full.json")), string(got["full-task-graph.json"])+"\n\n"); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff("remove: a removed [always]: so\nreplace: b replaced by T: found\n", string(got["optimizations.log"])); diff != "" {
			t.Error(diff)
		}
		var e decision.Explained
		if err := json.Unmarshal(got["explain.json"], &e); err != nil || len(e.Optimizations) != 2 || len(e.Tasks) < in.Full.Len() {
			t.Errorf("explain.json: %v", err)
		}
		var jobs map[string]map[string]any
		if err := json.Unmarshal(got["runnable-jobs.json"], &jobs); err != nil {
			t.Fatal(err)
		}
		if s.Repo == "features" && jobs["build-opt"]["symbol"] == nil {
			t.Errorf("build-opt has no symbol: %v", jobs["build-opt"])
		}
		again, err := decision.Artifacts(in)
		if err != nil || !cmp.Equal(got, again) {
			t.Errorf("not the same bytes again: %v", err)
		}
	})
}
