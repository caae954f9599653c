// Package groups is the pages of task groups.
package groups

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/actions"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/page"
)

// groupJSON is a task group for the script; shell/data.ts describes it.
type groupJSON struct {
	ID       string      `json:"id"`
	Title    string      `json:"title"`
	Sealed   bool        `json:"sealed"`
	Expires  int64       `json:"expires"`
	Repo     string      `json:"repo"`
	Revision string      `json:"revision"`
	Cells    []cell.Cell `json:"cells"`
	Cut      bool        `json:"cut"`
	Actions  bool        `json:"actions"` // whether actions may be offered
	Acts     []actJSON   `json:"acts"`
	Change   Change      `json:"-"`
}

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Queue   *queue.Queue
	Push    *push.Log
	Actions *actions.Pages
	Live    *live.Live
	// ChangeOf is what of a forge a task group was made for; a fault.NotFound without. nil: there are no forges.
	ChangeOf func(ctx context.Context, taskGroupID string) (Change, error)
}

// Change is a pull request, a tag, a release or a push at a forge.
type Change struct {
	What          string // such as "Pull request #12"
	Title, Author string // "" where that is not known
	URL           string // at the forge
	Repository    string // in the record of pushes
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /tasks", func(v *page.Visit) error { return v.Redirect("/tasks/groups") })
	k.Page("GET /tasks/groups", ps.groups)
	k.Page("GET /tasks/groups/{group}", ps.group)
	k.Data("POST /tasks/groups/{group}/{act}", ps.act)
	k.Data("GET /tasks/groups/{group}/{file}", ps.export)
	k.Data("GET /ui/api/groups/{group}", ps.groupData)
	k.Data("GET /ui/api/groups/{group}/graph", ps.graphData)
	k.Data("GET /ui/api/groups/{group}/around", ps.around)
	return k.Add(markup)
}

const maxGroupRows = 500 // of the outline; the script shows all

// group shows a task group.
func (ps *Pages) group(v *page.Visit) error {
	id := v.R.PathValue("group")
	stream := ps.Live.Path(v, "group="+id)
	data, err := ps.readGroup(v, id)
	if err != nil {
		return err
	}
	o := outline{groupJSON: data, Counts: countsOf(data.Cells), State: v.R.FormValue("state"), Query: v.R.FormValue("q"), View: v.R.FormValue("view"), Ask: v.R.FormValue("ask"), Stats: statsOf(data.Cells, time.Now()), CSRF: v.Session.CSRF()}
	if o.View == "stats" || o.View == "graph" {
		if o.Graph, err = ps.graphOf(v.R.Context(), id, data.Cells); err != nil {
			return err
		}
	}
	o.choose()
	return v.Show(http.StatusOK, page.View{Title: data.Title, Name: "group", Repo: data.Repo, Stream: stream, Body: o}, data)
}

// outline is a group for browsers without script.
type outline struct {
	groupJSON
	Counts                  map[string]int
	Shown                   []cell.Cell
	More                    int
	State, Query, View, Ask string
	Stats                   Stats
	Graph                   graphJSON
	CSRF                    string
}

// Failed is how many tasks have failed.
func (o outline) Failed() int { return len(failedOf(o.Cells)) }

// choose filters and sorts the tasks.
func (o *outline) choose() {
	words := strings.Fields(strings.ToLower(o.Query))
	chosen := slices.DeleteFunc(slices.Clone(o.Cells), func(c cell.Cell) bool {
		text := strings.ToLower(c.Name + " " + c.Queue + " " + c.ID)
		return o.State != "" && c.State != o.State || slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	})
	slices.SortStableFunc(chosen, func(a, b cell.Cell) int {
		if o.View == "timeline" {
			// What has not begun comes last.
			return cmp.Compare(uint64(a.Scheduled)-1, uint64(b.Scheduled)-1)
		}
		return cell.Rank(a.State) - cell.Rank(b.State)
	})
	o.Shown = chosen[:min(len(chosen), maxGroupRows)]
	o.More = len(chosen) - len(o.Shown)
}

