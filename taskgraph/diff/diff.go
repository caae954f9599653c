// Package diff compares two graphs of tasks: those of two revisions, generated with the same
// parameters. It tells which tasks came and went, which keys changed, which scopes were gained, and
// what both graphs cost.
//
// Compare is a pure function of the graphs. A Report holds the comparisons of several sets of
// parameters; it is written as text, Markdown or JSON.
package diff

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
)

// Diff is what differs between two graphs. Tasks are compared by label.
type Diff struct {
	Added   []string `json:"added"`   // labels, sorted
	Removed []string `json:"removed"` // labels, sorted
	// Changed are the tasks that both graphs have; those of the same changes stand together.
	Changed []Group `json:"changed"`
	// Gained and Lost are the scopes that tasks have in one graph and not in the other.
	Gained []Scope `json:"scopesGained"`
	Lost   []Scope `json:"scopesLost"`
	// Queues are the task queues of the head on which no task of the base is.
	Queues []Queue `json:"newTaskQueues,omitempty"`
	// Base and Head are the graphs' sizes.
	Base Size `json:"base"`
	Head Size `json:"head"`
}

// Group are tasks that changed in the same way.
type Group struct {
	Labels  []string `json:"labels"`
	Changes []Change `json:"changes"`
}

// Change is the value under one dotted key of a task before and after; explain.Absent stands for
// none. Of lists it is the part that differs.
type Change struct {
	Key      string
	Old, New any
}

// MarshalJSON implements json.Marshaler: {"key", "old", "new"}, where a value that is not there is
// absent.
func (c Change) MarshalJSON() ([]byte, error) {
	m := map[string]any{"key": c.Key}
	if c.Old != explain.Absent {
		m["old"] = c.Old
	}
	if c.New != explain.Absent {
		m["new"] = c.New
	}
	return json.Marshal(m)
}

// String writes the change in one line, values cut short.
func (c Change) String() string {
	return explain.Change{Key: c.Key, Old: explain.Short(c.Old), New: explain.Short(c.New)}.String()
}

// Scope is a scope with the tasks that have it in one graph only.
type Scope struct {
	Scope  string   `json:"scope"`
	Labels []string `json:"labels"`
	// New says of a scope gained that no task of the base has it, or one that covers it; of a scope
	// lost that no task of the head has it any more.
	New bool `json:"new"`
}

// Compare compares two graphs, by label or by task id. Costs are estimated with durations, nil for
// none.
func Compare(base, head *graph.Graph, durations history.Durations) *Diff {
	a, b := byLabel(base), byLabel(head)
	d := &Diff{Added: []string{}, Removed: []string{}, Base: measure(base, durations), Head: measure(head, durations)}
	groups := map[string]*Group{}
	for label := range b.tasks {
		if a.tasks[label] == nil {
			d.Added = append(d.Added, label)
			continue
		}
		group(groups, label, changes(a.task(label), b.task(label)))
	}
	for label := range a.tasks {
		if b.tasks[label] == nil {
			d.Removed = append(d.Removed, label)
		}
	}
	slices.Sort(d.Added)
	slices.Sort(d.Removed)
	d.Changed = sorted(groups)
	d.Gained, d.Lost, d.Queues = gained(a, b), gained(b, a), newQueues(a, b)
	return d
}

// Leave leaves changes of these dotted keys, and of what is below them, out of account.
func (d *Diff) Leave(keys []string) {
	if len(keys) == 0 {
		return
	}
	groups := map[string]*Group{}
	for _, g := range d.Changed {
		kept := slices.DeleteFunc(slices.Clone(g.Changes), func(c Change) bool {
			return slices.ContainsFunc(keys, func(k string) bool {
				rest, below := strings.CutPrefix(c.Key, k)
				return below && (rest == "" || rest[0] == '.' || rest[0] == '[')
			})
		})
		for _, label := range g.Labels {
			group(groups, label, kept)
		}
	}
	d.Changed = sorted(groups)
}

// Empty reports whether the graphs are the same.
func (d *Diff) Empty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

// ChangedTasks is how many tasks changed.
func (d *Diff) ChangedTasks() int {
	n := 0
	for _, g := range d.Changed {
		n += len(g.Labels)
	}
	return n
}

// labelled is a graph by label.
type labelled struct {
	tasks  map[string]*graph.Task
	labels map[string]string // key → label
}

func byLabel(g *graph.Graph) labelled {
	l := labelled{tasks: make(map[string]*graph.Task, g.Len()), labels: make(map[string]string, g.Len())}
	for key, t := range g.All() {
		l.tasks[t.Label], l.labels[key] = t, t.Label
	}
	return l
}

// task is the form that is compared: without the task's id, its dependencies by label where they are
// in the graph.
func (l labelled) task(label string) map[string]any {
	t := l.tasks[label]
	m := t.JSON()
	delete(m, "task_id")
	deps := make(map[string]any, len(t.Dependencies))
	for name, key := range t.Dependencies {
		if other, ok := l.labels[key]; ok {
			key = other
		}
		deps[name] = key
	}
	m["dependencies"] = deps
	return m
}

// changes are the differences of a task.
func changes(old, new map[string]any) []Change {
	var out []Change
	explain.Differences("", old, new, func(key string, old, new any) {
		out = append(out, Change{Key: key, Old: old, New: new})
	})
	return out
}

// group puts a changed task among those that changed in the same way.
func group(groups map[string]*Group, label string, list []Change) {
	if len(list) == 0 {
		return
	}
	var key strings.Builder
	for _, c := range list {
		key.WriteString(c.Key)
		for _, v := range []any{c.Old, c.New} {
			text, err := json.Marshal(v)
			if v == explain.Absent || err != nil {
				text = nil
			}
			key.WriteByte(0)
			key.Write(text)
		}
		key.WriteByte(1)
	}
	g := groups[key.String()]
	if g == nil {
		g = &Group{Changes: list}
		groups[key.String()] = g
	}
	g.Labels = append(g.Labels, label)
}

// sorted gives the groups, the largest first.
func sorted(groups map[string]*Group) []Group {
	out := make([]Group, 0, len(groups))
	for g := range maps.Values(groups) {
		slices.Sort(g.Labels)
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(len(b.Labels)-len(a.Labels), strings.Compare(a.Labels[0], b.Labels[0]))
	})
	return out
}
