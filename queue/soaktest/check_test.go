package soaktest_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/soaktest"
	"github.com/treeline-ci/treeline/task"
)

// The tasks of the sound history below: first is lost by one worker and completed by the next, then
// waits for it, badly is canceled before it ran.
const (
	first = "AAAAAAAAQAKAAAAAAAAAAA"
	then  = "BBBBBBBBQBKBBBBBBBBBBA"
	badly = "CCCCCCCCQCKCCCCCCCCCCA"
	group = "DDDDDDDDQDKDDDDDDDDDDA"
)

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at is the instant so many milliseconds after the beginning.
func at(ms int) *task.Time {
	t := task.At(began.Add(time.Duration(ms) * time.Millisecond))
	return &t
}

func definition(deps ...string) *task.Definition {
	d := &task.Definition{
		TaskQueueID: "soak/first", SchedulerID: "-", ProjectID: "none", TaskGroupID: group, Dependencies: append([]string{}, deps...),
		Requires: task.AllCompleted, Routes: []string{}, Priority: task.Low, Retries: 1, Created: *at(0), Deadline: *at(3600_000), Expires: *at(7200_000),
		Scopes: []string{"secret"}, Payload: json.RawMessage(`{}`), Extra: json.RawMessage(`{}`), Tags: map[string]string{},
	}
	if err := d.Complete(first); err != nil {
		panic(err) // it is complete
	}
	return d
}

func status(id string, left int, runs ...task.Run) task.Status {
	s := task.Status{TaskID: id, TaskGroupID: group, State: task.Unscheduled, RetriesLeft: left, Runs: runs}
	for i := range s.Runs {
		s.Runs[i].RunID, s.State = i, s.Runs[i].State
	}
	return s
}

// run is a run that was scheduled, started and resolved at these times, 0 for not yet.
func run(why task.ReasonCreated, worker string, scheduled, started, resolved int, reason task.ReasonResolved) task.Run {
	r := task.Run{State: task.Pending, ReasonCreated: why, Scheduled: *at(scheduled)}
	if started > 0 {
		r.State, r.WorkerID, r.WorkerGroup, r.Started = task.Running, worker, "g", at(started)
	}
	if resolved > 0 {
		r.State, r.ReasonResolved, r.Resolved = reason.State(), reason, at(resolved)
	}
	return r
}

// sound is a history in which everything is as it should be.
func sound() *soaktest.Evidence {
	lost := run(task.CreatedScheduled, "w1", 1, 11, 21, task.ReasonWorkerShutdown)
	again := run(task.CreatedRetry, "w2", 21, 31, 41, task.ReasonCompleted)
	released := run(task.CreatedScheduled, "w2", 41, 51, 61, task.ReasonFailed)
	canceled := run(task.CreatedException, "", 71, 0, 71, task.ReasonCanceled)
	canceled.State = task.Exception
	e := &soaktest.Evidence{
		Seed: 1, Began: began, Final: map[string]queue.Item{}, Last: "the end",
		Bodies: map[string][]*task.Definition{first: {definition()}, then: {definition(first)}, badly: {definition(then)}},
	}
	for _, s := range []task.Status{status(first, 0, lost, again), status(then, 1, released), status(badly, 1, canceled)} {
		e.Final[s.TaskID] = queue.Item{Status: s, Task: *e.Bodies[s.TaskID][0]}
	}
	call := func(k soaktest.Call, start int, seen ...task.Status) {
		k.Start, k.End, k.Outcome, k.Seen = int64(start)*1e6, int64(start+2)*1e6, soaktest.OK, seen
		e.Calls = append(e.Calls, k)
	}
	gives := func(id string, run int) []soaktest.Claimed {
		own := id + "/" + string(rune('0'+run))
		return []soaktest.Claimed{{Task: id, Run: run, Scopes: []string{"queue:reclaim-task:" + own, "queue:resolve-task:" + own, "queue:create-artifact:" + own, "secret"}}}
	}
	pending, running := run(task.CreatedScheduled, "", 1, 0, 0, ""), run(task.CreatedScheduled, "w1", 1, 11, 0, "")
	call(soaktest.Call{Verb: soaktest.Create, Tasks: []string{first, then}, Bodies: []int{0, 0}}, 0, status(first, 1, pending), status(then, 1))
	call(soaktest.Call{Verb: soaktest.Create, Tasks: []string{badly}, Bodies: []int{0}}, 3, status(badly, 1))
	call(soaktest.Call{Verb: soaktest.Claim, Worker: "w1", Claimed: gives(first, 0)}, 10, status(first, 1, running))
	call(soaktest.Call{Verb: soaktest.Artifact, Tasks: []string{first}, Name: "log"}, 15)
	call(soaktest.Call{Verb: soaktest.Report, Tasks: []string{first}, Reason: task.ReasonWorkerShutdown}, 20, status(first, 0, lost, run(task.CreatedRetry, "", 21, 0, 0, "")))
	call(soaktest.Call{Verb: soaktest.Claim, Worker: "w2", Claimed: gives(first, 1)}, 30, status(first, 0, lost, run(task.CreatedRetry, "w2", 21, 31, 0, "")))
	call(soaktest.Call{Verb: soaktest.Report, Tasks: []string{first}, Run: 1, Reason: task.ReasonCompleted}, 40, status(first, 0, lost, again))
	call(soaktest.Call{Verb: soaktest.Claim, Worker: "w2", Claimed: gives(then, 0)}, 50, status(then, 1, run(task.CreatedScheduled, "w2", 41, 51, 0, "")))
	call(soaktest.Call{Verb: soaktest.Report, Tasks: []string{then}, Reason: task.ReasonFailed}, 60, status(then, 1, released))
	call(soaktest.Call{Verb: soaktest.Cancel, Tasks: []string{badly}}, 70, status(badly, 1, canceled))
	call(soaktest.Call{Verb: soaktest.SealGroup, Name: group}, 80)
	call(soaktest.Call{Verb: soaktest.Items, Tasks: []string{first, then}}, 90, status(first, 0, lost, again), status(then, 1, released))
	tell(e, first, "task-defined", "task-pending 0")
	tell(e, then, "task-defined")
	tell(e, badly, "task-defined")
	tell(e, first, "task-running 0", "artifact-created 0", "task-exception 0", "task-pending 1", "task-running 1", "task-completed 1")
	tell(e, then, "task-pending 0", "task-running 0", "task-failed 0")
	tell(e, badly, "task-exception 0")
	tell(e, "", "task-group-resolved", "task-group-sealed")
	return e
}

