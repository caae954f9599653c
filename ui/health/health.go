// Package health is the page of a push: whether it broke something, with its failures told apart into new, known,
// flaky ones and those of the machines (docs/explanation/push-health.md).
package health

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/ui/again"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Queue    *queue.Queue
	Push     *push.Log
	Failures *failures.Failures
	Triage   *triage.Book
	Again    *again.Again
	Live     *live.Live
	Prices   Prices // nil: nothing is known of costs
	Tracker  string // what the bug tracker is called; "" for none
}

// Register adds the pages to a kit, with the addresses that Treeherder had for them.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /push/{repo}/{revision}", ps.page)
	k.Data("GET /ui/api/push/{repo}/{revision}", func(v *page.Visit) (any, error) {
		d, _, err := ps.read(v, v.R.FormValue("all") != "")
		return d, err
	})
	k.Data("POST /ui/api/push/{repo}/{revision}/retrigger", ps.retrigger)
	for _, old := range []string{"/push-health", "/push-health/push", "/push-health/usage", "/pushhealth.html"} {
		k.Page("GET "+old, ps.old)
	}
	k.Page("GET /project/{repo}/push/health/{$}", ps.old)
	return k.Add(markup)
}

// old leads from Treeherder's addresses to ours; without a revision to the pushes of the repository.
func (ps *Pages) old(v *page.Visit) error {
	repo, revision := cmp.Or(v.R.PathValue("repo"), v.R.FormValue("repo")), v.R.FormValue("revision")
	switch {
	case repo == "":
		return v.Redirect("/")
	case revision == "":
		return v.Redirect("/jobs?repo=" + url.QueryEscape(repo))
	}
	return v.Redirect(Path(repo, revision))
}

// Path is the page of a push.
func Path(repo, revision string) string {
	return "/push/" + url.PathEscape(repo) + "/" + url.PathEscape(revision)
}

// data is the page for the script; shell/data.ts describes it.
type data struct {
	Repo       string            `json:"repo"`
	ID         int64             `json:"id"`
	Revision   string            `json:"revision"`
	Branch     string            `json:"branch"`
	Author     string            `json:"author"`
	Subject    string            `json:"subject"`
	Time       int64             `json:"time"`
	GroupID    string            `json:"groupId"`
	State      string            `json:"state"`
	Error      *push.Error       `json:"error"`
	Commits    []commit          `json:"commits"`
	Base       baseJSON          `json:"base"`
	Verdict    verdict           `json:"verdict"`
	Groups     []*failures.Group `json:"groups"`
	More       int               `json:"more"` // groups that are left out
	Counts     map[string]int    `json:"counts"`
	Jobs       []jobs            `json:"jobs"`
	Tasks      map[string]int    `json:"tasks"`   // of the push, by state
	Running    int               `json:"running"` // that are still to end
	Reading    int               `json:"reading"`
	Figures    *figures          `json:"figures"` // null before there are tasks
	CanTrigger bool              `json:"canTrigger"`
	Tracker    string            `json:"tracker"` // what the bug tracker is called; "" for none
}

type commit struct {
	Revision string `json:"revision"`
	Author   string `json:"author"`
	Subject  string `json:"subject"`
}

// baseJSON is the push that this one is compared with.
type baseJSON struct {
	Revision   string `json:"revision"`
	Chosen     bool   `json:"chosen"` // by the visitor; else it is the parent
	Known      bool   `json:"known"`
	Unfinished int    `json:"unfinished"` // -1: nothing is decided yet
}

// jobs is how one sort of tasks did.
type jobs struct {
	Job    string `json:"job"`
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
	Lost   int    `json:"lost"`
}

// maxGroups is how many rows the page has without being asked for all.
const maxGroups = 60

