package failures_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), failures.Statements()...) }

// room is the room with pushes r/1, r/2, … of groups g1, g2, … and the artifacts it is given.
type room struct {
	*failures.Failures
	pool      *pgxpool.Pool
	artifacts map[string]string // by "task name"
}

func newRoom(t *testing.T) *room {
	r := &room{pool: pgtest.DB(t), artifacts: map[string]string{}}
	began := time.Now()
	r.Failures = failures.New(failures.Deps{
		Pool: r.pool, Wake: func() {}, Log: slog.New(slog.DiscardHandler),
		Push: func(_ context.Context, _ pgx.Tx, group string) (failures.Push, bool, error) {
			var n int64
			if _, err := fmt.Sscanf(group, "g%d", &n); err != nil {
				return failures.Push{}, false, nil
			}
			return failures.Push{Repository: "r", ID: n, Branch: "main", Revision: fmt.Sprintf("%040d", n), Time: began.Add(time.Duration(n-100) * time.Hour)}, true, nil
		},
		Tasks: func(_ context.Context, _ pgx.Tx, ids []string) (map[string]failures.Task, error) {
			out := map[string]failures.Task{}
			for _, id := range ids {
				out[id] = failures.Task{Label: "unnamed", Name: "task " + id, Platform: "linux opt", Queue: "q/w"}
			}
			return out, nil
		},
		Open: func(_ context.Context, task string, _ int, name string) (io.ReadCloser, error) {
			text, ok := r.artifacts[task+" "+name]
			if !ok {
				return nil, fault.New(fault.NotFound, "no such artifact")
			}
			return io.NopCloser(strings.NewReader(text)), nil
		},
	})
	return r
}

// end records that run 0 of a task of a group ended; reason is "completed", "failed" or that of an exception.
func (r *room) end(t *testing.T, group, task, label, reason string) {
	t.Helper()
	state := reason
	if reason != "completed" && reason != "failed" {
		state = "exception"
	}
	run := 0
	e := event.Event{Kind: "task-" + state, TaskID: task, TaskGroupID: group, RunID: &run, Payload: fmt.Appendf(nil,
		`{"status": {"runs": [{"runId": 0, "state": %q, "reasonResolved": %q, "scheduled": "2026-01-02T03:04:00Z", "started": "2026-01-02T03:04:05Z", "resolved": "2026-01-02T03:05:05Z"}]}, "task": {"tags": {"label": %q, "kind": %q}}}`,
		state, reason, label, strings.Split(label, "-")[0])}
	err := pg.Tx(t.Context(), r.pool, func(ctx context.Context, tx pgx.Tx) error { return r.Record(ctx, tx, []event.Event{e}) })
	if err != nil {
		t.Fatal(err)
	}
}

