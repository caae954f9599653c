package graph

import (
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
)

// Edge says that the task From needs the task To; Name is the name that From gives it.
type Edge struct{ From, To, Name string }

// Graph is a set of tasks under their keys (labels, or task ids after optimization) and the
// edges between them.
type Graph struct {
	keys  []string // sorted
	tasks []*Task  // by position in keys
	index map[string]int32
	edges []Edge // sorted by From, Name, To

	needs [][]int32 // by position: the positions of the tasks it needs, sorted, without doubles
	users [][]int32 // the other way round
}

// New makes a graph of tasks under their keys. Every edge must join two of the keys.
func New(tasks map[string]*Task, edges []Edge) (*Graph, error) {
	g := &Graph{
		keys:  make([]string, 0, len(tasks)),
		tasks: make([]*Task, len(tasks)),
		index: make(map[string]int32, len(tasks)),
		edges: slices.Clone(edges),
	}
	for key := range tasks {
		g.keys = append(g.keys, key)
	}
	sort.Strings(g.keys)
	for i, key := range g.keys {
		g.index[key] = int32(i)
		g.tasks[i] = tasks[key]
	}
	slices.SortFunc(g.edges, func(a, b Edge) int {
		if c := strings.Compare(a.From, b.From); c != 0 {
			return c
		}
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.To, b.To)
	})
	g.edges = slices.Compact(g.edges)
	return g, g.link()
}

func (g *Graph) link() error {
	g.needs = make([][]int32, len(g.keys))
	g.users = make([][]int32, len(g.keys))
	for _, e := range g.edges {
		from, ok := g.index[e.From]
		if !ok {
			return fmt.Errorf("graph: an edge starts at %q, which is no task of the graph", e.From)
		}
		to, ok := g.index[e.To]
		if !ok {
			return g.missing(e)
		}
		g.needs[from] = append(g.needs[from], to)
	}
	for from, list := range g.needs {
		slices.Sort(list)
		g.needs[from] = slices.Compact(list)
		for _, to := range g.needs[from] {
			g.users[to] = append(g.users[to], int32(from))
		}
	}
	return nil
}

func (g *Graph) missing(e Edge) error {
	t := g.Task(e.From)
	msg := fmt.Sprintf("depends on %q (as %q), but there is no task of this label", e.To, e.Name)
	if near := Nearest(e.To, g.keys); near != "" {
		msg += fmt.Sprintf("; is %q meant?", near)
	}
	return &Error{File: t.Provenance.File, Line: t.Provenance.Line, Label: t.Label, Message: msg}
}

// FromTasks makes the graph of tasks under their labels, with an edge for each dependency. Two
// tasks of one label and a dependency on a label that no task has are errors of type *Error.
func FromTasks(tasks []*Task) (*Graph, error) {
	byLabel := make(map[string]*Task, len(tasks))
	n := 0
	for _, t := range tasks {
		if other := byLabel[t.Label]; other != nil {
			return nil, duplicate(other, t)
		}
		byLabel[t.Label] = t
		n += len(t.Dependencies)
	}
	edges := make([]Edge, 0, n)
	for _, t := range tasks {
		for name, to := range t.Dependencies {
			edges = append(edges, Edge{From: t.Label, To: to, Name: name})
		}
	}
	return New(byLabel, edges)
}

func duplicate(first, second *Task) error {
	msg := fmt.Sprintf("two tasks have this label; the other comes from kind %q", first.Kind)
	if p := first.Provenance; p.File != "" {
		msg += fmt.Sprintf(" (%s:%d)", p.File, p.Line)
	}
	return &Error{File: second.Provenance.File, Line: second.Provenance.Line, Label: second.Label, Message: msg}
}

// Len returns the number of tasks.
func (g *Graph) Len() int { return len(g.keys) }

// Keys returns the keys, sorted. The caller must not change the slice.
func (g *Graph) Keys() []string { return g.keys }

// Task returns the task under key, nil without one.
func (g *Graph) Task(key string) *Task {
	if i, ok := g.index[key]; ok {
		return g.tasks[i]
	}
	return nil
}

// Has reports whether the graph has a task under key.
func (g *Graph) Has(key string) bool { _, ok := g.index[key]; return ok }

