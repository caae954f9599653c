// Package replicate makes tasks like those of other graphs: the transform
// mozilla_taskgraph.transforms.replicate (taskgraph-map 11.11).
//
// A decision asks nothing of the network, so the graphs to be copied are files of the tree: the
// target X is replicate/X.json below the directory of config.yml. It holds a task graph, as a
// decision publishes it as public/task-graph.json, or one task definition; a path of the index has
// its dots in the name. Whoever wants newer tasks replaces the file.
package replicate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Transform returns the transform.
func Transform() transform.Transform {
	return transform.New("mozilla_taskgraph.transforms.replicate:transforms", transform.Check(Shape()), replicate)
}

// Shape is what the transform reads.
func Shape() *schema.Object {
	filter := schema.Map(schema.OneOf(schema.String(), schema.List(schema.String())))
	return schema.Open(schema.Req("replicate", schema.Strict(
		schema.Req("target", schema.List(schema.String())), schema.Opt("include-attrs", filter), schema.Opt("exclude-attrs", filter),
	)))
}

// original is one task of another graph.
type original struct {
	attributes map[string]any
	definition map[string]any
}

func replicate(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	settings := it.Map("replicate")
	targets, _ := value.Strings(settings["target"])
	var found []original
	for _, target := range targets {
		tasks, err := read(c, target)
		if err != nil {
			return it.Errorf("replicate.target", "%v", err)
		}
		found = append(found, tasks...)
	}
	include, exclude := value.Map(settings, "include-attrs"), value.Map(settings, "exclude-attrs")
	found = slices.DeleteFunc(found, func(o original) bool { return !wanted(o, include, exclude) })
	if err := c.Reserve(it, len(found)); err != nil {
		return err
	}
	name := it.String("name")
	r := rewriter{c: c, level: c.Graph.TrustDomain() + "-level-" + c.Level()}
	for _, o := range found {
		copied := it.Split()
		definition := r.definition(o.definition)
		metadata := value.Map(definition, "metadata")
		label := name + "-" + value.String(metadata, "name")
		metadata["name"] = label
		copied.Become(map[string]any{
			"label": label, "description": metadata["description"], "dependencies": map[string]any{},
			"task": definition, "attributes": map[string]any{"replicate": name},
		}, "label", "task", "attributes")
		copied.Note("a copy of " + strings.TrimPrefix(label, name+"-"))
		emit(copied)
	}
	return nil
}

type targetsOf struct{}

// read gives the tasks of a target, sorted by their keys in the file.
func read(c *transform.Config, target string) ([]original, error) {
	v, err := c.Memo(targetsOf{}, target, func() (any, error) {
		name := path.Join(c.Graph.Root, "replicate", target+".json")
		if !fs.ValidPath(name) {
			return nil, fmt.Errorf("%q names no file", target)
		}
		b, err := fs.ReadFile(c.Tree, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s does not exist; save the task graph of %s there (the artifact public/task-graph.json of its decision) or its task definition", name, target)
		} else if err != nil {
			return nil, err
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return originals(name, whole(m).(map[string]any))
	})
	if err != nil {
		return nil, err
	}
	return v.([]original), nil
}

// whole makes integers of the numbers that are some, as everywhere in the generator.
func whole(v any) any {
	switch v := v.(type) {
	case float64:
		if i := int64(v); float64(i) == v {
			return i
		}
	case map[string]any:
		for key, e := range v {
			v[key] = whole(e)
		}
	case []any:
		for i, e := range v {
			v[i] = whole(e)
		}
	}
	return v
}

func originals(name string, m map[string]any) ([]original, error) {
	if m["payload"] != nil && m["metadata"] != nil { // one definition
		m = map[string]any{"": map[string]any{"task": m}}
	}
	var out []original
	for _, key := range slices.Sorted(maps.Keys(m)) {
		t, _ := m[key].(map[string]any)
		definition := value.Map(t, "task")
		if value.Map(definition, "metadata") == nil || value.Map(definition, "payload") == nil {
			return nil, fmt.Errorf("%s: %q is no task: it lacks a definition with metadata and payload", name, key)
		}
		out = append(out, original{value.Map(t, "attributes"), definition})
	}
	return out, nil
}

// wanted leaves out hardware, administrators, and what the filters say.
func wanted(o original, include, exclude map[string]any) bool {
	features := value.Map(value.Map(o.definition, "payload"), "features")
	if value.String(o.definition, "provisionerId") == "releng-hardware" || value.Truthy(features["runAsAdministrator"]) {
		return false
	}
	for key, v := range include {
		if have, ok := o.attributes[key]; !ok || !anyOf(v, func(w string) bool { return value.Equal(have, w) }) {
			return false
		}
	}
	for key, v := range exclude {
		have, _ := o.attributes[key].(string)
		if _, ok := o.attributes[key]; !ok || !anyOf(v, func(w string) bool { return strings.HasPrefix(have, w) }) {
			return true
		}
	}
	return len(exclude) == 0
}

func anyOf(v any, ok func(string) bool) bool {
	if s, isText := v.(string); isText {
		return ok(s)
	}
	list, _ := value.Strings(v)
	return slices.ContainsFunc(list, ok)
}

// rewriter makes a definition fit for this graph.
type rewriter struct {
	c     *transform.Config
	level string // trust domain and level, as they stand in names of caches and scopes
}

var levelName = regexp.MustCompile(`[a-z]+-level-[1-3]`)

func (r rewriter) leveled(s string) string { return levelName.ReplaceAllLiteralString(s, r.level) }

func (r rewriter) definition(old map[string]any) map[string]any {
	d := copied(old).(map[string]any)
	d["schedulerId"], d["taskGroupId"] = r.level, r.c.DecisionTaskID
	d["priority"], d["routes"] = "low", []any{"checks"}
	if extra := value.Map(d, "extra"); extra != nil {
		delete(extra, "treeherder")
	}
	payload := value.Map(d, "payload")
	if cache := value.Map(payload, "cache"); cache != nil {
		renamed := make(map[string]any, len(cache))
		for name, dir := range cache {
			renamed[r.leveled(name)] = dir
		}
		payload["cache"] = renamed
	}
	for _, m := range value.List(payload, "mounts") {
		if m, ok := m.(map[string]any); ok && value.String(m, "cacheName") != "" {
			m["cacheName"] = r.leveled(value.String(m, "cacheName"))
		}
	}
	scopes := value.List(d, "scopes")
	for i, s := range scopes {
		if text, ok := s.(string); ok {
			scopes[i] = r.leveled(text)
		}
	}
	r.dates(d, payload)
	env := value.Map(payload, "env")
	maps.DeleteFunc(env, func(name string, _ any) bool { return strings.HasSuffix(name, "_REV") })
	return d
}

// dates makes the dates, which have passed, count from now on.
func (r rewriter) dates(d, payload map[string]any) {
	d["created"] = r.c.Pair("relative-datestamp", "0 seconds")
	d["deadline"] = r.c.Pair("relative-datestamp", "1 day")
	d["expires"] = r.c.Pair("relative-datestamp", "1 month")
	artifacts := value.List(payload, "artifacts")
	for _, a := range value.Map(payload, "artifacts") {
		artifacts = append(artifacts, a)
	}
	for _, a := range artifacts {
		if a, ok := a.(map[string]any); ok && a["expires"] != nil {
			a["expires"] = r.c.Pair("relative-datestamp", "1 month")
		}
	}
}

func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			out[key] = copied(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = copied(e)
		}
		return out
	}
	return v
}
