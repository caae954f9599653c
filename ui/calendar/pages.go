package calendar

import (
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are the calendar's. They are safe for concurrent use.
type Pages struct {
	Cron  *cron.Calendar // nil: there is none
	Push  *push.Log
	Queue *queue.Queue
	Log   *slog.Logger
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /cron", ps.calendar)
	k.Page("POST /cron/run", ps.runCron)
	return k.Add(markup)
}

// seeCalendar is what seeing the calendar of .cron.yml asks for.
var seeCalendar = scope.String("cron:list")

const calendarRuns = 1000 // of the days that are shown

func (ps *Pages) calendar(v *page.Visit) error {
	if err := v.Allow(seeCalendar); err != nil {
		return err
	}
	if ps.Cron == nil {
		return page.ErrNoPage
	}
	ctx := v.R.Context()
	all, err := ps.Cron.Listing(ctx, "")
	if err != nil {
		return err
	}
	p, err := New(all, v.R.FormValue("repo"), v.R.FormValue("day"), v.R.FormValue("days") == "1")
	if err != nil {
		return err
	}
	if p.Repository != "" && !slices.Contains(p.Names, p.Repository) {
		if _, err := ps.Push.Repository(ctx, p.Repository); err != nil {
			if errors.Is(err, fault.NotFound) {
				err = fault.New(fault.NotFound, "There is no repository %q here.", p.Repository)
			}
			return err
		}
	}
	f := cron.Filter{Repository: p.Repository, Limit: calendarRuns + 1}
	f.From, f.Until = p.Span()
	runs, err := ps.Cron.Runs(ctx, f)
	if err != nil {
		return err
	}
	if p.More = len(runs) > calendarRuns; p.More {
		runs = runs[:calendarRuns]
	}
	outcomes, err := ps.cronOutcomes(v, append(p.LastRuns(), runs...))
	if err != nil {
		return err
	}
	p.Fill(runs, outcomes, func(repository, job string) bool {
		return v.Session.ClientID != "" && v.Allow(scope.String("cron:run:"+repository+":"+job)) == nil
	})
	return v.Show(http.StatusOK, page.View{Title: "Calendar", Name: "cron", Repo: p.Repository, Body: p}, nil)
}

// cronOutcomes tells how the tasks of runs stand.
func (ps *Pages) cronOutcomes(v *page.Visit, runs []cron.Run) (o Outcomes, err error) {
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
	if o.Groups, err = ps.Queue.GroupCounts(v.R.Context(), groups); err != nil {
		return o, err
	}
	statuses, err := ps.Queue.Statuses(v.R.Context(), others)
	o.Tasks = map[string]task.State{}
	for _, s := range statuses {
		o.Tasks[s.TaskID] = s.State
	}
	return o, err
}

// runCron starts a job by hand.
func (ps *Pages) runCron(v *page.Visit) error {
	if err := v.Post(); err != nil {
		return err
	}
	repo, branch, job := v.R.PostFormValue("repo"), v.R.PostFormValue("branch"), v.R.PostFormValue("job")
	if err := v.Allow(scope.String("cron:run:" + repo + ":" + job)); err != nil {
		return err
	}
	if ps.Cron == nil {
		return page.ErrNoPage
	}
	ctx := auth.Noting(v.R.Context(), auth.Record{EntityType: "cron-job", EntityID: repo + "/" + job, ClientID: v.Session.ClientID, Action: "started by hand"})
	run, err := ps.Cron.Trigger(ctx, cron.Request{
		Repository: repo, Branch: branch, Job: job, Key: v.R.PostFormValue("key"), By: v.Session.ClientID,
	})
	if err != nil {
		return err
	}
	ps.Log.InfoContext(v.R.Context(), "a job of .cron.yml is started by hand", "repository", repo, "branch", branch, "job", job, "clientId", v.Session.ClientID)
	return v.Redirect("/cron?" + url.Values{"repo": {repo}}.Encode() + "#run-" + strconv.FormatInt(run.ID, 10))
}