// Edges returns the edges, sorted by From, Name and To. The caller must not change the slice.
func (g *Graph) Edges() []Edge { return g.edges }

// Needs returns the keys of the tasks that the task under key depends on, sorted.
func (g *Graph) Needs(key string) []string { return g.names(g.needs, key) }

// Users returns the keys of the tasks that depend on the task under key, sorted.
func (g *Graph) Users(key string) []string { return g.names(g.users, key) }

// Position returns where key stands in Keys, -1 if it does not.
func (g *Graph) Position(key string) int {
	if i, ok := g.index[key]; ok {
		return int(i)
	}
	return -1
}

// At returns the task at a position of Keys. For walks over large graphs, positions are quicker than
// keys.
func (g *Graph) At(position int) *Task { return g.tasks[position] }

// NeedsAt returns the positions of the tasks that the one at position depends on, ascending. The caller
// must not change the slice.
func (g *Graph) NeedsAt(position int) []int32 { return g.needs[position] }

// UsersAt returns the positions of the tasks that depend on the one at position, ascending. The caller
// must not change the slice.
func (g *Graph) UsersAt(position int) []int32 { return g.users[position] }

// TasksNeeded yields the tasks that the one under key depends on, in the order of Needs.
func (g *Graph) TasksNeeded(key string) iter.Seq[*Task] { return g.yield(g.needs, key) }

// TasksUsing yields the tasks that depend on the one under key, in the order of Users.
func (g *Graph) TasksUsing(key string) iter.Seq[*Task] { return g.yield(g.users, key) }

func (g *Graph) yield(lists [][]int32, key string) iter.Seq[*Task] {
	return func(yield func(*Task) bool) {
		i, ok := g.index[key]
		if !ok {
			return
		}
		for _, j := range lists[i] {
			if !yield(g.tasks[j]) {
				return
			}
		}
	}
}

func (g *Graph) names(lists [][]int32, key string) []string {
	i, ok := g.index[key]
	if !ok {
		return nil
	}
	out := make([]string, len(lists[i]))
	for k, j := range lists[i] {
		out[k] = g.keys[j]
	}
	return out
}

// All yields each key with its task in the order of Keys.
func (g *Graph) All() func(yield func(string, *Task) bool) {
	return func(yield func(string, *Task) bool) {
		for i, key := range g.keys {
			if !yield(key, g.tasks[i]) {
				return
			}
		}
	}
}

// Subgraph returns the graph of those keys that g has and of the edges between them.
func (g *Graph) Subgraph(keys []string) *Graph {
	in := make([]bool, len(g.keys))
	for _, key := range keys {
		if i, ok := g.index[key]; ok {
			in[i] = true
		}
	}
	return g.only(in)
}

// only returns the graph of the tasks at the positions that are in. All orders are those of g.
func (g *Graph) only(in []bool) *Graph {
	n := 0
	place := make([]int32, len(g.keys)) // by old position: the new one, -1 for none
	for i := range place {
		place[i] = -1
		if in[i] {
			place[i] = int32(n)
			n++
		}
	}
	if n == len(g.keys) {
		return g
	}
	sub := &Graph{
		keys: make([]string, 0, n), tasks: make([]*Task, 0, n), index: make(map[string]int32, n),
		needs: make([][]int32, 0, n), users: make([][]int32, 0, n),
	}
	for i, key := range g.keys {
		if !in[i] {
			continue
		}
		sub.index[key] = place[i]
		sub.keys, sub.tasks = append(sub.keys, key), append(sub.tasks, g.tasks[i])
		sub.needs, sub.users = append(sub.needs, moved(g.needs[i], place)), append(sub.users, moved(g.users[i], place))
	}
	for _, e := range g.edges {
		if _, from := sub.index[e.From]; !from {
			continue
		}
		if _, to := sub.index[e.To]; to {
			sub.edges = append(sub.edges, e)
		}
	}
	return sub
}

// moved is list with the new places, without what has none.
func moved(list, place []int32) []int32 {
	var out []int32
	for _, i := range list {
		if to := place[i]; to >= 0 {
			out = append(out, to)
		}
	}
	return out
}
