// Package cached lets tasks be replaced by earlier ones with the same inputs: the transform
// taskgraph.transforms.cached_tasks (taskgraph-map 11.7).
package cached

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Transform returns the transform.
func Transform() transform.Transform {
	return transform.Transform{Name: "taskgraph.transforms.cached_tasks:transforms", Unordered: true, Steps: []transform.Step{{All: cacheTasks}}}
}

// Shape is the shape of "cache".
func Shape() schema.Type {
	return schema.Strict(
		schema.Req("type", schema.String()), schema.Req("name", schema.String()), schema.Req("digest-data", schema.List(schema.String())),
	)
}

// cacheTasks works on the whole kind: the digest of a task holds those of its dependencies.
func cacheTasks(_ context.Context, c *transform.Config, items []*transform.Item) ([]*transform.Item, error) {
	if c.Fast {
		for _, it := range items {
			it.Delete("cache")
		}
		return items, nil
	}
	digests := map[string]string{}
	for _, t := range c.Dependencies.All() {
		if m := value.Map(t.Attributes, "cached_task"); m != nil {
			digests[t.Label] = digestName(m)
		}
	}
	items, err := order(c, transform.Unique(c, items))
	if err != nil {
		return nil, err
	}
	shape := Shape()
	for _, it := range items {
		cache := it.Get("cache")
		it.Delete("cache")
		if cache == nil {
			continue
		}
		if err := it.Check(shape, cache, "cache"); err != nil {
			it.Fail(err)
			continue
		}
		if err := one(c, it, cache.(map[string]any), digests); err != nil {
			it.Fail(err)
		}
	}
	return items, nil
}

func digestName(m map[string]any) string {
	return value.String(m, "type") + "/" + value.String(m, "name") + "/" + value.String(m, "digest")
}

// order sorts items so that each comes after those of its kind that it depends on.
func order(c *transform.Config, items []*transform.Item) ([]*transform.Item, error) {
	byLabel := make(map[string]*transform.Item, len(items))
	tasks := make(map[string]*graph.Task, len(items))
	for _, it := range items {
		label := it.String("label")
		byLabel[label] = it
		t := &graph.Task{Label: label}
		t.Provenance.File, t.Provenance.Line = it.Place(nil, false)
		tasks[label] = t
	}
	var edges []graph.Edge
	for label, it := range byLabel {
		for name, v := range it.Map("dependencies") {
			if to, _ := v.(string); byLabel[to] != nil {
				edges = append(edges, graph.Edge{From: label, To: to, Name: name})
			}
		}
	}
	g, err := graph.New(tasks, edges)
	if err != nil {
		return nil, err
	}
	keys, err := g.Postorder()
	if err != nil {
		return nil, err
	}
	out := make([]*transform.Item, len(keys))
	for i, key := range keys {
		out[i] = byLabel[key]
	}
	return out, nil
}

func one(c *transform.Config, it *transform.Item, cache map[string]any, digests map[string]string) error {
	data, _ := value.Strings(cache["digest-data"])
	var upstream []string
	dependencies := it.Map("dependencies")
	for _, name := range slices.Sorted(maps.Keys(dependencies)) {
		label, _ := dependencies[name].(string)
		digest, ok := digests[label]
		if !ok {
			return it.Errorf("dependencies."+name, "a cached task cannot depend on %s, which is not cached: its digest would say nothing about it", label)
		}
		upstream = append(upstream, digest)
	}
	slices.Sort(upstream)
	data = slices.Concat(data, upstream)
	if trust := it.Map("worker")["chain-of-trust"]; value.Truthy(trust) {
		data = append(data, value.Text(trust))
	}
	Add(c, it, value.String(cache, "type"), value.String(cache, "name"), data)
	digests[it.String("label")] = digestName(value.Map(it.Map("attributes"), "cached_task"))
	return nil
}

// Add makes the task replaceable by one that was indexed under the digest of data, and indexes
// it there itself. With Fast it does nothing.
func Add(c *transform.Config, it *transform.Item, kind, name string, data []string) {
	if c.Fast {
		return
	}
	sum := sha256.Sum256([]byte(strings.Join(data, "\n")))
	digest := hex.EncodeToString(sum[:])
	prefix, rest := c.Graph.CachePrefix()+".cache.", "."+kind+"."+name
	level, _ := strconv.Atoi(c.Level())
	var paths []any
	for l := 3; l >= level; l-- {
		paths = append(paths, prefix+"level-"+strconv.Itoa(l)+rest+".hash."+digest)
	}
	pullPath := prefix + "pr" + rest + ".hash." + digest
	switch {
	case c.IsPullRequest() && c.Graph.CachePullRequests():
		paths = append(paths, pullPath)
		it.Append("routes", "index."+pullPath)
	case !c.IsPullRequest():
		own := "index." + prefix + "level-" + c.Level() + rest
		it.Append("routes", own+".hash."+digest, own+".latest", own+".pushdate."+c.BuildDateLong())
	}
	it.Set("optimization", map[string]any{"index-search": paths})
	it.Own("attributes")["cached_task"] = map[string]any{"type": kind, "name": name, "digest": digest}
}
