package groups

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/groups/path"
	"github.com/treeline-ci/treeline/ui/page"
)

// maxKinds is how many kinds the graph shows; the smallest of more are one node together.
const maxKinds = 60

// Kind is the tasks of a kind together.
type Kind struct {
	Name   string         `json:"name"`
	Tasks  int            `json:"tasks"`
	States map[string]int `json:"states"`
	Ran    Spread         `json:"ran"`
	Waited Spread         `json:"waited"`
	Other  bool           `json:"other,omitempty"` // it stands for several kinds
}

// edge says that tasks of a kind need tasks of another.
type edge struct {
	From int `json:"from"` // the kind that is needed
	To   int `json:"to"`
	N    int `json:"n"` // how many needs
}

// graphJSON is how the tasks of a group hang together; src/group/data.ts describes it.
type graphJSON struct {
	Kinds    []Kind   `json:"kinds"`
	Edges    []edge   `json:"edges"`
	Of       []int    `json:"of"` // the kind of each task, sorted by task id
	Critical []string `json:"critical"`
	Takes    int64    `json:"takes"` // milliseconds of the critical path
	Stats    Stats    `json:"stats"`
}

const noKind = "no kind"

// graphData answers with how the tasks of a group hang together.
func (ps *Pages) graphData(v *page.Visit) (any, error) {
	id := v.R.PathValue("group")
	if err := v.Allow(seeGroup(id)); err != nil {
		return nil, err
	}
	cells, _, err := cell.List(v.R.Context(), ps.Queue, id)
	if err != nil {
		return nil, err
	}
	return ps.graphOf(v.R.Context(), id, cells)
}

func (ps *Pages) graphOf(ctx context.Context, id string, cells []cell.Cell) (graphJSON, error) {
	needs, err := ps.Queue.Needs(ctx, id)
	if err != nil {
		return graphJSON{}, err
	}
	return hangTogether(cells, needs, time.Now()), nil
}

func hangTogether(cells []cell.Cell, needs []cells.Need, now time.Time) graphJSON {
	byID := make(map[string]*cell.Cell, len(cells))
	for i := range cells {
		byID[cells[i].ID] = &cells[i]
	}
	names, sizes := make(map[string]string, len(needs)), map[string]int{}
	tasks := make([]path.Task, 0, len(needs))
	for _, n := range needs {
		c := byID[n.TaskID]
		if c == nil {
			continue // it came between the two reads
		}
		names[n.TaskID] = cmp.Or(n.Kind, noKind)
		sizes[names[n.TaskID]]++
		tasks = append(tasks, path.Task{ID: n.TaskID, Needs: n.Needs, Takes: took(&c.Move, now)})
	}
	g := graphJSON{Kinds: []Kind{}, Edges: []edge{}, Of: make([]int, 0, len(tasks))}
	index := g.gather(sizes)
	critical := path.Critical(tasks)
	g.Critical, g.Takes = critical.Path, critical.Takes.Milliseconds()
	between := map[[2]int]int{}
	members := make([][]*cell.Cell, len(g.Kinds))
	for _, t := range tasks {
		to := index[names[t.ID]]
		g.Of = append(g.Of, to)
		members[to] = append(members[to], byID[t.ID])
		for _, need := range t.Needs {
			if name, ok := names[need]; ok && index[name] != to {
				between[[2]int{index[name], to}]++
			}
		}
	}
	for _, pair := range slices.SortedFunc(maps.Keys(between), func(a, b [2]int) int { return slices.Compare(a[:], b[:]) }) {
		g.Edges = append(g.Edges, edge{pair[0], pair[1], between[pair]})
	}
	for i := range g.Kinds {
		g.Kinds[i].count(members[i], now)
	}
	g.Stats = statsOf(cells, now)
	return g
}

// gather makes the kinds, sorted by name, and returns the place of each.
func (g *graphJSON) gather(sizes map[string]int) map[string]int {
	names := slices.SortedFunc(maps.Keys(sizes), func(a, b string) int { return cmp.Or(sizes[b]-sizes[a], cmp.Compare(a, b)) })
	shown := names
	if len(names) > maxKinds {
		shown = names[:maxKinds-1]
	}
	slices.Sort(shown)
	index := make(map[string]int, len(names))
	for i, name := range shown {
		index[name] = i
		g.Kinds = append(g.Kinds, Kind{Name: name, States: map[string]int{}})
	}
	if rest := names[len(shown):]; len(rest) > 0 {
		g.Kinds = append(g.Kinds, Kind{Name: "other kinds", States: map[string]int{}, Other: true})
		for _, name := range rest {
			index[name] = len(shown)
		}
	}
	return index
}

func (k *Kind) count(cells []*cell.Cell, now time.Time) {
	k.Tasks = len(cells)
	var ran, waited []int64
	for _, c := range cells {
		k.States[c.State]++
		w, r := times(&c.Move, now)
		if c.Scheduled > 0 {
			waited = append(waited, w)
		}
		if c.Started > 0 {
			ran = append(ran, r)
		}
	}
	k.Ran, k.Waited = spreadOf(ran), spreadOf(waited)
}

