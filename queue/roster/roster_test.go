package roster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/task"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), roster.Statements...) }

func key(queue, worker string) roster.Key { return roster.Key{queue, "group", worker} }

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// toldOf wants the feed to tell of the two orders of TestQuarantine.
func toldOf(t *testing.T, pool *pgxpool.Pool, k roster.Key) {
	t.Helper()
	feed := event.NewFeed(pool, slog.New(slog.DiscardHandler))
	feed.Start(t.Context())
	defer feed.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want := []string{"it lies by me, held true", "repaired by you, held false"}
	begin := int64(0)
	for e, err := range feed.Subscribe(ctx, event.Filter{After: &begin, Topics: []string{k.TaskQueueID}}) {
		if err != nil {
			t.Fatalf("the feed does not tell of %q: %v", want, err)
		}
		var b struct {
			WorkerID, Reason, ClientID string
			QuarantineUntil, Timestamp time.Time
		}
		if err := json.Unmarshal(e.Payload, &b); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s by %s, held %v", b.Reason, b.ClientID, b.QuarantineUntil.After(b.Timestamp))
		if e.Kind != roster.WorkerQuarantined || b.WorkerID != k.WorkerID || got != want[0] {
			t.Errorf("event %s of %s: %s, want %s", e.Kind, b.WorkerID, got, want[0])
		}
		if want = want[1:]; len(want) == 0 {
			return
		}
	}
}