// tell adds events to the feed.
func tell(e *soaktest.Evidence, id string, kinds ...string) {
	for _, k := range kinds {
		kind, number, has := strings.Cut(k, " ")
		ev := event.Event{ID: id + k, Position: int64(len(e.Events) + 1), Kind: kind, TaskID: id, TaskGroupID: group}
		if n, err := strconv.Atoi(number); has && err == nil {
			ev.RunID = &n
		}
		e.Events = append(e.Events, ev)
	}
}

// violated is the sound history with one thing wrong in it.
var violated = []struct {
	what, invariant string
	spoil           func(*soaktest.Evidence)
}{
	{"an acknowledged task is gone", "I1", func(e *soaktest.Evidence) { delete(e.Final, then) }},
	{"a task never ends", "I1", func(e *soaktest.Evidence) {
		last(e, then, func(r *task.Run) { r.State, r.ReasonResolved, r.Resolved = task.Running, "", nil })
	}},
	{"a task that was acknowledged is not found", "I1", func(e *soaktest.Evidence) { add(e, soaktest.Status, soaktest.NotFound, first, 95) }},
	{"a task is missing in a list of tasks", "I1", func(e *soaktest.Evidence) { k := find(e, soaktest.Items); k.Seen = k.Seen[:1] }},
	{"a task that nobody created", "I1", func(e *soaktest.Evidence) {
		e.Final["x"] = queue.Item{Status: status("x", 0, run(task.CreatedException, "", 1, 0, 2, task.ReasonCanceled))}
	}},
	{"two outcomes of one run are accepted", "I2", func(e *soaktest.Evidence) { k := again(e, soaktest.Report); k.Reason = task.ReasonFailed }},
	{"an accepted outcome is another at the end", "I2", func(e *soaktest.Evidence) {
		last(e, then, func(r *task.Run) { r.State, r.ReasonResolved = task.Completed, task.ReasonCompleted })
	}},
	{"a worker is refused before its run ended", "I2", func(e *soaktest.Evidence) {
		k := again(e, soaktest.Report)
		k.Outcome, k.Reason, k.Start, k.End = soaktest.Conflict, task.ReasonFailed, -400e6, -399e6
	}},
	{"two workers get one run", "I3", func(e *soaktest.Evidence) { again(e, soaktest.Claim).Worker = "w3" }},
	{"one worker gets one run twice", "I3", func(e *soaktest.Evidence) { again(e, soaktest.Claim) }},
	{"a run was given to another worker than it is of", "I3", func(e *soaktest.Evidence) { find(e, soaktest.Claim).Worker = "w3" }},
	{"a run begins before the one before it ends", "I3", func(e *soaktest.Evidence) { last(e, first, func(r *task.Run) { r.Started = at(15) }) }},
	{"a claim expires that is not over", "I3", func(e *soaktest.Evidence) {
		last(e, then, func(r *task.Run) { r.State, r.ReasonResolved = task.Exception, task.ReasonClaimExpired })
	}},
	{"a task is pending before what it waits for has happened", "I5", func(e *soaktest.Evidence) { swap(e, "task-completed", "task-pending", then) }},
	{"a task is not released", "I5", func(e *soaktest.Evidence) {
		e.Bodies[badly][0].Dependencies[0] = first
		e.Final[badly] = queue.Item{Status: e.Final[badly].Status, Task: *e.Bodies[badly][0]}
	}},
	{"a task is released twice", "I5", func(e *soaktest.Evidence) {
		last(e, first, func(r *task.Run) { r.ReasonCreated = task.CreatedScheduled })
	}},
	{"more retries than allowed", "I6", func(e *soaktest.Evidence) { e.Bodies[first][0].Retries = 0 }},
	{"a failure is retried", "I6", func(e *soaktest.Evidence) {
		runs := e.Final[first].Status.Runs
		runs[0].State, runs[0].ReasonResolved = task.Failed, task.ReasonFailed
	}},
	{"a lost run is not retried", "I6", func(e *soaktest.Evidence) {
		last(e, then, func(r *task.Run) { r.State, r.ReasonResolved = task.Exception, task.ReasonWorkerShutdown })
	}},
	{"a rerun that nobody asked for", "I6", func(e *soaktest.Evidence) { last(e, first, func(r *task.Run) { r.ReasonCreated = task.CreatedRerun }) }},
	{"the count of retries is wrong", "I6", func(e *soaktest.Evidence) { edit(e, first, func(s *task.Status) { s.RetriesLeft = 1 }) }},
	{"two definitions are accepted", "I7", func(e *soaktest.Evidence) {
		other := definition()
		other.Payload = json.RawMessage(`{"other": 1}`)
		e.Bodies[badly] = append(e.Bodies[badly], other)
		k := *find(e, soaktest.Create)
		k.Tasks, k.Bodies, k.Seen = []string{badly}, []int{1}, nil
		e.Calls = append(e.Calls, k)
	}},
	{"another definition is stored", "I7", func(e *soaktest.Evidence) {
		i := e.Final[then]
		i.Task.Payload = json.RawMessage(`{"other": 1}`)
		e.Final[then] = i
	}},
	{"half a batch", "I7", func(e *soaktest.Evidence) {
		find(e, soaktest.Create).Outcome = soaktest.Unknown
		delete(e.Final, then)
		e.Calls = slices.DeleteFunc(e.Calls, func(k soaktest.Call) bool {
			return k.Verb == soaktest.Items || slices.Contains(k.Tasks, then) && k.Verb != soaktest.Create || k.Worker == "w2" && k.Claimed[0].Task == then
		})
	}},
	{"a refused creation exists", "I7", func(e *soaktest.Evidence) { find(e, soaktest.Create).Outcome = soaktest.Invalid }},
	{"the same creation is refused", "I7", func(e *soaktest.Evidence) { k := again(e, soaktest.Create); k.Outcome, k.Seen = soaktest.Conflict, nil }},
	{"the same report is refused", "I7", func(e *soaktest.Evidence) {
		k := again(e, soaktest.Report)
		k.Outcome, k.Start, k.End, k.Seen = soaktest.Conflict, 100e6, 101e6, nil
	}},
	{"an answer shows what never was", "I8", func(e *soaktest.Evidence) { find(e, soaktest.Items).Seen[1].Runs[0].WorkerID = "w9" }},
	{"an answer's state is not its last run's", "I8", func(e *soaktest.Evidence) { find(e, soaktest.Items).Seen[1].State = task.Pending }},
	{"a later answer shows less", "I8", func(e *soaktest.Evidence) { k := again(e, soaktest.Create); k.Start, k.End = 100e6, 101e6 }},
	{"a cancellation does not cancel", "I8", func(e *soaktest.Evidence) { find(e, soaktest.Cancel).Seen[0] = status(badly, 1) }},
	{"a cancellation is refused before the deadline", "I8", func(e *soaktest.Evidence) { add(e, soaktest.Cancel, soaktest.Conflict, then, 95) }},
	{"a deadline is enforced that has not passed", "I8", func(e *soaktest.Evidence) {
		last(e, badly, func(r *task.Run) { r.ReasonResolved = task.ReasonDeadlineExceeded })
	}},
	{"a caller sees an internal error", "I8", func(e *soaktest.Evidence) { add(e, soaktest.Status, soaktest.Broken, then, 95) }},
	{"an event is missing", "I10", func(e *soaktest.Evidence) { e.Events = slices.Delete(e.Events, 4, 5) }},
	{"an event comes twice", "I10", func(e *soaktest.Evidence) { e.Events = append(e.Events, e.Events[4]) }},
	{"a task's events are out of order", "I10", func(e *soaktest.Evidence) { swap(e, "task-running", "task-failed", then) }},
	{"the feed has a gap", "I10", func(e *soaktest.Evidence) { e.Gaps = []string{"after position 3 comes 5"} }},
	{"an artifact is not told", "I10", func(e *soaktest.Evidence) { drop(e, "artifact-created") }},
	{"a group's end is not told", "I10", func(e *soaktest.Evidence) { drop(e, "task-group-resolved") }},
	{"a group's seal is not told", "I10", func(e *soaktest.Evidence) { drop(e, "task-group-sealed") }},
	{"a claim holds a scope too many", "I11", func(e *soaktest.Evidence) {
		c := &find(e, soaktest.Claim).Claimed[0]
		c.Scopes = append(c.Scopes, "auth:*")
	}},
	{"a task has a scope that its creator lacks", "I11", func(e *soaktest.Evidence) {
		e.Lacks = func(_ int, scope string) bool { return scope == "secret" }
	}},
	{"a creator is refused that has all it needs", "I11", func(e *soaktest.Evidence) {
		k := again(e, soaktest.Create)
		k.Outcome, k.Seen = soaktest.Forbidden, nil
	}},
	{"a claim lacks its task's scope", "I11", func(e *soaktest.Evidence) {
		c := &find(e, soaktest.Claim).Claimed[0]
		c.Scopes = c.Scopes[:3]
	}},
}

