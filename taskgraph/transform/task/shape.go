package task

import (
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Description is the shape of a task description: every key that may stand in one.
func Description() *schema.Object {
	text, texts, boolean := schema.String(), schema.List(schema.String()), schema.Bool()
	return schema.Strict(
		schema.Req("label", text),
		schema.Req("description", text),
		schema.Req("always-target", boolean),
		schema.Req("optimization", schema.Optional(Optimization())),
		schema.Req("worker-type", text),
		schema.Req("needs-sccache", boolean),
		schema.Opt("attributes", schema.Map(schema.Any())),
		schema.Opt("task-from", text),
		schema.Opt("dependencies", schema.Map(schema.Any())),
		schema.Opt("priority", schema.Enum(config.Priorities()...)),
		schema.Opt("soft-dependencies", texts),
		schema.Opt("if-dependencies", texts),
		schema.Opt("requires", schema.Enum("all-completed", "all-resolved")),
		schema.Opt("expires-after", text),
		schema.Opt("deadline-after", text),
		schema.Opt("routes", texts),
		schema.Opt("scopes", texts),
		schema.Opt("tags", schema.Map(text)),
		schema.Opt("extra", schema.Map(schema.Any())),
		schema.Opt("treeherder", schema.OneOf(boolean, Treeherder())),
		schema.Opt("index", Index()),
		schema.Opt("run-on-projects", schema.Any()), // a choice by any attribute is let through: taskgraph-map 5
		schema.Opt("run-on-tasks-for", texts),
		schema.Opt("run-on-git-branches", texts),
		schema.Opt("shipping-phase", schema.Enum("build", "promote", "push", "ship")),
		schema.Opt("worker", schema.Open(schema.Req("implementation", text))),
	)
}

// Optimization is one strategy and its argument.
func Optimization() schema.Type {
	texts := schema.List(schema.String())
	return schema.Open(schema.Opt("index-search", texts), schema.Opt("skip-unless-changed", texts))
}

// Treeherder is what a task says about its place on Treeherder.
func Treeherder() *schema.Object {
	return schema.Strict(
		schema.Opt("symbol", schema.String()),
		schema.Opt("kind", schema.Enum("build", "test", "other")),
		schema.Opt("tier", schema.Int()),
		schema.Opt("platform", schema.String()),
	)
}

// Index is what a task says about its place in the index.
func Index() *schema.Object {
	return schema.Strict(
		schema.Opt("product", schema.String()),
		schema.Opt("job-name", schema.String()),
		schema.Opt("type", schema.String()),
		schema.Opt("rank", schema.OneOf(schema.Enum("by-tier", "build_date"), schema.Int())),
	)
}

// runOnProjects resolves the choice of projects and checks what it gives. It may be chosen by
// the task's own keys too, as they are once the definition is made.
func runOnProjects(c *transform.Config, it *transform.Item, def *definition, platform any) (any, error) {
	v := it.Get("run-on-projects")
	if v == nil {
		return []any{"all"}, nil
	}
	names := value.NameFunc(func(name string) (any, bool) {
		switch name {
		case "build-platform":
			return platform, true
		case "worker-type":
			return def.queue, true
		case "priority":
			return def.values["priority"], true
		case "expires-after":
			return def.expires["relative-datestamp"], true
		case "deadline-after":
			return value.Map(def.values, "deadline")["relative-datestamp"], true
		}
		v, ok := it.Values()[name]
		return v, ok
	})
	v, err := c.Graph.Resolver().Evaluate(v, "`run-on-projects`", names, keyedby.Options{Missing: c.WarnOfMissing(it, "run-on-projects")})
	if err != nil {
		return nil, it.Errorf("run-on-projects", "%v", err)
	}
	if _, ok := value.Strings(v); !ok {
		return nil, it.Errorf("run-on-projects", "must be a list of projects, or a choice by-build-platform of such lists, not %s", value.Kind(v))
	}
	return v, nil
}
