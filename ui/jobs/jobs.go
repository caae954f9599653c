// Package jobs is the page of a repository's pushes with their tasks, and what people do there with many at once.
package jobs

import (
	"context"
	"embed"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/triage/bugs"
	"github.com/treeline-ci/treeline/ui/actions"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Queue  *queue.Queue
	Push   *push.Log
	Cron   *cron.Calendar // nil: there is none
	Triage *triage.Book
	// Failures is what is remembered of how tasks fail.
	Failures *failures.Failures
	Objects  *object.Store // the list of what a push could run is read from it
	Actions  *actions.Pages
	// Bugs is the bug tracker; nil: there is none.
	Bugs bugs.Tracker
	// Filings is where people have bugs filed; nil without a tracker.
	Filings *bugs.Register
	// Prices are what an hour of a worker of each pool costs, for pools that say it, and in which currency; nil: nothing is
	// known of costs.
	Prices func(ctx context.Context, pools []string) (map[string]float64, string, error)
	Live   *live.Live
	Log    *slog.Logger

	shelf *cell.Shelf
	plans plans
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	ps.shelf = &cell.Shelf{Queue: ps.Queue}
	k.Page("GET /jobs", ps.jobs)
	k.Data("GET /ui/api/jobs", ps.jobsData)
	k.Data("POST /ui/api/jobs/act/{act}", ps.act)
	k.Data("POST /ui/api/jobs/classify", ps.classify)
	k.Data("POST /ui/api/jobs/undo", ps.undo)
	k.Data("GET /ui/api/jobs/said/{task}", ps.said)
	k.Data("GET /ui/api/jobs/failure/{task}", ps.failure)
	k.Data("GET /ui/api/jobs/similar", ps.similar)
	k.Data("GET /ui/api/jobs/bugs/{task}", ps.suggest)
	k.Data("POST /ui/api/jobs/bugs/{task}", ps.file)
	k.Data("GET /ui/api/jobs/tests/{group}", ps.tests)
	k.Data("GET /ui/api/jobs/labels/{group}", ps.labels)
	k.Data("GET /ui/api/jobs/runnable/{group}", ps.runnable)
	k.Data("POST /ui/api/jobs/estimate/{group}", ps.estimate)
	k.Data("POST /ui/api/jobs/add/{group}", ps.addJobs)
	return k.Add(markup)
}

// outline is a push for browsers without script.
type outline struct {
	pushJSON
	Rows   []cell.Row
	More   int
	Total  int
	Counts []cell.Tally
	Mark   string
	Word   string
}

func outlineOf(p pushJSON) outline {
	o := outline{pushJSON: p}
	for _, state := range cell.States() {
		if n := p.Counts[state]; n > 0 {
			o.Counts = append(o.Counts, cell.Tally{State: state, N: n})
			o.Total += n
		}
	}
	o.Rows, o.More = cell.Rows(p.cells)
	if p.Columns == nil {
		o.More = o.Total
	}
	o.Mark, o.Word = cell.Summarize(p.State, o.Counts)
	return o
}

// jobs shows the pushes of a repository with their tasks. It knows Treeherder's parameters of which pushes; the script
// knows those that filter.
func (ps *Pages) jobs(v *page.Visit) error {
	if v.R.FormValue("repo") == "" {
		return v.Redirect("/")
	}
	stream := ps.Live.Path(v, "repo="+url.QueryEscape(v.R.FormValue("repo")))
	data, repo, err := ps.readJobs(v)
	if err != nil {
		return err
	}
	body := make([]outline, len(data.Pushes))
	for i, p := range data.Pushes {
		body[i] = outlineOf(p)
	}
	return v.Show(http.StatusOK, page.View{
		Title: repo.Name, Name: "jobs", Repo: repo.Name, Stream: stream,
		Body: struct {
			Repo   push.Repository
			Pushes []outline
			Older  int64
			Only   bool // one revision or author is chosen
		}{repo, body, olderThan(data), v.R.FormValue("revision") != "" || v.R.FormValue("author") != ""},
	}, data)
}

func olderThan(d jobsJSON) int64 {
	if !d.Older {
		return 0
	}
	return d.Pushes[len(d.Pushes)-1].ID
}

func (ps *Pages) jobsData(v *page.Visit) (any, error) {
	data, _, err := ps.readJobs(v)
	return data, err
}
