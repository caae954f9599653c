package task

import (
	"maps"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

func genericShape() schema.Type {
	text, boolean, ints := schema.String(), schema.Bool(), schema.List(schema.Int())
	artifact := schema.Strict(schema.Req("type", schema.Enum("file", "directory")), schema.Req("path", text), schema.Opt("name", text))
	content := schema.Strict(schema.Opt("artifact", text), schema.Opt("task-id", schema.Reference()), schema.Opt("url", text))
	mount := schema.Strict(
		schema.Opt("cache-name", text), schema.Opt("content", content), schema.Opt("directory", text),
		schema.Opt("file", text), schema.Opt("format", schema.Enum("rar", "tar.bz2", "tar.gz", "zip")),
	)
	return schema.Open(
		schema.Req("implementation", schema.Enum("generic-worker")),
		schema.Req("os", schema.Enum("windows", "macosx", "linux", "linux-bitbar")),
		schema.Req("command", schema.List(schema.Any())),
		schema.Req("env", schema.Map(schema.Reference())),
		schema.Req("max-run-time", schema.Int()),
		schema.Req("chain-of-trust", boolean),
		schema.Opt("artifacts", schema.List(artifact)),
		schema.Opt("mounts", schema.List(mount)),
		schema.Opt("retry-exit-status", ints),
		schema.Opt("purge-caches-exit-status", ints),
		schema.Opt("os-groups", schema.List(text)),
		schema.Opt("run-as-administrator", boolean),
		schema.Opt("run-task-as-current-user", boolean),
		schema.Opt("taskcluster-proxy", boolean),
		schema.Opt("hide-cmd-window", boolean),
		schema.Opt("skip-artifacts", boolean),
	)
}

// Exit codes of Windows that mean an interruption from outside: killed at shutdown, Ctrl-C.
const (
	windowsShutdown  = int64(1073807364)
	windowsInterrupt = int64(3221225786)
)

// buildGeneric makes generic-worker's payload (taskgraph-map 9.2).
func buildGeneric(c *transform.Config, it *transform.Item, def *definition) error {
	worker := it.Map("worker")
	payload := map[string]any{"command": worker["command"], "maxRunTime": worker["max-run-time"]}
	exit := exitStatus(worker, false)
	if worker["os"] == "windows" {
		exit["retry"] = value.Append(value.List(exit, "retry"), windowsShutdown, windowsInterrupt)
	}
	if len(exit) > 0 {
		payload["onExitStatus"] = exit
	}
	env := it.Own("worker", "env")
	sccache(it, env)
	env["MOZ_AUTOMATION"] = "1"
	payload["env"] = env
	if artifacts := genericArtifacts(value.List(worker, "artifacts")); len(artifacts) > 0 {
		payload["artifacts"] = artifacts
	}
	if mounts := genericMounts(c, value.List(worker, "mounts"), def); len(mounts) > 0 {
		payload["mounts"] = mounts
	}
	if groups := value.List(worker, "os-groups"); len(groups) > 0 {
		payload["osGroups"] = groups
		for _, g := range groups {
			def.scopes = append(def.scopes, "generic-worker:os-group:"+def.queue+"/"+g.(string))
		}
	}
	if features := genericFeatures(worker, def); len(features) > 0 {
		payload["features"] = features
	}
	def.payload = payload
	return nil
}

func genericArtifacts(list []any) []any {
	out := make([]any, 0, len(list))
	for _, e := range list {
		a := e.(map[string]any)
		n := map[string]any{"path": a["path"], "type": a["type"]}
		if name, ok := a["name"]; ok {
			n["name"] = name
		}
		out = append(out, n)
	}
	return out
}

// genericMounts renames the keys of mounts and adds the scopes they need.
func genericMounts(c *transform.Config, list []any, def *definition) []any {
	out := make([]any, 0, len(list))
	for _, e := range list {
		mount := maps.Clone(e.(map[string]any))
		if name, ok := mount["cache-name"].(string); ok {
			delete(mount, "cache-name")
			full := c.Graph.TrustDomain() + "-level-" + c.Level() + "-" + name
			mount["cacheName"] = full
			def.scopes = append(def.scopes, "generic-worker:cache:"+full)
		}
		if content, ok := mount["content"].(map[string]any); ok {
			content = maps.Clone(content)
			if id, ok := content["task-id"]; ok {
				delete(content, "task-id")
				content["taskId"] = id
			}
			if artifact, ok := content["artifact"].(string); ok && !strings.HasPrefix(artifact, "public/") {
				def.scopes = append(def.scopes, "queue:get-artifact:"+artifact)
			}
			mount["content"] = content
		}
		out = append(out, mount)
	}
	return out
}

func genericFeatures(worker map[string]any, def *definition) map[string]any {
	features := map[string]any{}
	for _, f := range []struct{ key, feature, scope string }{
		{"chain-of-trust", "chainOfTrust", ""},
		{"taskcluster-proxy", "taskclusterProxy", ""},
		{"run-as-administrator", "runAsAdministrator", "generic-worker:run-as-administrator:"},
		{"run-task-as-current-user", "runTaskAsCurrentUser", "generic-worker:run-task-as-current-user:"},
		{"hide-cmd-window", "hideCmdWindow", ""},
	} {
		if worker[f.key] != true {
			continue
		}
		features[f.feature] = true
		if f.scope != "" {
			def.scopes = append(def.scopes, f.scope+def.queue)
		}
	}
	return features
}
