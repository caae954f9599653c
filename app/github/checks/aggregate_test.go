package checks_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// of is a build of an event.
func of(event string, pull int) func(*buildRow) {
	return func(b *buildRow) { b.event, b.pull = event, pull }
}

func TestOneNameStandsForAllThatReportsUnderIt(t *testing.T) {
	w := newWorld(t)
	w.server()
	x := ids(6)
	w.create(x[0], x[1], "one")
	w.create(x[2], x[3], "two")
	w.build(x[0])
	w.build(x[2], of("issue_comment", 1))
	w.shows("two", "queued", "")
	w.end(x[1], true)
	w.shows("one", "completed", "success")
	w.shows("Treeline", "in_progress", "")
	w.end(x[3], false)
	if r := w.shows("Treeline", "completed", "failure"); r.Title != "The task failed (2 builds)" && !strings.Contains(r.Title, "(2 builds)") {
		t.Errorf("%+v", r)
	}
	// A newer build of the same event takes the place of the older one, whose check runs end all the same.
	w.create(x[4], x[5], "three")
	w.build(x[4], of("issue_comment", 1))
	w.shows("three", "queued", "")
	w.shows("Treeline", "in_progress", "")
	w.end(x[5], true)
	w.shows("Treeline", "completed", "success")
	w.once()
}

func TestOneStatusStandsForAllThatReportsUnderIt(t *testing.T) {
	w := newWorld(t)
	w.server()
	x := ids(6)
	plain := func(b *buildRow) { b.reporting = checks.Reporting{Context: "Treeline (pull_request)"} }
	for i, event := range []string{"pull_request.labeled", "pull_request.opened", "pull_request.synchronize"} {
		w.create(x[2*i], x[2*i+1], event)
		w.build(x[2*i], of(event, 1), plain)
	}
	state := func(want, text string) {
		t.Helper()
		w.until("the status "+want+" "+text, func() bool {
			got, said, _, err := w.repo.Status(w.sha, "Treeline (pull_request)")
			return err == nil && got == want && said == text
		})
	}
	set := func(group, to string) {
		t.Helper()
		w.exec(`UPDATE github_builds SET state = $2 WHERE task_group_id = $1`, group, to)
		w.mark(w.sha)
	}
	state("pending", "tasks are at work")
	set(x[2], "cancelled") // the third took its place
	w.end(x[1], false)
	set(x[0], "failure")
	w.end(x[5], true)
	set(x[4], "success")
	state("failure", "1 of 1 tasks failed")
	w.settled()
	before := len(w.gh.Calls())
	for range 5 {
		w.mark(w.sha)
		w.settled()
	}
	if n := len(w.gh.Calls()) - before; n != 0 {
		t.Errorf("%d requests for nothing", n)
	}
	_, err := w.queue.Queue.Rerun(t.Context(), x[1])
	w.must(err)
	set(x[0], "pending")
	state("pending", "tasks are at work") // which check runs cannot become again
}

func TestVerdictsAreShownUntilSomethingIsBuilt(t *testing.T) {
	w := newWorld(t)
	c, _ := w.server()
	both := checks.Reporting{Checks: true, Name: "All", Context: "All (pull_request)"}
	judge := func(kind, source string, delivery int64) {
		t.Helper()
		w.must(c.Judge(t.Context(), checks.Verdict{
			RepositoryID: repositoryID, SHA: w.sha, Source: source, Delivery: delivery, Reporting: both, Kind: kind, State: checks.State{Title: kind, Summary: "because", DetailsURL: "https://ci.example.com/x"},
		}))
	}
	judge(checks.Nothing, "pull_request/1", 1)
	w.shows("All", "completed", "success")
	state := func(want string) {
		t.Helper()
		w.until("the status "+want, func() bool {
			got, _, _, err := w.repo.Status(w.sha, "All (pull_request)")
			return err == nil && got == want
		})
	}
	state("success")
	judge(checks.Wrong, "pull_request/1", 2)
	w.shows("All", "completed", "failure")
	state("failure")
	judge(checks.Nothing, "pull_request/1", 1) // an older webhook that comes late
	judge(checks.Refused, "pull_request/1", 3)
	if r := w.shows("All", "completed", "action_required"); r.Title != "refused" || r.Summary != "because" {
		t.Errorf("%+v", r)
	}
	x := ids(2)
	w.create(x[0], x[1], "unit")
	w.builds = 3
	w.build(x[0], of("issue_comment", 1), func(b *buildRow) { b.reporting = checks.Reporting{Checks: true, NoStatuses: true, Name: "All"} })
	w.shows("All", "queued", "")
	w.end(x[1], true)
	w.shows("All", "completed", "success")
	w.once()
}

