package task

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/docker"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// builder makes the payload of one worker implementation. It may add to the definition's scopes
// and change the item: its dependencies are read after it ran.
type builder struct {
	shape schema.Type
	build func(c *transform.Config, it *transform.Item, def *definition) error
}

func dockerShape() schema.Type {
	text, boolean, ints := schema.String(), schema.Bool(), schema.List(schema.Int())
	cache := schema.Strict(
		schema.Opt("type", schema.Enum("persistent")), schema.Opt("name", text),
		schema.Opt("mount-point", text), schema.Opt("skip-untrusted", boolean),
	)
	artifact := schema.Strict(
		schema.Opt("type", schema.Enum("file", "directory", "volume")), schema.Opt("path", text), schema.Opt("name", text),
	)
	return schema.Open(
		schema.Req("implementation", schema.Enum("docker-worker")),
		schema.Req("os", schema.Enum("linux")),
		schema.Req("docker-image", schema.OneOf(text, schema.Map(text))),
		schema.Req("chain-of-trust", boolean),
		schema.Req("taskcluster-proxy", boolean),
		schema.Req("allow-ptrace", boolean),
		schema.Req("loopback-video", boolean),
		schema.Req("env", schema.Map(schema.Reference())),
		schema.Req("max-run-time", schema.Int()),
		schema.Opt("volumes", schema.List(text)),
		schema.Opt("caches", schema.List(cache)),
		schema.Opt("artifacts", schema.List(artifact)),
		schema.Opt("command", schema.List(schema.Reference())),
		schema.Opt("retry-exit-status", ints),
		schema.Opt("purge-caches-exit-status", ints),
		schema.Opt("skip-artifacts", boolean),
	)
}

// purgeExit is the status with which run-task says that a cache is bad.
const purgeExit = int64(72)

// buildDocker makes docker-worker's payload (taskgraph-map 9.1).
func buildDocker(c *transform.Config, it *transform.Item, def *definition) error {
	worker := it.Own("worker")
	image, err := dockerImage(c, it, worker)
	if err != nil {
		return err
	}
	env := it.Own("worker", "env")
	features := dockerFeatures(c, it, worker, def)
	sccache(it, env)
	payload := map[string]any{"image": image, "env": env, "maxRunTime": worker["max-run-time"]}
	if worker["loopback-video"] == true {
		payload["capabilities"] = map[string]any{"devices": map[string]any{"loopbackVideo": true}}
		def.scopes = append(def.scopes, "docker-worker:capability:device:loopbackVideo")
	}
	runTask := usesRunTask(worker["command"])
	if worker["command"] != nil {
		payload["command"] = worker["command"]
	}
	payload["onExitStatus"] = exitStatus(worker, runTask)
	if artifacts := value.List(worker, "artifacts"); worker["artifacts"] != nil {
		payload["artifacts"] = dockerArtifacts(c, artifacts, def)
	}
	if worker["caches"] != nil {
		if err := dockerCaches(c, it, def, payload, runTask); err != nil {
			return err
		}
	}
	if volumes := value.List(worker, "volumes"); runTask && len(volumes) > 0 {
		env["TASKCLUSTER_VOLUMES"] = joinSorted(volumes)
	}
	if features != nil {
		payload["features"] = features
	}
	env["MOZ_AUTOMATION"] = "1"
	def.payload = payload
	return nil
}

