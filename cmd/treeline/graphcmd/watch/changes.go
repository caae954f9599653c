package watch

import (
	"maps"
	"reflect"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// Changes are what is different between two graphs, by label.
type Changes struct {
	Added, Removed []string // sorted
	Changed        []Change // by label
}

// Change is a task that is in both graphs and differs.
type Change struct {
	Label string
	Keys  []string // dotted paths of what differs, sorted
}

// Empty reports whether nothing is different.
func (c Changes) Empty() bool { return len(c.Added)+len(c.Removed)+len(c.Changed) == 0 }

// Compare tells what became of the tasks of before. A nil graph has no tasks.
func Compare(before, after *graph.Graph) Changes {
	old, now := byLabel(before), byLabel(after)
	var c Changes
	for _, label := range slices.Sorted(maps.Keys(now)) {
		was, ok := old[label]
		if !ok {
			c.Added = append(c.Added, label)
			continue
		}
		if keys := differences(nil, "", was.JSON(), now[label].JSON()); len(keys) > 0 {
			c.Changed = append(c.Changed, Change{Label: label, Keys: keys})
		}
	}
	for _, label := range slices.Sorted(maps.Keys(old)) {
		if now[label] == nil {
			c.Removed = append(c.Removed, label)
		}
	}
	return c
}

func byLabel(g *graph.Graph) map[string]*graph.Task {
	out := map[string]*graph.Task{}
	if g == nil {
		return out
	}
	for _, t := range g.All() {
		out[t.Label] = t
	}
	return out
}

// differences appends the paths at which two maps differ, below path.
func differences(out []string, path string, a, b map[string]any) []string {
	keys := maps.Clone(a)
	if keys == nil {
		keys = map[string]any{}
	}
	maps.Copy(keys, b)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		at := key
		if path != "" {
			at = path + "." + key
		}
		x, y := a[key], b[key]
		inner, isMap := x.(map[string]any)
		other, areMaps := y.(map[string]any)
		switch {
		case isMap && areMaps:
			out = differences(out, at, inner, other)
		case !reflect.DeepEqual(x, y):
			out = append(out, at)
		}
	}
	return out
}
