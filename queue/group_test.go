package queue_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// writer keeps the index entries that it gets, and fails when told to.
type writer struct {
	got  []queue.IndexEntry
	fail error
}

func (w *writer) WriteCompleted(ctx context.Context, tx pgx.Tx, entries []queue.IndexEntry) error {
	if _, err := tx.Exec(ctx, "SELECT 1"); err != nil {
		return err
	}
	w.got = append(w.got, entries...)
	return w.fail
}

func TestCompletedTasksEnterTheIndex(t *testing.T) {
	w := &writer{}
	e := queuetest.New(t, func(d *queue.Deps) { d.Index = w })
	routed := func(extra string) func(*task.Definition) {
		return func(d *task.Definition) {
			d.Routes = []string{"index.a.b-1", "notify.x", "index.c"}
			d.Extra = json.RawMessage(extra)
		}
	}
	full := e.Task(t, task.Completed, routed(`{"index": {"rank": 7, "data": {"k": [1]}, "expires": "2030-01-02T03:04:05.678Z"}}`))
	expires := time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)
	want := []queue.IndexEntry{
		{Namespace: "a.b-1", TaskID: full, Rank: 7, Data: []byte(`{"k": [1]}`), Expires: expires},
		{Namespace: "c", TaskID: full, Rank: 7, Data: []byte(`{"k": [1]}`), Expires: expires},
	}
	if diff := cmp.Diff(want, w.got); diff != "" {
		t.Error(diff)
	}
	w.got = nil
	for _, extra := range []string{`{}`, `{"index": null}`, `{"index": {"rank": "7", "data": 5, "expires": "soon"}}`} {
		id := e.Task(t, task.Completed, routed(extra))
		if len(w.got) != 2 || w.got[0].Rank != 0 || string(w.got[0].Data) != "{}" || !w.got[0].Expires.Equal(e.Status(t, id).Expires.Time) {
			t.Errorf("extra %s: %+v", extra, w.got)
		}
		w.got = nil
	}
	e.Task(t, task.Failed, routed(`{}`))
	e.Task(t, task.Exception, routed(`{}`))
	if len(w.got) > 0 {
		t.Errorf("a task that did not complete entered the index: %+v", w.got)
	}
	// A task from before bad routes were refused.
	old := e.Task(t, task.Running, routed(`{}`))
	if _, err := e.Pool.Exec(t.Context(), `UPDATE definitions SET routes = routes || '{index.bad/path,index.}' WHERE task_id = $1`, old); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Queue.ReportCompleted(t.Context(), old, 0); err != nil || len(w.got) != 2 {
		t.Errorf("%+v, %v", w.got, err)
	}
	// An index that fails keeps the task from being resolved: both happen, or neither.
	id := e.Task(t, task.Running, routed(`{}`))
	w.fail = errors.New("full")
	if _, err := e.Queue.ReportCompleted(t.Context(), id, 0); !errors.Is(err, w.fail) {
		t.Errorf("got %v", err)
	}
	if got := e.Status(t, id).State; got != task.Running {
		t.Errorf("the task is %s", got)
	}
	e.Check(t)
}

func TestGroupResolvedIsToldAtEachResolutionFromThenOn(t *testing.T) {
	e := queuetest.New(t)
	group := slug.New()
	a, b := e.Task(t, task.Running, queuetest.In(group)), e.Task(t, task.Running, queuetest.In(group))
	news := trail(t, e)
	told := func() (n int) {
		for _, kind := range news() {
			if kind == "task-group-resolved" {
				n++
			}
		}
		return n
	}
	told()
	must(t)(e.Queue.ReportFailed(t.Context(), a, 0))
	if n := told(); n != 0 {
		t.Errorf("told %d times with a task to go", n)
	}
	must(t)(e.Queue.ReportCompleted(t.Context(), b, 0))
	if n := told(); n != 1 {
		t.Errorf("told %d times", n)
	}
	must(t)(e.Queue.Rerun(t.Context(), a))
	if n := told(); n != 0 {
		t.Errorf("a rerun told %d times", n)
	}
	must(t)(e.Queue.ReportCompleted(t.Context(), a, e.Run(t, a)))
	if n := told(); n != 1 {
		t.Errorf("told %d times after the rerun", n)
	}
	c := e.Task(t, task.Running, queuetest.In(group))
	must(t)(e.Queue.Cancel(t.Context(), c))
	if n := told(); n != 1 {
		t.Errorf("told %d times after a late task", n)
	}
}

// TestSealAgainstCreate: whoever comes first wins, and a sealed group has exactly the tasks whose
// creation was acknowledged.
func TestSealAgainstCreate(t *testing.T) {
	e := queuetest.New(t)
	for range 10 {
		group := e.Task(t, task.Pending)
		var (
			all  errgroup.Group
			made [4]bool
		)
		for i := range made {
			all.Go(func() error {
				_, err := e.Queue.Create(t.Context(), slug.New(), queuetest.Define(queuetest.In(group)))
				if made[i] = err == nil; errors.Is(err, fault.Conflict) {
					return nil
				}
				return err
			})
		}
		size := 0
		all.Go(func() error {
			if _, err := e.Queue.SealGroup(t.Context(), group); err != nil {
				return err
			}
			page, err := e.Queue.ListGroup(t.Context(), group, 0, "")
			size = len(page.Tasks)
			return err
		})
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
		want := 1
		for _, ok := range made {
			if ok {
				want++
			}
		}
		if size != want {
			t.Fatalf("the group had %d tasks when it was sealed, and %d were acknowledged", size, want)
		}
	}
}

