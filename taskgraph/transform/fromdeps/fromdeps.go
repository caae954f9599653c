// Package fromdeps makes tasks from the tasks of other kinds: the transforms
// taskgraph.transforms.from_deps and taskgraph.transforms.code_review (taskgraph-map 11.1, 11.9).
package fromdeps

import (
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/run"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Transform returns the transform from_deps.
func Transform() transform.Transform {
	return transform.New("taskgraph.transforms.from_deps:transforms", transform.Check(Shape()), expand)
}

// Shape is what the transform from_deps reads of an entry.
func Shape() *schema.Object {
	text, boolean := schema.String(), schema.Bool()
	return schema.Open(schema.Req("from-deps", schema.Strict(
		schema.Opt("kinds", schema.List(text)),
		schema.Opt("set-name", schema.OneOf(boolean, text)),
		schema.Opt("with-attributes", schema.Map(schema.OneOf(schema.List(schema.Any()), text))),
		schema.Opt("group-by", schema.OneOf(text, schema.Map(schema.Any()))),
		schema.Opt("copy-attributes", boolean),
		schema.Opt("unique-kinds", boolean),
		schema.Opt("fetches", schema.Map(schema.List(run.Fetch()))),
	)))
}

// settings are what an item says under "from-deps".
type settings struct {
	kinds       []string
	setName     string // "", "strip-kind" or "retain-kind"
	copy        bool
	uniqueKinds bool
	fetches     map[string]any
}

func expand(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	m := it.Map("from-deps")
	s, err := read(c, it, m)
	if err != nil {
		return err
	}
	groups, err := group(c, it, m, s)
	if err != nil {
		return err
	}
	if err := c.Reserve(it, len(groups)); err != nil {
		return err
	}
	it.Delete("from-deps")
	for _, g := range groups {
		if err := s.task(c, it, g, emit); err != nil {
			return err
		}
	}
	return nil
}

func read(c *transform.Config, it *transform.Item, m map[string]any) (*settings, error) {
	s := &settings{kinds: c.KindDependencies, setName: "strip-kind", uniqueKinds: true, fetches: value.Map(m, "fetches")}
	if kinds, ok := value.Strings(m["kinds"]); ok {
		s.kinds = kinds
		for _, k := range kinds {
			if !slices.Contains(c.KindDependencies, k) {
				return nil, it.Errorf("from-deps.kinds", "%q is not among the kind-dependencies (%s)", k, strings.Join(c.KindDependencies, ", "))
			}
		}
	}
	if len(s.kinds) == 0 {
		return nil, it.Errorf("from-deps", "needs at least one kind in kind-dependencies")
	}
	if v, ok := m["set-name"]; ok {
		switch v {
		case nil, false, "":
			s.setName = ""
		case "strip-kind", "retain-kind":
			s.setName = v.(string)
		default:
			return nil, it.Errorf("from-deps.set-name", "must be strip-kind, retain-kind or null, not %v", v)
		}
	}
	s.copy = m["copy-attributes"] == true
	if u, ok := m["unique-kinds"].(bool); ok {
		s.uniqueKinds = u
	}
	return s, nil
}

// group finds the tasks wanted and groups them; groups and their members keep the order of the
// dependencies.
func group(c *transform.Config, it *transform.Item, m map[string]any, s *settings) ([][]*graph.Task, error) {
	with := value.Map(m, "with-attributes")
	var tasks []*graph.Task
	for _, t := range c.Dependencies.All() {
		if slices.Contains(s.kinds, t.Kind) && matches(t.Attributes, with) {
			tasks = append(tasks, t)
		}
	}
	by, arg := m["group-by"], any(nil)
	if choice, ok := by.(map[string]any); ok {
		if len(choice) != 1 {
			return nil, it.Errorf("from-deps.group-by", "must name one way of grouping")
		}
		for name, a := range choice {
			by, arg = name, a
		}
		if by == "single" || by == "all" {
			return nil, it.Errorf("from-deps.group-by", "%s takes no argument; write group-by: %s", by, by)
		}
	}
	switch by {
	case nil, "single":
		groups := make([][]*graph.Task, len(tasks))
		for i := range tasks {
			groups[i] = tasks[i : i+1]
		}
		return groups, nil
	case "all":
		return [][]*graph.Task{tasks}, nil
	case "attribute":
		name, ok := arg.(string)
		if !ok {
			return nil, it.Errorf("from-deps.group-by.attribute", "must be the name of an attribute")
		}
		return byAttribute(tasks, name), nil
	}
	return nil, it.Errorf("from-deps.group-by", "must be single, all or {attribute: name}, not %v", by)
}

// matches reports whether attributes hold every wanted pair; a list wants one of its values.
func matches(attributes, with map[string]any) bool {
	for key, want := range with {
		have, ok := attributes[key]
		if !ok {
			return false
		}
		if list, isList := want.([]any); isList {
			ok = slices.ContainsFunc(list, func(w any) bool { return value.Equal(w, have) })
		} else {
			ok = value.Equal(want, have)
		}
		if !ok {
			return false
		}
	}
	return true
}

func byAttribute(tasks []*graph.Task, name string) [][]*graph.Task {
	at := map[string]int{}
	var groups [][]*graph.Task
	for _, t := range tasks {
		v := t.Attributes[name]
		if !value.Truthy(v) {
			continue
		}
		key := fmt.Sprintf("%T %s", v, value.Text(v))
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], t)
	}
	return groups
}

