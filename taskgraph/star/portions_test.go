package star_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/treeline-ci/treeline/taskgraph/star"
)

// What comes out, what is printed and which error is told do not depend on how many tasks are worked
// on at once.
func TestTheNumberOfProcessorsChangesNothing(t *testing.T) {
	items := make([]map[string]any, 1500)
	for i := range items {
		items[i] = map[string]any{"name": fmt.Sprintf("t%04d", i), "n": int64(i), "worker": values{"env": values{"A": "1"}}}
	}
	const src = `
def f(config, task):
    if task["n"] % 100 == 0:
        print("at", task["name"])
    if task["n"] in config.params["bad"]:
        fail("bad")
    task["worker"]["env"]["N"] = str(task["n"])
    return [task] * (task["n"] % 3)
`
	type outcome struct {
		Items   []star.Item
		Printed []string
		Error   string
	}
	run := func(processors int, bad ...any) outcome {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		var o outcome
		m, err := star.Load(t.Context(), tree("x.star", src), "x.star", star.Options{Print: func(s string) { o.Printed = append(o.Printed, s) }})
		if err != nil {
			t.Fatal(err)
		}
		c := config()
		c.Params = map[string]any{"bad": bad}
		if o.Items, err = m.Transform(t.Context(), "f", c, items); err != nil {
			o.Error = err.Error()
		}
		return o
	}
	for _, bad := range [][]any{{}, {int64(1400), int64(700), int64(701)}, {int64(0)}} {
		want := run(1, bad...)
		if len(bad) == 0 && (len(want.Items) != 1500 || len(want.Printed) != 15) {
			t.Errorf("%d items, printed %v", len(want.Items), want.Printed)
		}
		if len(bad) == 3 && want.Error != `x.star:6:13: in f: task "t0700": fail: bad` {
			t.Errorf("error %s", want.Error)
		}
		for range 5 {
			if diff := cmp.Diff(want, run(8, bad...), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%v: %s", bad, diff)
			}
		}
	}
}
