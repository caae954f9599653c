// Package jobs is the page of a repository's pushes with their tasks.
package jobs

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/ui/actions"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/logs"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Queue   *queue.Queue
	Push    *push.Log
	Cron    *cron.Calendar // nil: there is none
	Triage  *triage.Book
	Actions *actions.Pages
	Logs    *logs.Pages
	Live    *live.Live
	Log     *slog.Logger
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /jobs", ps.jobs)
	k.Page("GET /push/{repo}/{revision}", ps.oldPush)
	k.Data("GET /ui/api/jobs", ps.jobsData)
	return k.Add(markup)
}

const (
	jobsPushes = 10  // pushes of the page
	maxPushes  = 50  // that a URL may ask for
	scanPushes = 500 // looked through for an author
)

// pushJSON is a push for the script; shell/data.ts describes it.
type pushJSON struct {
	ID             int64         `json:"id"`
	Revision       string        `json:"revision"`
	Base           string        `json:"base"`
	Branch         string        `json:"branch"`
	Author         string        `json:"author"`
	Email          string        `json:"email"`
	Message        string        `json:"message"`
	Commits        []push.Commit `json:"commits"`
	Time           int64         `json:"time"`
	State          push.State    `json:"state"`
	GroupID        string        `json:"groupId"`
	Error          *push.Error   `json:"error"`
	DecisionMillis int64         `json:"decisionMillis"`
	Cells          []cell.Cell   `json:"cells"`
}

type jobsJSON struct {
	Repo   string     `json:"repo"`
	Pushes []pushJSON `json:"pushes"`
	Older  bool       `json:"older"`
}

// outline is a push for browsers without script.
type outline struct {
	pushJSON
	Rows   []cell.Row
	More   int
	Counts []cell.Tally
	Mark   string
	Word   string
}

// jobs shows the pushes of a repository with their tasks. It knows Treeherder's parameters repo,
// revision, fromchange, tochange, author, count and nojobs; the script knows those that filter.
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
		o := outline{pushJSON: p, Counts: cell.Tallies(p.Cells)}
		o.Rows, o.More = cell.Rows(p.Cells)
		o.Mark, o.Word = cell.Summarize(p.State, o.Counts)
		body[i] = o
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

func (ps *Pages) readJobs(v *page.Visit) (jobsJSON, push.Repository, error) {
	if err := v.Allow(page.SeePushes); err != nil {
		return jobsJSON{}, push.Repository{}, err
	}
	ctx := v.R.Context()
	repo, err := ps.Push.Repository(ctx, v.R.FormValue("repo"))
	if err != nil {
		if errors.Is(err, fault.NotFound) {
			err = fault.New(fault.NotFound, "There is no repository %q here.", v.R.FormValue("repo"))
		}
		return jobsJSON{}, repo, err
	}
	list, older, err := ps.choosePushes(ctx, repo.Name, v.R.URL.Query())
	if err != nil {
		return jobsJSON{}, repo, err
	}
	data := jobsJSON{Repo: repo.Name, Older: older, Pushes: make([]pushJSON, len(list))}
	byCron, err := ps.cronGroups(v, repo.Name, list)
	if err != nil {
		return data, repo, err
	}
	var g errgroup.Group
	g.SetLimit(4)
	for i, p := range list {
		data.Pushes[i] = pushJSON{
			ID: p.ID, Revision: p.Revision, Base: p.Base, Branch: p.Branch, Author: p.Author, Email: p.Email, Message: p.Message, Commits: p.Commits,
			Time: p.Time.UnixMilli(), State: p.State, GroupID: p.TaskGroupID, Error: p.Error, DecisionMillis: p.DecisionMillis, Cells: []cell.Cell{},
		}
		groups := byCron[p.ID]
		if p.TaskGroupID != "" {
			groups = append([]string{p.TaskGroupID}, groups...)
		}
		if v.R.FormValue("nojobs") != "" {
			continue
		}
		g.Go(func() error {
			for _, group := range groups {
				if err := v.Allow(scope.String("queue:list-task-group:" + group)); err != nil {
					return err
				}
				cells, _, err := cell.List(ctx, ps.Queue, group)
				if errors.Is(err, fault.NotFound) {
					continue // its tasks are not made yet, or have expired
				}
				if err != nil {
					return err
				}
				data.Pushes[i].Cells = append(data.Pushes[i].Cells, cells...)
			}
			return nil
		})
	}
	return data, repo, g.Wait()
}

