package soaktest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// Drainer is the number of the client that works off what is left.
const Drainer = -1

// end works off what is left without any disturbance, and gathers the evidence: what is pending can be
// claimed, claims that nobody holds end, and what still waits then is ended by its deadline.
func (r *round) end(t testing.TB) error {
	ctx := t.Context()
	for _, p := range r.replicas {
		p.pool.Close()
	}
	// What was cut off may still be at work in the server.
	if err := r.until(ctx, "the replicas' connections are gone", func() (bool, error) {
		var n int
		err := r.clean.QueryRow(ctx, othersSQL.Text, replicaName).Scan(&n)
		return n == 0, err
	}); err != nil {
		return err
	}
	if err := r.calm(ctx); err != nil {
		return err
	}
	last := &replica{pool: r.clean, queue: newQueue(r.clean), feed: event.NewFeed(r.clean, slog.New(slog.DiscardHandler))}
	last.door = last.queue
	c := &client{round: r, n: Drainer, r: rand.New(rand.NewPCG(r.Seed, 1<<36)), at: last, name: "last"}
	r.clients = append(r.clients, c)
	if err := c.drain(ctx); err != nil {
		return err
	}
	r.snapshot(ctx)
	return r.gather(ctx, last)
}

// calm takes the dice away, and counts what they did.
func (r *round) calm(ctx context.Context) error {
	if r.Faultless {
		return nil
	}
	var rolled int
	if err := r.clean.QueryRow(ctx, rolledSQL.Text, int64(r.Seed%1_000_003)).Scan(&rolled); err != nil {
		return err
	}
	r.tally.faults("deadlock or serialization failure", rolled)
	_, err := r.clean.Exec(ctx, `DROP FUNCTION soak_roll() CASCADE`)
	return err
}

func (r *round) until(ctx context.Context, what string, met func() (bool, error)) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		ok, err := met()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("30 seconds passed before %s", what)
		}
		pause(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// drain resolves everything.
func (c *client) drain(ctx context.Context) error {
	for {
		worked, err := c.work(ctx)
		if err != nil {
			return err
		}
		running, err := c.idsIn(ctx, task.Running)
		if err != nil {
			return err
		}
		if len(running) > 0 {
			c.call(ctx, Call{Verb: ClaimsEnd, Tasks: running}, func(ctx context.Context, _ *Call) error {
				return lapse(ctx, c.clean, claimsEndSQL, running)
			})
			c.expireClaims(ctx)
			c.enforceDeadlines(ctx) // a task past its deadline is not retried
			continue
		}
		if worked == 0 {
			break
		}
	}
	pending, err := c.idsIn(ctx, task.Pending)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		c.violate("I1", "%d tasks are pending, but no claim gets them; the first is %s", len(pending), pending[0])
	}
	left, err := c.idsIn(ctx, task.Unscheduled)
	if err != nil {
		return err
	}
	c.call(ctx, Call{Verb: DeadlinesPass, Tasks: left}, func(ctx context.Context, _ *Call) error {
		return lapse(ctx, c.clean, deadlinesPassSQL, left)
	})
	c.enforceDeadlines(ctx)
	return nil
}

// work claims and completes all that is pending.
func (c *client) work(ctx context.Context) (worked int, err error) {
	for _, line := range c.known.allLines() {
		for {
			c.mine = nil
			n := c.claimFrom(ctx, queue.ClaimRequest{TaskQueueID: line, WorkerGroup: "soak", WorkerID: c.name, Tasks: queue.MaxClaim})
			if n == 0 {
				break
			}
			worked += n
			for _, h := range slices.Clone(c.mine) {
				c.reportCall(ctx, h, task.ReasonCompleted)
			}
			if ctx.Err() != nil {
				return worked, ctx.Err()
			}
		}
	}
	return worked, nil
}

func (c *client) idsIn(ctx context.Context, state task.State) ([]string, error) {
	return idsOf(ctx, c.clean, state)
}

// gather reads the end of the feed and every task.
func (r *round) gather(ctx context.Context, last *replica) error {
	e := r.evidence
	for _, c := range r.clients {
		e.Calls = append(e.Calls, c.calls...)
	}
	last.feed.Start(ctx)
	defer last.feed.Stop()
	if r.feed == nil {
		r.feed = newReader(last.feed)
	}
	r.feed.feeds = []*event.Feed{last.feed}
	if err := r.feed.finish(ctx, r); err != nil {
		return err
	}
	e.Events, e.Gaps = r.feed.events, r.feed.gaps
	ids, err := idsOf(ctx, r.clean, "")
	if err != nil {
		return err
	}
	e.Final = make(map[string]queue.Item, len(ids))
	for some := range slices.Chunk(ids, 1000) {
		items, err := last.queue.Items(ctx, some)
		if err != nil {
			return err
		}
		for _, i := range items {
			e.Final[i.Status.TaskID] = i
		}
	}
	for _, id := range ids {
		if _, ok := e.Final[id]; !ok && !r.known.expired[id] {
			r.violate("I1", "task %s is in the database, but cannot be read", id)
		}
	}
	return nil
}
