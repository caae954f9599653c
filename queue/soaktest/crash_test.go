package soaktest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/queue/soaktest"
	"github.com/treeline-ci/treeline/task"
)

// stage is where a verb is played: tasks of its own, on a queue behind a wire that can be cut.
type stage struct {
	testing.TB
	clean *queuetest.Env // nothing cuts it
	q     *queue.Queue
	group string
	line  string // a task queue of its own
	ids   []string
}

// scene is a verb: how its tasks stand before the call, and the call; its answer comes back in words
// without ids.
type scene struct {
	verb    string
	pooled  bool // played through connections as a pooler has them, too
	prepare func(*stage)
	call    func(context.Context, *stage) (string, error)
}

var scenes = []scene{
	{"create", false, func(s *stage) { s.name(1) }, func(ctx context.Context, s *stage) (string, error) {
		return words(s.q.Create(ctx, s.ids[0], s.define()))
	}},
	{"create a batch", true, func(s *stage) { s.task(task.Completed); s.task(task.Running); s.name(3) }, func(ctx context.Context, s *stage) (string, error) {
		batch := []queue.NewTask{
			{ID: s.ids[2], Definition: s.define(queuetest.After(s.ids[0]))},
			{ID: s.ids[3], Definition: s.define(queuetest.After(s.ids[2], s.ids[1]))},
			{ID: s.ids[4], Definition: s.define(queuetest.After(s.ids[1]))},
		}
		return all(s.q.CreateBatch(ctx, batch))
	}},
	{"create what outlives its group", false, func(s *stage) {
		s.task(task.Pending, func(d *task.Definition) { d.Expires = d.Deadline })
		s.name(1)
	}, func(ctx context.Context, s *stage) (string, error) {
		return words(s.q.Create(ctx, s.ids[1], s.define(func(d *task.Definition) { d.Expires = task.At(d.Expires.Add(24 * 3600e9)) })))
	}},
	{"create what is there", false, func(s *stage) { s.name(1); s.clean.Create(s, s.ids[0], s.define()) }, func(ctx context.Context, s *stage) (string, error) {
		return words(s.q.Create(ctx, s.ids[0], s.define()))
	}},
	{"reclaim", false, func(s *stage) { s.task(task.Running) }, func(ctx context.Context, s *stage) (string, error) {
		got, err := s.q.Reclaim(ctx, s.ids[0], 0)
		return words(got.Status, err)
	}},
	{"complete", true, func(s *stage) { s.fan() }, func(ctx context.Context, s *stage) (string, error) {
		return words(s.q.ReportCompleted(ctx, s.ids[0], 0))
	}},
	{"fail", false, func(s *stage) { s.fan() }, func(ctx context.Context, s *stage) (string, error) {
		return words(s.q.ReportFailed(ctx, s.ids[0], 0))
	}},
	{"complete the last of a group", false, func(s *stage) { s.task(task.Failed); s.task(task.Running) }, func(ctx context.Context, s *stage) (string, error) {
		return words(s.q.ReportCompleted(ctx, s.ids[1], 0))
	}},
	{"report a worker's shutdown", false, func(s *stage) { s.fan() }, func(ctx context.Context, s *stage) (string, error) {
		return words(s.q.ReportException(ctx, s.ids[0], 0, task.ReasonWorkerShutdown))
	}},
	{"report a malformed payload", false, func(s *stage) { s.fan() }, func(ctx context.Context, s *stage) (string, error) {
		return words(s.q.ReportException(ctx, s.ids[0], 0, task.ReasonMalformedPayload))
	}},
	{"cancel", false, func(s *stage) { s.fan() }, func(ctx context.Context, s *stage) (string, error) { return words(s.q.Cancel(ctx, s.ids[0])) }},
	{"schedule", false, func(s *stage) { s.task(task.Unscheduled) }, func(ctx context.Context, s *stage) (string, error) {
		return words(s.q.Schedule(ctx, s.ids[0]))
	}},
	{"rerun", false, func(s *stage) { s.task(task.Failed) }, func(ctx context.Context, s *stage) (string, error) { return words(s.q.Rerun(ctx, s.ids[0])) }},
	{"seal a group", false, func(s *stage) { s.task(task.Pending) }, func(ctx context.Context, s *stage) (string, error) {
		g, err := s.q.SealGroup(ctx, s.group)
		return fmt.Sprint("sealed ", g.Sealed != nil), err
	}},
	{"cancel a group", true, func(s *stage) { s.fan(); s.seal() }, func(ctx context.Context, s *stage) (string, error) {
		c, err := s.q.CancelGroup(ctx, s.group)
		return fmt.Sprint("of ", c.TaskGroupSize), err
	}},
	{"create an artifact", false, func(s *stage) { s.task(task.Running) }, func(ctx context.Context, s *stage) (string, error) {
		a := queue.NewArtifact{StorageType: queue.StorageReference, ContentType: "text/plain", URL: "https://example.com/", Expires: s.clean.Status(s, s.ids[0]).Expires}
		up, err := s.q.CreateArtifact(ctx, s.ids[0], 0, "public/log", a)
		return string(up.StorageType), err
	}},
	{"publish what is whole", false, func(s *stage) { s.task(task.Running) }, func(ctx context.Context, s *stage) (string, error) {
		expires := s.clean.Status(s, s.ids[0]).Expires
		return "", s.q.PublishWhole(ctx, s.ids[0], 0, []queue.Whole{{Name: "a", ContentType: "text/plain", Size: 1, Expires: expires}, {Name: "b", ContentType: "text/plain", Size: 2, Expires: expires}})
	}},
	{"expire claims", false, func(s *stage) { s.fan(); s.end() }, func(ctx context.Context, s *stage) (string, error) { return "", s.q.ExpireClaims(ctx) }},
	{"enforce deadlines", false, func(s *stage) { s.fan(); s.clean.PassDeadlines(s, s.ids...) }, func(ctx context.Context, s *stage) (string, error) {
		return "", s.q.EnforceDeadlines(ctx)
	}},
	{"remove what is expired", false, func(s *stage) { s.task(task.Failed); s.task(task.Completed); s.clean.Expire(s, s.ids...) }, func(ctx context.Context, s *stage) (string, error) {
		_, err := s.q.RemoveExpired(ctx)
		return "", err
	}},
}

