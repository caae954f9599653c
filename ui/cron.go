package ui

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/calendar"
)

// seeCalendar is what seeing the calendar of .cron.yml asks for.
var seeCalendar = scope.String("cron:list")

const calendarRuns = 1000 // of the days that are shown

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
	p, err := calendar.New(all, v.r.FormValue("repo"), v.r.FormValue("day"), v.r.FormValue("days") == "1")
	if err != nil {
		return err
	}
	if p.Repository != "" && !slices.Contains(p.Names, p.Repository) {
		if _, err := u.deps.Push.Repository(ctx, p.Repository); err != nil {
			if errors.Is(err, fault.NotFound) {
				err = fault.New(fault.NotFound, "There is no repository %q here.", p.Repository)
			}
			return err
		}
	}
	f := cron.Filter{Repository: p.Repository, Limit: calendarRuns + 1}
	f.From, f.Until = p.Span()
	runs, err := u.deps.Cron.Runs(ctx, f)
	if err != nil {
		return err
	}
	if p.More = len(runs) > calendarRuns; p.More {
		runs = runs[:calendarRuns]
	}
	outcomes, err := u.cronOutcomes(v, append(p.LastRuns(), runs...))
	if err != nil {
		return err
	}
	p.Fill(runs, outcomes, func(repository, job string) bool {
		return v.session.clientID != "" && v.allow(scope.String("cron:run:"+repository+":"+job)) == nil
	})
	return v.show(http.StatusOK, view{Title: "Calendar", Name: "cron", Repo: p.Repository, Body: p}, nil)
}

// cronOutcomes tells how the tasks of runs stand.
func (u *UI) cronOutcomes(v *visit, runs []cron.Run) (o calendar.Outcomes, err error) {
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
	if o.Groups, err = u.deps.Queue.GroupCounts(v.r.Context(), groups); err != nil {
		return o, err
	}
	statuses, err := u.deps.Queue.Statuses(v.r.Context(), others)
	o.Tasks = map[string]task.State{}
	for _, s := range statuses {
		o.Tasks[s.TaskID] = s.State
	}
	return o, err
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
