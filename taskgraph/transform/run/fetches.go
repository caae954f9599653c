package run

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// sources is what may be fetched by name: the artifacts of fetch and toolchain tasks.
type sources struct {
	c         *transform.Config
	artifacts map[string]string         // label → artifact
	aliases   map[string]string         // "<kind>-<alias>" → label
	env       map[string]map[string]any // label → environment that comes with it
	prefixes  map[string]string         // label in this kind → prefix of its artifacts
}

// fetches turns "fetches" into dependencies and the list that fetch-content works through
// (taskgraph-map 10.6). It sees the whole kind, since tasks may fetch from tasks of their kind.
func fetches(_ context.Context, c *transform.Config, items []*transform.Item) ([]*transform.Item, error) {
	items = transform.Unique(c, items)
	s := &sources{c: c, artifacts: map[string]string{}, aliases: map[string]string{}, env: map[string]map[string]any{}, prefixes: map[string]string{}}
	s.ofKind(items)
	s.ofDependencies()
	for _, it := range items {
		if !it.Has("fetches") {
			continue
		}
		if m, ok := it.Delete("fetches").(map[string]any); ok && len(m) > 0 {
			if err := s.fetch(it, m); err != nil {
				it.Fail(err)
			}
		}
	}
	return items, nil
}

func (s *sources) ofKind(items []*transform.Item) {
	kind := s.c.Kind
	for _, it := range items {
		label := it.String("label")
		s.prefixes[label] = transform.ArtifactPrefix(it.Map("attributes"))
		if kind != "toolchain" && kind != "fetch" {
			continue
		}
		if a := value.String(it.Map("run"), "toolchain-artifact"); a != "" {
			s.artifacts[label] = a
		}
		s.alias(kind, it.Map("run")[kind+"-alias"], label)
	}
}

func (s *sources) alias(kind string, v any, label string) {
	names, ok := value.Strings(v)
	if text, isText := v.(string); isText && text != "" {
		names, ok = []string{text}, true
	}
	if ok {
		for _, name := range names {
			s.aliases[kind+"-"+name] = label
		}
	}
}

func (s *sources) ofDependencies() {
	for _, t := range s.c.Dependencies.All() {
		if t.Kind != "fetch" && t.Kind != "toolchain" {
			continue
		}
		if a := value.String(t.Attributes, t.Kind+"-artifact"); a != "" {
			s.artifacts[t.Label] = a
		}
		if env := value.Map(t.Attributes, t.Kind+"-env"); len(env) > 0 {
			s.env[t.Label] = env
		}
		s.alias(t.Kind, t.Attributes[t.Kind+"-alias"], t.Label)
	}
}

// wanted is one entry of a task's fetches.
type wanted struct {
	artifact, dest      string
	hasDest             bool
	extract, verifyHash bool
}

func want(v any) wanted {
	if text, ok := v.(string); ok {
		return wanted{artifact: text, extract: true}
	}
	m := v.(map[string]any)
	w := wanted{artifact: value.String(m, "artifact"), extract: true}
	w.dest, w.hasDest = m["dest"].(string)
	if e, ok := m["extract"].(bool); ok {
		w.extract = e
	}
	w.verifyHash, _ = m["verify-hash"].(bool)
	return w
}

// entry is the form that fetch-content reads.
func (w wanted) entry(artifact, edge string) map[string]any {
	e := map[string]any{"artifact": artifact, "task": "<" + edge + ">", "extract": w.extract}
	if w.hasDest {
		e["dest"] = w.dest
	}
	if w.verifyHash {
		e["verify-hash"] = true
	}
	return e
}

func (s *sources) fetch(it *transform.Item, from map[string]any) error {
	var list []any
	for _, edge := range slices.Sorted(mapKeys(from)) {
		entries := value.List(from, edge)
		all := make([]wanted, len(entries))
		for i, e := range entries {
			all[i] = want(e)
		}
		slices.SortStableFunc(all, func(a, b wanted) int { return strings.Compare(a.artifact, b.artifact) })
		for _, w := range all {
			e, err := s.one(it, edge, w)
			if err != nil {
				return err
			}
			list = append(list, e)
		}
	}
	s.allow(it, list)
	text, err := value.Compact(orEmpty(list))
	if err != nil {
		return it.Errorf("fetches", "%v", err)
	}
	env := it.Own("worker", "env")
	env["MOZ_FETCHES"] = map[string]any{"task-reference": text}
	if _, ok := env["MOZ_FETCHES_DIR"]; !ok {
		env["MOZ_FETCHES_DIR"] = "fetches"
	}
	return nil
}

func orEmpty(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

func mapKeys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (s *sources) one(it *transform.Item, edge string, w wanted) (map[string]any, error) {
	if edge == "fetch" || edge == "toolchain" {
		return s.named(it, edge, w)
	}
	label, ok := it.Map("dependencies")[edge].(string)
	if !ok {
		return nil, it.Errorf("fetches."+edge, "the task has no dependency called %q to fetch from", edge)
	}
	prefix, ok := s.prefixes[label]
	if !ok {
		t := s.c.Dependencies.Task(label)
		if t == nil {
			return nil, it.Errorf("fetches."+edge, "%q is not a task of the kinds in kind-dependencies (%s)", label, strings.Join(s.c.KindDependencies, ", "))
		}
		prefix = transform.ArtifactPrefix(t.Attributes)
	}
	return w.entry(prefix+"/"+w.artifact, edge), nil
}

// named fetches what a fetch or toolchain task makes, by the task's name or alias.
func (s *sources) named(it *transform.Item, kind string, w wanted) (map[string]any, error) {
	label := kind + "-" + w.artifact
	if l, ok := s.aliases[label]; ok {
		label = l
	}
	artifact, ok := s.artifacts[label]
	if !ok {
		var known []string
		for l := range s.artifacts {
			if name, ok := strings.CutPrefix(l, kind+"-"); ok {
				known = append(known, name)
			}
		}
		slices.Sort(known)
		hint := fmt.Sprintf("; is %q among the kind-dependencies?", kind)
		if near := graph.Nearest(w.artifact, known); near != "" {
			hint = fmt.Sprintf("; is %q meant?", near)
		}
		return nil, it.Errorf("fetches."+kind, "there is no %s task %q to fetch from%s", kind, w.artifact, hint)
	}
	it.Own("dependencies")[label] = label
	if env := s.env[label]; len(env) > 0 {
		own := it.Own("worker", "env")
		for key, v := range env {
			own[key] = v
		}
	}
	return w.entry(artifact, label), nil
}

// allow lets the task read the artifacts that are not public.
func (s *sources) allow(it *transform.Item, list []any) {
	var dirs []string
	for _, e := range list {
		artifact := value.String(e.(map[string]any), "artifact")
		if dir := strings.TrimSuffix(path.Dir(artifact), "."); !strings.HasPrefix(artifact, "public/") && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return
	}
	slices.Sort(dirs)
	it.Own("worker")["taskcluster-proxy"] = true
	for _, dir := range dirs {
		if scope := "queue:get-artifact:" + dir + "/*"; !slices.Contains(it.List("scopes"), any(scope)) {
			it.Append("scopes", scope)
		}
	}
}