func (r *room) readAll(t *testing.T) {
	t.Helper()
	for {
		n, err := r.ReadNext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func nothingSaid(context.Context, []string) (map[string]failures.Said, error) { return nil, nil }

func TestFailuresOfAPush(t *testing.T) {
	r := newRoom(t)
	// The parent: a.c fails there, and b is not there.
	r.artifacts["p1 public/logs/live_backing.log"] = "building\na.c:12: error: undefined reference to 'x1'\nmake: stop\n"
	r.end(t, "g1", "p1", "build-linux", "failed")
	r.end(t, "g1", "p2", "test-b", "completed")
	// The push: the same again, a test that is new, one that passes when it is tried again, and a lost worker.
	r.artifacts["t1 public/logs/live.log"] = "building\na.c:14: error: undefined reference to 'x2'\n"
	r.end(t, "g2", "t1", "build-linux", "failed")
	r.artifacts["t2 public/test-summary.json"] = `{"failures": [{"name": "TestB", "suite": "pkg/b", "text": "=== RUN TestB\n    b_test.go:12: got 3, want 4\n", "file": "x"}]}`
	r.end(t, "g2", "t2", "test-b", "failed")
	r.artifacts["t3 public/logs/live.log"] = "[taskcluster:error] exit status 1\nfine\nError: the moon is in the wrong phase\n"
	r.end(t, "g2", "t3", "test-c", "failed")
	r.end(t, "g2", "t4", "test-c", "completed")
	r.end(t, "g2", "t5", "test-d", "claim-expired")
	r.end(t, "g2", "t6", "test-e", "canceled")
	r.end(t, "g2", "t7", "test-f", "failed")
	r.end(t, "other", "t8", "test-g", "failed")
	r.readAll(t)
	h, err := r.Health(t.Context(), "r", 2, failures.Base{ID: 1, Revision: strings.Repeat("0", 40), Known: true}, nothingSaid)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range h.Groups {
		got = append(got, fmt.Sprintf("%s %s %q %d", g.Kind, g.Test, g.Message, len(g.Tasks)))
	}
	want := []string{
		`new pkg/b TestB "b_test.go:12: got 3, want 4" 1`,
		`new test-f "failed without an error in the log" 1`,
		`known  "a.c:14: error: undefined reference to 'x2'" 1`,
		`flaky  "Error: the moon is in the wrong phase" 1`,
		`infra  "the worker vanished while it ran (claim-expired)" 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]failures.Jobs{{Job: "build", Failed: 1}, {Job: "test", Passed: 1, Failed: 2, Lost: 1}}, h.Jobs); diff != "" {
		t.Error(diff)
	}
	t.Run("a group has an excerpt, the place in the log and a strip", func(t *testing.T) {
		g := h.Groups[2]
		if g.Excerpt != "building\na.c:14: error: undefined reference to 'x2'" || g.Tasks[0].Line != 2 || g.Platforms[0] != "linux opt" {
			t.Errorf("got %+v", g)
		}
		if len(g.Strip) != 2 || g.Strip[0].State != "failed" || g.Strip[1].State != "failed" || g.First == nil || g.First.Push != 1 {
			t.Errorf("strip %+v, first %+v", g.Strip, g.First)
		}
	})
	t.Run("while the parent is not finished nothing is new", func(t *testing.T) {
		h, err := r.Health(t.Context(), "r", 2, failures.Base{ID: 1, Revision: "00", Known: true, Unfinished: 2}, nothingSaid)
		if err != nil || h.Groups[0].Kind != failures.Unsure {
			t.Errorf("got %+v, %v", h.Groups[0], err)
		}
	})
	t.Run("what somebody says counts", func(t *testing.T) {
		said := func(_ context.Context, ids []string) (map[string]failures.Said, error) {
			return map[string]failures.Said{"t2": {Class: "intermittent", Settled: true, By: "ada"}}, nil
		}
		h, err := r.Health(t.Context(), "r", 2, failures.Base{ID: 1, Known: true}, said)
		if err != nil || h.Groups[0].Test != "test-f" || h.Groups[1].Kind != failures.Known {
			t.Errorf("got %+v, %v", h.Groups[0], err)
		}
	})
	t.Run("a run tells its lines", func(t *testing.T) {
		lines, reading, err := r.OfRun(t.Context(), "t2", 0)
		if err != nil || reading || len(lines) != 1 || lines[0].Test != "pkg/b TestB" {
			t.Errorf("got %+v, %v, %v", lines, reading, err)
		}
	})
	t.Run("a label is known on the pushes that ran it", func(t *testing.T) {
		list, err := r.Similar(t.Context(), "r", "build-linux", 10)
		if err != nil || len(list) != 2 || list[0].Push != 2 || list[0].Failed != 1 || list[0].Seconds != 60 || list[0].TaskID != "t1" {
			t.Errorf("got %+v, %v", list, err)
		}
	})
	t.Run("news are told", func(t *testing.T) {
		var n int
		err := r.pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE kind = 'failures-changed' AND topic = 'r' AND task_group_id = 'g2'`).Scan(&n)
		if err != nil || n < 5 {
			t.Errorf("there are %d events: %v", n, err)
		}
	})
	t.Run("old pushes are forgotten", func(t *testing.T) {
		if _, err := r.pool.Exec(t.Context(), `UPDATE failure_pushes SET pushed = now() - interval '40 days' WHERE push_id = 1`); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Prune(t.Context(), failures.Keep); n != 1 || err != nil {
			t.Errorf("%d pushes are forgotten: %v", n, err)
		}
	})
}

func TestWhatCannotBeReadIsTriedAgain(t *testing.T) {
	r := newRoom(t)
	broken := true
	open := r.Open
	r.Open = func(ctx context.Context, task string, run int, name string) (io.ReadCloser, error) {
		if broken && strings.HasSuffix(name, ".log") {
			return nil, fault.New(fault.Internal, "the disk is away")
		}
		return open(ctx, task, run, name)
	}
	r.artifacts["t public/logs/live.log"] = "Error: no\n"
	r.end(t, "g1", "t", "test-a", "failed")
	r.readAll(t)
	h, err := r.Health(t.Context(), "r", 1, failures.Base{}, nothingSaid)
	if err != nil || h.Reading != 1 || len(h.Groups) != 0 {
		t.Fatalf("got %+v, %v", h, err)
	}
	broken = false
	if _, err := r.pool.Exec(t.Context(), `UPDATE failure_runs SET unread = now()`); err != nil {
		t.Fatal(err)
	}
	r.readAll(t)
	h, err = r.Health(t.Context(), "r", 1, failures.Base{}, nothingSaid)
	if err != nil || h.Reading != 0 || len(h.Groups) != 1 {
		t.Errorf("got %+v, %v", h, err)
	}
}
