package ui

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
)

// groupJSON is a task group for the script; shell/data.ts describes it.
type groupJSON struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Sealed   bool   `json:"sealed"`
	Expires  int64  `json:"expires"`
	Repo     string `json:"repo"`
	Revision string `json:"revision"`
	Cells    []cell `json:"cells"`
	Cut      bool   `json:"cut"`
	Actions  bool   `json:"actions"` // whether actions may be offered
	Change   Change `json:"-"`
}

const maxGroupRows = 500 // of the outline; the script shows all

// group shows a task group.
func (u *UI) group(v *visit) error {
	id := v.r.PathValue("group")
	stream := u.streamPath(v, "group="+id)
	data, err := u.readGroup(v, id)
	if err != nil {
		return err
	}
	chosen := data.Cells
	if state := v.r.FormValue("state"); state != "" {
		chosen = slices.DeleteFunc(slices.Clone(chosen), func(c cell) bool { return c.State != state })
	}
	slices.SortFunc(chosen, func(a, b cell) int { return rank(a.State) - rank(b.State) })
	shown := chosen[:min(len(chosen), maxGroupRows)]
	return v.show(http.StatusOK, view{
		Title: data.Title, Name: "group", Repo: data.Repo, Stream: stream,
		Body: struct {
			groupJSON
			Counts map[string]int
			Shown  []cell
			More   int
			State  string
		}{data, countsOf(data.Cells), shown, len(chosen) - len(shown), v.r.FormValue("state")},
	}, data)
}

func countsOf(cells []cell) map[string]int {
	counts := map[string]int{}
	for _, c := range cells {
		counts[c.State]++
	}
	return counts
}

func (u *UI) groupData(v *visit) (any, error) { return u.readGroup(v, v.r.PathValue("group")) }

func (u *UI) readGroup(v *visit, id string) (groupJSON, error) {
	ctx := v.r.Context()
	cells, g, err := u.cells(ctx, v, id)
	if err != nil {
		return groupJSON{}, err
	}
	data := groupJSON{ID: id, Title: "Task group", Sealed: g.Sealed != nil, Expires: g.Expires.UnixMilli(), Cells: cells, Cut: len(cells) >= maxCells}
	data.Actions = u.deps.Actions != nil && v.allow(seeActions) == nil
	p, err := u.deps.Push.ByTaskGroup(ctx, id)
	switch {
	case err == nil && v.allow(seePushes) == nil:
		data.Title, _, _ = strings.Cut(p.Message, "\n")
		data.Repo, data.Revision = p.Repository, p.Revision
	case err != nil && !errors.Is(err, fault.NotFound):
		return groupJSON{}, err
	}
	if data.Change, err = u.changeOf(v, id); data.Change.What != "" {
		data.Title, _, _ = strings.Cut(cmp.Or(data.Change.Title, data.Change.What), "\n")
	}
	return data, err
}

// changeOf is what of a forge a group was made for; zero without, and for those who may not see pushes.
func (u *UI) changeOf(v *visit, group string) (Change, error) {
	if u.deps.Change == nil || v.allow(seePushes) != nil {
		return Change{}, nil
	}
	c, err := u.deps.Change(v.r.Context(), group)
	if errors.Is(err, fault.NotFound) {
		err = nil
	}
	return c, err
}

// groups lists the task groups, the newest first.
func (u *UI) groups(v *visit) error {
	if err := v.allow(scope.String("queue:list-task-groups")); err != nil {
		return err
	}
	stream := u.streamPath(v, "all=1")
	page, err := u.deps.Queue.Groups(v.r.Context(), 50, v.r.FormValue("continuationToken"))
	if err != nil {
		return err
	}
	type entry struct {
		queue.GroupSummary
		Counts []tally
		Repo   string
		Push   string
		Change Change
	}
	list := make([]entry, len(page.Groups))
	for i, g := range page.Groups {
		list[i] = entry{GroupSummary: g, Counts: talliesOfCounts(g.Counts)}
		if v.allow(seePushes) != nil {
			continue
		}
		p, err := u.deps.Push.ByTaskGroup(v.r.Context(), g.TaskGroupID)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		list[i].Repo, list[i].Push = p.Repository, p.Revision
		if p.ID == 0 {
			if list[i].Change, err = u.changeOf(v, g.TaskGroupID); err != nil {
				return err
			}
		}
	}
	return v.show(http.StatusOK, view{Title: "Task groups", Name: "groups", Stream: stream, Body: struct {
		Groups []entry
		Next   string
	}{list, page.Next}}, nil)
}
