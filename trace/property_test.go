package trace_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/trace"
)

// moment is any time, also none, also one of a clock that is wrong.
func moment(t *rapid.T, name string) time.Time {
	n := rapid.IntRange(-1, 60).Draw(t, name)
	if n < 0 {
		return time.Time{}
	}
	return at(float64(n))
}

// anyFacts are facts that contradict each other in every way.
func anyFacts(t *rapid.T) *trace.Facts {
	f := &trace.Facts{Now: at(float64(rapid.IntRange(0, 80).Draw(t, "now"))), GroupID: "t0", Created: moment(t, "created"), Outside: map[string]trace.Outside{}, Workers: map[trace.Worker]time.Time{}}
	if rapid.Bool().Draw(t, "push") {
		f.Push = &trace.Push{Repository: "r", ID: 1, Dated: moment(t, "dated"), Received: at(float64(rapid.IntRange(0, 60).Draw(t, "received"))), Decided: moment(t, "decided")}
	}
	if rapid.Bool().Draw(t, "told") {
		f.Told = &trace.Delivery{ID: "d", Event: "push", Received: at(float64(rapid.IntRange(0, 60).Draw(t, "webhook"))), Built: moment(t, "built")}
	}
	n := rapid.IntRange(0, 8).Draw(t, "tasks")
	for i := range n {
		x := trace.Task{ID: fmt.Sprint("t", i), Name: fmt.Sprint("task ", i), Queue: "q", Priority: rapid.IntRange(1, 7).Draw(t, "priority"), State: task.Unscheduled, Requires: task.AllCompleted, Created: moment(t, "made")}
		for range rapid.IntRange(0, 2).Draw(t, "needs") {
			x.Needs = append(x.Needs, fmt.Sprint("t", rapid.IntRange(0, n).Draw(t, "need"))) // even itself, or one that is not there
		}
		runs := rapid.IntRange(0, 3).Draw(t, "runs")
		for k := range runs {
			r := trace.Run{ID: k, State: rapid.SampledFrom(task.States()[1:]).Draw(t, "state"), Created: task.CreatedScheduled, Scheduled: at(float64(rapid.IntRange(0, 60).Draw(t, "scheduled")))}
			r.Started = moment(t, "started")
			if r.State.Resolved() || k < runs-1 {
				r.State = rapid.SampledFrom(task.States()[3:]).Draw(t, "end")
				r.Resolved = at(float64(rapid.IntRange(0, 60).Draw(t, "resolved")))
			}
			if !r.Started.IsZero() {
				r.Worker = trace.Worker{Queue: "q", ID: fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "worker"))}
			}
			for range rapid.IntRange(0, 2).Draw(t, "artifacts") {
				r.Artifacts = append(r.Artifacts, trace.Artifact{Name: "a", Stored: rapid.Bool().Draw(t, "stored"), Created: at(float64(rapid.IntRange(0, 60).Draw(t, "stored at")))})
			}
			x.Runs, x.State = append(x.Runs, r), r.State
		}
		f.Tasks = append(f.Tasks, x)
	}
	if rapid.Bool().Draw(t, "outside") {
		f.Outside[fmt.Sprint("t", n)] = trace.Outside{Name: "far", Resolved: moment(t, "far")}
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "reports") {
		f.Reports = append(f.Reports, trace.Report{ID: fmt.Sprint(i), Name: "r", Wanted: at(float64(rapid.IntRange(0, 60).Draw(t, "wanted"))), Sent: moment(t, "sent")})
	}
	return f
}

func TestEveryTraceIsATree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := trace.Build(anyFacts(t))
		seen := map[traceid.Span]*trace.Span{}
		for i := range tr.Spans {
			s := &tr.Spans[i]
			if s.End.Before(s.Start) {
				t.Errorf("%s lasts %v", s.Name, s.End.Sub(s.Start))
			}
			if seen[s.ID] != nil {
				t.Errorf("%s and %s have the same id", s.Name, seen[s.ID].Name)
			}
			seen[s.ID] = s
			p := seen[s.Parent]
			switch {
			case i == 0 && s.Parent != traceid.Span{}:
				t.Error("the root has a parent")
			case i > 0 && p == nil:
				t.Errorf("%s stands before its parent", s.Name)
			case i > 0 && (s.Start.Before(p.Start) || s.End.After(p.End)):
				t.Errorf("%s, %v to %v, is not within %s, %v to %v", s.Name, s.Start, s.End, p.Name, p.Start, p.End)
			}
			if len(tr.Attributes(s)) < 2 {
				t.Errorf("nothing is said of %s", s.Name)
			}
		}
	})
}

func TestTheCriticalPathIsAsLongAsThePush(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := trace.Build(anyFacts(t))
		now, sum := tr.Start, time.Duration(0)
		for _, s := range tr.Critical {
			if !s.Start.Equal(now) || !s.End.After(s.Start) {
				t.Errorf("%q is from %v to %v, behind %v", s.Text, s.Start, s.End, now)
			}
			now, sum = s.End, sum+s.End.Sub(s.Start)
		}
		if sum != tr.End.Sub(tr.Start) {
			t.Errorf("its steps take %v, the push %v", sum, tr.End.Sub(tr.Start))
		}
	})
}

func TestATraceIsTheSameWheneverItIsMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		once := fmt.Sprint(lines(trace.Build(f)), steps(trace.Build(f)))
		// What is straightened stays straight.
		if again := fmt.Sprint(lines(trace.Build(f)), steps(trace.Build(f))); again != once {
			t.Errorf("first:\n%s\nthen:\n%s", once, again)
		}
	})
}
