package taskgraph_test

import (
	"os"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/synth"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// BenchmarkGenerate makes synthetic graphs up to a stage; the JSON of the full graph is one more.
func BenchmarkGenerate(b *testing.B) {
	cases := []struct {
		name string
		size synth.Options
		upTo taskgraph.Stage
		json bool
	}{
		{"full/1000", synth.Matrix(1_000), taskgraph.Full, false},
		{"full/10000", synth.Matrix(10_000), taskgraph.Full, false},
		{"json/10000", synth.Matrix(10_000), taskgraph.Full, true},
		{"optimized/10000", synth.Matrix(10_000), taskgraph.Optimized, false},
		{"flat/10000", synth.Flat(10_000), taskgraph.Full, false},
		{"full/100000", synth.Matrix(100_000), taskgraph.Full, false},
	}
	if os.Getenv("TREELINE_BENCH_LARGE") == "" {
		cases = cases[:len(cases)-1]
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			in := synthInput(b, c.size)
			b.ReportAllocs()
			for b.Loop() {
				res, err := taskgraph.Generate(b.Context(), in, c.upTo)
				if err != nil {
					b.Fatal(err)
				}
				if c.json {
					if _, err := res.Full.MarshalIndent(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(c.size.Tasks), "ns/task")
		})
	}
}

func synthInput(tb testing.TB, o synth.Options) taskgraph.Input {
	tb.Helper()
	tree, err := synth.Files(o)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := params.Load(synth.Parameters, tree[synth.Parameters].Data, true)
	if err != nil {
		tb.Fatal(err)
	}
	scripts, err := runtask.Scripts()
	if err != nil {
		tb.Fatal(err)
	}
	return taskgraph.Input{Tree: tree, Parameters: p, Scripts: scripts, Now: time.Unix(p.Int("build_date"), 0), NewID: func(l string) string { return l }}
}

// TestSyntheticGraphsAreAsLargeAsAskedFor holds what is measured to what it is said to be.
func TestSyntheticGraphsAreAsLargeAsAskedFor(t *testing.T) {
	for name, o := range map[string]synth.Options{"matrix": synth.Matrix(400), "flat": synth.Flat(200)} {
		t.Run(name, func(t *testing.T) {
			res, err := taskgraph.Generate(t.Context(), synthInput(t, o), taskgraph.Full)
			if err != nil {
				t.Fatal(err)
			}
			optimized := 0
			for _, task := range res.Full.All() {
				if task.Optimization != nil {
					optimized++
				}
			}
			if res.Full.Len() != o.Tasks || len(res.Full.Edges()) != o.Tasks*9/10 || optimized != o.Tasks/2 {
				t.Errorf("%d tasks, %d edges, %d with an optimization", res.Full.Len(), len(res.Full.Edges()), optimized)
			}
		})
	}
	if _, err := synth.Files(synth.Options{Tasks: 7, Platforms: 2, Variants: 1, Chain: 1}); err == nil {
		t.Error("7 tasks were made of entries of 2")
	}
}