func (ps *Pages) page(v *page.Visit) error {
	p, err := ps.push(v)
	if err != nil {
		return err
	}
	if p.Revision != v.R.PathValue("revision") { // a beginning of it
		to := Path(p.Repository, p.Revision)
		if q := v.R.URL.RawQuery; q != "" {
			to += "?" + q
		}
		return v.Redirect(to)
	}
	stream := ps.Live.Path(v, url.Values{"group": {p.TaskGroupID}, "repo": {p.Repository}}.Encode())
	if p.TaskGroupID == "" {
		stream = ps.Live.Path(v, url.Values{"repo": {p.Repository}}.Encode())
	}
	d, _, err := ps.read(v, v.R.FormValue("all") != "")
	if err != nil {
		return err
	}
	body := struct {
		data
		CSRF, Tab string
		Sections  []section
	}{d, v.Session.CSRF(), v.R.FormValue("tab"), d.sections(v.R.FormValue("tab"))}
	return v.Show(http.StatusOK, page.View{Title: "Health of " + d.Subject, Name: "health", Main: "wide", Repo: d.Repo, Stream: stream, Body: body}, d)
}

// push finds the push of the address.
func (ps *Pages) push(v *page.Visit) (push.Push, error) {
	if err := v.Allow(page.SeePushes); err != nil {
		return push.Push{}, err
	}
	repo, revision := v.R.PathValue("repo"), v.R.PathValue("revision")
	p, err := ps.Push.ByRevision(v.R.Context(), repo, revision)
	if errors.Is(err, fault.NotFound) {
		return p, fault.New(fault.NotFound, "No push of %s with the revision %s is known here.", repo, revision)
	}
	return p, err
}

func (ps *Pages) read(v *page.Visit, all bool) (data, push.Push, error) {
	ctx := v.R.Context()
	p, err := ps.push(v)
	if err != nil {
		return data{}, p, err
	}
	if err := v.Allow(scope.String("queue:list-task-group:" + p.TaskGroupID)); p.TaskGroupID != "" && err != nil {
		return data{}, p, err
	}
	d := data{
		Repo: p.Repository, ID: p.ID, Revision: p.Revision, Branch: p.Branch, Author: p.Author, Time: p.Time.UnixMilli(), GroupID: p.TaskGroupID,
		State: string(p.State), Error: p.Error, Commits: []commit{}, Groups: []*failures.Group{}, Counts: map[string]int{}, Jobs: []jobs{}, Tasks: map[string]int{},
		CanTrigger: v.Session.ClientID != "", Tracker: ps.Tracker,
	}
	d.Subject, _, _ = strings.Cut(p.Message, "\n")
	for _, c := range p.Commits {
		subject, _, _ := strings.Cut(c.Message, "\n")
		d.Commits = append(d.Commits, commit{c.Revision, c.Author, subject})
	}
	parent, err := ps.base(ctx, v, p, &d)
	if err != nil {
		return d, p, err
	}
	if err := ps.count(ctx, p, parent, &d); err != nil {
		return d, p, err
	}
	base := failures.Base{ID: parent.ID, Revision: d.Base.Revision, Known: d.Base.Known, Unfinished: d.Base.Unfinished}
	h, err := ps.Failures.Health(ctx, p.Repository, p.ID, base, ps.said)
	if err != nil {
		return d, p, err
	}
	for _, j := range h.Jobs {
		d.Jobs = append(d.Jobs, jobs(j))
	}
	slices.SortStableFunc(d.Jobs, func(a, b jobs) int { return cmp.Compare(jobRank(a.Job), jobRank(b.Job)) })
	d.Reading = h.Reading
	for _, g := range h.Groups {
		d.Counts[string(g.Kind)]++
	}
	if d.Figures, err = ps.figures(ctx, p); err != nil {
		return d, p, err
	}
	d.Verdict = d.judge()
	d.Groups = append(d.Groups, h.Groups...)
	if !all {
		d.More = max(len(d.Groups)-maxGroups, 0)
		d.Groups = d.Groups[:min(len(d.Groups), maxGroups)]
	}
	return d, p, nil
}

func jobRank(job string) int {
	return slices.Index([]string{"build", "lint", "test", "other"}, job)
}

