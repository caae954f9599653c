package cron

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	crontab "github.com/treeline-ci/treeline/taskgraph/cron"
)

// Verdict says what became, or will become, of a slot of a job.
type Verdict string

// The verdicts.
const (
	Ran        Verdict = "ran"      // its task was made
	IsWaiting  Verdict = "waiting"  // it is about to start, or is tried again
	HasFailed  Verdict = "failed"   // it could not be started
	WasMissed  Verdict = "missed"   // nothing could start it in time
	WillRun    Verdict = "will-run" // the slot is to come
	NotDue     Verdict = "not-due"  // the file does not ask for it
	NotSettled Verdict = "unsettled"
)

// Explanation says of a job and a slot why it ran, did not, or will.
type Explanation struct {
	Repository, Branch, Job string
	Slot                    time.Time
	Verdict                 Verdict
	Reasons                 []string // sentences, the decisive one first
	Runs                    []Run    // of the slot: the clock's, and those by hand
	Previous, Next          *time.Time
}

// Why explains what became of the slot of a job that at is in. A branch or a job that is not known is a
// fault.NotFound, unless the calendar has runs of it.
func (c *Calendar) Why(ctx context.Context, repository, branch, name string, at time.Time) (Explanation, error) {
	slot := crontab.Slot(at)
	e := Explanation{Repository: repository, Branch: branch, Job: name, Slot: slot, Verdict: NotDue}
	b, err := c.branch(ctx, repository, branch)
	if err != nil {
		return e, err
	}
	if e.Runs, err = c.Runs(ctx, Filter{Repository: repository, Branch: branch, Job: name, From: slot, Until: slot.Add(crontab.Quarter)}); err != nil {
		return e, err
	}
	file, ferr := b.File()
	var job *crontab.Job
	if ferr == nil {
		job, ferr = file.Job(name)
	}
	if ferr != nil && len(e.Runs) == 0 && b.Error == nil {
		return e, fault.New(fault.NotFound, "%v (branch %s of %s, at %.12s)", ferr, branch, repository, b.Revision)
	}
	if job != nil {
		e.Previous, e.Next = moment(job.Previous(slot, b.Place())), moment(job.Next(slot, b.Place()))
	}
	if e.told() {
		return e, nil
	}
	e.unrun(b, file, job)
	return e, nil
}

func moment(t time.Time, ok bool, err error) *time.Time {
	if err != nil || !ok {
		return nil
	}
	return &t
}

// told explains by the runs of the slot; false when it has none of the clock's.
func (e *Explanation) told() bool {
	found := false
	for _, r := range e.Runs {
		verdict, reason := toldBy(r)
		if r.ByHand() {
			reason = "By hand, asked for by " + r.AskedBy + ": " + reason
		} else {
			found = true
		}
		if !r.ByHand() || !found {
			e.Verdict = verdict
		}
		e.Reasons = append(e.Reasons, reason)
	}
	return len(e.Runs) > 0
}

func toldBy(r Run) (Verdict, string) {
	why := ""
	if r.Error != nil {
		why = r.Error.String()
	}
	switch r.State {
	case Started:
		text := fmt.Sprintf("It started as task %s at revision %.12s.", r.TaskID, r.Revision)
		if r.Started != nil && !r.ByHand() {
			text = fmt.Sprintf("It started %s after its time, as task %s at revision %.12s.", r.Created.Sub(r.Slot).Round(time.Second)+r.Started.Sub(r.Created).Round(time.Second), r.TaskID, r.Revision)
		}
		if why != "" {
			text += " Its decision failed: " + why
		}
		return Ran, text
	case Failed:
		return HasFailed, "It could not be started: " + why
	case Missed:
		return WasMissed, "It was missed. " + why
	}
	if why == "" {
		return IsWaiting, "It is being started."
	}
	return IsWaiting, fmt.Sprintf("It was tried %d times and is tried again, after %s: %s", r.Attempts, when(r.RetryAfter), why)
}

// unrun explains a slot without a run.
func (e *Explanation) unrun(b Branch, file *crontab.File, job *crontab.Job) {
	say := func(v Verdict, format string, args ...any) {
		e.Verdict = v
		e.Reasons = append(e.Reasons, fmt.Sprintf(format, args...))
	}
	if job == nil {
		say(NotDue, "Its file cannot be used: %s", b.Error)
		return
	}
	due, reason := false, ""
	verdicts, _ := file.Due(e.Slot, b.Place()) // the verdict has the error
	for _, v := range verdicts {
		if v.Name == job.Name {
			due, reason = v.Due, v.Reason
		}
	}
	switch {
	case !due && e.Slot.After(b.DoneUntil):
		say(NotDue, "It will not run: %s.", reason)
	case !due:
		say(NotDue, "It was not due: %s.", reason)
	case e.Slot.After(b.Now):
		say(WillRun, "It will run: %s.", reason)
	case e.Slot.After(b.DoneUntil) && b.Error != nil:
		say(NotSettled, "The slot is not settled yet: %s Tried %d times; tried again after %s.", b.Error, b.Failures, when(b.RetryAfter))
	case e.Slot.After(b.DoneUntil):
		say(NotSettled, "The slot is not settled yet; that is done within minutes of its beginning.")
	default:
		say(NotDue, "It is due then by the file of today (%.12s), but was not by the file at the time, or the branch was not followed yet.", b.Revision)
	}
	if b.Error != nil && b.Failures == 0 {
		e.Reasons = append(e.Reasons, "The file has errors: "+b.Error.String())
	}
}
