package checks_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

func TestTasksAndTheirBuildAreShown(t *testing.T) {
	w := newWorld(t)
	w.server()
	x := ids(3)
	group, lint, unit := x[0], x[1], x[2]
	w.build(group)
	w.shows("Treeline", "queued", "")
	w.create(group, group, "decision")
	w.shows("decision", "queued", "")
	w.create(group, lint, "lint")
	w.create(group, unit, "unit", queuetest.After(lint))
	w.end(group, true)
	w.shows("decision", "completed", "success")
	w.shows("lint", "queued", "")
	if r := w.newest("unit"); r.ID != 0 {
		t.Errorf("a task that waits for another has the check run %+v", r)
	}
	run := w.queue.Run(t, lint)
	r := w.shows("lint", "in_progress", "")
	if r.DetailsURL != "https://ci.example.com/tasks/"+lint || r.Title != "Running on test-worker-1" || !strings.HasPrefix(r.Summary, "What lint does") || !r.Completed.IsZero() {
		t.Errorf("%+v", r)
	}
	w.until("the count", func() bool { return w.newest("Treeline").Title == "1 of 3 tasks done" })
	if r := w.shows("Treeline", "in_progress", ""); r.DetailsURL != "https://ci.example.com/tasks/groups/"+group {
		t.Errorf("%+v", r)
	}
	_, err := w.queue.Queue.ReportCompleted(t.Context(), lint, run)
	w.must(err)
	w.end(unit, false)
	r = w.shows("unit", "completed", "failure")
	if !strings.HasPrefix(r.Title, "Failed after ") || r.Completed.IsZero() || r.Started.IsZero() {
		t.Errorf("%+v", r)
	}
	all := w.shows("Treeline", "completed", "failure")
	if all.Title != "1 of 3 tasks failed" || !strings.Contains(all.Text, "[unit](https://ci.example.com/tasks/"+unit+") | failed") {
		t.Errorf("%+v", all)
	}
	w.once()
	if n := len(w.repo.CheckRuns(w.sha)); n != 4 {
		t.Errorf("%d check runs: %v", n, w.runs())
	}
}

func TestARerunIsANewAttempt(t *testing.T) {
	w := newWorld(t)
	c, _ := w.server()
	x := ids(2)
	group, unit := x[0], x[1]
	w.create(group, unit, "unit")
	w.build(group)
	w.end(unit, false)
	first := w.shows("unit", "completed", "failure")
	w.shows("Treeline", "completed", "failure")
	_, err := w.queue.Queue.Rerun(t.Context(), unit)
	w.must(err)
	w.shows("unit", "queued", "")
	w.shows("Treeline", "queued", "")
	w.end(unit, true)
	second := w.shows("unit", "completed", "success")
	w.shows("Treeline", "completed", "success")
	if first.ID == second.ID || strings.TrimSuffix(first.ExternalID, "/1") != strings.TrimSuffix(second.ExternalID, "/2") {
		t.Errorf("%+v after %+v", second, first)
	}
	w.settled()
	found, s, err := c.Find(t.Context(), "Acme/App", first.ID)
	if err != nil || found.Attempt != 1 || found.TaskID != unit || found.TaskGroupID != group || s.Conclusion != checks.Failure {
		t.Errorf("%+v %+v %v", found, s, err)
	}
	list, err := c.OfSuite(t.Context(), "acme/app", w.sha)
	w.must(err)
	var attempts []string
	for _, c := range list {
		attempts = append(attempts, fmt.Sprint(c.Kind, c.Attempt, c.GitHubID != 0))
	}
	if diff := cmp.Diff([]string{"aggregate2 true", "task2 true"}, attempts); len(attempts) != 2 {
		t.Error(diff)
	}
	// Run again and ended before anybody looked: what was told of the former attempt stays, and so does what is told now.
	_, err = w.queue.Queue.Rerun(t.Context(), unit)
	w.must(err)
	w.end(unit, false)
	w.shows("unit", "completed", "failure")
	w.shows("Treeline", "completed", "failure")
	w.once()
	for _, r := range w.repo.CheckRuns(w.sha) {
		if r.Status != "completed" {
			t.Errorf("%s is left %s", r.ExternalID, r.Status)
		}
	}
}

