package task

import (
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// builders are the worker implementations, by name (taskgraph-map 9).
func builders() map[string]builder {
	named := func(name string) schema.Field { return schema.Req("implementation", schema.Enum(name)) }
	all := map[string]builder{
		"docker-worker":    {dockerShape(), buildDocker},
		"generic-worker":   {genericShape(), buildGeneric},
		"beetmover":        {beetmoverShape(), buildBeetmover},
		"succeed":          {schema.Strict(named("succeed")), buildEmpty},
		"always-optimized": {schema.Open(named("always-optimized")), buildEmpty},
		"invalid":          {schema.Open(named("invalid")), buildInvalid},
	}
	maps.Copy(all, scriptworkers())
	return all
}

// Workers are the shapes of "worker" by worker.implementation.
func Workers() map[string]schema.Type {
	out := map[string]schema.Type{}
	for name, b := range builders() {
		out[name] = b.shape
	}
	return out
}

func implementations(b map[string]builder) string {
	return strings.Join(slices.Sorted(maps.Keys(b)), ", ")
}

// buildEmpty is for tasks that no worker runs.
func buildEmpty(_ *transform.Config, _ *transform.Item, def *definition) error {
	def.payload = map[string]any{}
	return nil
}

// buildInvalid is for tasks that must never be created.
func buildInvalid(_ *transform.Config, _ *transform.Item, def *definition) error {
	def.payload = "invalid task - should never be created"
	return nil
}

func beetmoverShape() schema.Type {
	text := schema.String()
	properties := schema.Strict(
		schema.Req("app-name", text), schema.Req("app-version", text), schema.Req("branch", text),
		schema.Req("build-id", text), schema.Req("hash-type", text), schema.Req("platform", text),
	)
	upstream := schema.Strict(
		schema.Req("taskId", schema.Reference()), schema.Req("taskType", text),
		schema.Req("paths", schema.List(text)), schema.Req("locale", text),
	)
	return schema.Open(
		schema.Req("implementation", schema.Enum("beetmover")),
		schema.Req("max-run-time", schema.Int()),
		schema.Req("release-properties", properties),
		schema.Req("upstream-artifacts", schema.List(upstream)),
		schema.Opt("locale", text),
		schema.Opt("partner-public", schema.Bool()),
		schema.Opt("artifact-map", schema.Any()),
	)
}

// buildBeetmover makes beetmover's payload (taskgraph-map 9.3).
func buildBeetmover(c *transform.Config, it *transform.Item, def *definition) error {
	worker := it.Map("worker")
	p := worker["release-properties"].(map[string]any)
	payload := map[string]any{
		"maxRunTime": worker["max-run-time"],
		"releaseProperties": map[string]any{
			"appName": p["app-name"], "appVersion": p["app-version"], "branch": p["branch"],
			"buildid": p["build-id"], "hashType": p["hash-type"], "platform": p["platform"],
		},
		"upload_date":       c.Params.Int("build_date"),
		"upstreamArtifacts": worker["upstream-artifacts"],
	}
	if l, _ := worker["locale"].(string); l != "" {
		payload["locale"] = l
	}
	if m := worker["artifact-map"]; value.Truthy(m) {
		payload["artifactMap"] = m
	}
	if worker["partner-public"] == true {
		payload["is_partner_repack_public"] = true
	}
	def.payload = payload
	return nil
}