func words(st task.Status, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return shape(st), nil
}

func all(list []task.Status, err error) (string, error) {
	var out []string
	for _, st := range list {
		out = append(out, shape(st))
	}
	return strings.Join(out, "; "), err
}

func shape(st task.Status) string {
	out := fmt.Sprintf("%s, %d left", st.State, st.RetriesLeft)
	for _, r := range st.Runs {
		out += fmt.Sprintf(" [%s %s/%s %s]", r.ReasonCreated, r.State, r.ReasonResolved, r.WorkerID)
	}
	return out
}

func (s *stage) name(n int) {
	for range n {
		s.ids = append(s.ids, slug.New())
	}
}

func (s *stage) define(changes ...func(*task.Definition)) task.Definition {
	d := queuetest.Define(queuetest.In(s.group), queuetest.OnQueue(s.line))
	// The same definition every time, so that the call can be repeated.
	day := task.At(d.Created.Truncate(10 * 60e9))
	d.Created, d.Deadline, d.Expires = day, task.At(day.Add(2*3600e9)), task.At(day.Add(24*3600e9))
	for _, change := range changes {
		change(&d)
	}
	return d
}

func (s *stage) task(state task.State, changes ...func(*task.Definition)) {
	id := s.clean.Task(s, state, append([]func(*task.Definition){queuetest.In(s.group), queuetest.OnQueue(s.line)}, changes...)...)
	s.ids = append(s.ids, id)
}

// fan makes a running task, one that waits for its success, and one that waits for its end.
func (s *stage) fan() {
	s.task(task.Running)
	s.task(task.Unscheduled, queuetest.After(s.ids[0]))
	s.task(task.Unscheduled, queuetest.After(s.ids[0]), func(d *task.Definition) { d.Requires = task.AllResolved })
}

func (s *stage) seal() {
	if _, err := s.clean.Queue.SealGroup(s.Context(), s.group); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) end() {
	if _, err := s.clean.Pool.Exec(s.Context(), `UPDATE claims SET taken_until = now() - interval '1 second' WHERE task_id = ANY($1)`, s.ids); err != nil {
		s.Fatal(err)
	}
	if _, err := s.clean.Pool.Exec(s.Context(), `UPDATE runs SET taken_until = now() - interval '1 second' WHERE task_id = ANY($1)`, s.ids); err != nil {
		s.Fatal(err)
	}
}

