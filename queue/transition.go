package queue

import (
	"time"

	"github.com/treeline-ci/treeline/task"
)

// The kinds of events the queue tells.
const (
	kindDefined       = "task-defined"
	kindPending       = "task-pending"
	kindRunning       = "task-running"
	kindCompleted     = "task-completed"
	kindFailed        = "task-failed"
	kindException     = "task-exception"
	kindPriority      = "task-priority-changed"
	kindGroupPriority = "task-group-priority-changed"
	kindArtifact      = "artifact-created"
	kindResolved      = "task-group-resolved"
	kindSealed        = "task-group-sealed"
)

// The functions of this file are the state machine of taskcluster-map 5.4. They change the record
// alone; whether the transition is allowed is for the caller to ask first.

// addRun appends a pending run.
func (r *record) addRun(why task.ReasonCreated) {
	id := len(r.Runs)
	r.touch(id)
	r.Runs = append(r.Runs, task.Run{RunID: id, State: task.Pending, ReasonCreated: why, Scheduled: task.At(r.now)})
	r.State = task.Pending
	r.tell(kindPending, id)
}

func (r *record) touch(run int) { r.touched = min(r.touched, run) }
func (r *record) tell(kind string, run int) {
	r.notices = append(r.notices, notice{kind: kind, runID: run})
}

// schedule gives a task its first run; a task that has one stays as it is.
func (r *record) schedule() {
	if len(r.Runs) == 0 {
		r.addRun(task.CreatedScheduled)
	}
}

// claim gives the pending last run to a worker until the given instant.
func (r *record) claim(group, worker string, until time.Time) {
	run := r.LastRun()
	r.touch(run.RunID)
	at, taken := task.At(r.now), task.At(until)
	run.State, run.WorkerGroup, run.WorkerID, run.TakenUntil, run.Started = task.Running, group, worker, &taken, &at
	r.State = task.Running
	r.tell(kindRunning, run.RunID)
}

// reclaim lets the worker keep its running last run until the given instant.
func (r *record) reclaim(until time.Time) {
	run := r.LastRun()
	r.touch(run.RunID)
	taken := task.At(until)
	run.TakenUntil = &taken
}

// resolve ends the pending or running last run and appends another one when the reason asks for a
// retry and retries are left.
func (r *record) resolve(why task.ReasonResolved) {
	run := r.LastRun()
	r.touch(run.RunID)
	at := task.At(r.now)
	run.State, run.ReasonResolved, run.Resolved = why.State(), why, &at
	r.State = run.State
	r.tell(resolvedKind(run.State), run.RunID)
	if again, retry := why.Retry(); retry && r.RetriesLeft > 0 && len(r.Runs) < MaxRuns {
		r.RetriesLeft--
		r.addRun(again)
	}
}

func resolvedKind(s task.State) string {
	switch s {
	case task.Completed:
		return kindCompleted
	case task.Failed:
		return kindFailed
	}
	return kindException
}

// end resolves an unresolved task from outside, by cancelling or at its deadline; one that never ran
// gets a run that stands for it.
func (r *record) end(why task.ReasonResolved) {
	if len(r.Runs) > 0 {
		r.resolve(why)
		return
	}
	r.touch(0)
	at := task.At(r.now)
	r.Runs = append(r.Runs, task.Run{State: task.Exception, ReasonCreated: task.CreatedException, ReasonResolved: why, Scheduled: at, Resolved: &at})
	r.State = task.Exception
	r.tell(kindException, 0)
}

// reprioritize changes the priority; it reports whether that is another one.
func (r *record) reprioritize(to task.Priority) bool {
	if r.Priority == to {
		return false
	}
	r.notices = append(r.notices, notice{kind: kindPriority, was: r.Priority})
	r.Priority = to
	return true
}

// rerun appends a run to a task without runs or with a resolved last run.
func (r *record) rerun() {
	r.RetriesLeft = max(0, min(r.retries, MaxRuns-1-len(r.Runs)))
	r.addRun(task.CreatedRerun)
}
