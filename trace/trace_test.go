package trace_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/trace"
)

var zero = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

// at is a moment so many seconds after the push was recorded.
func at(seconds float64) time.Time { return zero.Add(time.Duration(seconds * float64(time.Second))) }

var worker = trace.Worker{Queue: "q/linux", Group: "here", ID: "w1"}

// done is a run that ended.
func done(id int, scheduled, started, resolved float64, reason task.ReasonResolved) trace.Run {
	r := trace.Run{ID: id, State: reason.State(), Created: task.CreatedScheduled, Reason: reason, Scheduled: at(scheduled), Resolved: at(resolved)}
	if started >= 0 {
		r.Worker, r.Started = worker, at(started)
	}
	if id > 0 {
		r.Created = task.CreatedRetry
	}
	return r
}

// job is a task with its runs, of which the last says how it stands.
func job(id string, needs string, runs ...trace.Run) trace.Task {
	t := trace.Task{ID: id, Name: "the " + id, Kind: id, Queue: worker.Queue, Priority: 4, State: task.Unscheduled, Requires: task.AllCompleted, Created: at(12), Needs: strings.Fields(needs), Runs: runs}
	if len(runs) > 0 {
		t.State = runs[len(runs)-1].State
	}
	return t
}

// facts are those of a push that a webhook told of, whose decision made a build and a test of it.
func facts() *trace.Facts {
	f := &trace.Facts{
		RootURL: "https://ci.example.com", Now: at(100), GroupID: "decision", Created: at(2),
		Push: &trace.Push{Repository: "acme/web", URL: "https://github.com/acme/web", Kind: "github", ID: 7, Revision: "abc", Branch: "main", Message: "Teach\n\nmore", Received: at(0), Decided: at(12), State: "decided"},
		Told: &trace.Delivery{ID: "guid", Event: "push", Received: at(-1), Built: at(1)},
		Tasks: []trace.Task{
			job("build", "decision", done(0, 15, 20, 50, task.ReasonCompleted)),
			job("decision", "", done(0, 2, 5, 15, task.ReasonCompleted)),
			job("test", "build", done(0, 50, 60, 70, task.ReasonClaimExpired), done(1, 70, 71, 90, task.ReasonFailed)),
		},
		Workers: map[trace.Worker]time.Time{worker: at(58)},
		Reports: []trace.Report{{ID: "9", Name: "Treeline", Kind: "aggregate", Wanted: at(90), Sent: at(92), Attempt: 1}},
	}
	f.Tasks[1].Created = at(1)
	f.Tasks[0].Runs[0].Artifacts = []trace.Artifact{
		{Name: "public/logs/live.log", Created: at(20), Size: -1}, {Name: "public/web.zip", Created: at(45), Size: 100, Stored: true}, {Name: "public/logs/live_backing.log", Created: at(49), Size: 10, Stored: true},
	}
	return f
}

// lines are spans as text, with times as seconds since the push.
func lines(t *trace.Trace) (out []string) {
	depth := map[traceid.Span]int{}
	for i := range t.Spans {
		s := &t.Spans[i]
		if i > 0 {
			depth[s.ID] = depth[s.Parent] + 1
		}
		text := fmt.Sprintf("%s%s %v-%v", strings.Repeat(". ", depth[s.ID]), s.Name, s.Start.Sub(zero).Seconds(), s.End.Sub(zero).Seconds())
		if s.Open {
			text += " open"
		}
		if s.Reason.Text != "" {
			text += ": " + s.Reason.Text
		}
		out = append(out, text)
	}
	return out
}

func steps(t *trace.Trace) (out []string) {
	for _, s := range t.Critical {
		name := ""
		if s.Task != nil {
			name = s.Task.Name + " "
		}
		out = append(out, fmt.Sprintf("%s%s %v-%v", name, s.Text, s.Start.Sub(zero).Seconds(), s.End.Sub(zero).Seconds()))
	}
	return out
}

