// Package dockerimage makes the tasks that build the tree's docker images: the transform
// taskgraph.transforms.docker_image (taskgraph-map 11.6).
package dockerimage

import (
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/docker"
	"github.com/treeline-ci/treeline/taskgraph/transform/task"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// builder is the image that builds images.
const builder = "mozillareleases/image_builder:6.2.0@sha256:f7df722770d6caadea79b2de458e072d8b3d93e59675b34dffb32c3e7e30f5b9"

// cacheType is the type under which images are cached.
const cacheType = "docker-images.v2"

// Transform returns the transform.
func Transform() transform.Transform {
	return transform.New("taskgraph.transforms.docker_image:transforms", transform.Check(Shape()), image)
}

// Shape is the shape of an entry of a kind of docker images.
func Shape() *schema.Object {
	text := schema.String()
	return schema.Strict(
		schema.Req("name", text),
		schema.Opt("parent", text),
		schema.Opt("symbol", text),
		schema.Opt("task-from", text),
		schema.Opt("args", schema.Map(text)),
		schema.Opt("definition", text),
		schema.Opt("packages", schema.List(text)),
		schema.Opt("index", task.Index()),
		schema.Opt("cache", schema.Bool()),
	)
}

// contextsOf owns the contexts of one generation among what it remembers.
type contextsOf struct{}

func image(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	name := it.String("name")
	definition := it.String("definition")
	if definition == "" {
		definition = name
	}
	args := it.Map("args")
	packages, err := packagesOf(c, it)
	if err != nil {
		return err
	}
	argsText, err := value.Compact(orMap(args))
	if err != nil {
		return it.Errorf("args", "%v", err)
	}
	hash, err := contextHash(c, it, name, definition, argsText, args)
	if err != nil {
		return err
	}
	description, err := describe(c, it, name, hash, packages)
	if err != nil {
		return err
	}
	if it.Get("cache") != false {
		description["cache"] = map[string]any{
			"type": cacheType, "name": name,
			"digest-data": []any{hash, argsText, "image-builder-image:" + builder},
		}
	}
	it.Become(description, "name", "label", "description", "attributes", "worker", "worker-type", "cache")
	emit(it)
	return nil
}

// contextHash makes the image's context, publishes it where that is wanted, and gives its digest.
func contextHash(c *transform.Config, it *transform.Item, name, definition, argsText string, args map[string]any) (string, error) {
	if c.Fast {
		return strings.Repeat("0", 40), nil
	}
	v, err := c.Memo(contextsOf{}, definition+"\x00"+argsText, func() (any, error) {
		context, err := docker.NewContext(c.Shared, definition, args)
		if err != nil {
			return nil, err
		}
		return context, nil
	})
	if err != nil {
		return "", it.Errorf("", "%v", err)
	}
	context := v.(*docker.Context)
	if c.Publish != nil {
		if err := c.Publish("docker-contexts/"+name+".tar.gz", func() ([]byte, error) { return context.Gzip(name + ".tar") }); err != nil {
			return "", it.Errorf("", "%v", err)
		}
	}
	return context.Hash(), nil
}

func orMap(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// packagesOf returns the package tasks that the image needs.
func packagesOf(c *transform.Config, it *transform.Item) ([]string, error) {
	packages, _ := value.Strings(it.Get("packages"))
	for _, p := range packages {
		if t := c.Dependencies.Task("packages-" + p); t == nil || t.Kind != "packages" {
			return nil, it.Errorf("packages", "there is no task packages-%s in the kind packages; is it among the kind-dependencies?", p)
		}
	}
	return packages, nil
}

// describe makes the description of the task that builds the image.
func describe(c *transform.Config, it *transform.Item, name, hash string, packages []string) (map[string]any, error) {
	build, err := buildArgs(it, packages)
	if err != nil {
		return nil, err
	}
	level := "10" // smaller takes longer: worth it where images are read often
	if c.Level() == "1" {
		level = "3"
	}
	env := map[string]any{
		"CONTEXT_TASK_ID":         map[string]any{"task-reference": "<decision>"},
		"CONTEXT_PATH":            "public/docker-contexts/" + name + ".tar.gz",
		"HASH":                    hash,
		"PROJECT":                 c.Params.String("project"),
		"IMAGE_NAME":              name,
		"DOCKER_IMAGE_ZSTD_LEVEL": level,
		"DOCKER_BUILD_ARGS":       map[string]any{"task-reference": build},
		"VCS_BASE_REPOSITORY":     c.Params.String("base_repository"),
		"VCS_HEAD_REPOSITORY":     c.Params.String("head_repository"),
		"VCS_HEAD_REV":            c.Params.String("head_rev"),
		"VCS_REPOSITORY_TYPE":     c.Params.String("repository_type"),
	}
	dependencies := map[string]any{}
	for _, p := range packages {
		dependencies[p] = "packages-" + p
	}
	if parent := it.String("parent"); parent != "" {
		dependencies["parent"] = "docker-image-" + parent
		env["PARENT_TASK_ID"] = map[string]any{"task-reference": "<parent>"}
	}
	description := map[string]any{
		"label":           "docker-image-" + name,
		"description":     "Build the docker image " + name + " for use by dependent tasks",
		"attributes":      map[string]any{"image_name": name, "artifact_prefix": "public"},
		"always-target":   true,
		"expires-after":   c.DefaultExpiry(),
		"scopes":          []any{},
		"run-on-projects": []any{},
		"worker-type":     "images",
		"worker": map[string]any{
			"implementation": "docker-worker",
			"os":             "linux",
			"artifacts":      []any{map[string]any{"type": "file", "path": "/workspace/out/image.tar.zst", "name": "public/image.tar.zst"}},
			"env":            env,
			"chain-of-trust": true,
			"max-run-time":   int64(7200),
			"docker-image":   builder,
		},
	}
	if len(dependencies) > 0 {
		description["dependencies"] = dependencies
	}
	if index := it.Get("index"); index != nil {
		description["index"] = index
	}
	if symbol := it.String("symbol"); symbol != "" {
		description["treeherder"] = map[string]any{"symbol": symbol, "platform": "taskcluster-images/opt", "kind": "other", "tier": int64(1)}
	}
	return description, nil
}

// buildArgs is the JSON of the image's arguments, in the order in which they were written.
func buildArgs(it *transform.Item, packages []string) (string, error) {
	args := map[string]any{}
	for key, v := range it.Map("args") {
		args[key] = v
	}
	keys := it.Keys("args")
	if !slices.Contains(keys, "DOCKER_IMAGE_PACKAGES") {
		keys = append(keys, "DOCKER_IMAGE_PACKAGES")
	}
	references := make([]string, len(packages))
	for i, p := range packages {
		references[i] = "<" + p + ">"
	}
	args["DOCKER_IMAGE_PACKAGES"] = strings.Join(references, " ")
	text, err := value.CompactOrdered(keys, args)
	if err != nil {
		return "", it.Errorf("args", "%v", err)
	}
	return text, nil
}
