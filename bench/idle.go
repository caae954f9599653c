package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/slug"
)

// drainPatience is how long pending tasks may stay unclaimed while somebody asks for them.
const drainPatience = 30 * time.Second

// drain claims, by as many workers as the load had, what is left pending. Tasks that nobody gets within
// drainPatience are stranded, and told in the report.
func (q *queueRun) drain(ctx context.Context, connections int) error {
	began := time.Now()
	for {
		left, err := q.pending(ctx)
		if err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		if time.Since(began) > drainPatience {
			q.report.Stranded += left
			q.report.note("%d tasks were pending but nobody could claim them within %v", left, drainPatience)
			return nil
		}
		calls, ctx := errgroup.WithContext(ctx)
		for connection := range min(connections, (left+claimAtOnce-1)/claimAtOnce) {
			calls.Go(func() error {
				_, err := q.take(ctx, connection, claimAtOnce)
				return err
			})
		}
		if err := calls.Wait(); err != nil {
			return fmt.Errorf("bench: claim the rest: %w", err)
		}
	}
}

const claimAtOnce = 32

// pending is what the API says of the task queue.
func (q *queueRun) pending(ctx context.Context) (int, error) {
	var out struct {
		Pending int `json:"pendingTasks"`
	}
	err := q.call(ctx, 0, "GET", "/pending/"+url.PathEscape(q.taskQueue), nil, &out)
	return out.Pending, err
}

// idleRest is how long a worker waits before the next task is made for it: so it does wait.
const idleRest = 5 * time.Millisecond

// idle measures how soon a new task is in the hands of a worker that waits in a long poll: from the
// moment the call that creates the task is sent until the claim is read. Each worker has a task queue
// of its own.
func (q *queueRun) idle(ctx context.Context) error {
	for _, workers := range []int{1, 8} {
		definitions, queues := make([]json.RawMessage, workers), make([]string, workers)
		for i := range workers {
			queues[i] = fmt.Sprintf("%s-%d", q.taskQueue, i)
			definitions[i] = q.definitionIn(queues[i], q.group())
		}
		err := q.do(ctx, load{name: "new task to an idle worker", connections: workers, timed: func(ctx context.Context, connection, _ int) (time.Duration, error) {
			return q.handOver(ctx, connection, workers+connection, queues[connection], definitions[connection])
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// handOver lets one connection wait for a task and creates it on the other.
func (q *queueRun) handOver(ctx context.Context, waits, creates int, queue string, definition []byte) (time.Duration, error) {
	type got struct {
		claims []claim
		err    error
		at     time.Time
	}
	came := make(chan got, 1)
	go func() {
		claims, err := q.takeFrom(ctx, waits, queue, 1)
		came <- got{claims, err, time.Now()}
	}()
	<-time.After(idleRest)
	began := time.Now()
	err := q.create(ctx, creates, slug.Nice(), definition)
	g := <-came
	if err == nil {
		err = g.err
	}
	if err == nil && len(g.claims) != 1 {
		err = fmt.Errorf("no task came within the time of a long poll")
	}
	return g.at.Sub(began), err
}