func TestSealKeepsItsTime(t *testing.T) {
	e := queuetest.New(t)
	group := e.Task(t, task.Completed)
	first, err := e.Queue.SealGroup(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.Queue.SealGroup(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" || first.Sealed == nil {
		t.Error(diff)
	}
	must(t)(e.Queue.Rerun(t.Context(), group)) // sealed groups take no tasks, but runs
}

func TestGroupsAreListedNewestFirst(t *testing.T) {
	e := queuetest.New(t)
	want := []string{}
	for range 7 {
		want = append(want, e.Task(t, task.Pending))
	}
	e.Task(t, task.Completed, queuetest.In(want[0]))
	slices.Reverse(want)
	var got []string
	for token := ""; ; {
		page, err := e.Queue.Groups(t.Context(), 3, token)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page.Groups {
			got = append(got, g.TaskGroupID)
		}
		if token = page.Next; token == "" {
			if diff := cmp.Diff(queue.Counts{task.Pending: 1, task.Completed: 1}, page.Groups[len(page.Groups)-1].Counts); diff != "" {
				t.Error(diff)
			}
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"x", "WzFd", "bnVsbA", "W251bGwsbnVsbCxudWxsXQ"} {
		if _, err := e.Queue.Groups(t.Context(), 3, bad); !errors.Is(err, fault.Invalid) {
			t.Errorf("token %q: %v", bad, err)
		}
	}
	for _, instant := range []string{"9223372036854775807", "-9223372036854775808"} {
		forged := base64.RawURLEncoding.EncodeToString([]byte("[" + instant + `,"x"]`))
		if _, err := e.Queue.Groups(t.Context(), 3, forged); err != nil {
			t.Errorf("a forged token with the instant %s: %v", instant, err)
		}
	}
}

// TestEventsCarryTheStatus looks at the bodies that listeners get (taskcluster-map appendix C).
func TestEventsCarryTheStatus(t *testing.T) {
	e := queuetest.New(t)
	id := e.Task(t, task.Running, func(d *task.Definition) { d.Routes, d.Tags = []string{"r"}, map[string]string{"k": "v"} })
	must(t)(e.Queue.ReportException(t.Context(), id, 0, task.ReasonWorkerShutdown))
	rows, err := e.Pool.Query(t.Context(), `SELECT kind, payload, routes::text FROM events WHERE task_id = $1 ORDER BY seq`, id)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	type seen struct {
		Kind, State string
		Runs, Run   int
		Worker      string
	}
	var got []seen
	for rows.Next() {
		var (
			s       seen
			payload []byte
			routes  string
			body    struct {
				Status   task.Status
				RunID    *int
				WorkerID string
				Version  int
				Task     struct{ Tags map[string]string }
			}
		)
		if err := rows.Scan(&s.Kind, &payload, &routes); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(payload, &body); err != nil {
			t.Fatal(err)
		}
		s.State, s.Runs, s.Worker, s.Run = string(body.Status.State), len(body.Status.Runs), body.WorkerID, -1
		if body.RunID != nil {
			s.Run = *body.RunID
		}
		if body.Version != 1 || body.Task.Tags["k"] != "v" || routes != `["r"]` || body.Status.TaskID != id {
			t.Errorf("%s: %s", s.Kind, payload)
		}
		got = append(got, s)
	}
	want := []seen{
		{"task-defined", "unscheduled", 0, -1, ""},
		{"task-pending", "pending", 1, 0, ""},
		{"task-running", "running", 1, 0, queuetest.WorkerID},
		{"task-exception", "pending", 2, 0, queuetest.WorkerID},
		{"task-pending", "pending", 2, 1, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestClaimsBesideAnOldTransaction: a transaction that somebody keeps open must not keep work from
// being found, nor make each claim walk over what is dead.
func TestClaimsBesideAnOldTransaction(t *testing.T) {
	e := queuetest.New(t)
	old, err := e.Pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Rollback(context.WithoutCancel(t.Context()))
	var n int
	if err := old.QueryRow(t.Context(), `SELECT count(*) FROM pending`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	tasks := fan(0)
	for range 2000 {
		tasks = append(tasks, queue.NewTask{ID: slug.New(), Definition: queuetest.Define()})
	}
	if _, err := e.Queue.CreateBatch(t.Context(), tasks); err != nil {
		t.Fatal(err)
	}
	for claimed := 0; claimed < len(tasks); {
		claims := claim(t, e.Queue, ask("w", 32, 0))
		if len(claims) == 0 {
			t.Fatalf("%d of %d tasks were found", claimed, len(tasks))
		}
		claimed += len(claims)
	}
	e.Check(t)
}

func TestAGroupOfATaskThatNeverExpiresCanBeRead(t *testing.T) {
	e := queuetest.New(t)
	end := task.At(time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC))
	id := e.Task(t, task.Pending, func(d *task.Definition) { d.Expires = end })
	group, err := e.Queue.Group(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(group)
	if err != nil {
		t.Fatal(err)
	}
	var read queue.Group
	if err := json.Unmarshal(text, &read); err != nil || !read.Expires.Equal(group.Expires.Time) {
		t.Errorf("%s: %v", text, err)
	}
}