func TestATraceOfAPush(t *testing.T) {
	tr := trace.Build(facts())
	want := []string{
		"RUN acme/web -1-92",
		". webhook push -1-0",
		". decision 0-12",
		". the build 12-50", ". . wait for tasks 12-15: waited for the decision", ". . wait for a worker 15-20: there was no worker: the one that took it first asked for work 43.0s later",
		". . run 20-50", ". . . artifacts 45-49",
		". the decision 2-15", ". . wait for a worker 2-5: there was no worker: the one that took it first asked for work 56.0s later", ". . run 5-15",
		". the test 12-70", ". . wait for tasks 12-50: waited for the build", ". . wait for a worker 50-60: there was no worker: the one that took it first asked for work 8.0s later", ". . run 60-70",
		". the test 70-90", ". . wait for a worker 70-71: no worker asked for work", ". . run 71-90",
		". report Treeline 90-92",
	}
	if diff := cmp.Diff(want, lines(tr)); diff != "" {
		t.Error(diff)
	}
	want = []string{
		"the webhook was handled -1-0",
		"the push was decided 0-2",
		"the decision there was no worker: the one that took it first asked for work 56.0s later 2-5", "the decision ran 5-15",
		"the build there was no worker: the one that took it first asked for work 43.0s later 15-20", "the build ran 20-50",
		"the test there was no worker: the one that took it first asked for work 8.0s later 50-60", "the test ran 60-70",
		"the test no worker asked for work 70-71", "the test ran 71-90",
		"told Treeline 90-92",
	}
	if diff := cmp.Diff(want, steps(tr)); diff != "" {
		t.Error(diff)
	}
	if !tr.Settled || tr.Title != "Teach" || tr.Path() != "/push/acme%2Fweb/abc/trace" {
		t.Errorf("%+v", tr)
	}
}

// TestAttributes holds the keys against those of the semantic conventions 1.43.0.
func TestAttributes(t *testing.T) {
	tr := trace.Build(facts())
	got := map[string]map[string]any{}
	for i := range tr.Spans {
		s, all := &tr.Spans[i], map[string]any{}
		for _, a := range tr.Attributes(s) {
			all[a.Key] = a.Value
		}
		key := string(s.What)
		if s.Task != nil {
			key = fmt.Sprint(s.Task.ID, " ", s.Run.ID, " ", s.What)
		}
		got[key] = all
	}
	for span, want := range map[string]map[string]any{
		"push": {
			"cicd.pipeline.name": "acme/web", "cicd.pipeline.run.id": "decision", "cicd.pipeline.action.name": "RUN", "cicd.pipeline.result": "failure", "error.type": "failed",
			"cicd.pipeline.run.url.full": "https://ci.example.com/push/acme%2Fweb/abc/trace", "vcs.repository.url.full": "https://github.com/acme/web", "vcs.repository.name": "web",
			"vcs.ref.head.revision": "abc", "vcs.ref.head.name": "main", "vcs.ref.head.type": "branch", "vcs.provider.name": "github", "treeline.push.id": int64(7), "treeline.tasks": int64(3),
		},
		"test 1 run": {
			"cicd.pipeline.name": "acme/web", "cicd.pipeline.run.id": "decision", "cicd.pipeline.task.name": "the test", "cicd.pipeline.task.type": "test", "cicd.pipeline.task.run.id": "test/1",
			"cicd.pipeline.task.run.url.full": "https://ci.example.com/tasks/test/runs/1", "cicd.pipeline.task.run.result": "failure", "error.type": "failed", "cicd.worker.id": "here/w1", "cicd.worker.name": "w1",
			"treeline.task.id": "test", "treeline.task.kind": "test", "treeline.task.queue": "q/linux", "treeline.run.id": int64(1), "treeline.run.reason_created": "retry",
		},
		"test 0 needs": {
			"cicd.pipeline.name": "acme/web", "cicd.pipeline.run.id": "decision", "cicd.pipeline.task.name": "the test", "cicd.pipeline.task.type": "test", "cicd.pipeline.task.run.id": "test/0",
			"cicd.pipeline.task.run.url.full": "https://ci.example.com/tasks/test/runs/0", "treeline.task.id": "test", "treeline.task.kind": "test", "treeline.task.queue": "q/linux",
			"treeline.wait.reason": "dependencies", "treeline.wait.text": "waited for the build", "treeline.wait.task.id": "build",
		},
	} {
		if diff := cmp.Diff(want, got[span]); diff != "" {
			t.Errorf("%s: %s", span, diff)
		}
	}
	if n := got["build 0 artifacts"]["treeline.artifacts.bytes"]; n != int64(110) {
		t.Errorf("the artifacts have %v bytes", n)
	}
	if got := trace.Build(facts()); got.Bad(&got.Spans[0]) != "failed" || got.Bad(&got.Spans[3]) != "" {
		t.Error("what is bad is not told")
	}
}

