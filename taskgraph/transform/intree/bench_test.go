package intree_test

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/intree"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// tenThousand are descriptions of usual size.
func tenThousand() []map[string]any {
	out := make([]map[string]any, 10_000)
	for i := range out {
		out[i] = map[string]any{
			"name": fmt.Sprintf("task-%d", i), "description": "a task", "worker-type": "b-linux", "run-on-projects": []any{"all"},
			"attributes":   map[string]any{"build_platform": "linux64", "chunk": int64(i)},
			"worker":       map[string]any{"docker-image": map[string]any{"in-tree": "base"}, "max-run-time": int64(3600), "env": map[string]any{"A": "1", "B": "2", "C": "3"}},
			"run":          map[string]any{"using": "run-task", "command": []any{"make", "test"}, "cwd": "{checkout}"},
			"dependencies": map[string]any{"build": fmt.Sprintf("build-%d", i)}, "treeherder": map[string]any{"symbol": "T", "platform": "linux/opt", "tier": int64(1)},
		}
	}
	return out
}

// The pairs of transforms that are compared: each does the same built in and in Starlark.
var pairs = map[string]struct {
	builtin transform.Each
	source  string
}{
	"environment": {
		func(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
			it.Own("worker", "env")["LEVEL"] = c.Level() + "-" + it.String("name")
			emit(it)
			return nil
		}, `
def f(config, task):
    task["worker"].setdefault("env", {})["LEVEL"] = config.params["level"] + "-" + task["name"]
    return task
`},
	"platform": {
		func(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
			platform := value.String(it.Map("attributes"), "build_platform")
			th := it.Own("treeherder")
			th["platform"] = platform + "/opt"
			th["symbol"] = fmt.Sprintf("%s-%d", th["symbol"], it.Map("attributes")["chunk"])
			if platform == "linux64" {
				it.Append("run-on-projects", "extra")
				it.Set("worker-type", "b-"+platform)
			}
			it.Own("attributes")["done"] = true
			emit(it)
			return nil
		}, `
def f(config, task):
    attributes = task["attributes"]
    platform = attributes["build_platform"]
    th = task["treeherder"]
    th["platform"] = platform + "/opt"
    th["symbol"] = "%s-%d" % (th["symbol"], attributes["chunk"])
    if platform == "linux64":
        task["run-on-projects"] = task["run-on-projects"] + ["extra"]
        task["worker-type"] = "b-" + platform
    attributes["done"] = True
    return task
`},
	"split in three": {
		func(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
			for i := range 3 {
				part := it.Split()
				part.Set("name", fmt.Sprintf("%s-%d", it.String("name"), i+1))
				part.Own("attributes")["part"] = int64(i + 1)
				emit(part)
			}
			return nil
		}, `
def f(config, task):
    return [
        dict(task, name = "%s-%d" % (task["name"], i), attributes = dict(task["attributes"], part = i))
        for i in range(1, 4)
    ]
`},
}

// BenchmarkAgainstBuiltIn runs pairs of transforms that do the same on 10,000 tasks.
func BenchmarkAgainstBuiltIn(b *testing.B) {
	values := tenThousand()
	origin := &transform.Origin{Provenance: explain.Provenance{Kind: "k", File: "kind.yml", Line: 1}}
	for name, pair := range pairs {
		files := star.NewFiles(fstest.MapFS{"x.star": {Data: []byte(pair.source)}}, star.Options{})
		inTree, ok := intree.Transform(files, "x.star:f", graph.Error{})
		if !ok {
			b.Fatal("not a transform")
		}
		for how, t := range map[string]transform.Transform{"built in": transform.New("f", pair.builtin), "starlark": inTree} {
			b.Run(name+"/"+how, func(b *testing.B) {
				var spent time.Duration
				for b.Loop() {
					b.StopTimer()
					items := make([]*transform.Item, len(values))
					for i, v := range values {
						copied := make(map[string]any, len(v)+8)
						for k, e := range v {
							copied[k] = e
						}
						items[i] = transform.NewItem(copied, origin)
					}
					c := benchConfig(b)
					runtime.GC()
					before := processorTime(b)
					b.StartTimer()
					if _, err := transform.Run(context.Background(), c, []transform.Transform{t}, items); err != nil {
						b.Fatal(err)
					}
					spent += processorTime(b) - before
				}
				b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N)/float64(len(values)), "cpu-ns/task")
			})
		}
	}
}

// processorTime is what the process has used: on a busy machine it says more than the clock.
func processorTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchConfig(t testing.TB) *transform.Config {
	p := parametersOf(t)
	return &transform.Config{
		Kind: "k", Dir: "taskcluster/kinds/k", KindConfig: map[string]any{}, Dependencies: transform.NewDependencies(nil, nil),
		Shared: &transform.Shared{Graph: &config.GraphConfig{Values: map[string]any{}}, Params: p, Names: value.NameMap(p.Map())},
	}
}

// What is compared does the same.
func TestPairsDoTheSame(t *testing.T) {
	for name, pair := range pairs {
		var got [2][]map[string]any
		inTree, _ := intree.Transform(star.NewFiles(fstest.MapFS{"x.star": {Data: []byte(pair.source)}}, star.Options{}), "x.star:f", graph.Error{})
		for i, tr := range []transform.Transform{transform.New("f", pair.builtin), inTree} {
			var items []*transform.Item
			for _, v := range tenThousand()[:500] {
				items = append(items, transform.NewItem(v, &transform.Origin{}))
			}
			made, err := transform.Run(t.Context(), benchConfig(t), []transform.Transform{tr}, items)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range made {
				got[i] = append(got[i], it.Values())
			}
		}
		if !value.Equal(toAny(got[0]), toAny(got[1])) {
			t.Errorf("%s: %v and %v", name, got[0][:2], got[1][:2])
		}
	}
}

func toAny(list []map[string]any) []any {
	out := make([]any, len(list))
	for i, m := range list {
		out[i] = m
	}
	return out
}
