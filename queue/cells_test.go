package queue_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

func TestCells(t *testing.T) {
	e := queuetest.New(t)
	one, two := slug.New(), slug.New()
	named := func(name, extra string) func(*task.Definition) {
		return func(d *task.Definition) { d.Metadata.Name, d.Extra = name, json.RawMessage(extra) }
	}
	want := map[string]string{}
	add := func(group, cell string, state task.State, change func(*task.Definition)) string {
		id := e.Task(t, state, queuetest.In(group), change)
		want[id] = group + " " + string(state) + " " + cell
		return id
	}
	add(one, `plain [test] {"symbol": "1"}`, task.Failed, named("plain", `{"other": 1, "treeherder": {"symbol": "1"}}`))
	add(one, `bare [test] `, task.Unscheduled, named("bare", `{}`))
	add(one, `with "quotes" and é [test] `, task.Pending, named(`with "quotes" and é`, `{}`))
	add(two, `plain [test] {"symbol":"\u0000"}`, task.Completed, named("plain", `{"treeherder":{"symbol":"\u0000"}}`))
	add(two, `plain [test] {"symbol":"\ud800"}`, task.Running, named("plain", `{"treeherder":{"symbol":"\ud800"}}`))
	again := add(two, `plain [test] 7`, task.Failed, named("plain", `{"treeherder":7}`))
	if _, err := e.Queue.Rerun(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	want[again] = two + " pending plain [test] 7"
	e.Task(t, task.Pending) // of another group

	got := map[string]string{}
	var order []string
	see := func(c *cells.Cell) {
		got[c.TaskID] = fmt.Sprintf("%s %s %s [%s] %s", c.TaskGroupID, c.State, c.Name, c.Kind, c.Treeherder)
		order = append(order, c.TaskGroupID+c.TaskID)
		if last := c.Last; (last == nil) != (c.State == task.Unscheduled) || last != nil && string(last.State) != string(c.State) && c.State != task.Unscheduled {
			t.Errorf("%s is %s with last run %+v", c.TaskID, c.State, last)
		}
		if c.TaskID == again && (c.Last.RunID != 1 || c.Before < 0) {
			t.Errorf("run again: %+v after %v", c.Last, c.Before)
		}
	}
	if err := e.Queue.Cells(t.Context(), cells.Look{Groups: []string{one, two, slug.New()}}, see); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !slices.IsSorted(order) {
		t.Errorf("not in order: %v", order)
	}
	clear(got)
	if err := e.Queue.Cells(t.Context(), cells.Look{Groups: []string{one, two}, States: []task.State{task.Failed, task.Completed}}, see); err != nil || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	clear(got)
	if err := e.Queue.Cells(t.Context(), cells.Look{Groups: []string{one}, States: []task.State{task.Failed}, Bare: true}, see); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bare := range got {
		if bare != one+" failed  [] " {
			t.Errorf("got %q", bare)
		}
	}
}

// BenchmarkCells reads the cells of one of twenty groups of 10,000 tasks, and counts those of all.
func BenchmarkCells(b *testing.B) {
	e := queuetest.New(b)
	groups := e.Groups(b, 20, 10_000)
	b.Run("of 10000 tasks", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := e.Queue.Cells(b.Context(), cells.Look{Groups: groups[:1]}, func(*cells.Cell) { n++ }); err != nil || n < 10_000 {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("bare of 10000 tasks", func(b *testing.B) {
		for b.Loop() {
			if err := e.Queue.Cells(b.Context(), cells.Look{Groups: groups[:1], Bare: true}, func(*cells.Cell) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("failed of 10000 tasks", func(b *testing.B) {
		for b.Loop() {
			if err := e.Queue.Cells(b.Context(), cells.Look{Groups: groups[:1], States: []task.State{task.Failed, task.Exception}}, func(*cells.Cell) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("count 200000 tasks", func(b *testing.B) {
		for b.Loop() {
			if _, err := e.Queue.GroupCounts(b.Context(), groups); err != nil {
				b.Fatal(err)
			}
		}
	})
}
