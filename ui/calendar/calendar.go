// Package calendar makes what the page of .cron.yml shows: days with what ran and will run, and jobs. It
// asks nothing of anybody.
package calendar

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

const week = 7

// Page is what the page shows.
type Page struct {
	Now        time.Time
	Repository string
	Names      []string // of the repositories that are followed
	Days       []Day
	Week       bool
	From       string // first day
	Today      string
	Before     string // addresses of other days
	After      string
	OneDay     string
	OneWeek    string
	More       bool // runs than are shown
	Broken     []cron.Branch
	Jobs       []Job
	Followed   int

	listing     cron.Listing
	first, last time.Time
}

// Job is a job with what the visitor may do.
type Job struct {
	cron.Job
	MayRun bool
	Key    string // of the button: pressed twice, it starts the job once
	State  string // of the last run
	Word   string
	Link   string // of the last run
}

// Day is a day with what ran and will run.
type Day struct {
	Name    string // as people say it
	Date    string
	Entries []Entry
}

// Entry is a time of a job.
type Entry struct {
	Slot   time.Time
	Clock  string
	Repo   string
	Branch string
	Job    string
	Run    *cron.Run // nil when it is to come
	State  string    // as of a task, for its mark
	Word   string
	Link   string
	Error  string
}

// New begins a page of a repository, with "" of all, for the days that are asked for: a week around today
// when day is "", else one day or the week that begins with it.
func New(all cron.Listing, repository, day string, oneDay bool) (*Page, error) {
	p := &Page{Now: all.Now, Repository: repository, Week: !oneDay, listing: all.Of(repository)}
	for _, b := range all.Branches {
		if !slices.Contains(p.Names, b.Repository) {
			p.Names = append(p.Names, b.Repository)
		}
	}
	p.Followed = len(p.listing.Branches)
	for _, b := range p.listing.Branches {
		if b.Error != nil {
			p.Broken = append(p.Broken, b)
		}
	}
	return p, p.span(day)
}

// Span is the time that the days of the page take: from the one to before the other.
func (p *Page) Span() (from, until time.Time) { return p.first, p.last }

// span reads the day that is asked for, today without one, and makes the addresses of others.
func (p *Page) span(day string) error {
	today := p.Now.UTC().Truncate(24 * time.Hour)
	from := today
	if p.Week {
		from = today.AddDate(0, 0, -2) // what ran last stands with what is to come
	}
	if day != "" {
		var err error
		if from, err = time.Parse(time.DateOnly, day); err != nil {
			return fault.New(fault.BadArguments, "The day %q is none; write it as 2026-03-02.", day)
		}
	}
	n := 1
	if p.Week {
		n = week
	}
	at := func(first time.Time, days int) string {
		q := url.Values{"day": {first.Format(time.DateOnly)}, "days": {strconv.Itoa(days)}}
		if p.Repository != "" {
			q.Set("repo", p.Repository)
		}
		return "/cron?" + q.Encode()
	}
	p.From, p.Today = from.Format(time.DateOnly), today.Format(time.DateOnly)
	p.Before, p.After = at(from.AddDate(0, 0, -n), n), at(from.AddDate(0, 0, n), n)
	p.OneDay, p.OneWeek = at(today, 1), at(today.AddDate(0, 0, -2), week)
	p.first, p.last = from, from.AddDate(0, 0, n)
	return nil
}

// LastRuns are the last runs of the jobs, whose state the page tells.
func (p *Page) LastRuns() (list []cron.Run) {
	for _, j := range p.listing.Jobs {
		if j.Last != nil {
			list = append(list, *j.Last)
		}
	}
	return list
}

// Outcomes is what became of the tasks of runs.
type Outcomes struct {
	Groups map[string]queue.Counts
	Tasks  map[string]task.State
}

func (o Outcomes) entry(r *cron.Run) Entry {
	state := o.Tasks[r.TaskID]
	e := Entry{Slot: r.Slot, Clock: r.Slot.UTC().Format("15:04"), Repo: r.Repository, Branch: r.Branch, Job: r.Job, Run: r}
	if r.Error != nil {
		e.Error = r.Error.String()
	}
	switch r.State {
	case cron.Waiting:
		e.State, e.Word = "pending", "starting"
		if e.Error != "" {
			e.Word = "tried again"
		}
	case cron.Missed:
		e.State, e.Word = "cancelled", "missed"
	case cron.Failed:
		e.State, e.Word = "failed", "not started"
	case cron.Started:
		if r.TaskGroupID == "" {
			e.Link, e.State, e.Word = "/tasks/"+r.TaskID, "passed", cmp.Or(string(state), "done")
			if state != task.Completed && state != "" {
				e.State = string(state)
			}
			return e
		}
		e.Link = "/tasks/groups/" + r.TaskGroupID
		e.State, e.Word = standing(o.Groups[r.TaskGroupID])
		if e.State != "failed" {
			e.Error = "" // the decision was run again since, and went well
		}
	}
	return e
}

// standing tells the state of a group in a word.
func standing(n queue.Counts) (state, word string) {
	total := 0
	for _, k := range n {
		total += k
	}
	switch {
	case n[task.Failed]+n[task.Exception] > 0:
		return "failed", "failed"
	case n[task.Running]+n[task.Pending]+n[task.Unscheduled] > 0:
		return "running", "in progress"
	case total == 0:
		return "passed", "done" // its tasks have expired
	}
	return "passed", "passed"
}

// Fill sorts what ran and what is to come into days.
func (p *Page) Fill(runs []cron.Run, o Outcomes, mayRun func(repository, job string) bool) {
	ran := make([]Entry, len(runs))
	for i := range runs {
		ran[i] = o.entry(&runs[i])
	}
	for _, c := range p.listing.Coming(later(p.first, p.Now), p.last) {
		ran = append(ran, Entry{
			Slot: c.Slot, Clock: c.Slot.Format("15:04"), Repo: c.Repository, Branch: c.Branch, Job: c.Job, State: "unscheduled", Word: "to come",
		})
	}
	slices.SortStableFunc(ran, func(a, b Entry) int {
		return cmp.Or(a.Slot.Compare(b.Slot), cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Branch, b.Branch), cmp.Compare(a.Job, b.Job))
	})
	for day := p.first; day.Before(p.last); day = day.AddDate(0, 0, 1) {
		d := Day{Date: day.Format(time.DateOnly), Name: day.Format("Monday, 2 January")}
		for _, e := range ran {
			if !e.Slot.Before(day) && e.Slot.Before(day.AddDate(0, 0, 1)) {
				d.Entries = append(d.Entries, e)
			}
		}
		p.Days = append(p.Days, d)
	}
	for _, j := range p.listing.Jobs {
		c := Job{Job: j, MayRun: mayRun(j.Repository, j.Name), Key: slug.New()}
		if j.Last != nil {
			e := o.entry(j.Last)
			c.State, c.Word, c.Link = e.State, e.Word, e.Link
		}
		p.Jobs = append(p.Jobs, c)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b.UTC()
}
