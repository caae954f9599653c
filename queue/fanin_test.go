package queue_test

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// TestAFanInOfTenThousand has one task wait for as many as it may. Most of them end in one transaction, the last ones at
// the same time at two replicas: the last of all releases it, and nobody else does.
func TestAFanInOfTenThousand(t *testing.T) {
	const late = 16
	e := queuetest.New(t)
	replicas := []*queuetest.Env{e, queuetest.On(t, e.Pool)}
	early, own, sink := slug.New(), "proj/late", slug.New()
	var batch []queue.NewTask
	var ids []string
	for i := range task.MaxDependencies {
		changes := []func(*task.Definition){queuetest.In(early)}
		if i < late {
			changes = []func(*task.Definition){queuetest.In(sink), queuetest.OnQueue(own)}
		}
		batch = append(batch, queue.NewTask{ID: slug.New(), Definition: queuetest.Define(changes...)})
		ids = append(ids, batch[i].ID)
	}
	if _, err := e.Queue.CreateBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	e.Create(t, sink, queuetest.Define(queuetest.In(sink), queuetest.After(ids...), anyOutcome))
	if _, err := e.Queue.SealGroup(t.Context(), early); err != nil {
		t.Fatal(err)
	}
	if c, err := e.Queue.CancelGroup(t.Context(), early); err != nil || c.CancelledCount != task.MaxDependencies-late {
		t.Fatalf("%d are canceled: %v", c.CancelledCount, err)
	}
	claims, err := e.Queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: own, WorkerGroup: "g", WorkerID: "w", Tasks: late})
	if err != nil || len(claims) != late {
		t.Fatalf("%d are claimed: %v", len(claims), err)
	}
	if got := e.Status(t, sink).State; got != task.Unscheduled {
		t.Fatalf("with %d to come it is %s", late, got)
	}
	var together errgroup.Group
	for i, c := range claims {
		q := replicas[i%len(replicas)].Queue
		together.Go(func() error {
			if _, err := q.ReportCompleted(t.Context(), c.Status.TaskID, c.RunID); err != nil {
				return fmt.Errorf("report %d: %w", i, err)
			}
			return nil
		})
	}
	if err := together.Wait(); err != nil {
		t.Fatal(err)
	}
	var told int
	if err := e.Pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE task_id = $1 AND kind = 'task-pending'`, sink).Scan(&told); err != nil {
		t.Fatal(err)
	}
	if got := e.Status(t, sink).State; got != task.Pending || told != 1 {
		t.Errorf("when all have ended it is %s, and that was told %d times", got, told)
	}
	e.Check(t)
}