// TestTheCheckerFindsEachViolation: a checker that cannot fail proves nothing.
func TestTheCheckerFindsEachViolation(t *testing.T) {
	if found := soaktest.Check(sound()); len(found) > 0 {
		t.Fatalf("the sound history: %v", found)
	}
	seen := map[string]bool{}
	for _, v := range violated {
		t.Run(v.what, func(t *testing.T) {
			e := sound()
			v.spoil(e)
			found := soaktest.Check(e)
			if !slices.ContainsFunc(found, func(f soaktest.Violation) bool { return f.Invariant == v.invariant }) {
				t.Errorf("want %s, found %v", v.invariant, found)
			}
		})
		seen[v.invariant] = true
	}
	// I4 is asked of the database, I9 is a matter of the line.
	want := []string{"I1", "I10", "I11", "I2", "I3", "I5", "I6", "I7", "I8"}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("violated are %v, want %v", got, want)
	}
}

func find(e *soaktest.Evidence, v soaktest.Verb) *soaktest.Call {
	i := slices.IndexFunc(e.Calls, func(k soaktest.Call) bool { return k.Verb == v })
	return &e.Calls[i]
}

// again repeats the first call of a verb.
func again(e *soaktest.Evidence, v soaktest.Verb) *soaktest.Call {
	e.Calls = append(e.Calls, *find(e, v))
	return &e.Calls[len(e.Calls)-1]
}