// picture is all that the database says of the stage's tasks, in words without ids.
func (s *stage) picture() []string {
	var out []string
	for i, id := range s.ids {
		line := fmt.Sprint(i, ": ")
		st, err := s.clean.Queue.Status(s.Context(), id)
		switch {
		case errors.Is(err, fault.NotFound):
			line += "not there"
		case err != nil:
			s.Fatal(err)
		default:
			line += shape(st)
		}
		out = append(out, line+", told "+strings.Join(s.texts(`SELECT kind || coalesce(' ' || run_id, '') FROM events WHERE task_id = $1 ORDER BY seq`, id), ", ")+
			", artifacts "+strings.Join(s.texts(`SELECT name || ' ' || present FROM artifacts WHERE task_id = $1 ORDER BY name`, id), ", "))
	}
	out = append(out, s.texts(`SELECT 'the group outlives its tasks: ' || coalesce(bool_and(g.expires >= t.expires + interval '1 hour')::text, 'they are gone')
		FROM tasks t JOIN task_groups g USING (task_group_id) WHERE g.task_group_id = $1`, s.group)...)
	return append(out, "group: "+strings.Join(s.texts(`SELECT DISTINCT kind FROM events WHERE task_group_id = $1 AND task_id IS NULL ORDER BY kind`, s.group), ", "))
}

