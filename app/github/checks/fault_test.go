package checks_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
)

// wire is what carries requests to GitHub, and what may happen to them.
type wire struct {
	base  http.RoundTripper
	after func(r *http.Request, answer *http.Response, err error) (*http.Response, error)
}

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.base.RoundTrip(r)
	return w.after(r, answer, err)
}

func isCreate(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/check-runs")
}

func graphCheck(w *world) checks.Check {
	return checks.Check{Installation: w.in.ID, Repository: "acme/app", SHA: w.sha, Name: "task graph", Kind: checks.GraphDiff}
}

func done(title string) checks.State {
	return checks.State{Status: checks.Completed, Conclusion: checks.Success, Title: title}
}

func TestWhatGitHubMadeUnheardIsNotMadeTwice(t *testing.T) {
	for name, trouble := range map[string]func(w *world){
		"an answer of 502":     func(w *world) { w.gh.FailNextAfter(1, http.StatusBadGateway) },
		"two answers of 500":   func(w *world) { w.gh.FailNextAfter(2, http.StatusInternalServerError) },
		"a broken connection":  func(w *world) { w.gh.BreakNext(1) },
		"a refusal by a limit": func(w *world) { w.gh.SecondaryLimit(time.Second, false) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var once sync.Once
			c, _ := w.server(func(d *checks.Deps) {
				d.Client = w.client(beforeWire{http.DefaultTransport, func(r *http.Request) {
					if isCreate(r) {
						once.Do(func() { trouble(w) }) // of this very request
					}
				}})
			})
			w.must(c.Want(t.Context(), graphCheck(w), checks.State{Status: checks.InProgress, Title: "begun"}))
			w.shows("task graph", "in_progress", "")
			w.must(c.Want(t.Context(), graphCheck(w), done("well")))
			w.shows("task graph", "completed", "success")
			if n := len(w.repo.CheckRuns(w.sha)); n != 1 {
				t.Errorf("%d check runs", n)
			}
		})
	}
}

// beforeWire does something before a request is sent.
type beforeWire struct {
	base   http.RoundTripper
	before func(r *http.Request)
}

func (w beforeWire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.before(r)
	return w.base.RoundTrip(r)
}

func TestAServerKilledAfterItMadeACheckRunLeavesOne(t *testing.T) {
	w := newWorld(t)
	w.deps.Times.Lease = 1500 * time.Millisecond
	made := make(chan struct{})
	pool, err := pg.Open(t.Context(), w.pool.Config().ConnString())
	w.must(err)
	_, stop := w.server(func(d *checks.Deps) {
		d.Pool, d.Log = pool, slog.New(slog.DiscardHandler)
		d.Client = w.client(wire{http.DefaultTransport, func(r *http.Request, answer *http.Response, err error) (*http.Response, error) {
			if isCreate(r) && err == nil { // GitHub has made it, and nobody here will know
				_ = answer.Body.Close()
				close(made)
				<-r.Context().Done()
				return nil, errKilled
			}
			return answer, err
		}})
	})
	w.must(checks.New(w.deps).Want(t.Context(), graphCheck(w), checks.State{Status: checks.InProgress, Title: "begun"}))
	select {
	case <-made:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was made")
	}
	pool.Close() // whatever it would write down yet, it does not
	stop()
	c, _ := w.server()
	w.must(c.Want(t.Context(), graphCheck(w), done("well")))
	r := w.shows("task graph", "completed", "success")
	if n := len(w.repo.CheckRuns(w.sha)); n != 1 {
		t.Errorf("%d check runs", n)
	}
	w.settled()
	if found, _, err := c.Find(t.Context(), "acme/app", r.ID); err != nil || found.Attempt != 1 {
		t.Errorf("%+v %v", found, err)
	}
}

