package graph

import (
	"slices"
	"strings"
)

// Postorder returns the keys so that each comes after everything it depends on; among those
// free to come next the waves are taken breadth first, each sorted. A cycle is an *Error whose
// message shows its path.
func (g *Graph) Postorder() ([]string, error) { return g.walk(g.needs, g.users) }

// Preorder returns the keys so that each comes before everything it depends on.
func (g *Graph) Preorder() ([]string, error) { return g.walk(g.users, g.needs) }

// walk is Kahn's: before holds what must come before each key, after what waits for it.
func (g *Graph) walk(before, after [][]int32) ([]string, error) {
	waiting := make([]int32, len(g.keys))
	var wave []int32
	for i := range g.keys {
		waiting[i] = int32(len(before[i]))
		if waiting[i] == 0 {
			wave = append(wave, int32(i))
		}
	}
	out := make([]string, 0, len(g.keys))
	for len(wave) > 0 {
		var next []int32
		for _, i := range wave {
			out = append(out, g.keys[i])
			for _, j := range after[i] {
				if waiting[j]--; waiting[j] == 0 {
					next = append(next, j)
				}
			}
		}
		slices.Sort(next)
		wave = next
	}
	if len(out) < len(g.keys) {
		return nil, g.cycleError()
	}
	return out, nil
}

// Cycle returns the keys of one cycle, the first repeated at the end, or nil without a cycle.
func (g *Graph) Cycle() []string {
	const (
		unseen, open, done = 0, 1, 2
	)
	state := make([]uint8, len(g.keys))
	type frame struct{ at, next int32 }
	for start := range g.keys {
		if state[start] != unseen {
			continue
		}
		stack := []frame{{at: int32(start)}}
		state[start] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if int(top.next) == len(g.needs[top.at]) {
				state[top.at] = done
				stack = stack[:len(stack)-1]
				continue
			}
			to := g.needs[top.at][top.next]
			top.next++
			switch state[to] {
			case unseen:
				state[to] = open
				stack = append(stack, frame{at: to})
			case open:
				var path []string
				for _, f := range stack {
					if f.at == to || path != nil {
						path = append(path, g.keys[f.at])
					}
				}
				return append(path, g.keys[to])
			}
		}
	}
	return nil
}

func (g *Graph) cycleError() error {
	path := g.Cycle()
	shown := path
	if len(shown) > 40 { // a cycle of thousands helps nobody
		shown = slices.Concat(path[:20], []string{"..."}, path[len(path)-20:])
	}
	t := g.Task(path[0])
	return &Error{
		File: t.Provenance.File, Line: t.Provenance.Line, Label: t.Label,
		Message: "tasks depend on each other in a circle: " + strings.Join(shown, " -> "),
	}
}

// Closure returns the graph of keys and of everything they depend on, near and far. Keys that
// the graph does not have are left out.
func (g *Graph) Closure(keys []string) *Graph {
	seen := make([]bool, len(g.keys))
	var todo []int32
	visit := func(i int32) {
		if !seen[i] {
			seen[i] = true
			todo = append(todo, i)
		}
	}
	for _, key := range keys {
		if i, ok := g.index[key]; ok {
			visit(i)
		}
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, j := range g.needs[i] {
			visit(j)
		}
	}
	return g.only(seen)
}