func saw(t *testing.T, r *roster.Roster, keys ...roster.Key) {
	t.Helper()
	for _, k := range keys {
		if err := r.Saw(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWorkersAreRemembered(t *testing.T) {
	pool := pgtest.DB(t)
	r := roster.New(pool)
	saw(t, r, key("p/a", "one"), key("p/a", "two"), key("p/b", "one"))
	for i := range 25 {
		r.Took(key("p/a", "one"), "task", i)
		if i%10 == 0 {
			if err := r.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	w := must[roster.Worker](t)(r.Worker(t.Context(), key("p/a", "one")))
	if n := len(w.RecentTasks); n != 20 || w.RecentTasks[0] != (roster.Run{"task", 5}) || w.RecentTasks[19] != (roster.Run{"task", 24}) {
		t.Errorf("recent runs: %v", w.RecentTasks)
	}
	if w.ProvisionerID != "p" || w.WorkerType != "a" || w.QuarantineUntil != nil || !w.Expires.After(time.Now().Add(23*time.Hour)) {
		t.Errorf("worker: %+v", w)
	}
	page := must[roster.WorkersPage](t)(r.Workers(t.Context(), "p/a", nil, 1, ""))
	if len(page.Workers) != 1 || page.Workers[0].WorkerID != "one" || *page.Workers[0].LatestTask != (roster.Run{"task", 24}) || page.Next == "" {
		t.Errorf("first page: %+v", page)
	}
	page = must[roster.WorkersPage](t)(r.Workers(t.Context(), "p/a", nil, 1, page.Next))
	if len(page.Workers) != 1 || page.Workers[0].WorkerID != "two" || page.Workers[0].LatestTask != nil || page.Next != "" {
		t.Errorf("second page: %+v", page)
	}
	if _, err := r.Worker(t.Context(), key("p/a", "three")); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a worker nobody saw: %v", err)
	}
}

func TestQuarantine(t *testing.T) {
	pool := pgtest.DB(t)
	here, there := roster.New(pool), roster.New(pool)
	k := key("p/a", "bad")
	if _, err := here.Quarantine(t.Context(), k, task.At(time.Now().Add(time.Hour)), "me", ""); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("a worker nobody saw: %v", err)
	}
	saw(t, here, k, key("p/a", "good"))
	held := func(r *roster.Roster, k roster.Key) bool { return must[bool](t)(r.Quarantined(t.Context(), k)) }
	if held(here, k) || held(there, k) {
		t.Error("in quarantine from the start")
	}
	until := task.At(time.Now().AddDate(1000, 0, 0))
	w := must[roster.Worker](t)(here.Quarantine(t.Context(), k, until, "me", "it lies"))
	if !held(here, k) || !held(there, k) {
		t.Error("every process must know when Quarantine returns")
	}
	if held(there, key("p/a", "good")) || held(there, key("p/b", "bad")) {
		t.Error("another worker is in quarantine")
	}
	if len(w.QuarantineDetails) != 1 || w.QuarantineDetails[0].ClientID != "me" || w.QuarantineDetails[0].QuarantineInfo != "it lies" || !w.QuarantineUntil.Equal(until.Time) {
		t.Errorf("worker: %+v", w)
	}
	yes, no := true, false
	for filter, want := range map[*bool][]string{nil: {"bad", "good"}, &yes: {"bad"}, &no: {"good"}} {
		var got []string
		for _, e := range must[roster.WorkersPage](t)(here.Workers(t.Context(), "p/a", filter, 0, "")).Workers {
			got = append(got, e.WorkerID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	// Unseen for days, it stays known and in quarantine; others are forgotten.
	exec(t, pool, `UPDATE queue_workers SET last_active = now() - interval '3 days'`)
	exec(t, pool, `UPDATE worker_details SET expires = now() - interval '1 second' WHERE worker_id = 'good'`)
	if _, err := here.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if page := must[roster.WorkersPage](t)(here.Workers(t.Context(), "p/a", nil, 0, "")); len(page.Workers) != 1 || page.Workers[0].WorkerID != "bad" {
		t.Errorf("left: %+v", page)
	}
	w = must[roster.Worker](t)(here.Quarantine(t.Context(), k, task.At(time.Now().Add(-time.Minute)), "you", "repaired"))
	if held(here, k) || held(there, k) || len(w.QuarantineDetails) != 2 || w.QuarantineDetails[1].ClientID != "you" {
		t.Errorf("lifted: %+v", w)
	}
	toldOf(t, pool, k)
	exec(t, pool, `UPDATE worker_details SET quarantine_details = (
        SELECT json_agg(json_build_object('clientId', 'x', 'updatedAt', '2026-01-01T00:00:00Z', 'quarantineUntil', '2026-01-01T00:00:00Z', 'quarantineInfo', '')) FROM generate_series(1, 60))`)
	if w = must[roster.Worker](t)(here.Quarantine(t.Context(), k, until, "me", "")); len(w.QuarantineDetails) != 50 || w.QuarantineDetails[49].ClientID != "me" {
		t.Errorf("%d orders are remembered", len(w.QuarantineDetails))
	}
}

func TestDeclaredWorkersStay(t *testing.T) {
	pool := pgtest.DB(t)
	r := roster.New(pool)
	expires := task.At(time.Now().Add(72 * time.Hour))
	for range 2 {
		if w := must[roster.Worker](t)(r.Declare(t.Context(), key("p/a", "w"), expires)); !w.Expires.Equal(expires.Time) {
			t.Errorf("expires %s", w.Expires)
		}
	}
	exec(t, pool, `UPDATE queue_workers SET last_active = now() - interval '3 days'`)
	if _, err := r.Remove(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	must[roster.Worker](t)(r.Worker(t.Context(), key("p/a", "w")))
	exec(t, pool, `UPDATE worker_details SET expires = now() - interval '1 second'`)
	if _, err := r.Worker(t.Context(), key("p/a", "w")); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an expired worker: %v", err)
	}
	if _, err := r.Remove(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM queue_workers) + (SELECT count(*) FROM worker_details)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}

func TestTaskQueuesAndProvisioners(t *testing.T) {
	pool := pgtest.DB(t)
	r := roster.New(pool)
	for i := range 3 {
		saw(t, r, key(fmt.Sprintf("aws/linux-%d", i), "w"), key("aws-2/linux", fmt.Sprint(i)))
	}
	// A line of tasks for which no worker asks is a task queue as well.
	exec(t, pool, `INSERT INTO pending (task_id, task_queue_id, priority, run_id, seq) SELECT 't' || i, CASE WHEN i < 5 THEN 'gcp/x' ELSE 'gcp/y' END, 1, 0, i FROM generate_series(1, 9) AS i`)
	if err := r.NoteLines(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := func(provisioner string, limit int) (out []string) {
		t.Helper()
		for token := ""; ; {
			list, next, err := r.TaskQueues(t.Context(), provisioner, limit, token)
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range list {
				out = append(out, q.TaskQueueID)
			}
			if token = next; next == "" {
				return out
			}
		}
	}
	if diff := cmp.Diff([]string{"aws-2/linux", "aws/linux-0", "aws/linux-1", "aws/linux-2", "gcp/x", "gcp/y"}, names("", 4)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"aws/linux-0", "aws/linux-1", "aws/linux-2"}, names("aws", 2)); diff != "" {
		t.Error(diff)
	}
	list, next, err := r.Provisioners(t.Context(), 2, "")
	if err != nil || len(list) != 2 || list[0].ProvisionerID != "aws" || list[1].ProvisionerID != "aws-2" || next == "" {
		t.Errorf("provisioners: %+v %q %v", list, next, err)
	}
	if list, next, err = r.Provisioners(t.Context(), 2, next); err != nil || len(list) != 1 || list[0].ProvisionerID != "gcp" || next != "" {
		t.Errorf("provisioners: %+v %q %v", list, next, err)
	}
	if p := must[roster.Provisioner](t)(r.Provisioner(t.Context(), "aws")); p.Stability != "experimental" || p.Expires.Before(time.Now().Add(119*time.Hour)) {
		t.Errorf("provisioner: %+v", p)
	}
	if q := must[roster.TaskQueue](t)(r.TaskQueue(t.Context(), "gcp/x")); q.ProvisionerID() != "gcp" || q.WorkerType() != "x" {
		t.Errorf("task queue: %+v", q)
	}
	exec(t, pool, `UPDATE task_queues SET expires = now() - interval '1 second' WHERE task_queue_id LIKE 'gcp/%'`)
	_, err = r.TaskQueue(t.Context(), "gcp/x")
	_, err2 := r.Provisioner(t.Context(), "gcp")
	if fault.KindOf(err) != fault.NotFound || fault.KindOf(err2) != fault.NotFound {
		t.Errorf("expired: %v, %v", err, err2)
	}
	if _, err := r.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"aws-2/linux", "aws/linux-0", "aws/linux-1", "aws/linux-2"}, names("", 0)); diff != "" {
		t.Error(diff)
	}
	if _, _, err := r.TaskQueues(t.Context(), "", 0, "forged"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a forged token: %v", err)
	}
}

// TestQuarantineOfMany: one order for many is one record each, and one that fails holds up no other.
func TestQuarantineOfMany(t *testing.T) {
	pool := pgtest.DB(t)
	r := roster.New(pool)
	var trail []roster.Order
	r.Audit = func(_ context.Context, _ pgx.Tx, o roster.Order) error {
		if o.Worker.WorkerID == "guarded" {
			return fault.New(fault.Forbidden, "needs a second person")
		}
		trail = append(trail, o)
		return nil
	}
	saw(t, r, key("p/a", "one"), key("p/a", "two"), key("p/a", "guarded"))
	began := time.Now()
	out := must[[]roster.Result](t)(r.QuarantineAll(t.Context(), []roster.Key{key("p/a", "one"), key("p/a", "none"), key("p/a", "guarded"), key("p/a", "two")}, task.At(time.Now().Add(time.Hour)), "me", "all of them"))
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v: it must wait once", took)
	}
	if out[0].Err != nil || fault.KindOf(out[1].Err) != fault.NotFound || fault.KindOf(out[2].Err) != fault.Forbidden || out[3].Err != nil {
		t.Errorf("results: %+v", out)
	}
	if len(trail) != 2 || trail[0].ClientID != "me" || trail[1].Worker != key("p/a", "two") || trail[1].QuarantineInfo != "all of them" {
		t.Errorf("trail: %+v", trail)
	}
	if w := must[roster.Worker](t)(r.Worker(t.Context(), key("p/a", "guarded"))); w.QuarantineUntil != nil {
		t.Error("what the trail refused was done")
	}
}