// A writer has taken the check, and has not written down yet that it may exist, when a newer attempt takes its place.
func TestACheckThatIsReplacedJustBeforeItIsMadeIsNotLeftOn(t *testing.T) {
	w := newWorld(t)
	group := ids(1)[0]
	w.create(group, group, "unit")
	check := checks.Check{Installation: w.in.ID, Repository: "acme/app", SHA: w.sha, Name: "unit", Kind: checks.OfTask, TaskGroupID: group, TaskID: group, Attempt: 1}
	var once sync.Once
	w.server(func(d *checks.Deps) {
		d.Why = func(ctx context.Context, _, _ string) (string, error) { // a writer asks on its way
			once.Do(func() {
				next := check
				next.Attempt = 2
				if err := checks.New(w.deps).Want(ctx, next, done("well")); err != nil {
					t.Error(err)
				}
			})
			return "", nil
		}
	})
	w.must(checks.New(w.deps).Want(t.Context(), check, checks.State{Status: checks.InProgress, Title: "begun"}))
	w.shows("unit", "completed", "success")
	w.settled()
	for _, r := range w.repo.CheckRuns(w.sha) {
		if r.Status != "completed" {
			t.Errorf("check run %d (%s) is %s", r.ID, r.ExternalID, r.Status)
		}
	}
}

func TestServersShareTheWork(t *testing.T) {
	w := newWorld(t)
	var byServer [2]atomic.Int64
	for i := range byServer {
		w.server(func(d *checks.Deps) {
			d.Client = w.client(beforeWire{http.DefaultTransport, func(r *http.Request) {
				if r.Method != http.MethodGet {
					byServer[i].Add(1)
				}
			}})
		})
	}
	x := ids(41)
	group := x[0]
	var batch []queue.NewTask
	for i, id := range x[1:] {
		batch = append(batch, queue.NewTask{ID: id, Definition: queuetest.Define(queuetest.In(group), named(fmt.Sprintf("task-%d", i)))})
	}
	_, err := w.queue.Queue.CreateBatch(t.Context(), batch)
	w.must(err)
	w.build(group)
	for i, id := range x[1:] {
		w.end(id, i%5 != 0)
	}
	w.shows("Treeline", "completed", "failure")
	for i := range x[1:] {
		w.shows(fmt.Sprintf("task-%d", i), "completed", map[bool]string{true: "success", false: "failure"}[i%5 != 0])
	}
	w.once()
	if byServer[0].Load() == 0 || byServer[1].Load() == 0 {
		t.Errorf("one server did all: %d and %d", byServer[0].Load(), byServer[1].Load())
	}
}

func TestLimitsOfGitHubAreKept(t *testing.T) {
	t.Run("what is refused is not tried before its time", func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.server()
		w.gh.SecondaryLimit(2*time.Second, false)
		begun := time.Now()
		for i := range 10 {
			check := graphCheck(w)
			check.Name = fmt.Sprintf("check %d", i)
			w.must(c.Want(t.Context(), check, done("well")))
		}
		for i := range 10 {
			w.shows(fmt.Sprintf("check %d", i), "completed", "success")
		}
		if took := time.Since(begun); took < 2*time.Second || took > 12*time.Second {
			t.Errorf("it took %s", took)
		}
		refused := 0
		for _, c := range w.gh.Calls() {
			if c.Status == http.StatusForbidden {
				refused++
			}
		}
		if refused > 6 { // one for each writer, and those that a look for what was made cost
			t.Errorf("%d requests were refused", refused)
		}
		w.once()
	})
	t.Run("writes keep their pace", func(t *testing.T) {
		w := newWorld(t)
		w.deps.Pace = checks.Pace{PerSecond: 10, Burst: 3}
		begun := time.Now()
		for range 2 {
			c, _ := w.server()
			for i := range 12 {
				check := graphCheck(w)
				check.Name = fmt.Sprintf("check %d", i)
				w.must(c.Want(t.Context(), check, done("well")))
			}
		}
		for i := range 12 {
			w.shows(fmt.Sprintf("check %d", i), "completed", "success")
		}
		if took := time.Since(begun); took < 850*time.Millisecond { // 12 writes: 3 at once, 9 more at 10 a second
			t.Errorf("12 writes took %s", took)
		}
		w.once()
	})
	t.Run("the last of the hour is for aggregates and failures", func(t *testing.T) {
		w := newWorld(t)
		c, _ := w.server()
		w.in.LimitRequests(200, time.Now().Add(time.Hour), false) // fewer than are kept back
		first := graphCheck(w)
		w.must(c.Want(t.Context(), first, done("well")))
		w.shows("task graph", "completed", "success") // only now it is known how many are left
		all, failed, rest := first, first, first
		all.Kind, all.Name = checks.Aggregate, "All"
		failed.Name, rest.Name = "failed", "rest"
		w.must(c.Want(t.Context(), rest, done("well")))
		w.must(c.Want(t.Context(), failed, checks.State{Status: checks.Completed, Conclusion: checks.Failure}))
		w.must(c.Want(t.Context(), all, done("well")))
		w.shows("failed", "completed", "failure")
		w.shows("All", "completed", "success")
		if r := w.newest("rest"); r.ID != 0 {
			t.Errorf("%+v", r)
		}
		w.in.LimitRequests(5000, time.Now().Add(time.Hour), false)
		w.until("the next hour", func() bool {
			w.exec(`UPDATE github_pace SET refilled = '-infinity'`)
			return w.newest("rest").Conclusion == "success"
		})
	})
}

