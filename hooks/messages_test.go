package hooks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// listening is a fixture whose hooks listen to a feed.
func listening(t *testing.T) (*fixture, *event.Feed) {
	fx := newFixture(t)
	own := pulse.NewMapping("")
	fx.deps.Kinds, fx.deps.Own = own.Kinds(), own.Has
	fx.deps.Messages = func(e *event.Event) (hooks.Message, bool, error) {
		m, ok, err := own.Of(e)
		return hooks.Message{Exchange: m.Exchange, Keys: m.Keys, Payload: m.Body}, ok, err
	}
	feed := event.NewFeed(fx.pool, fx.deps.Log)
	feed.Start(context.WithoutCancel(t.Context()))
	t.Cleanup(feed.Stop)
	fx.deps.Wake = feed.Wake
	fx.Hooks = hooks.New(fx.deps)
	fx.Start(context.WithoutCancel(t.Context()), feed)
	t.Cleanup(fx.Stop)
	return fx, feed
}

// tell appends an event about a task of a worker type.
func (fx *fixture) tell(kind, taskID, workerType string, routes ...string) {
	fx.t.Helper()
	body, err := json.Marshal(map[string]any{"version": 1, "runId": 0, "workerGroup": "wg", "workerId": "w", "status": map[string]any{
		"taskId": taskID, "provisionerId": "prov", "workerType": workerType, "schedulerId": "s", "taskGroupId": "g",
	}})
	if err != nil {
		fx.t.Fatal(err)
	}
	err = pg.Tx(fx.t.Context(), fx.pool, func(ctx context.Context, tx pgx.Tx) error {
		return event.Append(ctx, tx, event.Event{Kind: kind, TaskID: taskID, Routes: routes, Payload: body})
	})
	if err != nil {
		fx.t.Fatal(err)
	}
	fx.deps.Wake()
}

func (fx *fixture) eventually(what string, so func() bool) {
	fx.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			fx.t.Fatalf("not within 30 s: %s\n%s", what, fx.log.String())
		case <-tick.C:
		}
	}
}

// caughtUp waits until the hooks have seen all that happened, and fired.
func (fx *fixture) caughtUp(feed *event.Feed) {
	fx.t.Helper()
	fx.eventually("hooks have seen all", func() bool {
		var waiting int
		err := fx.pool.QueryRow(fx.t.Context(), `SELECT (SELECT count(*) FROM events) - (SELECT count(*) FROM event_order) + (SELECT count(*) FROM hook_messages)`).Scan(&waiting)
		list, err2 := feed.Consumers(fx.t.Context())
		if err != nil || err2 != nil {
			fx.t.Fatal(err, err2)
		}
		return waiting == 0 && slices.ContainsFunc(list, func(c event.Consumer) bool { return c.Name == hooks.Consumer && c.Lag == 0 })
	})
}

func bind(exchange, pattern string) func(*hooks.Hook) {
	return func(h *hooks.Hook) {
		h.Bindings = append(h.Bindings, hooks.Binding{Exchange: exchange, RoutingKeyPattern: pattern})
		h.TriggerSchema = json.RawMessage(`{"type": "object", "required": ["status"]}`)
		h.Task = json.RawMessage(`{"payload": {"of": {"$eval": "payload.status.taskId"}, "by": {"$eval": "firedBy"}}}`)
	}
}

const completed, failedExchange = "exchange/taskcluster-queue/v1/task-completed", "exchange/taskcluster-queue/v1/task-failed"

// of lists the tasks whose messages fired something.
func (fx *fixture) of(by string) []string {
	var list []string
	for _, id := range fx.tasks.ids() {
		p, _ := fx.tasks.definition(id)["payload"].(map[string]any)
		if p["by"] == by {
			list = append(list, fmt.Sprint(p["of"]))
		}
	}
	slices.Sort(list)
	return list
}