func add(e *soaktest.Evidence, v soaktest.Verb, o soaktest.Outcome, id string, ms int64) {
	e.Calls = append(e.Calls, soaktest.Call{Verb: v, Outcome: o, Tasks: []string{id}, Start: ms * 1e6, End: (ms + 1) * 1e6, Error: "of a test"})
}

func edit(e *soaktest.Evidence, id string, change func(*task.Status)) {
	i := e.Final[id]
	i.Status.Runs = slices.Clone(i.Status.Runs)
	change(&i.Status)
	e.Final[id] = i
}

// last changes a task's last run, and its state with it.
func last(e *soaktest.Evidence, id string, change func(*task.Run)) {
	edit(e, id, func(s *task.Status) {
		change(s.LastRun())
		s.State = s.LastRun().State
	})
}

// swap exchanges the first event of a kind, of any task, with the first of another kind of one task.
func swap(e *soaktest.Evidence, kind, other, id string) {
	i := slices.IndexFunc(e.Events, func(ev event.Event) bool { return ev.Kind == kind && (kind == "task-completed" || ev.TaskID == id) })
	j := slices.IndexFunc(e.Events, func(ev event.Event) bool { return ev.Kind == other && ev.TaskID == id })
	e.Events[i], e.Events[j] = e.Events[j], e.Events[i]
	e.Events[i].Position, e.Events[j].Position = e.Events[j].Position, e.Events[i].Position
}

func drop(e *soaktest.Evidence, kind string) {
	e.Events = slices.DeleteFunc(e.Events, func(ev event.Event) bool { return ev.Kind == kind })
}