func TestATaskGroupOfThousandsStaysWithinTheLimits(t *testing.T) {
	w := newWorld(t)
	w.deps.Pace = checks.Pace{} // the usual
	w.deps.Times = checks.Times{Poll: 100 * time.Millisecond}
	w.server()
	const n = 2000
	x := ids(n)
	group := x[0]
	w.build(group)
	w.create(group, group, "decision")
	run := w.queue.Run(t, group)
	var batch []queue.NewTask
	for i, id := range x[1:] {
		batch = append(batch, queue.NewTask{ID: id, Definition: queuetest.Define(queuetest.In(group), named(fmt.Sprintf("task-%d", i)))})
	}
	for len(batch) > 0 {
		some := batch[:min(500, len(batch))]
		_, err := w.queue.Queue.CreateBatch(t.Context(), some)
		w.must(err)
		batch = batch[len(some):]
	}
	_, err := w.queue.Queue.ReportCompleted(t.Context(), group, run)
	w.must(err)
	failed := 0
	for ended := 1; ended < n; {
		claims, err := w.queue.Queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: "w", Tasks: 32, Wait: time.Second})
		w.must(err)
		for _, c := range claims {
			end := w.queue.Queue.ReportCompleted
			if ended++; ended%100 == 0 {
				failed++
				end = w.queue.Queue.ReportFailed
			}
			_, err := end(t.Context(), c.Status.TaskID, c.RunID)
			w.must(err)
		}
	}
	r := w.shows("Treeline", "completed", "failure")
	if want := fmt.Sprintf("%d of %d tasks failed", failed, n); r.Title != want {
		t.Errorf("%q, want %q", r.Title, want)
	}
	if got := strings.Count(r.Text, "| failed |"); got != failed {
		t.Errorf("%d failed tasks are listed, want %d", got, failed)
	}
	runs, calls := w.repo.CheckRuns(w.sha), w.gh.Calls()
	if len(runs) > 2 { // the aggregate's and the decision's
		t.Errorf("%d check runs", len(runs))
	}
	if len(calls) > 30 || w.in.Refused() > 0 {
		t.Errorf("%d requests for %d tasks, %d refused", len(calls), n, w.in.Refused())
	}
	t.Logf("%d requests", len(calls))
	w.once()
}