// dockerFeatures are the features that the worker switches on, nil for none; their scopes are added.
func dockerFeatures(c *transform.Config, it *transform.Item, worker map[string]any, def *definition) any {
	proxy, sccache := worker["taskcluster-proxy"] == true, it.Get("needs-sccache") == true
	ptrace, trust := worker["allow-ptrace"] == true, worker["chain-of-trust"] == true
	if ptrace {
		def.scopes = append(def.scopes, "docker-worker:feature:allowPtrace")
	}
	if sccache {
		proxy = true
		def.scopes = append(def.scopes, "assume:project:taskcluster:"+c.Graph.TrustDomain()+":level-"+c.Level()+"-sccache-buckets")
	}
	var buf [64]byte
	key := append(buf[:0], "features of docker-worker"...)
	on := func(yes bool) {
		bit := byte('-')
		if yes {
			bit = '+'
		}
		key = append(key, bit)
	}
	on(proxy)
	on(ptrace)
	on(trust)
	if v, ok := c.Share(key); ok {
		return v
	}
	features := map[string]any{}
	for name, yes := range map[string]bool{"taskclusterProxy": proxy, "allowPtrace": ptrace, "chainOfTrust": trust} {
		if yes {
			features[name] = true
		}
	}
	if len(features) == 0 {
		return c.Keep(key, nil)
	}
	return c.Keep(key, features)
}

func joinSorted(list []any) string {
	words, _ := value.Strings(list)
	words = slices.Clone(words)
	slices.Sort(words)
	return strings.Join(words, ";")
}

// sccache writes the variables that switch the compiler cache on or off.
func sccache(it *transform.Item, env map[string]any) {
	if it.Get("needs-sccache") == true {
		env["USE_SCCACHE"] = "1"
		env["SCCACHE_IDLE_TIMEOUT"] = "0"
		return
	}
	env["SCCACHE_DISABLE"] = "1"
}

// usesRunTask reports whether the command starts the script run-task.
func usesRunTask(command any) bool {
	list, _ := command.([]any)
	if len(list) == 0 {
		return false
	}
	first, _ := list[0].(string)
	return strings.HasPrefix(path.Base(first), "run-task")
}

// runTaskExits is what onExitStatus is for nearly all: statuses of run-task itself.
var runTaskExits = map[string]any{"retry": []any{purgeExit}, "purgeCaches": []any{purgeExit}}

func exitStatus(worker map[string]any, runTask bool) map[string]any {
	retry, purge := value.List(worker, "retry-exit-status"), value.List(worker, "purge-caches-exit-status")
	if runTask {
		if retry == nil && purge == nil {
			return runTaskExits
		}
		retry, purge = value.Append(retry, purgeExit), value.Append(purge, purgeExit)
	}
	out := map[string]any{}
	if retry != nil {
		out["retry"] = retry
	}
	if purge != nil {
		out["purgeCaches"] = purge
	}
	return out
}

// dockerImage makes the payload's image; one of the tree becomes a dependency on its task.
func dockerImage(c *transform.Config, it *transform.Item, worker map[string]any) (any, error) {
	m, ok := worker["docker-image"].(map[string]any)
	if !ok {
		return worker["docker-image"], nil
	}
	if namespace, ok := m["indexed"].(string); ok {
		return map[string]any{"path": "public/image.tar.zst", "namespace": namespace, "type": "indexed-image"}, nil
	}
	name, ok := m["in-tree"].(string)
	if !ok {
		return nil, it.Errorf("worker.docker-image", "must be an image's name, {in-tree: name} or {indexed: namespace}")
	}
	if _, taken := it.Map("dependencies")["docker-image"]; taken {
		return nil, it.Errorf("dependencies.docker-image", "the name docker-image is taken by the task's image")
	}
	it.Own("dependencies")["docker-image"] = "docker-image-" + name
	declared, err := docker.Volumes(c.Shared, name)
	if err != nil {
		return nil, it.Errorf("worker.docker-image", "%v", err)
	}
	volumes := value.List(worker, "volumes")
	for _, v := range declared {
		if slices.Contains(volumes, any(v)) {
			return nil, it.Errorf("worker.volumes", "the volume %s is declared by the image's Dockerfile already; take it out here", v)
		}
	}
	for _, v := range declared {
		volumes = value.Append(volumes, v)
	}
	worker["volumes"] = volumes
	return map[string]any{"path": "public/image.tar.zst", "taskId": c.Pair("task-reference", "<docker-image>"), "type": "task-image"}, nil
}

