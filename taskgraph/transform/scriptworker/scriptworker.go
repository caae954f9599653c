// Package scriptworker has the transforms for release automation that the package
// mozilla-taskgraph brings (taskgraph-map 11.11): release_artifacts and mark_as_shipped.
package scriptworker

import (
	"path"

	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// ReleaseArtifacts returns the transform that publishes the files of "release-artifacts" below
// public/build and names them in an attribute for later release tasks.
func ReleaseArtifacts() transform.Transform {
	return transform.New("mozilla_taskgraph.transforms.scriptworker.release_artifacts:transforms", transform.Check(ReleaseArtifactsShape()), releaseArtifacts)
}

// ReleaseArtifactsShape is what ReleaseArtifacts reads.
func ReleaseArtifactsShape() *schema.Object {
	return schema.Open(schema.Req("worker-type", schema.String()), schema.Opt("release-artifacts", schema.List(schema.String())))
}

func releaseArtifacts(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	files, given := value.Strings(it.Get("release-artifacts"))
	if it.Delete("release-artifacts"); !given {
		emit(it)
		return nil
	}
	w, err := c.Graph.Worker(it.String("worker-type"), c.Level())
	if err != nil {
		return it.Errorf("worker-type", "%v", err)
	}
	dir := "/builds/worker/artifacts/"
	if w.Implementation == "generic-worker" {
		dir = "artifacts/"
	}
	list := value.List(it.Map("attributes"), "release-artifacts")
	for _, f := range files {
		if path.IsAbs(f) {
			return it.Errorf("release-artifacts", "%s must be relative to the directory of artifacts, not absolute", f)
		}
		list = value.Append(list, map[string]any{"type": "file", "name": "public/build/" + f, "path": dir + f})
	}
	if list == nil {
		list = []any{}
	}
	it.Own("attributes")["release-artifacts"] = list
	it.Own("worker")["artifacts"] = value.Append(value.List(it.Map("worker"), "artifacts"), list...)
	emit(it)
	return nil
}

// MarkAsShipped returns the transform that makes the task which tells Ship-It of a release.
func MarkAsShipped() transform.Transform {
	return transform.New("mozilla_taskgraph.transforms.scriptworker.shipit.mark_as_shipped:transforms", transform.Check(MarkAsShippedShape()), markAsShipped)
}

// MarkAsShippedShape is what MarkAsShipped reads.
func MarkAsShippedShape() *schema.Object {
	return schema.Open(schema.Opt("name", schema.String()), schema.Opt("shipit-product", schema.KeyedBy(schema.String(), "build-type")))
}

func markAsShipped(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	product, err := shippedProduct(c, it)
	if err != nil {
		return err
	}
	said := func(path, fallback string) string {
		if s, ok := c.Graph.Get(path).(string); ok {
			return s
		}
		return fallback
	}
	server := "staging"
	if c.Level() == "3" {
		server = "production"
	}
	prefix := said("shipit.scope-prefix", said("scriptworker.scope-prefix", "project:releng")+":ship-it")
	build := c.Params.Get("build_number")
	release, err := value.Format(said("shipit.release-format", "{product}-{version}-build{build_number}"),
		value.NameMap{"product": product, "version": c.Params.Get("version"), "build_number": build})
	if err != nil {
		return it.Errorf("", "shipit.release-format in %s/config.yml: %v", c.Graph.Root, err)
	}
	name := it.String("name")
	if it.Delete("name"); name == "" {
		name = "mark-as-shipped"
	}
	it.Default("label", name)
	it.Set("description", "Mark "+value.Text(product)+" as shipped in Ship-It")
	it.Set("scopes", []any{prefix + ":action:mark-as-shipped", prefix + ":server:" + server})
	it.Own("worker")["release-name"] = release
	emit(it)
	return nil
}

// shippedProduct is the product that the task or the configuration names.
func shippedProduct(c *transform.Config, it *transform.Item) (any, error) {
	names := value.NameFunc(func(name string) (any, bool) {
		if name == "build-type" {
			return it.Map("attributes")[name], true
		}
		v, ok := it.Values()[name]
		return v, ok
	})
	product, err := c.Graph.Resolver().Evaluate(it.Get("shipit-product"), "`shipit-product`", names, keyedby.Options{Missing: c.WarnOfMissing(it, "shipit-product")})
	if err != nil {
		return nil, it.Errorf("shipit-product", "%v", err)
	}
	if !it.Has("shipit-product") {
		product = c.Graph.Get("shipit.product")
	}
	it.Delete("shipit-product")
	if !value.Truthy(product) {
		return nil, it.Errorf("", "says no product; give the task a shipit-product, or %s/config.yml a shipit.product", c.Graph.Root)
	}
	return product, nil
}
