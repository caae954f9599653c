package ui

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// seeCalendar is what seeing the calendar of .cron.yml asks for.
var seeCalendar = scope.String("cron:list")

// Bounds of the calendar's page.
const (
	calendarWeek = 7
	calendarRuns = 1000 // of the days that are shown
)

// calendarPage is what the page shows.
type calendarPage struct {
	Now        time.Time
	Repository string
	Names      []string // of the repositories that are followed
	Days       []calendarDay
	Week       bool
	From       string // first day
	Today      string
	Before     string // addresses of other days
	After      string
	OneDay     string
	OneWeek    string
	More       bool // runs than are shown
	Broken     []cron.Branch
	Jobs       []calendarJob
	Followed   int
}

// calendarJob is a job with what the visitor may do.
type calendarJob struct {
	cron.Job
	MayRun bool
	Key    string // of the button: pressed twice, it starts the job once
	State  string // of the last run
	Word   string
	Link   string // of the last run
}

// calendarDay is a day with what ran and will run.
type calendarDay struct {
	Name    string // as people say it
	Date    string
	Entries []calendarEntry
}

// calendarEntry is a time of a job.
type calendarEntry struct {
	Slot   time.Time
	Clock  string
	Repo   string
	Branch string
	Job    string
	Run    *cron.Run // nil when it is to come
	State  string
	Word   string
	Link   string
	Counts []tally
	Error  string
}

func (u *UI) calendar(v *visit) error {
	if err := v.allow(seeCalendar); err != nil {
		return err
	}
	if u.deps.Cron == nil {
		return errNoPage
	}
	ctx := v.r.Context()
	all, err := u.deps.Cron.Listing(ctx, "")
	if err != nil {
		return err
	}
	p := calendarPage{Now: all.Now, Repository: v.r.FormValue("repo"), Week: v.r.FormValue("days") != "1"}
	for _, b := range all.Branches {
		if !slices.Contains(p.Names, b.Repository) {
			p.Names = append(p.Names, b.Repository)
		}
	}
	if p.Repository != "" && !slices.Contains(p.Names, p.Repository) {
		if _, err := u.deps.Push.Repository(ctx, p.Repository); err != nil {
			if errors.Is(err, fault.NotFound) {
				err = fault.New(fault.NotFound, "There is no repository %q here.", p.Repository)
			}
			return err
		}
	}
	shown := all.Of(p.Repository)
	p.Followed = len(shown.Branches)
	for _, b := range shown.Branches {
		if b.Error != nil {
			p.Broken = append(p.Broken, b)
		}
	}
	from, until, err := p.span(v.r.FormValue("day"))
	if err != nil {
		return err
	}
	runs, err := u.deps.Cron.Runs(ctx, cron.Filter{Repository: p.Repository, From: from, Until: until, Limit: calendarRuns + 1})
	if err != nil {
		return err
	}
	if p.More = len(runs) > calendarRuns; p.More {
		runs = runs[:calendarRuns]
	}
	last := make([]cron.Run, 0, len(shown.Jobs))
	for _, j := range shown.Jobs {
		if j.Last != nil {
			last = append(last, *j.Last)
		}
	}
	entries, err := u.entriesOf(v, append(runs, last...))
	if err != nil {
		return err
	}
	n := len(runs)
	p.fill(v, shown, from, until, entries[:n:n], entries[n:])
	return v.show(http.StatusOK, view{Title: "Calendar", Name: "cron", Repo: p.Repository, Body: p}, nil)
}