func TestGitHubAwayForAnHourIsMadeGood(t *testing.T) {
	w := newWorld(t)
	// An hour in which nothing is tried for minutes, and everything compared every ten, shortened a thousandfold.
	w.deps.Times.Reconcile, w.deps.Times.Backoff = 600*time.Millisecond, 30*time.Millisecond
	w.server()
	x := ids(4)
	group := x[0]
	w.build(group)
	for i, id := range x[1:] {
		w.create(group, id, fmt.Sprintf("task-%d", i))
	}
	w.shows("task-2", "queued", "")
	lost := w.newest("task-0").ID
	w.gh.Outage(true)
	w.end(x[1], true)
	w.end(x[2], false)
	_, err := w.queue.Queue.Cancel(t.Context(), x[3])
	w.must(err)
	tried := len(w.gh.Calls())
	w.until("some tries", func() bool { return len(w.gh.Calls()) > tried+6 })
	if r := w.newest("Treeline"); r.Status == "completed" {
		t.Fatal("GitHub is not away")
	}
	w.gh.LoseRun(lost)
	w.gh.Outage(false)
	w.shows("task-0", "completed", "success")
	w.shows("task-1", "completed", "failure")
	w.shows("task-2", "completed", "cancelled")
	w.shows("Treeline", "completed", "failure")
	w.once()
}

func TestWhatGitHubShowsOtherwiseIsMadeGood(t *testing.T) {
	w := newWorld(t)
	w.deps.Times.Reconcile = 300 * time.Millisecond
	w.server()
	x := ids(3)
	group := x[0]
	w.build(group)
	w.create(group, x[1], "lost")
	w.create(group, x[2], "stale")
	w.shows("lost", "queued", "")
	first := w.shows("stale", "queued", "")
	w.gh.LoseRun(w.newest("lost").ID)
	w.gh.MarkStale(first.ID)
	w.shows("lost", "queued", "")
	if r := w.shows("stale", "queued", ""); r.ID == first.ID {
		t.Error("a completed check run is on again")
	}
	w.end(x[1], true)
	w.end(x[2], true)
	w.shows("stale", "completed", "success")
	w.shows("Treeline", "completed", "success")
	// A completed one that somebody lost or changed is told again, too.
	w.gh.MarkStale(w.newest("Treeline").ID)
	w.gh.LoseRun(w.newest("lost").ID)
	w.shows("Treeline", "completed", "success")
	w.shows("lost", "completed", "success")
	w.once()
	// One of ours that no row is of does not hang for ever.
	w.exec(`DELETE FROM github_checks WHERE name = 'nobody'`)
	w.must(checks.New(w.deps).Want(t.Context(), checks.Check{Installation: w.in.ID, Repository: "acme/app", SHA: w.sha, Name: "nobody", Kind: checks.GraphDiff}, checks.State{Status: checks.Queued}))
	w.shows("nobody", "queued", "")
	w.exec(`DELETE FROM github_checks WHERE name = 'nobody'`)
	w.shows("nobody", "completed", "neutral")
	// A build that vanished ends what was on.
	_, err := w.queue.Queue.Rerun(t.Context(), x[1])
	w.must(err)
	w.shows("lost", "queued", "")
	w.shows("Treeline", "in_progress", "")
	w.exec(`DELETE FROM github_builds`)
	w.shows("lost", "completed", "neutral")
	w.shows("Treeline", "completed", "cancelled")
	// So does one whose tasks were never made.
	group = ids(1)[0]
	w.build(group)
	w.shows("Treeline", "queued", "")
	w.exec(`UPDATE github_builds SET created = created - interval '2 hours'`)
	if r := w.shows("Treeline", "completed", "failure"); r.Title != "No tasks are known of this build" {
		t.Error(r.Title)
	}
}

