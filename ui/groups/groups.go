// Package groups is the pages of task groups.
package groups

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"net/http"
	"slices"
	"strings"

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
	k.Data("GET /ui/api/groups/{group}", ps.groupData)
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
	chosen := data.Cells
	if state := v.R.FormValue("state"); state != "" {
		chosen = slices.DeleteFunc(slices.Clone(chosen), func(c cell.Cell) bool { return c.State != state })
	}
	slices.SortFunc(chosen, func(a, b cell.Cell) int { return cell.Rank(a.State) - cell.Rank(b.State) })
	shown := chosen[:min(len(chosen), maxGroupRows)]
	return v.Show(http.StatusOK, page.View{
		Title: data.Title, Name: "group", Repo: data.Repo, Stream: stream,
		Body: struct {
			groupJSON
			Counts map[string]int
			Shown  []cell.Cell
			More   int
			State  string
		}{data, countsOf(data.Cells), shown, len(chosen) - len(shown), v.R.FormValue("state")},
	}, data)
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
	if err := v.Allow(scope.String("queue:list-task-group:" + id)); err != nil {
		return groupJSON{}, err
	}
	cells, g, err := cell.List(ctx, ps.Queue, id)
	if err != nil {
		return groupJSON{}, err
	}
	data := groupJSON{ID: id, Title: "Task group", Sealed: g.Sealed != nil, Expires: g.Expires.UnixMilli(), Cells: cells, Cut: len(cells) >= cell.MaxListed}
	data.Actions = ps.Actions.Offers(v)
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