func TestWhyRunsWait(t *testing.T) {
	other := trace.Worker{Queue: worker.Queue, Group: "here", ID: "w2"}
	start := func(priority int, started float64) trace.Start {
		return trace.Start{Worker: other, Priority: priority, Started: at(started), Resolved: at(started + 5)}
	}
	for name, c := range map[string]struct {
		others  []trace.Start
		waits   float64
		pending bool
		workers map[trace.Worker]time.Time
		want    string
	}{
		"at once":                      {waits: 0.5, want: "claim: a worker took it at once"},
		"tasks of higher priority":     {waits: 30, others: []trace.Start{start(6, 25), start(7, 30), start(4, 31)}, want: "priority: 2 tasks of higher priority went first, and 1 others"},
		"others in line":               {waits: 30, others: []trace.Start{start(4, 25), start(3, 30), start(6, 31), start(4, 60), start(4, 20)}, want: "turn: every worker was at work: 3 tasks came before it"},
		"its worker was at work":       {waits: 30, others: []trace.Start{{Worker: worker, Priority: 4, Started: at(10), Resolved: at(49)}}, want: "workers-busy: every worker was at work: the one that took it was done with another task then"},
		"a new worker":                 {waits: 30, workers: map[trace.Worker]time.Time{worker: at(45)}, want: "no-worker: there was no worker: the one that took it first asked for work 25.0s later"},
		"no worker":                    {waits: 30, want: "no-worker: no worker asked for work"},
		"another queue does not count": {waits: 30, others: []trace.Start{{Worker: trace.Worker{Queue: "q/mac", ID: "m"}, Priority: 7, Started: at(30)}}, want: "no-worker: no worker asked for work"},
		"still pending":                {pending: true, want: "no-worker: no worker has taken a task of this queue since"},
		"still pending in line":        {pending: true, others: []trace.Start{start(5, 40)}, want: "priority: 1 task of higher priority went first"},
	} {
		t.Run(name, func(t *testing.T) {
			r := done(0, 20, 20+c.waits, 80, task.ReasonCompleted)
			if c.pending {
				r = trace.Run{State: task.Pending, Created: task.CreatedScheduled, Scheduled: at(20)}
			}
			tr := trace.Build(&trace.Facts{Now: at(100), GroupID: "g", Created: at(1), Tasks: []trace.Task{job("one", "", r)}, Others: c.others, Workers: c.workers})
			i := slices.IndexFunc(tr.Spans, func(s trace.Span) bool { return s.What == trace.OfWorker })
			if got := string(tr.Spans[i].Reason.Why) + ": " + tr.Spans[i].Reason.Text; got != c.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestWhatIsNotDone(t *testing.T) {
	pending := trace.Run{State: task.Pending, Created: task.CreatedScheduled, Scheduled: at(20)}
	base := func(tasks ...trace.Task) *trace.Facts {
		return &trace.Facts{Now: at(100), GroupID: "g", Created: at(10), Tasks: tasks}
	}
	for name, c := range map[string]struct {
		facts   *trace.Facts
		settled bool
		result  trace.Result
		spans   []string
		path    []string
	}{
		"a task waits for another": {
			facts: base(job("a", "", pending), job("b", "a")),
			spans: []string{"RUN tasks 12-100 open", ". the a 20-100 open", ". . wait for a worker 20-100 open: no worker has taken a task of this queue since", ". the b 12-100 open", ". . wait for tasks 12-100 open: waits for the a"},
			path:  []string{"nothing is known of this time 12-20", "the a no worker has taken a task of this queue since 20-100"},
		},
		"a task is stuck: nothing happens by itself": {
			facts: base(job("a", "", done(0, 20, 30, 40, task.ReasonFailed)), job("b", "a"), job("c", "b")), settled: true, result: trace.Failure,
			spans: []string{"RUN tasks 12-40", ". the a 20-40", ". . wait for a worker 20-30: no worker asked for work", ". . run 30-40", ". the b 12-40 open", ". . wait for tasks 12-40 open: cannot run: the a did not pass", ". the c 12-40 open", ". . wait for tasks 12-40 open: cannot run: the b did not pass"},
			path:  []string{"nothing is known of this time 12-20", "the a no worker asked for work 20-30", "the a ran 30-40"},
		},
		"a task waits for one of another group": {
			facts: func() *trace.Facts {
				f := base(job("a", "", done(0, 20, 30, 40, task.ReasonCompleted)), job("b", "far"))
				f.Outside = map[string]trace.Outside{"far": {Name: "a far one"}}
				return f
			}(),
			spans: []string{"RUN tasks 12-100 open", ". the a 20-40", ". . wait for a worker 20-30: no worker asked for work", ". . run 30-40", ". the b 12-100 open", ". . wait for tasks 12-100 open: waits for a far one"},
			path:  []string{"nothing is known of this time 12-20", "the a no worker asked for work 20-30", "the a ran 30-40", "the b waits for a far one 40-100"},
		},
		"a task was cancelled before it ran": {
			facts: base(job("a", "", done(0, 20, -1, 40, task.ReasonCanceled))), settled: true, result: trace.Cancellation,
			spans: []string{"RUN tasks 20-40", ". the a 20-40", ". . wait for a worker 20-40: no worker took it"},
			path:  []string{"the a no worker took it 20-40"},
		},
		"no tasks could be made of a push": {
			facts: &trace.Facts{Now: at(100), Push: &trace.Push{Repository: "r", ID: 1, Received: at(0), Decided: at(3), State: "failed", Failure: "yaml-syntax", Problem: "It is wrong.", Message: "m"}}, settled: true, result: trace.Errored,
			spans: []string{"RUN r 0-3", ". decision 0-3"}, path: []string{"the push was decided 0-3"},
		},
		"a push is being decided": {
			facts: &trace.Facts{Now: at(100), Push: &trace.Push{Repository: "r", ID: 1, Dated: at(-5), Received: at(0), State: "received", Message: "m"}},
			spans: []string{"RUN r -5-100 open", ". noticed -5-0", ". decision 0-100 open"}, path: []string{"until the push was noticed -5-0", "the push was decided 0-100"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if len(c.facts.Tasks) > 0 && len(c.facts.Tasks[0].Needs) == 0 && len(c.facts.Tasks) == 1 {
				c.facts.Tasks[0].Created = at(20)
			}
			tr := trace.Build(c.facts)
			if diff := cmp.Diff(c.spans, lines(tr)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.path, steps(tr)); diff != "" {
				t.Error(diff)
			}
			if result, _ := tr.Result(); result != c.result || tr.Settled != c.settled {
				t.Errorf("settled %v with %q", tr.Settled, result)
			}
		})
	}
}