func TestConclusionsAreThePeers(t *testing.T) {
	for want, of := range map[string][][2]string{
		"queued ":                   {{"unscheduled", ""}, {"pending", ""}},
		"in_progress ":              {{"running", ""}},
		"completed success":         {{"completed", "completed"}},
		"completed failure":         {{"failed", "failed"}, {"exception", "claim-expired"}, {"exception", "resource-unavailable"}, {"exception", "internal-error"}, {"exception", "intermittent-task"}, {"exception", "new"}},
		"completed timed_out":       {{"exception", "deadline-exceeded"}},
		"completed cancelled":       {{"exception", "canceled"}, {"exception", "superseded"}},
		"completed action_required": {{"exception", "malformed-payload"}},
		"completed neutral":         {{"exception", "worker-shutdown"}},
	} {
		for _, x := range of {
			status, conclusion := checks.Conclude(task.State(x[0]), task.ReasonResolved(x[1]))
			if got := status + " " + conclusion; got != want {
				t.Errorf("%v is %s, want %s", x, got, want)
			}
		}
	}
}

func TestARetryGoesOnInTheSameCheckRun(t *testing.T) {
	w := newWorld(t)
	w.server()
	x := ids(2)
	w.create(x[0], x[1], "unit", func(d *task.Definition) { d.Retries = 1 })
	w.build(x[0])
	run := w.queue.Run(t, x[1])
	first := w.shows("unit", "in_progress", "")
	_, err := w.queue.Queue.ReportException(t.Context(), x[1], run, task.ReasonWorkerShutdown)
	w.must(err)
	w.until("the second run", func() bool { return w.newest("unit").Title == "Waiting for a worker (run 1)" })
	run = w.queue.Run(t, x[1])
	_, err = w.queue.Queue.ReportException(t.Context(), x[1], run, task.ReasonWorkerShutdown)
	w.must(err)
	if last := w.shows("unit", "completed", "neutral"); last.ID != first.ID {
		t.Errorf("%+v after %+v", last, first)
	}
	w.shows("Treeline", "completed", "failure")
}

