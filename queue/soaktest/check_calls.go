package soaktest

import (
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// checkRetries is I6: the runs of a task tell why each of them was made.
func (d *docket) checkRetries() {
	for id, item := range d.Final {
		if len(d.Bodies[id]) == 0 {
			continue
		}
		d.checkRuns(id, item.Status, d.Bodies[id][0].Retries)
	}
}

func (d *docket) checkRuns(id string, s task.Status, retries int) {
	left, reruns := retries, 0
	for i, run := range s.Runs {
		var before task.ReasonResolved
		if i > 0 {
			before = s.Runs[i-1].ReasonResolved
		}
		again, retry := before.Retry()
		must := i > 0 && retry && left > 0 && i < queue.MaxRuns
		switch run.ReasonCreated {
		case task.CreatedRetry, task.CreatedTaskRetry:
			if left--; left < 0 || again != run.ReasonCreated {
				d.violate("I6", id, "run %d is a %s after %q, with %d retries: %s", i, run.ReasonCreated, before, retries, shape(s))
			}
			must = false
		case task.CreatedRerun:
			reruns++
			left = max(0, min(retries, queue.MaxRuns-1-i))
		case task.CreatedScheduled, task.CreatedException:
			if i > 0 {
				d.violate("I5", id, "run %d was made because it was %s, which happens once: %s", i, run.ReasonCreated, shape(s))
			}
		}
		if must {
			d.violate("I6", id, "run %d ended as %s with %d retries left and was not retried: %s", i-1, before, left, shape(s))
		}
		if i == len(s.Runs)-1 {
			if _, retry := run.ReasonResolved.Retry(); retry && left > 0 && len(s.Runs) < queue.MaxRuns {
				d.violate("I6", id, "its last run ended as %s with %d retries left and was not retried", run.ReasonResolved, left)
			}
		}
	}
	if left != s.RetriesLeft {
		d.violate("I6", id, "%d retries are left, by its runs %d: %s", s.RetriesLeft, left, shape(s))
	}
	if asked := d.touched[Rerun][id]; reruns > asked {
		d.violate("I6", id, "%d runs are reruns, and %d were asked for: %s", reruns, asked, shape(s))
	}
}

// checkCreations is I7.
func (d *docket) checkCreations() {
	for id, calls := range d.creates {
		accepted, maybe := -1, false
		for _, k := range calls {
			body := k.Bodies[slices.Index(k.Tasks, id)]
			maybe = maybe || k.Outcome == Unknown || k.Outcome == OK
			if k.Outcome != OK {
				continue
			}
			if accepted >= 0 && accepted != body {
				d.violate("I7", id, "two definitions of it were accepted")
			}
			accepted = body
		}
		item, there := d.Final[id]
		if there && !maybe {
			d.violate("I7", id, "it exists, though its creation was refused")
		}
		if there && accepted >= 0 && !d.same(id, item.Task, d.Bodies[id][accepted]) {
			d.violate("I7", id, "its definition is not the one that was accepted")
		}
		if there && accepted < 0 && !slices.ContainsFunc(d.Bodies[id], func(b *task.Definition) bool { return d.same(id, item.Task, b) }) {
			d.violate("I7", id, "its definition is none that was offered")
		}
	}
	for i := range d.Calls {
		if k := &d.Calls[i]; k.Verb == Create && len(k.Tasks) > 1 {
			d.checkWhole(k)
		}
	}
}

// checkWhole wants all tasks of a batch or none.
func (d *docket) checkWhole(k *Call) {
	there := 0
	for _, id := range k.Tasks {
		if d.gone(id) {
			return
		}
		if _, ok := d.Final[id]; ok {
			there++
		}
	}
	if there != 0 && there != len(k.Tasks) {
		d.violate("I7", k.Tasks[0], "of its batch of %d tasks there are %d", len(k.Tasks), there)
	}
}

// same compares a definition as it is stored with one as it was sent, but for what time did to it.
func (d *docket) same(id string, stored task.Definition, sent *task.Definition) bool {
	whole := *sent
	if err := whole.Complete(id); err != nil {
		return false
	}
	whole.Priority = stored.Priority
	if d.touched[DeadlinesPass][id] > 0 {
		whole.Deadline = stored.Deadline
	}
	if d.touched[TasksExpire][id] > 0 {
		whole.Expires = stored.Expires
	}
	return stored.Equal(&whole)
}

// checkAnswers is I8: what each answer showed is a legal state, is what the verb promises, and is
// part of the task's history as it stands at the end.
func (d *docket) checkAnswers() {
	for i := range d.Calls {
		k := &d.Calls[i]
		if k.Outcome == Broken || k.Outcome == Refused {
			d.violate("I8", first(k.Tasks), "%s ended in an error that no caller should see: %s", k.Verb, k.Error)
		}
		if k.Outcome != OK {
			continue
		}
		for _, s := range k.Seen {
			d.checkStatus(k, s)
			if wrong := promised(k, s); wrong != "" {
				d.violate("I8", s.TaskID, "%s answered with %s: %s", k.Verb, wrong, shape(s))
			}
		}
	}
}

func first(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

func (d *docket) checkStatus(k *Call, s task.Status) {
	state := task.Unscheduled
	if n := len(s.Runs); n > 0 {
		state = s.Runs[n-1].State
	}
	if s.State != state {
		d.violate("I8", s.TaskID, "%s showed a task that is %s with a last run that is %s", k.Verb, s.State, state)
	}
	item, ok := d.Final[s.TaskID]
	if !ok {
		return
	}
	if len(item.Status.Runs) < len(s.Runs) {
		d.violate("I8", s.TaskID, "%s showed %s; at the end it is %s", k.Verb, shape(s), shape(item.Status))
		return
	}
	for i, run := range s.Runs {
		if run.RunID != i || !became(run, item.Status.Runs[i]) {
			d.violate("I8", s.TaskID, "%s showed %s; at the end it is %s", k.Verb, shape(s), shape(item.Status))
			return
		}
		if i < len(s.Runs)-1 && !run.State.Resolved() {
			d.violate("I8", s.TaskID, "%s showed run %d unresolved beside a later one: %s", k.Verb, i, shape(s))
		}
	}
}

// became reports whether a run that was seen can have become what it is at the end.
func became(seen, end task.Run) bool {
	if seen.ReasonCreated != end.ReasonCreated || !seen.Scheduled.Equal(end.Scheduled.Time) {
		return false
	}
	if seen.Started != nil && (end.Started == nil || !seen.Started.Equal(end.Started.Time) || seen.WorkerID != end.WorkerID || seen.WorkerGroup != end.WorkerGroup) {
		return false
	}
	if seen.State.Resolved() {
		return seen.State == end.State && seen.ReasonResolved == end.ReasonResolved && seen.Resolved != nil && end.Resolved != nil && seen.Resolved.Equal(end.Resolved.Time)
	}
	return true
}

// promised says what is wrong with a verb's answer, "" when nothing is.
func promised(k *Call, s task.Status) string {
	switch k.Verb {
	case Cancel:
		if !s.State.Resolved() {
			return "a task that is not resolved"
		}
	case Schedule:
		if s.State == task.Unscheduled {
			return "a task that is unscheduled"
		}
	case Rerun:
		if s.State != task.Pending && s.State != task.Running {
			return "a task that is neither pending nor running"
		}
	case Report:
		if k.Run >= len(s.Runs) || s.Runs[k.Run].ReasonResolved != k.Reason {
			return "another outcome than " + string(k.Reason)
		}
	case Priority:
		if string(s.Priority) != k.Name {
			return "another priority than " + k.Name
		}
	case Claim, ClaimTask, Reclaim:
		if last := s.LastRun(); s.State != task.Running || k.Verb != Reclaim && last.WorkerID != k.Worker || k.Verb == Reclaim && last.RunID != k.Run {
			return "a run that is not the worker's"
		}
	}
	return ""
}

// checkOrder is I8 in time: who asks after an answer was given sees nothing older than that answer.
func (d *docket) checkOrder() {
	type sight struct {
		at       int64
		progress int
		text     func() string
	}
	ends, starts := map[string][]sight{}, map[string][]sight{}
	for i := range d.Calls {
		k := &d.Calls[i]
		if k.Outcome != OK {
			continue
		}
		for _, s := range k.Seen {
			text := func() string { return string(k.Verb) + " showed " + shape(s) }
			ends[s.TaskID] = append(ends[s.TaskID], sight{k.End, progress(s), text})
			starts[s.TaskID] = append(starts[s.TaskID], sight{k.Start, progress(s), text})
		}
	}
	byTime := func(a, b sight) int { return int(a.at - b.at) }
	for id, later := range starts {
		before := ends[id]
		slices.SortFunc(before, byTime)
		slices.SortFunc(later, byTime)
		best, i := sight{}, 0
		for _, l := range later {
			for ; i < len(before) && before[i].at < l.at; i++ {
				if before[i].progress > best.progress {
					best = before[i]
				}
			}
			if l.progress < best.progress {
				d.violate("I8", id, "%s, and after that %s", best.text(), l.text())
				break
			}
		}
	}
}

// progress orders the states that a task goes through.
func progress(s task.Status) int {
	n := len(s.Runs)
	if n == 0 {
		return 0
	}
	rank := 3
	switch s.Runs[n-1].State {
	case task.Pending:
		rank = 1
	case task.Running:
		rank = 2
	}
	return 4*n + rank
}

// checkRefusals wants a reason for each refusal.
func (d *docket) checkRefusals() {
	for i := range d.Calls {
		k := &d.Calls[i]
		switch k.Outcome {
		case Conflict:
			d.checkConflict(k)
		case Invalid:
			d.checkInvalid(k)
		case NotFound:
			if k.Verb == SealGroup || k.Verb == List || k.Verb == CancelGroup {
				d.violate("I1", "", "%s did not find group %s: %s", k.Verb, k.Name, k.Error)
			}
		}
	}
}

func (d *docket) checkConflict(k *Call) {
	switch k.Verb {
	case Create:
		for _, id := range k.Tasks {
			if len(d.Bodies[id]) > 1 || d.touched[DeadlinesPass][id] > 0 || d.wasSealed(d.Bodies[id][0].TaskGroupID, k) {
				return
			}
		}
		d.violate("I7", k.Tasks[0], "it has one definition only, and its creation was refused: %s", k.Error)
	case Report:
		d.checkLate(k)
		item, ok := d.Final[k.Tasks[0]]
		if runs := item.Status.Runs; ok && k.Run < len(runs) && runs[k.Run].ReasonResolved == k.Reason {
			if k.Run == len(runs)-1 || k.Reason.State() == task.Exception && k.Run == len(runs)-2 {
				d.violate("I7", k.Tasks[0], "run %d is %s, and this very report was refused: %s", k.Run, k.Reason, k.Error)
			}
		}
	case Reclaim, Artifact:
		if d.touched[DeadlinesPass][k.Tasks[0]] == 0 {
			d.checkLate(k)
		}
	case Cancel, Schedule, Rerun:
		if at, ok := d.since[DeadlinesPass][k.Tasks[0]]; (!ok || at > k.End) && !strings.Contains(k.Error, "50 runs") {
			d.violate("I8", k.Tasks[0], "%s was refused before the deadline: %s", k.Verb, k.Error)
		}
	case ClaimTask:
		// Legal while the run is not pending, which it was once, or is no more.
	case Priority:
		if d.touched[TasksExpire][k.Tasks[0]] == 0 && !d.everResolved(k.Tasks[0], k) {
			d.violate("I8", k.Tasks[0], "its priority could not be changed before it was resolved: %s", k.Error)
		}
	case CancelGroup:
		for _, s := range d.sealed[k.Name] {
			if s.Outcome == OK && s.End < k.Start {
				d.violate("I8", "", "cancelling the sealed group %s was refused: %s", k.Name, k.Error)
			}
		}
	default:
		d.violate("I8", first(k.Tasks), "%s was refused: %s", k.Verb, k.Error)
	}
}

// checkLate wants that the run of a refused worker had ended when it was refused.
func (d *docket) checkLate(k *Call) {
	const slack = 200 * time.Millisecond
	item, ok := d.Final[k.Tasks[0]]
	if !ok || k.Run >= len(item.Status.Runs) {
		return
	}
	ended := item.Status.Runs[k.Run].Resolved
	if ended == nil {
		return
	}
	if at := ended.Sub(d.Began) - d.Skew; at > time.Duration(k.End)+slack {
		d.violate("I2", k.Tasks[0], "%s of run %d was refused %v before the run ended: %s", k.Verb, k.Run, at-time.Duration(k.End), k.Error)
	}
}

// everResolved reports whether a run of the task had ended when the call ended.
func (d *docket) everResolved(id string, k *Call) bool {
	for _, run := range d.Final[id].Status.Runs {
		if run.Resolved != nil && run.Resolved.Sub(d.Began)-d.Skew <= time.Duration(k.End) {
			return true
		}
	}
	return false
}

func (d *docket) wasSealed(group string, k *Call) bool {
	return slices.ContainsFunc(d.sealed[group], func(s *Call) bool { return s.Start < k.End })
}

// checkInvalid wants that a refused creation names a task that is not there, or is about to go.
func (d *docket) checkInvalid(k *Call) {
	if k.Verb == Artifact && d.gone(k.Tasks[0]) {
		return // it would outlive its task
	}
	if k.Verb != Create {
		d.violate("I8", first(k.Tasks), "%s was refused: %s", k.Verb, k.Error)
		return
	}
	inside := map[string]bool{}
	for _, id := range k.Tasks {
		inside[id] = true
	}
	for i, id := range k.Tasks {
		for _, dep := range d.Bodies[id][k.Bodies[i]].Dependencies {
			if !inside[dep] && !d.mustBeThere(dep, k) {
				return
			}
		}
	}
	d.violate("I7", k.Tasks[0], "its creation was refused: %s", k.Error)
}