// times is how long a task waited for a worker and how long it ran, in milliseconds.
func times(m *cell.Move, now time.Time) (waited, ran int64) {
	if m.Scheduled == 0 {
		return 0, 0
	}
	end := cmp.Or(m.Ended, now.UnixMilli())
	begin := cmp.Or(m.Started, end)
	ran = m.Before
	if m.Started > 0 {
		ran += max(0, end-m.Started)
	}
	return max(0, begin-m.Scheduled), ran
}

// took is how long a task took from when it could run to its end.
func took(m *cell.Move, now time.Time) time.Duration {
	if m.Scheduled == 0 {
		return 0
	}
	return time.Duration(max(0, cmp.Or(m.Ended, now.UnixMilli())-m.Scheduled)) * time.Millisecond
}

// nodeJSON is a task near another one, or several that are not shown one by one.
type nodeJSON struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State string `json:"state"`
	Step  int    `json:"step"`           // needs are below 0, who needs it above
	More  int    `json:"more,omitempty"` // it stands for so many tasks
}

type aroundJSON struct {
	Nodes []nodeJSON `json:"nodes"`
	Edges [][2]int   `json:"edges"` // from what is needed to who needs it, by place in nodes
}

const (
	hops       = 2  // steps away from the task in focus
	maxANode   = 20 // neighbours shown of a task
	maxAround  = 59 // nodes shown in all, and the task
	mostOfHop2 = 3  // neighbours shown of a neighbour
)

// around answers with the tasks near one: what it needs and who needs it, two steps each way.
func (ps *Pages) around(v *page.Visit) (any, error) {
	group := v.R.PathValue("group")
	if err := v.Allow(seeGroup(group)); err != nil {
		return nil, err
	}
	cells, _, err := cell.List(v.R.Context(), ps.Queue, group)
	if err != nil {
		return nil, err
	}
	needs, err := ps.Queue.Needs(v.R.Context(), group)
	if err != nil {
		return nil, err
	}
	return neighbourhood(cells, needs, v.R.FormValue("task"))
}

func neighbourhood(cells []cell.Cell, needs []cells.Need, focus string) (aroundJSON, error) {
	byID, below, above := map[string]*cell.Cell{}, map[string][]string{}, map[string][]string{}
	for i := range cells {
		byID[cells[i].ID] = &cells[i]
	}
	for _, n := range needs {
		for _, id := range n.Needs {
			if byID[id] != nil && byID[n.TaskID] != nil && id != n.TaskID {
				below[n.TaskID] = append(below[n.TaskID], id)
				above[id] = append(above[id], n.TaskID)
			}
		}
	}
	c := byID[focus]
	if c == nil {
		return aroundJSON{}, noTask(focus)
	}
	a := aroundJSON{Nodes: []nodeJSON{{ID: c.ID, Name: c.Name, State: c.State}}, Edges: [][2]int{}}
	for _, way := range []struct {
		next map[string][]string
		step int
	}{{below, -1}, {above, 1}} {
		at := map[string]int{focus: 0}
		edge := []int{0}
		for hop := range hops {
			most := maxANode
			if hop > 0 {
				most = mostOfHop2
			}
			edge = a.grow(edge, way.next, at, byID, way.step*(hop+1), most)
		}
	}
	return a, nil
}

// grow adds the neighbours of nodes and returns those that are new.
func (a *aroundJSON) grow(from []int, next map[string][]string, at map[string]int, byID map[string]*cell.Cell, step, most int) (fresh []int) {
	link := func(i, j int) {
		if step < 0 {
			i, j = j, i
		}
		a.Edges = append(a.Edges, [2]int{i, j})
	}
	for _, i := range from {
		list := slices.Clone(next[a.Nodes[i].ID])
		// What needs a look comes first.
		slices.SortFunc(list, func(x, y string) int {
			return cmp.Or(cell.Rank(byID[x].State)-cell.Rank(byID[y].State), cmp.Compare(byID[x].Name, byID[y].Name), cmp.Compare(x, y))
		})
		shown, more := 0, 0
		for _, id := range list {
			j, known := at[id]
			switch {
			case known:
				link(i, j)
			case shown < most && len(a.Nodes) < maxAround:
				shown++
				at[id] = len(a.Nodes)
				fresh = append(fresh, len(a.Nodes))
				link(i, len(a.Nodes))
				c := byID[id]
				a.Nodes = append(a.Nodes, nodeJSON{ID: id, Name: c.Name, State: c.State, Step: step})
			default:
				more++
			}
		}
		if more > 0 {
			link(i, len(a.Nodes))
			a.Nodes = append(a.Nodes, nodeJSON{Step: step, More: more})
		}
	}
	return fresh
}
