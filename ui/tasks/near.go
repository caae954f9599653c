package tasks

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/page"
)

// Limits of what is shown around a task.
const (
	shownDependents = 25
	maxScanned      = 20000 // dependents that a filter looks at
	maxAround       = 60    // tasks of the graph
	maxFan          = 12    // neighbours of one task in the graph
)

// dependents answers the script with dependents whose names, ids or states hold a text, 25 at a time.
func (ps *Pages) dependents(v *page.Visit) (any, error) {
	id := v.R.PathValue("task")
	if err := v.Allow(scope.String("queue:list-dependent-tasks:" + id)); err != nil {
		return nil, err
	}
	from := 0
	if text := v.R.FormValue("from"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, page.ErrNoPage
		}
		from = n
	}
	words := strings.ToLower(v.R.FormValue("q"))
	found, all, matching := []neighbour{}, 0, 0
	for token := ""; all < maxScanned; {
		list, err := ps.Queue.Dependents(v.R.Context(), id, queue.MaxPage, token)
		if err != nil {
			return nil, err
		}
		all += len(list.Tasks)
		for i := range list.Tasks {
			n := neighbourOf(&list.Tasks[i])
			if words != "" && !strings.Contains(strings.ToLower(n.Name+" "+n.ID+" "+n.StateText), words) {
				continue
			}
			if matching++; matching > from && len(found) < shownDependents {
				found = append(found, n)
			}
		}
		if token = list.Next; token == "" {
			break
		}
	}
	return map[string]any{"tasks": found, "matching": matching, "all": all, "from": from}, nil
}

// nearby is the tasks up to two steps away from one, with the dependencies between them.
type nearby struct {
	Nodes []node      `json:"nodes"`
	Edges [][2]string `json:"edges"` // from what is needed to what needs it
	Cut   bool        `json:"cut"`   // there are more
}

type node struct {
	neighbour
	Distance int `json:"distance"` // below 0: needed by the task; above: needs it
}

// around answers the script with what lies up to two steps away.
func (ps *Pages) around(v *page.Visit) (any, error) {
	id, ctx := v.R.PathValue("task"), v.R.Context()
	if err := v.Allow(scope.Strings("queue:get-task:"+id, "queue:status:"+id)); err != nil {
		return nil, err
	}
	item, err := ps.Queue.Item(ctx, id)
	if err != nil {
		return nil, err
	}
	n := &nearby{Nodes: []node{}, Edges: [][2]string{}}
	seen := map[string]bool{}
	n.add(seen, &item, 0)
	level := []queue.Item{item}
	for distance := -1; distance >= -2; distance-- {
		var next []queue.Item
		if next, err = ps.needed(ctx, n, level); err != nil {
			return nil, err
		}
		level = n.keep(seen, next, distance)
	}
	if v.Allow(scope.String("queue:list-dependent-tasks:"+id)) == nil {
		level = []queue.Item{item}
		for distance := 1; distance <= 2; distance++ {
			var next []queue.Item
			if next, err = ps.needing(ctx, v, n, level); err != nil {
				return nil, err
			}
			level = n.keep(seen, next, distance)
		}
	}
	n.Edges = slices.DeleteFunc(n.Edges, func(e [2]string) bool { return !seen[e[0]] || !seen[e[1]] || e[0] == e[1] })
	slices.SortFunc(n.Edges, func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) })
	n.Edges = slices.Compact(n.Edges)
	return n, nil
}

func (n *nearby) add(seen map[string]bool, i *queue.Item, distance int) {
	seen[i.Status.TaskID] = true
	n.Nodes = append(n.Nodes, node{neighbourOf(i), distance})
}

// keep adds the tasks that are not there yet, as far as there is room, and returns those that are new.
func (n *nearby) keep(seen map[string]bool, list []queue.Item, distance int) (fresh []queue.Item) {
	for i := range list {
		switch {
		case seen[list[i].Status.TaskID]:
		case len(n.Nodes) >= maxAround:
			n.Cut = true
		default:
			n.add(seen, &list[i], distance)
			fresh = append(fresh, list[i])
		}
	}
	return fresh
}

// needed are the dependencies of tasks.
func (ps *Pages) needed(ctx context.Context, n *nearby, level []queue.Item) ([]queue.Item, error) {
	var ids []string
	for i := range level {
		for k, d := range level[i].Task.Dependencies {
			if k >= maxFan {
				n.Cut = true
				break
			}
			n.Edges = append(n.Edges, [2]string{d, level[i].Status.TaskID})
			ids = append(ids, d)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return ps.Queue.Items(ctx, ids)
}

// needing are the dependents of tasks.
func (ps *Pages) needing(ctx context.Context, v *page.Visit, n *nearby, level []queue.Item) (out []queue.Item, err error) {
	for i := range level[:min(len(level), maxFan)] {
		id := level[i].Status.TaskID
		if v.Allow(scope.String("queue:list-dependent-tasks:"+id)) != nil {
			continue
		}
		list, err := ps.Queue.Dependents(ctx, id, maxFan, "")
		if err != nil {
			return nil, err
		}
		n.Cut = n.Cut || list.Next != ""
		for k := range list.Tasks {
			n.Edges = append(n.Edges, [2]string{id, list.Tasks[k].Status.TaskID})
		}
		out = append(out, list.Tasks...)
	}
	return out, nil
}
