package optimize_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/target"
)

func TestOptimizedGraphsEqualTheGoldens(t *testing.T) {
	goldentest.Each(t, func(t *testing.T, s goldentest.Set) {
		full, p := s.Graph(t, "full.json"), s.Params(t)
		targets, err := target.Select(t.Context(), target.Input{Full: full, Params: p})
		if err != nil {
			t.Fatal(err)
		}
		var found map[string]optimize.Found
		if err := json.Unmarshal(s.Found(t), &found); err != nil {
			t.Fatal(err)
		}
		var log explain.Log
		asked := 0
		res, err := optimize.Run(t.Context(), optimize.Input{
			Target: target.Graph(full, p, targets), Requested: target.Requested(full, p, targets), Targets: targets, Params: p,
			Index: func(_ context.Context, paths []string) (map[string]optimize.Found, error) {
				asked++
				return found, nil
			},
			NewID: goldentest.Counter(), RootURL: s.RootURL(), Log: &log,
		})
		if err != nil {
			t.Fatal(err)
		}
		want := s.Graph(t, "optimized.json")
		if diff := cmp.Diff(goldentest.Loose(t, want), goldentest.Loose(t, res.Graph)); diff != "" {
			t.Errorf("optimized: %s", diff)
		}
		if asked > 1 {
			t.Errorf("the index was asked %d times", asked)
		}
		for label := range target.Graph(full, p, targets).All() {
			if len(log.Story(label, explain.Provenance{}).Optimizations) == 0 {
				t.Errorf("nothing is recorded about %s", label)
			}
		}
	})
}