// Waited and Ran are a task's times as people read them; "" for none.
func (o outline) Waited(c cell.Cell) string {
	if c.Scheduled == 0 {
		return ""
	}
	waited, _ := times(&c.Move, time.Now())
	return lasted(waited)
}

// Ran is how long a task ran.
func (o outline) Ran(c cell.Cell) string {
	if c.Started == 0 {
		return ""
	}
	_, ran := times(&c.Move, time.Now())
	return lasted(ran)
}

// Lasted is a duration in milliseconds as people read it.
func (o outline) Lasted(ms int64) string { return lasted(ms) }

func lasted(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm %02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh %02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %02dh", int(d.Hours())/24, int(d.Hours())%24)
}

func countsOf(cells []cell.Cell) map[string]int {
	counts := map[string]int{}
	for _, c := range cells {
		counts[c.State]++
	}
	return counts
}

func (ps *Pages) groupData(v *page.Visit) (any, error) {
	return ps.readGroup(v, v.R.PathValue("group"))
}

func (ps *Pages) readGroup(v *page.Visit, id string) (groupJSON, error) {
	ctx := v.R.Context()
	if err := v.Allow(seeGroup(id)); err != nil {
		return groupJSON{}, err
	}
	cells, g, err := cell.List(ctx, ps.Queue, id)
	if err != nil {
		return groupJSON{}, err
	}
	data := groupJSON{ID: id, Title: "Task group", Sealed: g.Sealed != nil, Expires: g.Expires.UnixMilli(), Cells: cells, Cut: len(cells) >= cell.MaxListed}
	data.Actions = ps.Actions.Offers(v)
	one, err := ps.oneOf(ctx, cells)
	if err != nil {
		return groupJSON{}, err
	}
	data.Acts = acts(v, g, statsOf(cells, time.Now()).Open, one)
	p, err := ps.Push.ByTaskGroup(ctx, id)
	switch {
	case err == nil && v.Allow(page.SeePushes) == nil:
		data.Title, _, _ = strings.Cut(p.Message, "\n")
		data.Repo, data.Revision = p.Repository, p.Revision
	case err != nil && !errors.Is(err, fault.NotFound):
		return groupJSON{}, err
	}
	if data.Change, err = ps.changeOf(v, id); data.Change.What != "" {
		data.Title, _, _ = strings.Cut(cmp.Or(data.Change.Title, data.Change.What), "\n")
	}
	return data, err
}

// changeOf is what of a forge a group was made for; zero without, and for those who may not see pushes.
func (ps *Pages) changeOf(v *page.Visit, group string) (Change, error) {
	if ps.ChangeOf == nil || v.Allow(page.SeePushes) != nil {
		return Change{}, nil
	}
	c, err := ps.ChangeOf(v.R.Context(), group)
	if errors.Is(err, fault.NotFound) {
		err = nil
	}
	return c, err
}

// groups lists the task groups, the newest first.
func (ps *Pages) groups(v *page.Visit) error {
	if err := v.Allow(scope.String("queue:list-task-groups")); err != nil {
		return err
	}
	stream := ps.Live.Path(v, "all=1")
	found, err := ps.Queue.Groups(v.R.Context(), 50, v.R.FormValue("continuationToken"))
	if err != nil {
		return err
	}
	type entry struct {
		queue.GroupSummary
		Counts []cell.Tally
		Repo   string
		Push   string
		Change Change
	}
	list := make([]entry, len(found.Groups))
	for i, g := range found.Groups {
		list[i] = entry{GroupSummary: g, Counts: cell.TalliesOfCounts(g.Counts)}
		if v.Allow(page.SeePushes) != nil {
			continue
		}
		p, err := ps.Push.ByTaskGroup(v.R.Context(), g.TaskGroupID)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		list[i].Repo, list[i].Push = p.Repository, p.Revision
		if p.ID == 0 {
			if list[i].Change, err = ps.changeOf(v, g.TaskGroupID); err != nil {
				return err
			}
		}
	}
	return v.Show(http.StatusOK, page.View{Title: "Task groups", Name: "groups", Stream: stream, Body: struct {
		Groups []entry
		Next   string
	}{list, found.Next}}, nil)
}
