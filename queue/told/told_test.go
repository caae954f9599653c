package told_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/queue/told"
	"github.com/treeline-ci/treeline/task"
)

func TestTell(t *testing.T) {
	var got []string
	o := told.Observer{
		Created: func(q string) { got = append(got, "created "+q) },
		Claimed: func(q string, d time.Duration) { got = append(got, fmt.Sprint("claimed ", q, " ", d)) },
		Resolved: func(q string, s task.State, r task.ReasonResolved) {
			got = append(got, fmt.Sprint("resolved ", q, " ", s, " ", r))
		},
	}
	begin := time.Unix(1000, 0)
	started, ended := task.At(begin.Add(3*time.Second)), task.At(begin.Add(9*time.Second))
	run := task.Run{State: task.Running, Scheduled: task.At(begin), Started: &started}
	done := run
	done.State, done.ReasonResolved, done.Resolved = task.Exception, task.ReasonClaimExpired, &ended
	again := task.Run{RunID: 1, State: task.Pending, Scheduled: ended}
	quiet := slog.New(slog.DiscardHandler)
	o.Tell(t.Context(), quiet, []told.Event{
		{Kind: "task-defined", Queue: "p/w"}, {Kind: "task-pending", Queue: "p/w", Run: &task.Run{}}, {Kind: "task-running", Queue: "p/w", Run: &run},
		{Kind: "task-exception", Queue: "p/w", Run: &done}, {Kind: "task-pending", Queue: "p/w", Run: &again}, {Kind: "task-priority-changed", Queue: "p/w"},
	})
	if diff := cmp.Diff([]string{"created p/w", "claimed p/w 3s", "resolved p/w exception claim-expired"}, got); diff != "" {
		t.Error(diff)
	}
	told.Observer{}.Tell(t.Context(), quiet, []told.Event{{Kind: "task-defined"}, {Kind: "task-running", Run: &run}}) // nobody listens
}
