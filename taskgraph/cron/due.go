package cron

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Branch is the branch of a project whose .cron.yml was read.
type Branch struct {
	Project string
	Branch  string // of git; "" is not asked about
}

// Verdict says of one job whether it is due, and why.
type Verdict struct {
	Job    *Job   `json:"-"`
	Name   string `json:"name"`
	Due    bool   `json:"due"`
	Reason string `json:"reason"`
}

// Due says of every job whether it is due in the slot that t is in. Jobs that are wrong for this
// project alone are told in the error; the verdicts of the others stand.
func (f *File) Due(t time.Time, b Branch) ([]Verdict, []error) {
	slot := Slot(t)
	var out []Verdict
	var wrong []error
	for _, j := range f.Jobs {
		due, reason, err := j.due(slot, b)
		if err != nil {
			wrong = append(wrong, err)
			reason = err.Error()
		}
		out = append(out, Verdict{Job: j, Name: j.Name, Due: due, Reason: reason})
	}
	return out, wrong
}

func (j *Job) due(slot time.Time, b Branch) (bool, string, error) {
	if why := j.notFor(b); why != "" {
		return false, why, nil
	}
	schedule, err := j.schedule(b.Project)
	if err != nil {
		return false, "", err
	}
	switch {
	case j.when == nil:
		return false, "it has no `when`, so it never runs by itself", nil
	case len(schedule) == 0:
		return false, "its `when` is empty: it runs only when it is started by hand or by a hook", nil
	}
	said := make([]string, len(schedule))
	for i, w := range schedule {
		if w.fits(slot) {
			return true, w.String(), nil
		}
		said[i] = w.String()
	}
	return false, "not in this slot, but " + strings.Join(said, "; or "), nil
}

// notFor says why the job is not for the branch; "" when it is.
func (j *Job) notFor(b Branch) string {
	if j.RunOnProjects != nil && !slices.Contains(j.RunOnProjects, b.Project) {
		return fmt.Sprintf("run-on-projects has %s, and this is %s", quoted(j.RunOnProjects), b.Project)
	}
	if j.RunOnGitBranches == nil || b.Branch == "" {
		return ""
	}
	for _, re := range j.RunOnGitBranches {
		if re.MatchString(strings.TrimPrefix(b.Branch, "refs/heads/")) {
			return ""
		}
	}
	return fmt.Sprintf("no expression of run-on-git-branches matches %s", b.Branch)
}

func quoted(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// horizon is how far slots are looked for: the 29th of February on a given weekday comes once in 28
// years, and in 40 where a century has no leap year.
const horizon = 41 * 366

// Next is the first slot after t in which the job is due, false without one.
func (j *Job) Next(t time.Time, b Branch) (time.Time, bool, error) {
	return j.search(Slot(t).Add(Quarter), 1, b)
}

// Previous is the last slot before the one that t is in in which the job was due, by the file as it
// stands.
func (j *Job) Previous(t time.Time, b Branch) (time.Time, bool, error) {
	return j.search(Slot(t).Add(-Quarter), -1, b)
}

// Between gives the slots after one time and up to another in which the job was due, at most limit:
// those that nobody asked about while the server was down, say.
func (j *Job) Between(after, until time.Time, b Branch, limit int) ([]time.Time, error) {
	var out []time.Time
	for t := after; len(out) < limit; {
		next, ok, err := j.Next(t, b)
		if err != nil || !ok || next.After(until) {
			return out, err
		}
		out = append(out, next)
		t = next
	}
	return out, nil
}

// search looks for a slot that fits from start on, forwards or backwards.
func (j *Job) search(start time.Time, step int, b Branch) (time.Time, bool, error) {
	if j.notFor(b) != "" {
		return time.Time{}, false, nil
	}
	schedule, err := j.schedule(b.Project)
	if err != nil || len(schedule) == 0 {
		return time.Time{}, false, err
	}
	midnight := time.Date(start.Year(), start.Month(), start.Day(), 0, 0, 0, 0, time.UTC)
	for day := range horizon {
		date := midnight.AddDate(0, 0, day*step)
		if !slices.ContainsFunc(schedule, func(w times) bool { return w.onDay(date) }) {
			continue
		}
		if slot, ok := slotOf(date, start, step, schedule); ok {
			return slot, true, nil
		}
	}
	return time.Time{}, false, nil
}

// slotsADay is how many slots a day has.
const slotsADay = int(24 * time.Hour / Quarter)

// slotOf is the first slot of the date, in the direction of step, that fits and is not before start in
// that direction.
func slotOf(date, start time.Time, step int, schedule []times) (time.Time, bool) {
	for i := range slotsADay {
		n := i
		if step < 0 {
			n = slotsADay - 1 - i
		}
		slot := date.Add(time.Duration(n) * Quarter)
		if start.Sub(slot)*time.Duration(step) > 0 {
			continue
		}
		if slices.ContainsFunc(schedule, func(w times) bool { return w.fits(slot) }) {
			return slot, true
		}
	}
	return time.Time{}, false
}
