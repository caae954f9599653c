package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/queue/why"
	"github.com/treeline-ci/treeline/task"
)

func TestWhyPending(t *testing.T) {
	ask1 := func(t *testing.T, e *queuetest.Env, id string) why.Answer {
		t.Helper()
		a, err := e.Queue.WhyPending(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	t.Run("place, groups and workers of a pending task", func(t *testing.T) {
		e := queuetest.New(t)
		claim(t, e.Queue, ask("idle", 1, 0))
		big := push(t, e, 40)
		serve(t, e, 1, 1)
		high := e.Task(t, task.Pending, func(d *task.Definition) { d.Priority = task.High })
		group := push(t, e, 3)
		var last string
		err := e.Pool.QueryRow(t.Context(), `SELECT task_id FROM pending WHERE task_group_id = $1 ORDER BY seq DESC LIMIT 1`, group).Scan(&last)
		if err != nil {
			t.Fatal(err)
		}
		l := ask1(t, e, last).Line
		want := map[string]why.Group{
			big:   {TaskGroupID: big, Priority: task.Lowest, Weight: 1, Tasks: l.Place - 4},
			group: {TaskGroupID: group, Priority: task.Lowest, Weight: 1, Tasks: 2},
			high:  {TaskGroupID: high, Priority: task.High, Weight: 1, Tasks: 1},
		}
		got := map[string]why.Group{}
		for _, g := range l.Groups {
			got[g.TaskGroupID] = g
		}
		if diff := cmp.Diff(want, got); diff != "" || l.More || l.PendingTasks != 43 || l.ClaimedTasks != 1 {
			t.Errorf("%+v %s", l, diff)
		}
		if len(l.Workers) != 2 || l.BusyWorkers != 1 || l.IdleWorkers != 1 {
			t.Errorf("workers: %+v", l)
		}
		// The place is exact: so many are claimed before it.
		claims := serve(t, e, l.Place-1, 1)
		if got := count(claims)[group]; got != 2 {
			t.Errorf("%d of the group were claimed before it", got)
		}
		if a := ask1(t, e, last); a.Line.Place != 1 || a.Sentence == "" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("unmet dependencies", func(t *testing.T) {
		e := queuetest.New(t)
		first, second := e.Task(t, task.Pending), e.Task(t, task.Failed)
		a := ask1(t, e, e.Task(t, task.Unscheduled, queuetest.After(first, second)))
		if a.UnmetCount != 2 || len(a.Unmet) != 2 || a.Line != nil || a.Sentence != "It waits for 2 dependencies." {
			t.Errorf("%+v", a)
		}
	})
	t.Run("nothing to say of what runs or is resolved", func(t *testing.T) {
		e := queuetest.New(t)
		for state, want := range map[task.State]string{task.Running: "It runs.", task.Completed: "It is resolved."} {
			if a := ask1(t, e, e.Task(t, state)); a.Sentence != want || a.Line != nil || a.Unmet == nil {
				t.Errorf("%s: %+v", state, a)
			}
		}
	})
	t.Run("no worker", func(t *testing.T) {
		e := queuetest.New(t)
		id := e.Task(t, task.Pending)
		want := fmt.Sprintf("It is next in line. No worker asked for work of %s in the last hour.", queuetest.TaskQueueID)
		if a := ask1(t, e, id); a.Sentence != want {
			t.Errorf("%q, want %q", a.Sentence, want)
		}
	})
	t.Run("in a line of 100,000 it is answered quickly, and counted to a limit", func(t *testing.T) {
		e := queuetest.New(t)
		_, err := e.Pool.Exec(t.Context(), `INSERT INTO pending (task_id, task_queue_id, priority, run_id, task_group_id)
			SELECT 'x' || n, $1, 2, 0, 'g' || n % 7 FROM generate_series(1, 100000) AS n`, queuetest.TaskQueueID)
		if err != nil {
			t.Fatal(err)
		}
		id := e.Task(t, task.Pending)
		best := time.Hour
		for range 5 {
			start := time.Now()
			l := ask1(t, e, id).Line
			best = min(best, time.Since(start))
			if !l.More || l.Place != why.MaxCounted+1 || l.PendingTasks != why.MaxCounted || len(l.Groups) != 7 {
				t.Fatalf("%+v", l)
			}
		}
		t.Logf("answered in %s", best)
		if best > time.Second {
			t.Errorf("the best answer of five took %s", best)
		}
	})
}
