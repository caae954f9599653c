package config

import "github.com/treeline-ci/treeline/taskgraph/schema"

// Caches are the tool caches that run.use-caches may name.
func Caches() []string { return []string{"cargo", "checkout", "npm", "pip", "uv"} }

// Priorities are the priorities of tasks, the highest first.
func Priorities() []string {
	return []string{"highest", "very-high", "high", "medium", "low", "very-low", "lowest"}
}

// Shape is the shape of config.yml; unknown keys at the top belong to the tree.
func Shape() schema.Type {
	text := schema.String()
	alias := schema.Strict(
		schema.Req("provisioner", schema.KeyedBy(text, "level")),
		schema.Req("implementation", text),
		schema.Req("os", text),
		schema.Req("worker-type", schema.KeyedBy(text, "level")),
	)
	repository := schema.Open(
		schema.Req("name", text),
		schema.Opt("project-regex", text),
		schema.Opt("ssh-secret-name", text),
	)
	run := schema.Strict(
		schema.Opt("use-caches", schema.OneOf(schema.Bool(), schema.List(schema.Enum(Caches()...)))),
	)
	taskgraph := schema.Strict(
		schema.Req("repositories", schema.NonEmpty(schema.Map(repository))),
		schema.Opt("register", text),
		schema.Opt("decision-parameters", text),
		schema.Opt("cached-task-prefix", text),
		schema.Opt("cache-pull-requests", schema.Bool()),
		schema.Opt("index-path-regexes", schema.List(text)),
		schema.Opt("run", run),
		schema.Opt("disabled-actions", schema.List(text)),
	)
	try := schema.Open(
		schema.Opt("projects", schema.List(text)),
		schema.Opt("branches", schema.List(text)),
		schema.Opt("ridealong-builds", schema.Map(schema.List(text))),
		schema.Opt("auto-project", text),
		schema.Opt("uncommon-tasks", schema.List(text)),
		schema.Opt("push-to", text),
		schema.Opt("branch", text),
	)
	return schema.Open(
		schema.Req("trust-domain", text),
		schema.Req("task-priority", schema.KeyedBy(schema.Enum(Priorities()...), "project", "level")),
		schema.Req("workers", schema.Strict(schema.Req("aliases", schema.Map(alias)))),
		schema.Req("taskgraph", taskgraph),
		schema.Opt("docker-image-kind", text),
		schema.Opt("try", try),
		schema.Opt("task-deadline-after", schema.KeyedBy(text, "project")),
		schema.Opt("task-expires-after", text),
		schema.Opt("shipit", schema.Open(schema.Opt("product", text), schema.Opt("release-format", text), schema.Opt("scope-prefix", text))),
		schema.Opt("version-parser", text),
		schema.Opt("release-branches", schema.Map(schema.OneOf(schema.Bool(), schema.List(text)))),
	)
}
