package cron

import (
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/cron"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// entry is a slot of a job that is to be entered into the calendar.
type entry struct {
	job    *cron.Job
	slot   time.Time
	missed string // why it will not start; "" when it will
}

// maxMissed bounds how many missed slots of a job are entered at once: a day of a job of every slot.
const maxMissed = 96

// plan says what is to become of the slots after done, up to now's. Of those in which a job was due, the
// newest starts, if it is not too late for it; what was missed before is told. Jobs that are wrong for
// this branch alone are told in the errors.
func plan(f *cron.File, b cron.Branch, done, now time.Time) (out []entry, wrong []error) {
	for _, j := range f.Jobs {
		var newest time.Time
		for slot, n := now.Add(cron.Quarter), 0; n <= maxMissed; n++ {
			at, ok, err := j.Previous(slot, b)
			if err != nil {
				wrong = append(wrong, err)
			}
			if err != nil || !ok || !at.After(done) {
				break
			}
			slot = at
			e := entry{job: j, slot: at}
			if n == 0 {
				newest = at
			}
			switch {
			case now.Sub(newest) > Late:
				e.missed = fmt.Sprintf("Nothing could start it within %d hours of its time.", int(Late.Hours()))
			case n > 0:
				e.missed = "Nothing could start it in time; the start of " + when(newest) + " stands for it."
			}
			out = append(out, e)
		}
	}
	return out, wrong
}

// dueAt reports whether any job is due in a slot.
func dueAt(f *cron.File, b cron.Branch, slot time.Time) bool {
	verdicts, _ := f.Due(slot, b) // what is wrong was told when the file was read
	for _, v := range verdicts {
		if v.Due {
			return true
		}
	}
	return false
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// FileError tells what is wrong with a .cron.yml; nil when nothing is. The first fault is the error, and
// all are its detail.
func FileError(err error) *Error {
	if err == nil {
		return nil
	}
	all := graph.Errors(err)
	if len(all) == 0 {
		return &Error{Code: "bad-file", File: cron.Name, Message: err.Error()}
	}
	first := all[0]
	e := &Error{Code: "bad-file", File: first.File, Line: first.Line, Message: (&graph.Error{Label: first.Label, Message: first.Message, Err: first.Err}).Error()}
	for _, other := range all[1:] {
		e.Detail += other.Error() + "\n"
	}
	return e
}
