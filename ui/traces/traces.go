// Package traces is the page of a push's trace: a waterfall of everything that happened, with why things waited and the
// critical path. It shows what the exporter of package trace/export sends.
package traces

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/trace"
	"github.com/treeline-ci/treeline/trace/otlp"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Record *push.Log
	Live   *live.Live
	// Group and Push make traces; a fault.NotFound for what is not there.
	Group   func(ctx context.Context, taskGroupID string) (*trace.Trace, error)
	Push    func(ctx context.Context, repository string, id int64) (*trace.Trace, error)
	Version string
}

// fileName is what the last part of the address of a download is called.
const fileName = "trace.otlp.json"

// Register adds the pages to a kit. A trace can be had of a push, and of a task group, which need not belong to one.
func (ps *Pages) Register(k *page.Kit) error {
	for _, at := range []string{"/push/{repo}/{revision}", "/tasks/groups/{group}"} {
		k.Page("GET "+at+"/trace", ps.page)
		k.Data("GET "+at+"/"+fileName, ps.file)
	}
	data := func(v *page.Visit) (any, error) {
		t, err := ps.read(v)
		if err != nil {
			return nil, err
		}
		return t.View(), nil
	}
	k.Data("GET /ui/api/push/{repo}/{revision}/trace", data)
	k.Data("GET /ui/api/groups/{group}/trace", data)
	return k.Add(markup)
}

// read makes the trace that an address names.
func (ps *Pages) read(v *page.Visit) (*trace.Trace, error) {
	ctx, group := v.R.Context(), v.R.PathValue("group")
	if group == "" {
		if err := v.Allow(page.SeePushes); err != nil {
			return nil, err
		}
		p, err := ps.Record.ByRevision(ctx, v.R.PathValue("repo"), v.R.PathValue("revision"))
		if err != nil {
			return nil, err
		}
		if p.TaskGroupID == "" {
			return ps.Push(ctx, p.Repository, p.ID)
		}
		group = p.TaskGroupID
	}
	if err := v.Allow(scope.String("queue:list-task-group:" + group)); err != nil {
		return nil, err
	}
	t, err := ps.Group(ctx, group)
	if err != nil {
		return nil, err
	}
	if v.Allow(page.SeePushes) != nil && (t.Facts.Push != nil || t.Facts.Change != nil) {
		return nil, fault.New(fault.Forbidden, "The trace tells of a push. To see pushes you need the scope events:read.")
	}
	return t, nil
}

func (ps *Pages) page(v *page.Visit) error {
	stream := ps.Live.Path(v, "repo="+url.QueryEscape(v.R.PathValue("repo")))
	if group := v.R.PathValue("group"); group != "" {
		stream = ps.Live.Path(v, "group="+group)
	}
	t, err := ps.read(v)
	if err != nil {
		return err
	}
	if id := t.Facts.GroupID; id != "" && v.R.PathValue("group") == "" {
		stream = ps.Live.Path(v, url.Values{"group": {id}, "repo": {v.R.PathValue("repo")}}.Encode())
	}
	view := t.View()
	body := outline{View: view, File: strings.TrimSuffix(v.R.URL.EscapedPath(), "trace") + fileName}
	body.choose()
	return v.Show(http.StatusOK, page.View{Title: "Trace of " + view.Title, Name: "trace", Main: "wide", Repo: view.Repository, Stream: stream, Body: body}, dataOf(v, view))
}

// pageJSON is the page for the script; src/trace/data.ts describes it.
type pageJSON struct {
	*trace.View
	Data string `json:"data"` // where it is read again
	File string `json:"file"` // where it is had for tools
}

func dataOf(v *page.Visit, view *trace.View) pageJSON {
	here := v.R.URL.EscapedPath()
	at := "/ui/api" + here
	if group := v.R.PathValue("group"); group != "" {
		at = "/ui/api/groups/" + url.PathEscape(group) + "/trace"
	}
	return pageJSON{view, at, strings.TrimSuffix(here, "trace") + fileName}
}

// file answers with the trace as OTLP/JSON.
func (ps *Pages) file(v *page.Visit) (any, error) {
	t, err := ps.read(v)
	if err != nil {
		return nil, err
	}
	name := "trace-" + t.ID.String() + ".otlp.json"
	v.W.Header().Set("Content-Type", "application/json")
	v.W.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	return nil, otlp.Resource{Service: "treeline", Version: ps.Version}.JSON(v.W, t)
}

// outline is the trace for browsers without script: its critical path, and the slowest tasks.
type outline struct {
	*trace.View
	File    string
	Slowest []slow
	More    int
	Tasks   int
}

// slow is a task and what its time was spent with, in milliseconds.
type slow struct {
	trace.Row
	Needs, Worker, Ran, Whole int64
	Why                       []string
}

const maxSlow = 50

func (o *outline) choose() {
	for _, r := range o.Rows {
		if r.What != trace.OfTask {
			continue
		}
		o.Tasks++
		s := slow{Row: r}
		for _, b := range r.Bars {
			switch b.What {
			case trace.OfNeeds:
				s.Needs += b.To - b.From
			case trace.OfWorker:
				s.Worker += b.To - b.From
			case trace.OfRun:
				s.Ran += b.To - b.From
			}
			if b.Text != "" {
				s.Why = append(s.Why, b.Text)
			}
		}
		s.Whole = s.Worker + s.Ran
		o.Slowest = append(o.Slowest, s)
	}
	slices.SortStableFunc(o.Slowest, func(a, b slow) int { return cmp.Compare(b.Whole, a.Whole) })
	o.More = max(0, len(o.Slowest)-maxSlow)
	o.Slowest = o.Slowest[:min(len(o.Slowest), maxSlow)]
}

// Lasted is a duration in milliseconds as people read it.
func (o outline) Lasted(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh %02dm", int(d.Hours()), int(d.Minutes())%60)
}

// Took is how long a step of the critical path took.
func (o outline) Took(s trace.StepBar) string { return o.Lasted(s.To - s.From) }

// StateOf is the state of a task in the words of the pages.
func (o outline) StateOf(s string) string {
	if s == string(task.Completed) {
		return "passed"
	}
	return s
}