func dockerArtifacts(c *transform.Config, list []any, def *definition) any {
	var buf [512]byte
	key := transform.Field(append(buf[:0], "artifacts of docker-worker"...), value.String(def.expires, "relative-datestamp"))
	for _, a := range list {
		a := a.(map[string]any)
		for _, part := range [...]string{"name", "path", "type"} {
			text, ok := a[part].(string)
			if !ok {
				key = append(key, '-')
			}
			key = transform.Field(key, text)
		}
	}
	if v, ok := c.Share(key); ok {
		return v
	}
	out := make(map[string]any, len(list))
	for _, a := range list {
		a := a.(map[string]any)
		name, _ := a["name"].(string)
		out[name] = map[string]any{"path": a["path"], "type": a["type"], "expires": def.expires}
	}
	return c.Keep(key, out)
}

// cacheVersion can be raised to give every task new caches.
const cacheVersion = "v3"

// cacheSet is what the caches of a task come to.
type cacheSet struct {
	payload map[string]any
	scopes  []any
	mounts  any // the text for run-task
}

// dockerCaches writes the payload's caches, their scopes and what run-task is told of them.
func dockerCaches(c *transform.Config, it *transform.Item, def *definition, payload map[string]any, runTask bool) error {
	set, err := cachesOf(c, it, runTask)
	if err != nil {
		return err
	}
	def.scopes = append(def.scopes, set.scopes...)
	env := it.Own("worker", "env")
	if runTask {
		env["TASKCLUSTER_CACHES"] = set.mounts
	}
	if c.Level() == "1" {
		env["TASKCLUSTER_UNTRUSTED_CACHES"] = "1"
	}
	payload["cache"] = set.payload
	return nil
}

// cachesOf is what the worker's caches come to; tasks with the same caches share it.
func cachesOf(c *transform.Config, it *transform.Item, runTask bool) (*cacheSet, error) {
	worker := it.Map("worker")
	list := value.List(worker, "caches")
	var buf [512]byte
	key := append(buf[:0], "caches of docker-worker"...)
	if runTask {
		key = transform.Field(append(key, '+'), imageName(worker["docker-image"]))
	}
	for _, e := range list {
		cache := e.(map[string]any)
		if cache["skip-untrusted"] == true {
			key = append(key, '+')
		}
		key = transform.Field(transform.Field(key, value.String(cache, "name")), value.String(cache, "mount-point"))
	}
	if v, ok := c.Share(key); ok {
		return v.(*cacheSet), nil
	}
	suffix := cacheVersion
	if runTask {
		hash, err := c.ScriptHash("run-task")
		if err != nil {
			return nil, it.Errorf("", "%v", err)
		}
		suffix += "-" + hash[:20] + imageSuffix(worker["docker-image"])
	}
	set := &cacheSet{}
	caches := map[string]any{}
	var mounts []any
	for _, e := range list {
		cache := e.(map[string]any)
		if c.Level() == "1" && cache["skip-untrusted"] == true {
			continue
		}
		name := c.Graph.TrustDomain() + "-level-" + c.Level() + "-" + value.String(cache, "name") + "-" + suffix
		caches[name] = cache["mount-point"]
		mounts = append(mounts, value.String(cache, "mount-point"))
		set.scopes = append(set.scopes, c.Pair("task-reference", "docker-worker:cache:"+name))
	}
	set.mounts, set.payload = joinSorted(mounts), map[string]any{"task-reference": caches}
	return c.Keep(key, set).(*cacheSet), nil
}

// imageName is what imageSuffix depends on.
func imageName(image any) string {
	if name, ok := image.(string); ok {
		return "n" + name
	}
	m, _ := image.(map[string]any)
	if name, ok := m["indexed"].(string); ok {
		return "i" + name
	}
	return ""
}

// imageSuffix keeps images apart whose run-task may differ: by the image's task where the tree
// builds it, else by a digest of its name.
func imageSuffix(image any) string {
	name, ok := image.(string)
	if m, isMap := image.(map[string]any); isMap {
		name, ok = m["indexed"].(string)
	}
	if !ok {
		return "-<docker-image>"
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:6])
}
