package loader

import (
	"errors"
	"fmt"
	"path"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// MaxItems is how many entries one kind may have.
const MaxItems = 500_000

// defaults are values to be laid under entries, with the places they come from.
type defaults struct {
	values map[string]any
	layers []source.Node
}

// under lays d under the mapping at node.
func (d defaults) under(values map[string]any, node source.Node) defaults {
	return defaults{value.Merge(d.values, values), append(d.layers[:len(d.layers):len(d.layers)], node)}
}

// Items makes the kind's items: the entries of "tasks" in kind.yml, then those of the files of
// "tasks-from", each over its defaults, in the order of the files. The errors of all entries are
// told together.
func (k *Kind) Items() ([]*transform.Item, error) {
	var base defaults
	if d := value.Map(k.Values, "task-defaults"); d != nil {
		base = base.under(d, k.File.Root().Child("task-defaults"))
	}
	var items []*transform.Item
	var errs []error
	add := func(more []*transform.Item, err error) {
		items = append(items, more...)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if tasks := value.Map(k.Values, "tasks"); tasks != nil {
		add(k.entries(k.File, k.File.Root().Child("tasks"), tasks, base, "kind.yml"))
	}
	files, _ := value.Strings(k.Values["tasks-from"])
	for i, name := range files {
		file, err := source.Read(k.tree, path.Join(k.Dir, name))
		if err != nil {
			errs = append(errs, errors.Join(err, k.errorf([]string{"tasks-from", fmt.Sprint(i)}, "names the file")))
			continue
		}
		add(k.fromFile(file, base, name))
	}
	if len(items) > MaxItems {
		errs = append(errs, k.errorf([]string{"tasks"}, "the kind has %d entries; the limit is %d", len(items), MaxItems))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return items, nil
}

// fromFile makes the items of one file of tasks-from.
func (k *Kind) fromFile(file *source.File, base defaults, name string) ([]*transform.Item, error) {
	tasks, err := file.Map()
	if err != nil {
		return nil, err
	}
	root := file.Root()
	if v, ok := tasks["task-defaults"]; ok && v != nil {
		d, ok := v.(map[string]any)
		if !ok {
			return nil, root.Child("task-defaults").Errorf("task-defaults must be a mapping, not %s", value.Kind(v))
		}
		base = base.under(d, root.Child("task-defaults"))
	}
	return k.entries(file, root, tasks, base, name)
}

func (k *Kind) entries(file *source.File, node source.Node, tasks map[string]any, base defaults, from string) ([]*transform.Item, error) {
	var errs []error
	items := make([]*transform.Item, 0, len(tasks))
	for _, e := range node.Entries() {
		name := e.Key
		if name == "task-defaults" && from != "kind.yml" {
			continue
		}
		values, ok := tasks[name].(map[string]any)
		if !ok {
			errs = append(errs, &graph.Error{File: file.Path, Line: e.At.Line(), Label: k.Name + "-" + name, Message: fmt.Sprintf("an entry must be a mapping, not %s", value.Kind(tasks[name]))})
			continue
		}
		entry := base.under(values, e.Value)
		entry.values["task-from"] = from
		entry.values["name"] = name
		items = append(items, transform.NewItem(entry.values, &transform.Origin{
			Provenance: explain.Provenance{Kind: k.Name, File: file.Path, Line: e.At.Line(), Entry: name, Loader: k.Loader},
			Layers:     entry.layers,
		}))
	}
	return items, errors.Join(errs...)
}