func TestAnOlderAttemptThatComesLateDoesNotCount(t *testing.T) {
	w := newWorld(t)
	w.deps.Times.Reconcile = 300 * time.Millisecond
	w.server()
	x := ids(2)
	w.create(x[0], x[1], "unit")
	w.build(x[0])
	w.end(x[1], true)
	first := w.shows("unit", "completed", "success")
	_, err := w.queue.Queue.Rerun(t.Context(), x[1])
	w.must(err)
	w.end(x[1], false)
	second := w.shows("unit", "completed", "failure")
	w.shows("Treeline", "completed", "failure")

	// The first attempt reached GitHub only now, from a server that was given up, and nobody knows of it.
	w.gh.LoseRun(first.ID)
	w.exec(`UPDATE github_checks SET github_id = 0, ended = 'never made' WHERE github_id = $1`, first.ID)
	late := func(key, conclusion string) {
		t.Helper()
		client := w.client(nil)(w.in.ID)
		_, _, err := client.Checks.CreateCheckRun(t.Context(), "acme", "app", github.CreateCheckRunOptions{
			Name: "unit", HeadSHA: w.sha, ExternalID: &key, Status: github.String("completed"), Conclusion: &conclusion,
		})
		w.must(err)
	}
	late(first.ExternalID, "success")
	w.shows("unit", "completed", "failure") // the last attempt, made again
	// So does one twice made, and one that no row is of.
	late(second.ExternalID, "success")
	w.shows("unit", "completed", "failure")
	late("of another database", "success")
	w.shows("unit", "completed", "failure")
}

func TestNothingIsToldWhereTheAppIsGone(t *testing.T) {
	w := newWorld(t)
	c, _ := w.server()
	x := ids(2)
	w.build(x[0])
	w.create(x[0], x[1], "unit")
	w.shows("unit", "queued", "")
	w.shows("Treeline", "queued", "")
	w.must(c.EndInstallation(t.Context(), w.in.ID, "the installation is deleted"))
	w.exec(`UPDATE github_repositories SET enabled = false`)
	before := len(w.gh.Calls())
	w.end(x[1], true)
	w.until("the look", func() bool {
		var n int
		w.must(w.pool.QueryRow(t.Context(), `SELECT count(*) FROM github_check_marks`).Scan(&n))
		return n == 0
	})
	if n := len(w.gh.Calls()) - before; n != 0 {
		t.Errorf("%d requests", n)
	}
	w.exec(`UPDATE github_repositories SET enabled = true`)
	w.must(c.Resume(t.Context(), w.in.ID))
	w.mark(w.sha)
	w.shows("unit", "completed", "success")
	w.shows("Treeline", "completed", "success")

	// GitHub says so itself.
	other, err := w.gh.AddRepository("acme/other", true)
	w.must(err)
	sha, err := other.Push("ada", "main", ghfake.Change{Files: map[string]string{"a": "b"}, Message: "m"})
	w.must(err)
	for i := range 5 {
		w.must(c.Want(t.Context(), checks.Check{Installation: w.in.ID, Repository: "acme/other", SHA: sha, Name: fmt.Sprint("check ", i), Kind: checks.GraphDiff}, done("x")))
	}
	w.until("their end", func() bool {
		var n int
		w.must(w.pool.QueryRow(t.Context(), `SELECT count(*) FROM github_checks WHERE repository = 'acme/other' AND starts_with(ended, 'gone: ')`).Scan(&n))
		return n == 5
	})
}

func TestWhatGitHubDoesNotTakeIsLeftOut(t *testing.T) {
	w := newWorld(t)
	c, _ := w.server()
	check := graphCheck(w)
	s := done("well")
	s.Text, s.Annotations = "text", []checks.Annotation{{Path: "a", StartLine: 1, EndLine: 1, Level: "of no kind", Message: "m"}}
	w.must(c.Want(t.Context(), check, s))
	if r := w.shows("task graph", "completed", "success"); r.Text != "text" || r.Annotations != 0 {
		t.Errorf("%+v", r)
	}
	check.SHA = strings.Repeat("1", 40) // which nobody pushed
	w.must(c.Want(t.Context(), check, s))
	w.until("the end", func() bool {
		var why string
		w.must(w.pool.QueryRow(t.Context(), `SELECT ended FROM github_checks WHERE sha = $1`, check.SHA).Scan(&why))
		return strings.Contains(why, "No commit found")
	})
}
