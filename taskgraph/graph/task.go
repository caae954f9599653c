// Package graph holds the tasks a repository asks for and the edges between them: the currency
// that the stages of the generator hand to each other (taskgraph-map 1).
//
// Graphs are immutable once built and safe for concurrent reading. Every order they give (keys,
// edges, walks) depends only on their content.
package graph

import (
	"fmt"
	"maps"

	"github.com/treeline-ci/treeline/taskgraph/explain"
)

// Task is one task of a graph. Its maps and slices are shared between stages and must not be
// written to: a stage that changes a task makes a copy of the parts it changes.
type Task struct {
	// Kind is the kind that made the task, Label its name, unique in the graph.
	Kind, Label, Description string
	// Attributes are free facts about the task; "kind" is always among them.
	Attributes map[string]any
	// Definition is the queue's task definition; until optimization it may hold references
	// and relative dates.
	Definition map[string]any
	// Dependencies names the tasks that must be done before this one: edge name to label, and
	// after optimization edge name to task id.
	Dependencies map[string]string
	// SoftDependencies are labels waited for only if they are in the graph for another reason.
	SoftDependencies []string
	// IfDependencies are labels of which one at least must stay for this task to stay.
	IfDependencies []string
	// Optimization is nil or a map of one strategy name to its argument.
	Optimization map[string]any
	// TaskID is set once the optimization has given the task an id.
	TaskID string
	// Provenance tells where the task came from and what changed it.
	Provenance explain.Provenance
}

// Attribute returns the attribute of that name, nil without it.
func (t *Task) Attribute(name string) any { return t.Attributes[name] }

// Strategy returns the name and the argument of the task's optimization, "" without one.
func (t *Task) Strategy() (name string, arg any) {
	for name, arg := range t.Optimization {
		return name, arg
	}
	return "", nil
}

// Clone returns a copy of t that may be given other fields; what its maps hold stays shared.
func (t *Task) Clone() *Task {
	c := *t
	c.Attributes = maps.Clone(t.Attributes)
	c.Definition = maps.Clone(t.Definition)
	c.Dependencies = maps.Clone(t.Dependencies)
	return &c
}

// JSON returns the task as the well-known graph artifacts write it (taskgraph-map 1.1).
func (t *Task) JSON() map[string]any {
	deps := make(map[string]any, len(t.Dependencies))
	for name, key := range t.Dependencies {
		deps[name] = key
	}
	m := map[string]any{
		"kind":              t.Kind,
		"label":             t.Label,
		"description":       t.Description,
		"attributes":        orEmpty(t.Attributes),
		"task":              orEmpty(t.Definition),
		"dependencies":      deps,
		"soft_dependencies": stringsToAny(t.SoftDependencies),
		"if_dependencies":   stringsToAny(t.IfDependencies),
		"optimization":      nil,
	}
	if t.Optimization != nil {
		m["optimization"] = t.Optimization
	}
	if t.TaskID != "" {
		m["task_id"] = t.TaskID
	}
	return m
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

func stringsToAny(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// FromJSON makes a task of the form that JSON writes. Numbers may be int64, float64 or
// json.Number.
func FromJSON(m map[string]any) (*Task, error) {
	t := &Task{}
	var ok bool
	for name, field := range map[string]*string{"kind": &t.Kind, "label": &t.Label, "description": &t.Description, "task_id": &t.TaskID} {
		if v := m[name]; v != nil {
			if *field, ok = v.(string); !ok {
				return nil, fmt.Errorf("graph: task %v: %s is not a string", m["label"], name)
			}
		}
	}
	if t.Label == "" {
		return nil, fmt.Errorf("graph: a task has no label")
	}
	for name, field := range map[string]*map[string]any{"attributes": &t.Attributes, "task": &t.Definition, "optimization": &t.Optimization} {
		if v := m[name]; v != nil {
			if *field, ok = v.(map[string]any); !ok {
				return nil, fmt.Errorf("graph: task %s: %s is not an object", t.Label, name)
			}
		}
	}
	for name, field := range map[string]*[]string{"soft_dependencies": &t.SoftDependencies, "if_dependencies": &t.IfDependencies} {
		if v := m[name]; v != nil {
			if *field, ok = anyToStrings(v); !ok {
				return nil, fmt.Errorf("graph: task %s: %s is not a list of strings", t.Label, name)
			}
		}
	}
	deps, ok := m["dependencies"].(map[string]any)
	if !ok && m["dependencies"] != nil {
		return nil, fmt.Errorf("graph: task %s: dependencies is not an object", t.Label)
	}
	t.Dependencies = make(map[string]string, len(deps))
	for name, v := range deps {
		if t.Dependencies[name], ok = v.(string); !ok {
			return nil, fmt.Errorf("graph: task %s: dependency %q is not a string", t.Label, name)
		}
	}
	return t, nil
}

func anyToStrings(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return nil, false
		}
	}
	return out, true
}
