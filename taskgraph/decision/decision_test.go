package decision_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
)

func TestActionsEqualTheGoldens(t *testing.T) {
	tree := fstest.MapFS{"taskcluster/config.yml": {Data: []byte("trust-domain: synth\ntask-priority: low\nworkers: {aliases: {}}\ntaskgraph: {repositories: {synth: {name: synth}}}\n")}}
	cfg, err := config.Load(tree, "taskcluster")
	if err != nil {
		t.Fatal(err)
	}
	goldentest.Each(t, func(t *testing.T, s goldentest.Set) {
		actions, err := decision.Actions(t.Context(), decision.ActionsInput{
			Params: s.Params(t), Config: cfg, Tree: tree, TaskclusterYML: goldentest.TaskclusterYML(t),
		})
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
		var e explain.Record
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
		if err != nil || !maps.EqualFunc(got, again, bytes.Equal) {
			t.Errorf("not the same bytes again: %v", err)
		}
	})
}
