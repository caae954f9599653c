package builtin

import (
	"maps"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/loader"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform/cached"
	"github.com/treeline-ci/treeline/taskgraph/transform/dockerimage"
	"github.com/treeline-ci/treeline/taskgraph/transform/fetch"
	"github.com/treeline-ci/treeline/taskgraph/transform/fromdeps"
	"github.com/treeline-ci/treeline/taskgraph/transform/notify"
	"github.com/treeline-ci/treeline/taskgraph/transform/replicate"
	"github.com/treeline-ci/treeline/taskgraph/transform/run"
	"github.com/treeline-ci/treeline/taskgraph/transform/scriptworker"
	"github.com/treeline-ci/treeline/taskgraph/transform/split"
	"github.com/treeline-ci/treeline/taskgraph/transform/task"
	"github.com/treeline-ci/treeline/taskgraph/transform/taskcontext"
)

// Section is a part of the reference of keys: a title and the keys that a type takes.
type Section struct {
	Title string
	Rows  []schema.Row
}

// Pages are the pages of the reference of keys, by name, with their sections in order.
func Pages() map[string][]Section {
	const deep = 8
	pages := map[string][]Section{
		"keys-of-config": {{"config.yml", schema.Rows(config.Shape(), deep)}},
		"keys-of-transforms": {
			{"kind.yml", schema.Rows(loader.Shape(), deep)},
			{"from_deps", schema.Rows(fromdeps.Shape(), deep)},
			{"task_context", schema.Rows(taskcontext.Shape(), deep)},
			{"matrix", schema.Rows(split.MatrixShape(), deep)},
			{"chunking", schema.Rows(split.ChunkShape(), deep)},
			{"fetch", schema.Rows(fetch.Shape(), deep)},
		},
		"keys-of-tasks": {
			{"Run descriptions", added(schema.Rows(run.Description(), deep), schema.Rows(task.Description(), deep))},
			{"Task descriptions", schema.Rows(task.Description(), deep)},
		},
	}
	add := func(page string, prefix string, types map[string]schema.Type, depth int) {
		for _, name := range slices.Sorted(maps.Keys(types)) {
			pages[page] = append(pages[page], Section{prefix + name, schema.Rows(types[name], depth)})
		}
	}
	add("keys-of-transforms", "fetch.type: ", fetch.Kinds(), deep)
	pages["keys-of-transforms"] = append(pages["keys-of-transforms"],
		Section{"docker_image", schema.Rows(dockerimage.Shape(), deep)},
		Section{"cached_tasks: cache", schema.Rows(cached.Shape(), deep)},
		Section{"notify", schema.Rows(notify.Shape(), deep)},
		Section{"release_artifacts", schema.Rows(scriptworker.ReleaseArtifactsShape(), deep)},
		Section{"mark_as_shipped", schema.Rows(scriptworker.MarkAsShippedShape(), deep)},
		Section{"replicate", schema.Rows(replicate.Shape(), deep)},
	)
	add("keys-of-tasks", "run.using: ", run.Ways(), deep)
	workers := task.Workers()
	lando := workers["scriptworker-lando"]
	delete(workers, "scriptworker-lando") // its actions are many: their own keys are those of the service
	add("keys-of-workers", "", workers, deep)
	add("keys-of-workers", "", map[string]schema.Type{"scriptworker-lando": lando}, 2)
	for _, sections := range pages {
		for _, s := range sections {
			for i, r := range s.Rows {
				s.Rows[i].Required = r.Required && !slices.Contains(filled(s.Title), r.Path)
			}
		}
	}
	return pages
}

// filled are the keys of a section that must be there, but need not be written: the loader gives
// them, or the transform does.
func filled(title string) []string {
	switch title {
	case "matrix", "fetch", "docker_image":
		return []string{"name"}
	case "Task descriptions":
		return []string{"label", "always-target", "optimization", "needs-sccache", "worker.implementation"}
	case "run.using: run-task", "run.using: toolchain-script":
		return []string{"checkout", "workdir"}
	case "docker-worker":
		return []string{"implementation", "os", "chain-of-trust", "taskcluster-proxy", "allow-ptrace", "loopback-video", "env"}
	case "generic-worker":
		return []string{"implementation", "os", "chain-of-trust", "env"}
	case "beetmover":
		return []string{"implementation", "max-run-time"}
	}
	return []string{"implementation"}
}

// added are the rows of more whose paths base has not.
func added(more, base []schema.Row) []schema.Row {
	return slices.DeleteFunc(more, func(r schema.Row) bool {
		return slices.ContainsFunc(base, func(b schema.Row) bool { return b.Path == r.Path })
	})
}