func TestWhatIsWantedIsChecked(t *testing.T) {
	w := newWorld(t)
	c, _ := w.server()
	good := checks.Check{Installation: w.in.ID, Repository: "acme/app", SHA: w.sha, Name: "task graph", Kind: checks.GraphDiff}
	for name, s := range map[string]checks.State{
		"no status":                {},
		"a conclusion and no end":  {Status: checks.Queued, Conclusion: checks.Success},
		"an end and no conclusion": {Status: checks.Completed},
		"four buttons":             {Status: checks.Queued, Actions: make([]checks.Action, 4)},
		"a long identifier":        {Status: checks.Queued, Actions: []checks.Action{{Identifier: strings.Repeat("x", 21)}}},
	} {
		if err := c.Want(t.Context(), good, s); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Want(t.Context(), checks.Check{Name: "x"}, checks.State{Status: checks.Queued}); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
	long := checks.State{
		Status: checks.Completed, Conclusion: checks.Neutral, Title: "a\x00title\nof two lines", Summary: strings.Repeat("é", 70_000), Text: "```\n" + strings.Repeat("x\n", 70_000),
		Actions:   []checks.Action{{Label: "a label that is much too long", Description: strings.Repeat("d", 50), Identifier: "explain"}},
		StartedAt: w.queue.Status(t, w.queue.Task(t, task.Pending)).Deadline.Time,
	}
	w.must(c.Want(t.Context(), good, long))
	r := w.shows("task graph", "completed", "neutral")
	if r.Title != "a\uFFFDtitle" || len(r.Summary) > 65_535 || !strings.HasSuffix(r.Text, "more than GitHub shows.") || strings.Count(r.Text, "```") != 2 || len(r.Actions) != 1 {
		t.Errorf("%q, %d and %d bytes, %v", r.Title, len(r.Summary), len(r.Text), r.Actions)
	}
	// Saying it again costs nothing; a note is put before it.
	w.settled()
	before := len(w.gh.Calls())
	w.must(c.Want(t.Context(), good, long))
	check, s, err := c.Find(t.Context(), "acme/app", r.ID)
	if err != nil || len(s.Actions) != 1 || s.Actions[0].Label != "a label that is muc…" {
		t.Errorf("%+v %v", s, err)
	}
	w.must(c.Note(t.Context(), check.ID, "**ada** asked for an explanation"))
	w.until("the note", func() bool {
		return strings.HasPrefix(w.newest("task graph").Summary, "**ada** asked for an explanation\n\né")
	})
	for i := range 7 {
		w.must(c.Note(t.Context(), check.ID, fmt.Sprintf("note %d", i)))
	}
	w.until("the last notes", func() bool {
		return strings.HasPrefix(w.newest("task graph").Summary, "note 6\n\nnote 5\n\nnote 4\n\nnote 3\n\nnote 2\n\né")
	})
	if n := len(w.gh.Calls()) - before; n > 8 {
		t.Errorf("%d requests", n)
	}
	if err := c.Note(t.Context(), 1<<40, "x"); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	if _, _, err := c.Find(t.Context(), "acme/app", 1); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	// What begins anew is a new check run.
	w.must(c.Want(t.Context(), good, checks.State{Status: checks.InProgress, Title: "again"}))
	if again := w.shows("task graph", "in_progress", ""); again.ID == r.ID {
		t.Error("it is the same check run")
	}
	w.must(c.Want(t.Context(), good, checks.State{Status: checks.Completed, Conclusion: checks.Success}))
	w.shows("task graph", "completed", "success")
	w.once()
}

func TestGroupsOfManyTasksHaveCheckRuns(t *testing.T) {
	w := newWorld(t)
	w.server()
	group := ids(1)[0]
	var batch []queue.NewTask
	var tests []string
	for i, id := range ids(60) {
		extra := `{"treeherder": {"groupName": "Mochitests", "groupSymbol": "M", "machine": {"platform": "linux64"}}}`
		if i < 20 {
			extra = `{"treeherder": {"groupSymbol": "?", "machine": {"platform": "win64"}}}`
		}
		d := queuetest.Define(queuetest.In(group), named(fmt.Sprintf("task-%02d", i), extra), func(d *task.Definition) {
			if i < 20 {
				d.Tags = map[string]string{"kind": "build"}
			}
		})
		batch = append(batch, queue.NewTask{ID: id, Definition: d})
		tests = append(tests, id)
	}
	_, err := w.queue.Queue.CreateBatch(t.Context(), batch)
	w.must(err)
	w.build(group)
	w.shows("Treeline", "queued", "")
	w.shows("Treeline: build win64", "queued", "")
	w.shows("Treeline: linux64 Mochitests", "queued", "")
	for i, id := range tests {
		w.end(id, i != 33)
	}
	w.shows("Treeline: build win64", "completed", "success")
	r := w.shows("Treeline: linux64 Mochitests", "completed", "failure")
	if r.Title != "1 of 40 tasks failed" || !strings.Contains(r.Text, "task-33") {
		t.Errorf("%+v", r)
	}
	w.shows("task-33", "completed", "failure")
	w.shows("Treeline", "completed", "failure")
	w.once()
	if n := len(w.repo.CheckRuns(w.sha)); n != 4 {
		t.Errorf("%d check runs: %v", n, w.runs())
	}
}