func TestOwnMessagesFireHooks(t *testing.T) {
	fx, feed := listening(t)
	fx.tell("task-completed", "before", "win") // not for hooks that come later
	fx.caughtUp(feed)
	fx.must(hook("wins", bind(completed, "primary.#.win.#"), bind(completed, "#.win.s.g._"), bind(failedExchange, "route.notify.*")))
	fx.tell("task-completed", "one", "win")
	fx.tell("task-completed", "two", "linux")
	fx.tell("task-failed", "three", "win")
	fx.tell("task-failed", "four", "linux", "index.x", "notify.me")
	fx.tell("task-completed", "five", "win")
	fx.caughtUp(feed)
	fx.eventually("three fires", func() bool { return len(fx.tasks.ids()) >= 3 })
	if diff := cmp.Diff([]string{"five", "four", "one"}, fx.of("pulseMessage")); diff != "" {
		t.Error(diff)
	}
	fires := fx.fires("wins")
	if len(fires) != 3 || fires[0].By != hooks.PulseMessage || fires[0].Error != "" {
		t.Errorf("%+v", fires)
	}
	t.Run("no longer when the binding is gone", func(t *testing.T) {
		if _, err := fx.Update(t.Context(), "ada", hook("wins", bind(failedExchange, "#"))); err != nil {
			t.Fatal(err)
		}
		fx.tell("task-completed", "six", "win")
		fx.tell("task-failed", "seven", "win")
		fx.caughtUp(feed)
		if diff := cmp.Diff([]string{"five", "four", "one", "seven"}, fx.of("pulseMessage")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what does not fit the schema is discarded, and said", func(t *testing.T) {
		strict := hook("strict", bind(failedExchange, "#"))
		strict.TriggerSchema = json.RawMessage(`{"type": "object", "required": ["secret"]}`)
		fx.must(strict)
		fx.tell("task-failed", "eight", "win")
		fx.caughtUp(feed)
		if len(fx.fires("strict")) != 0 || !slices.Contains(fx.of("pulseMessage"), "eight") {
			t.Error(fx.fires("strict"))
		}
		fx.Stop()
		if log := fx.log.String(); !strings.Contains(log, "hook-pulse-message-discarded") || !strings.Contains(log, "missing property 'secret'") {
			t.Error(log)
		}
	})
}

func TestAMessageFiresOnce(t *testing.T) {
	fx := newFixture(t)
	fx.must(hook("one", bind(completed, "#")))
	put := func(n int) {
		for i := range n {
			_, err := fx.pool.Exec(t.Context(), `INSERT INTO hook_messages (hook_group_id, hook_id, message_id, exchange, routing_key, payload)
				VALUES ('project-a', 'one', $1, 'x', 'k', '{"status": {"taskId": "t"}}') ON CONFLICT DO NOTHING`, fmt.Sprint("message-", i))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	rounds := func() {
		for {
			n, err := fx.RoundOfMessages(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return
			}
		}
	}
	put(20)
	rounds()
	put(20) // again, as after a crash
	rounds()
	if got := len(fx.tasks.ids()); got != 20 || len(fx.tasks.asked) != 40 || len(fx.fires("one")) != 20 {
		t.Errorf("%d tasks of %d tries, %d fires", got, len(fx.tasks.asked), len(fx.fires("one")))
	}
	t.Run("and again when its task cannot be made for now", func(t *testing.T) {
		fx.tasks.fails = func(int) error { return fault.New(fault.Unavailable, "away") }
		put(21)
		if _, err := fx.RoundOfMessages(t.Context()); err != nil {
			t.Fatal(err)
		}
		var waiting int
		if err := fx.pool.QueryRow(t.Context(), `SELECT count(*) FROM hook_messages WHERE due > now()`).Scan(&waiting); err != nil || waiting == 0 {
			t.Error(waiting, err)
		}
	})
	t.Run("an owner hears of failures, but not of each", func(t *testing.T) {
		fx.tasks.fails = func(int) error { return fault.New(fault.Forbidden, "it lacks a scope") }
		if _, err := fx.pool.Exec(t.Context(), `DELETE FROM hook_messages`); err != nil {
			t.Fatal(err)
		}
		put(10)
		rounds()
		if n := len(fx.failures); n != 4 || fx.status("one").Failures != 10 { // of 1, 2, 4, 8
			t.Error(n, fx.status("one").Failures)
		}
	})
}

func TestOfTooManyMessagesTheOldestAreDropped(t *testing.T) {
	fx, feed := listening(t)
	hold := make(chan struct{})
	fx.must(hook("slow", bind(completed, "#")))
	fx.tasks.fails = func(int) error { <-hold; return nil }
	for i := range 120 {
		fx.tell("task-completed", fmt.Sprintf("t%03d", i), "win")
	}
	fx.eventually("the messages are in", func() bool {
		list, err := feed.Consumers(t.Context())
		return err == nil && slices.ContainsFunc(list, func(c event.Consumer) bool { return c.Name == hooks.Consumer && c.Lag == 0 && c.Position >= 120 })
	})
	close(hold)
	fx.caughtUp(feed)
	got := fx.of("pulseMessage")
	if len(got) < 50 || len(got) > 70 || got[len(got)-1] != "t119" {
		t.Error(len(got), got)
	}
}