// TestARequiredCheckIsNeverLeftPending takes builds through random histories, with servers that come and go and a
// GitHub that fails now and then; when nothing happens any more, the aggregate has ended, and rightly.
func TestARequiredCheckIsNeverLeftPending(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if testing.Short() {
		seed = 1
	}
	t.Logf("seed %d", seed)
	for n := range 6 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			h := history{world: newWorld(t), r: rand.New(rand.NewPCG(seed, uint64(n)))}
			h.deps.Times.Reconcile = 400 * time.Millisecond
			h.live()
		})
	}
}

type history struct {
	*world
	r      *rand.Rand
	groups []string
	tasks  []string
	stop   func()
}

func (h *history) live() {
	_, h.stop = h.server()
	for range 1 + h.r.IntN(2) {
		group := slug.Nice()
		h.groups = append(h.groups, group)
		h.build(group, of([]string{"pull_request.opened", "issue_comment", "pull_request.labeled"}[h.r.IntN(3)], 1))
		h.create(group, group, "decision "+group)
		h.tasks = append(h.tasks, group)
	}
	for range 40 {
		h.step()
	}
	h.gh.Outage(false)
	for _, id := range h.tasks { // the end of everything: deadlines
		if !h.queue.Status(h, id).State.Resolved() {
			h.queue.PassDeadlines(h, id)
		}
	}
	h.until("the deadlines", func() bool {
		h.must(h.queue.Queue.EnforceDeadlines(h.Context()))
		for _, id := range h.tasks {
			if !h.queue.Status(h, id).State.Resolved() {
				return false
			}
		}
		return true
	})
	h.settled()
	h.until("the right end", func() bool {
		ok := true
		for _, r := range h.repo.CheckRuns(h.sha) {
			ok = ok && r.Status == "completed"
		}
		return ok && h.right()
	})
	h.once()
}

// right holds the aggregate against what became of the tasks of the builds that count.
func (h *history) right() bool {
	bad, passed := false, true
	rows, err := h.pool.Query(h.Context(), `SELECT DISTINCT ON (CASE WHEN event_type = 'pull_request.opened' THEN 'p' ELSE event_type END) task_group_id FROM github_builds
		WHERE state <> 'cancelled' ORDER BY CASE WHEN event_type = 'pull_request.opened' THEN 'p' ELSE event_type END, delivery DESC`)
	h.must(err)
	var groups []string
	for rows.Next() {
		var g string
		h.must(rows.Scan(&g))
		groups = append(groups, g)
	}
	h.must(rows.Err())
	for _, g := range groups {
		page, err := h.queue.Queue.ListGroup(h.Context(), g, 0, "")
		h.must(err)
		for _, i := range page.Tasks {
			passed = passed && i.Status.State == task.Completed
			bad = bad || i.Status.State == task.Failed
		}
	}
	switch c := h.newest("Treeline").Conclusion; {
	case passed && len(groups) > 0:
		return c == "success"
	case bad:
		return c == "failure"
	default:
		return c != "success"
	}
}

func (h *history) step() {
	group := h.groups[h.r.IntN(len(h.groups))]
	id := h.tasks[h.r.IntN(len(h.tasks))]
	s := h.queue.Status(h, id)
	switch h.r.IntN(10) {
	case 0, 1, 2:
		if len(h.tasks) > 12 {
			return
		}
		next := slug.Nice()
		var changes []func(*task.Definition)
		if h.r.IntN(3) == 0 {
			changes = append(changes, queuetest.After(id))
		}
		h.create(group, next, "task "+next, changes...)
		h.tasks = append(h.tasks, next)
	case 3, 4, 5:
		if s.State == task.Pending {
			h.end(id, h.r.IntN(4) > 0)
		}
	case 6:
		if s.State == task.Pending {
			run := h.queue.Run(h, id)
			reasons := []task.ReasonResolved{task.ReasonWorkerShutdown, task.ReasonIntermittentTask, task.ReasonMalformedPayload, task.ReasonInternalError}
			_, err := h.queue.Queue.ReportException(h.Context(), id, run, reasons[h.r.IntN(len(reasons))])
			h.must(err)
		}
	case 7:
		if s.State.Resolved() {
			_, err := h.queue.Queue.Rerun(h.Context(), id)
			h.must(err)
		} else if h.r.IntN(3) == 0 {
			_, err := h.queue.Queue.Cancel(h.Context(), id)
			h.must(err)
		}
	case 8:
		switch h.r.IntN(4) {
		case 0:
			h.gh.Outage(true)
		case 1:
			h.gh.Outage(false)
		case 2:
			h.gh.FailNextAfter(1, 502)
		case 3:
			h.gh.BreakNext(1)
		}
	case 9:
		h.stop()
		_, h.stop = h.server()
	}
}