// base finds the push that this one is compared with: what ?base= says, else the parent.
func (ps *Pages) base(ctx context.Context, v *page.Visit, p push.Push, d *data) (push.Push, error) {
	d.Base.Revision = p.Base
	if chosen := v.R.FormValue("base"); chosen != "" {
		d.Base.Revision, d.Base.Chosen = chosen, true
	}
	if d.Base.Revision == "" {
		return push.Push{}, nil
	}
	parent, err := ps.Push.AtRevision(ctx, p.Repository, p.Branch, d.Base.Revision)
	if errors.Is(err, fault.NotFound) {
		parent, err = ps.Push.ByRevision(ctx, p.Repository, d.Base.Revision)
	}
	if errors.Is(err, fault.NotFound) {
		if d.Base.Chosen {
			return push.Push{}, fault.New(fault.NotFound, "No push of %s with the revision %s is known here to compare with.", p.Repository, d.Base.Revision)
		}
		return push.Push{}, nil
	}
	d.Base.Known, d.Base.Revision = err == nil, cmp.Or(parent.Revision, d.Base.Revision)
	return parent, err
}

// count counts the tasks of both pushes.
func (ps *Pages) count(ctx context.Context, p, parent push.Push, d *data) error {
	var groups []string
	for _, of := range []push.Push{p, parent} {
		if of.TaskGroupID != "" {
			groups = append(groups, of.TaskGroupID)
		}
	}
	counts, err := ps.Queue.GroupCounts(ctx, groups)
	if err != nil {
		return err
	}
	for state, n := range counts[p.TaskGroupID] {
		d.Tasks[string(state)] = n
	}
	d.Running = open(counts[p.TaskGroupID])
	switch {
	case !d.Base.Known:
	case parent.State == push.Received || parent.State == push.Deciding:
		d.Base.Unfinished = -1
	default:
		d.Base.Unfinished = open(counts[parent.TaskGroupID])
	}
	return nil
}

// open counts the tasks that have not ended.
func open(c queue.Counts) int { return c[task.Unscheduled] + c[task.Pending] + c[task.Running] }

// said tells failures what people have classified tasks as.
func (ps *Pages) said(ctx context.Context, ids []string) (map[string]failures.Said, error) {
	found, err := ps.Triage.Of(ctx, ids)
	out := make(map[string]failures.Said, len(found))
	for id, c := range found {
		out[id] = failures.Said{Class: c.Class.Name(), Infra: c.Class == triage.Infra, Settled: c.Class.Settled(), Bug: c.Bug, Note: c.Note, By: c.By}
	}
	return out, err
}

// retrigger makes tasks of a signature again: on each chosen platform one that failed so, a number of times.
func (ps *Pages) retrigger(v *page.Visit) (any, error) {
	answer, err := ps.tryRetrigger(v)
	return v.Answer(answer, err, Path(v.R.PathValue("repo"), v.R.PathValue("revision")))
}

func (ps *Pages) tryRetrigger(v *page.Visit) (any, error) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 64<<10)
	if err := v.Post(); err != nil {
		return nil, err
	}
	times, err := again.Times(v.R.PostFormValue("times"))
	if err != nil {
		return nil, err
	}
	d, _, err := ps.read(v, true)
	if err != nil {
		return nil, err
	}
	signature := v.R.PostFormValue("signature")
	i := slices.IndexFunc(d.Groups, func(g *failures.Group) bool { return g.Signature == signature })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "This push has no failure of the signature %.40q any more.", signature)
	}
	var ids []string
	done := map[string]bool{}
	for _, t := range d.Groups[i].Tasks {
		if chosen := v.R.PostForm["platform"]; (len(chosen) == 0 || slices.Contains(chosen, t.Platform)) && !done[t.Platform] {
			done[t.Platform] = true
			ids = append(ids, t.TaskID)
		}
	}
	if len(ids) == 0 {
		return nil, fault.New(fault.Invalid, "It did not fail on any of these platforms.")
	}
	made, err := ps.Again.Tasks(v, ids, times)
	if err != nil {
		return nil, err
	}
	return map[string]any{"tasks": made, "message": fmt.Sprintf("%s made.", plural(len(made), "task is", "tasks are"))}, nil
}