// span reads the day that is asked for, today without one, and makes the addresses of others.
func (p *calendarPage) span(day string) (from, until time.Time, err error) {
	today := p.Now.UTC().Truncate(24 * time.Hour)
	if from = today; p.Week {
		from = today.AddDate(0, 0, -2) // what ran last stands with what is to come
	}
	if day != "" {
		if from, err = time.Parse(time.DateOnly, day); err != nil {
			return from, until, fault.New(fault.BadArguments, "The day %q is none; write it as 2026-03-02.", day)
		}
	}
	n := 1
	if p.Week {
		n = calendarWeek
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
	p.OneDay, p.OneWeek = at(today, 1), at(today.AddDate(0, 0, -2), calendarWeek)
	return from, from.AddDate(0, 0, n), nil
}

// entriesOf tells how runs stand, with the tasks that came of them.
func (u *UI) entriesOf(v *visit, runs []cron.Run) ([]calendarEntry, error) {
	var groups, others []string
	for _, r := range runs {
		switch {
		case r.State != cron.Started:
		case r.TaskGroupID != "":
			groups = append(groups, r.TaskGroupID)
		default:
			others = append(others, r.TaskID)
		}
	}
	counts, err := u.deps.Queue.GroupCounts(v.r.Context(), groups)
	if err != nil {
		return nil, err
	}
	statuses, err := u.deps.Queue.Statuses(v.r.Context(), others)
	if err != nil {
		return nil, err
	}
	states := map[string]task.State{}
	for _, s := range statuses {
		states[s.TaskID] = s.State
	}
	out := make([]calendarEntry, len(runs))
	for i, r := range runs {
		out[i] = entryOf(&runs[i], counts[r.TaskGroupID], states[r.TaskID])
	}
	return out, nil
}

func entryOf(r *cron.Run, counts queue.Counts, state task.State) calendarEntry {
	e := calendarEntry{Slot: r.Slot, Clock: r.Slot.UTC().Format("15:04"), Repo: r.Repository, Branch: r.Branch, Job: r.Job, Run: r}
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
		e.Link, e.Counts = "/tasks/groups/"+r.TaskGroupID, talliesOfCounts(counts)
		e.State, e.Word = standing(e.Counts)
		if e.State != "failed" {
			e.Error = "" // the decision was run again since, and went well
		}
	}
	return e
}

// standing tells the state of a group in a word.
func standing(counts []tally) (state, word string) {
	n := map[string]int{}
	for _, t := range counts {
		n[t.State] = t.N
	}
	switch {
	case n["failed"]+n["exception"] > 0:
		return "failed", "failed"
	case n["running"]+n["pending"]+n["unscheduled"] > 0:
		return "running", "in progress"
	case n["cancelled"] > 0:
		return "cancelled", "cancelled"
	case len(counts) == 0:
		return "passed", "done" // its tasks have expired
	}
	return "passed", "passed"
}

// fill sorts what ran and what is to come into days.
func (p *calendarPage) fill(v *visit, l cron.Listing, from, until time.Time, ran, last []calendarEntry) {
	for _, c := range l.Coming(later(from, p.Now), until) {
		ran = append(ran, calendarEntry{
			Slot: c.Slot, Clock: c.Slot.Format("15:04"), Repo: c.Repository, Branch: c.Branch, Job: c.Job, State: "unscheduled", Word: "to come",
		})
	}
	slices.SortStableFunc(ran, func(a, b calendarEntry) int {
		return cmp.Or(a.Slot.Compare(b.Slot), cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Branch, b.Branch), cmp.Compare(a.Job, b.Job))
	})
	for day := from; day.Before(until); day = day.AddDate(0, 0, 1) {
		d := calendarDay{Date: day.Format(time.DateOnly), Name: day.Format("Monday, 2 January")}
		for _, e := range ran {
			if !e.Slot.Before(day) && e.Slot.Before(day.AddDate(0, 0, 1)) {
				d.Entries = append(d.Entries, e)
			}
		}
		p.Days = append(p.Days, d)
	}
	i := 0
	for _, j := range l.Jobs {
		c := calendarJob{Job: j, MayRun: v.session.clientID != "" && v.allow(scope.String("cron:run:"+j.Repository+":"+j.Name)) == nil, Key: slug.New()}
		if j.Last != nil {
			c.State, c.Word, c.Link = last[i].State, last[i].Word, last[i].Link
			i++
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

// runCron starts a job by hand.
func (u *UI) runCron(v *visit) error {
	if err := v.post(); err != nil {
		return err
	}
	repo, branch, job := v.r.PostFormValue("repo"), v.r.PostFormValue("branch"), v.r.PostFormValue("job")
	if err := v.allow(scope.String("cron:run:" + repo + ":" + job)); err != nil {
		return err
	}
	if u.deps.Cron == nil {
		return errNoPage
	}
	run, err := u.deps.Cron.Trigger(v.r.Context(), cron.Request{
		Repository: repo, Branch: branch, Job: job, Key: v.r.PostFormValue("key"), By: v.session.clientID,
	})
	if err != nil {
		return err
	}
	u.log.InfoContext(v.r.Context(), "a job of .cron.yml is started by hand", "repository", repo, "branch", branch, "job", job, "clientId", v.session.clientID)
	return v.redirect("/cron?" + url.Values{"repo": {repo}}.Encode() + "#run-" + strconv.FormatInt(run.ID, 10))
}
