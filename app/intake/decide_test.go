package intake

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

func TestALongDecisionKeepsItsClaim(t *testing.T) {
	e := queuetest.New(t, func(d *queue.Deps) { d.ClaimTimeout = 3 * time.Second })
	id := e.Task(t, task.Pending, queuetest.OnQueue(decisionQueue))
	claims, err := e.Queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: decisionQueue, WorkerGroup: "g", WorkerID: "w"})
	if err != nil || len(claims) != 1 {
		t.Fatal(err, claims)
	}
	in := New(Deps{Queue: e.Queue, Log: slog.New(slog.DiscardHandler)})
	held, release := in.hold(t.Context(), claims[0])
	defer release()

	until := claims[0].TakenUntil.Time
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	for !e.Status(t, id).Runs[0].TakenUntil.After(until) {
		select {
		case <-deadline.Done():
			t.Fatal("the claim was not renewed")
		case <-tick.C:
		}
	}
	if held.Err() != nil {
		t.Fatal("the decision was stopped")
	}
	if _, err := e.Queue.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	select {
	case <-held.Done():
	case <-deadline.Done():
		t.Error("the decision of a canceled task goes on")
	}
}