func (s *stage) texts(sql, arg string) []string {
	rows, err := s.clean.Pool.Query(s.Context(), sql, arg)
	if err != nil {
		s.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// theatre has a database, and a queue whose connections can be cut.
type theatre struct {
	*testing.T
	wire  *soaktest.Wire
	clean *queuetest.Env
	q     *queue.Queue
	n     int
}

func newTheatre(t *testing.T, mode string) *theatre {
	url := pgtest.URL(t)
	th := &theatre{T: t, wire: &soaktest.Wire{}}
	opts := []pg.Option{pg.MaxConns(2), th.wire.Option()}
	behind := url
	if mode == "pooler" {
		behind = strings.ReplaceAll(url, "cache_statement", "cache_describe")
	} else {
		opts = append(opts, pg.KeepPlans())
	}
	cut, err := pg.Open(t.Context(), behind, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cut.Close)
	plain, err := pg.Open(t.Context(), url, pg.MaxConns(4))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plain.Close)
	th.clean = queuetest.On(t, plain)
	th.q = queuetest.On(t, cut).Queue
	return th
}

func (th *theatre) stage() *stage {
	th.n++
	return &stage{TB: th.T, clean: th.clean, q: th.q, group: slug.New(), line: fmt.Sprint("crash/line-", th.n)}
}

var everyMessage = flag.Bool("every-message", false, "cut at each message of the protocol, not only around each statement")

// cuts are the ways to cut at a message. What comes before a statement, in its own messages, has no effect,
// and before a statement is after the one before it: so it is enough to cut after each.
func cuts() []soaktest.Cut {
	if *everyMessage {
		return []soaktest.Cut{soaktest.Before, soaktest.Unanswered}
	}
	return []soaktest.Cut{soaktest.Unanswered}
}

// cutAt cuts the n-th message from now on at which it makes a difference; the returned function tells
// whether it came to that, and at which message.
func (th *theatre) cutAt(n int, cut soaktest.Cut) (came func() (soaktest.Message, bool)) {
	var at soaktest.Message
	seen, executed := 0, false
	th.wire.Plan(func(m soaktest.Message) soaktest.Cut {
		matters := m.Kind == 'Q' || m.Kind == 'E' || m.Kind == 'S' && executed
		executed = m.Kind == 'E' || executed && m.Kind != 'S'
		if !*everyMessage && !matters {
			return soaktest.Pass
		}
		if seen++; seen != n {
			return soaktest.Pass
		}
		at = m
		return cut
	})
	return func() (soaktest.Message, bool) {
		th.wire.Plan(nil)
		return at, seen >= n
	}
}

// TestEveryCrashPoint cuts the connection around each statement of each verb, COMMIT among them, so
// that all before it was worked off and no answer comes, and then calls again, as every client does.
// The answer, the tasks and what the feed tells of them must be those of a call that nothing disturbed.
func TestEveryCrashPoint(t *testing.T) {
	points := 0
	for _, mode := range []string{"kept plans", "pooler"} {
		t.Run(mode, func(t *testing.T) {
			th := newTheatre(t, mode)
			for _, scene := range scenes {
				if mode == "pooler" && !scene.pooled && !*everyMessage {
					continue
				}
				t.Run(scene.verb, func(t *testing.T) { points += th.with(t).crash(scene) })
			}
			th.clean.Check(t)
		})
	}
	t.Logf("%d crash points", points)
}

func (th *theatre) with(t *testing.T) *theatre {
	th.T = t
	return th
}

// crash plays a scene again and again, each time cut a little later, and returns how often.
func (th *theatre) crash(sc scene) (points int) {
	calm := th.stage()
	sc.prepare(calm)
	answer, err := sc.call(th.Context(), calm)
	if err != nil {
		th.Fatal(err)
	}
	picture := calm.picture()
	for _, cut := range cuts() {
		for n := 1; ; n++ {
			s := th.stage()
			sc.prepare(s)
			came := th.cutAt(n, cut)
			got, err := sc.call(th.Context(), s)
			at, cutThere := came()
			if !cutThere {
				if err != nil {
					th.Errorf("undisturbed: %v", err)
				}
				break
			}
			points++
			where := fmt.Sprintf("cut %d at message %d (%c %.40q)", cut, n, at.Kind, at.SQL)
			if err != nil {
				if !errors.Is(err, fault.Unavailable) {
					th.Errorf("%s: the error is %v", where, err)
				}
				got, err = sc.call(th.Context(), s)
			}
			if err != nil || got != answer {
				th.Errorf("%s: %q, %v; want %q", where, got, err, answer)
			}
			if diff := cmp.Diff(picture, s.picture()); diff != "" {
				th.Errorf("%s: %s", where, diff)
			}
		}
	}
	return points
}

// TestEveryCrashPointOfClaim is TestEveryCrashPoint for the verb that cannot be repeated: a claim whose
// answer is lost ends when it expires, and the task is tried again, once.
func TestEveryCrashPointOfClaim(t *testing.T) {
	th := newTheatre(t, "kept plans")
	lost, points := 0, 0
	for _, cut := range cuts() {
		for n := 1; ; n++ {
			s := th.stage()
			s.task(task.Pending)
			s.task(task.Pending)
			claim := func() []queue.Claim {
				claims, err := s.q.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: s.line, WorkerGroup: "g", WorkerID: "w", Tasks: 2})
				if err != nil && !errors.Is(err, fault.Unavailable) {
					t.Errorf("message %d: %v", n, err)
				}
				return claims
			}
			came := th.cutAt(n, cut)
			got := claim()
			at, cutThere := came()
			if !cutThere {
				if len(got) != 2 {
					t.Errorf("undisturbed: %d claims", len(got))
				}
				break
			}
			points++
			run := 0
			if len(got) == 0 && s.clean.Status(t, s.ids[0]).State == task.Running {
				lost++
				if again := claim(); len(again) > 0 {
					t.Errorf("cut %d at message %d (%c %.40q): the tasks were claimed, and given out again", cut, n, at.Kind, at.SQL)
				}
				s.clean.EndClaims(t, s.ids...)
				run = 1
			}
			// Another replica let the claim expire: this one may look past the front of a line for 20 ms.
			for deadline := time.Now().Add(10 * time.Second); len(got) == 0 && time.Now().Before(deadline); {
				got = claim()
			}
			ids := []string{}
			for _, k := range got {
				ids = append(ids, k.Status.TaskID)
				if k.RunID != run || k.Status.RetriesLeft != 5-run {
					t.Errorf("cut %d at message %d (%c %.40q): %s", cut, n, at.Kind, at.SQL, shape(k.Status))
				}
			}
			slices.Sort(ids)
			if diff := cmp.Diff(slices.Sorted(slices.Values(s.ids)), ids); diff != "" {
				t.Errorf("cut %d at message %d (%c %.40q): claimed at last: %s", cut, n, at.Kind, at.SQL, diff)
			}
		}
	}
	th.clean.Check(t)
	if lost == 0 {
		t.Error("no claim was lost: nothing was cut after the COMMIT")
	}
	t.Logf("%d crash points, %d claims lost their answer", points, lost)
}