// task makes the task of one group.
func (s *settings) task(c *transform.Config, from *transform.Item, group []*graph.Task, emit func(*transform.Item)) error {
	primary, err := s.primary(from, group)
	if err != nil {
		return err
	}
	it := from.Split()
	dependencies := it.Own("dependencies")
	for _, t := range group {
		dependencies[s.edge(t)] = t.Label
	}
	attributes := it.Own("attributes")
	attributes["primary-kind-dependency"] = primary.Kind
	attributes["primary-dependency-label"] = primary.Label
	switch s.setName {
	case "strip-kind":
		it.Set("name", stripKind(primary))
	case "retain-kind":
		it.Set("name", primary.Label)
	}
	if s.copy {
		for key, v := range primary.Attributes {
			if _, ok := attributes[key]; !ok {
				attributes[key] = v
			}
		}
	}
	if len(s.fetches) > 0 {
		if err := s.fetch(c, it); err != nil {
			return err
		}
	}
	it.Note("from " + primary.Label)
	emit(it)
	return nil
}

func (s *settings) edge(t *graph.Task) string {
	if s.uniqueKinds {
		return t.Kind
	}
	return t.Label
}

// primary is the group's first task of the first kind that has one.
func (s *settings) primary(it *transform.Item, group []*graph.Task) (*graph.Task, error) {
	kinds := map[string]bool{}
	for _, t := range group {
		if s.uniqueKinds && kinds[t.Kind] {
			var labels []string
			for _, other := range group {
				if other.Kind == t.Kind {
					labels = append(labels, other.Label)
				}
			}
			return nil, it.Errorf("from-deps", "a group has several tasks of the kind %q (%s); set unique-kinds to false or group them otherwise", t.Kind, transform.ShortList(labels))
		}
		kinds[t.Kind] = true
	}
	for _, kind := range s.kinds {
		for _, t := range group {
			if t.Kind == kind {
				return t, nil
			}
		}
	}
	return nil, it.Errorf("from-deps", "there is no task to depend on: no task of %s fits", strings.Join(s.kinds, ", "))
}

func stripKind(t *graph.Task) string {
	rest, ok := strings.CutPrefix(t.Label, t.Kind)
	if !ok {
		return t.Label
	}
	if rest != "" {
		rest = rest[1:]
	}
	return rest
}

// fetch adds the artifacts to fetch from the task's dependencies, named with their attributes.
func (s *settings) fetch(c *transform.Config, it *transform.Item) error {
	var labels []string
	for _, v := range it.Map("dependencies") {
		if label, _ := v.(string); c.Dependencies.Task(label) != nil {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	for _, label := range labels {
		t := c.Dependencies.Task(label)
		entries, ok := s.fetches[t.Kind].([]any)
		if !ok {
			continue
		}
		list := make([]any, len(entries))
		for i, e := range entries {
			n := map[string]any{}
			for key, v := range e.(map[string]any) {
				if text, ok := v.(string); ok && (key == "artifact" || key == "dest") {
					formatted, err := value.Format(text, value.NameMap(t.Attributes))
					if err != nil {
						return it.Errorf("from-deps.fetches."+t.Kind, "with the attributes of %s: %v", t.Label, err)
					}
					v = formatted
				}
				n[key] = v
			}
			list[i] = n
		}
		it.Own("fetches")[s.edge(t)] = list
	}
	return nil
}

// CodeReview returns the transform that makes tasks wait for all tasks under code review.
func CodeReview() transform.Transform {
	return transform.New("taskgraph.transforms.code_review:transforms", codeReview)
}

func codeReview(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	it.Default("soft-dependencies", []any{})
	for _, t := range c.Dependencies.All() {
		if t.Attributes["code-review"] == true {
			it.Append("soft-dependencies", t.Label)
		}
	}
	emit(it)
	return nil
}
