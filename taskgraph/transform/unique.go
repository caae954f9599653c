package transform

import (
	"fmt"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

const twice = "several tasks of the kind %q have the label %s; only the last one stays. A matrix or chunks need a name for each task"

// Unique drops items whose label a later item has too: such tasks would be one. It warns of
// each, and in strict generations fails them, since a task that gets lost unseen is hardly ever
// meant (taskgraph-map 28, trap 2).
func Unique(c *Config, items []*Item) []*Item {
	last := make(map[string]int, len(items))
	for i, it := range items {
		last[it.String("label")] = i
	}
	if len(last) == len(items) {
		return items
	}
	out := make([]*Item, 0, len(last))
	for i, it := range items {
		label := it.String("label")
		if winner := last[label]; winner != i {
			c.WarnAt(it, "", twice, c.Kind, label)
			if it.Err() == nil {
				continue
			}
		}
		out = append(out, it)
	}
	return out
}

func anyHas(items []*Item, key string) bool {
	for _, it := range items {
		if it.Has(key) {
			return true
		}
	}
	return false
}

// uniqueItems is Unique for a transform that wanted it and did not wait.
func (r *runner) uniqueItems(items []*Item) []*Item {
	if r.unique == "" {
		return items
	}
	left := Unique(r.config, items)
	if len(left) < len(items) {
		r.config.dropAll(r.unique, items, left)
	}
	r.unique = ""
	for _, it := range left {
		if it.err != nil {
			r.errs = append(r.errs, it.err)
		}
	}
	return left
}

// uniqueTasks is Unique for items that have become tasks.
func (r *runner) uniqueTasks(tasks []*graph.Task, origins []*Origin) []*graph.Task {
	last := make(map[string]int, len(tasks))
	for i, t := range tasks {
		last[t.Label] = i
	}
	if len(last) == len(tasks) {
		return tasks
	}
	c := r.config
	out := make([]*graph.Task, 0, len(last))
	stays := map[*Origin]bool{}
	for i, t := range tasks {
		if last[t.Label] == i {
			out = append(out, t)
			stays[origins[i]] = true
			continue
		}
		e := &graph.Error{File: t.Provenance.File, Line: t.Provenance.Line, Label: t.Label, Message: fmt.Sprintf(twice, c.Kind, t.Label)}
		if c.Strict {
			r.errs = append(r.errs, e)
		} else if c.Warn != nil {
			c.Warn(e)
		}
	}
	for i, t := range tasks {
		if last[t.Label] != i && !stays[origins[i]] {
			c.Dropped(&Item{origin: origins[i]}, t.Label, r.unique, "")
		}
	}
	return out
}