// cronGroups are the task groups that jobs of .cron.yml made at pushes, by push.
func (ps *Pages) cronGroups(v *page.Visit, repo string, list []push.Push) (map[int64][]string, error) {
	if ps.Cron == nil || len(list) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(list))
	for i, p := range list {
		ids[i] = p.ID
	}
	runs, err := ps.Cron.OfPushes(v.R.Context(), repo, ids)
	out := map[int64][]string{}
	for _, r := range runs {
		out[r.PushID] = append(out[r.PushID], r.TaskGroupID)
	}
	return out, err
}

// choosePushes returns the pushes that the parameters ask for, newest first, and whether there are
// older ones.
func (ps *Pages) choosePushes(ctx context.Context, repo string, q url.Values) (list []push.Push, older bool, err error) {
	log := ps.Push
	if ids := q.Get("push"); ids != "" {
		list, err = ps.pushesByID(ctx, repo, ids)
		return list, false, err
	}
	if revision := q.Get("revision"); revision != "" {
		p, err := log.ByRevision(ctx, repo, revision)
		if errors.Is(err, fault.NotFound) {
			return nil, false, fault.New(fault.NotFound, "No push of %s ends in revision %s.", repo, revision)
		}
		return []push.Push{p}, false, err
	}
	limit := jobsPushes
	if n, err := strconv.Atoi(q.Get("count")); err == nil && n > 0 {
		limit = min(n, maxPushes)
	}
	before, _ := strconv.ParseInt(q.Get("before"), 10, 64) // not a number: from the newest on
	if to := q.Get("tochange"); to != "" && before <= 0 {
		p, err := log.ByRevision(ctx, repo, to)
		if err != nil {
			return nil, false, err
		}
		before = p.ID + 1
	}
	oldest := int64(0)
	if from := q.Get("fromchange"); from != "" {
		p, err := log.ByRevision(ctx, repo, from)
		if err != nil {
			return nil, false, err
		}
		oldest, limit = p.ID, maxPushes
	}
	wanted := authorFilter(q.Get("author"))
	for scanned := 0; len(list) <= limit && scanned < scanPushes; {
		page, err := log.List(ctx, repo, max(before, 0), maxPushes)
		if err != nil {
			return nil, false, err
		}
		for _, p := range page {
			if p.ID >= oldest && wanted(p) {
				list = append(list, p)
			}
			before = p.ID
		}
		scanned += len(page)
		if len(page) < maxPushes || before <= oldest {
			break
		}
	}
	if len(list) > limit {
		list, older = list[:limit], true
	}
	return list, older, nil
}

func (ps *Pages) pushesByID(ctx context.Context, repo, ids string) ([]push.Push, error) {
	var list []push.Push
	for i, text := range strings.Split(ids, ",") {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || i >= maxPushes {
			return nil, fault.New(fault.BadArguments, "push must be a list of at most %d numbers", maxPushes)
		}
		p, err := ps.Push.Get(ctx, repo, id)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// authorFilter is Treeherder's author parameter: part of name or address; a leading - negates.
func authorFilter(author string) func(push.Push) bool {
	text, not := strings.CutPrefix(strings.ToLower(author), "-")
	return func(p push.Push) bool {
		if text == "" {
			return true
		}
		has := strings.Contains(strings.ToLower(p.Author), text) || strings.Contains(strings.ToLower(p.Email), text)
		return has != not
	}
}

// oldPush leads from the address of a push's own page to the pushes with that one chosen.
func (ps *Pages) oldPush(v *page.Visit) error {
	return v.Redirect("/jobs?repo=" + url.QueryEscape(v.R.PathValue("repo")) + "&revision=" + url.QueryEscape(v.R.PathValue("revision")))
}
