package intree

import (
	"context"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/loader"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Items makes the items of a kind: those that its loader gives when that is a function of the
// tree, each over the kind's task-defaults; else those of its files.
func Items(ctx context.Context, files *star.Files, k *loader.Kind, c *transform.Config) ([]*transform.Item, error) {
	file, function, ok := star.SplitName(k.Loader)
	if !ok {
		return k.Items()
	}
	at := k.File.Root().Child("loader")
	place := graph.Error{File: k.File.Path, Line: at.Line()}
	module, err := files.Module(ctx, file)
	if err != nil {
		return nil, located(err, place)
	}
	entries, err := module.Items(ctx, function, starConfig(c))
	if err != nil {
		return nil, located(err, place)
	}
	defaults := value.Map(k.Values, "task-defaults")
	layers := []source.Node{}
	if defaults != nil {
		layers = append(layers, k.File.Root().Child("task-defaults"))
	}
	items := make([]*transform.Item, len(entries))
	for i, e := range entries {
		values := value.Merge(defaults, e.Values)
		values["name"], values["task-from"] = e.Name, file
		items[i] = transform.NewItem(values, &transform.Origin{
			Provenance: explain.Provenance{Kind: k.Name, File: place.File, Line: place.Line, Entry: e.Name, Loader: k.Loader},
			Layers:     layers,
		})
	}
	return items, nil
}

// starConfig is c as Starlark sees it.
func starConfig(c *transform.Config) star.TransformConfig {
	tasks := c.Dependencies.All()
	labels := make([]string, len(tasks))
	for i, t := range tasks {
		labels[i] = t.Label
	}
	return star.TransformConfig{
		Kind: c.Kind, Path: c.Dir, KindConfig: c.KindConfig, Params: c.Names, GraphConfig: c.Graph.Values,
		Dependencies: labels,
		Task: func(label string) (map[string]any, bool) {
			t := c.Dependencies.Task(label)
			if t == nil {
				return nil, false
			}
			return t.JSON(), true
		},
	}
}
