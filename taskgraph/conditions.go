package taskgraph

import (
	"errors"
	"fmt"

	"github.com/treeline-ci/treeline/taskgraph/cond"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/loader"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/target"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// checkConditions checks the conditions of config.yml and of all kind.yml files before any kind is
// worked on: "if", "when" and "optimization: {when: …}" of entries and of task-defaults. Those of tasks-from
// files are checked when their kind is.
func (g *generation) checkConditions() error {
	c := g.res.Config
	errs := []error{target.CheckNamed(c.Values, func(name string) (string, int) {
		at := c.File.Root().Key(target.Named)
		if key := c.File.Root().Child(target.Named).Key(name); key.OK() {
			at = key
		}
		return c.File.Path, at.Line()
	})}
	seen := map[string]error{}
	for _, k := range g.kinds {
		root := k.File.Root()
		if d := value.Map(k.Values, "task-defaults"); d != nil {
			errs = append(errs, checkEntry(seen, k, "", d, root.Child("task-defaults")))
		}
		tasks := value.Map(k.Values, "tasks")
		conditional := false
		for _, v := range tasks {
			entry, _ := v.(map[string]any)
			conditional = conditional || entry["if"] != nil || entry["when"] != nil || entry["optimization"] != nil
		}
		if !conditional {
			continue
		}
		for _, e := range root.Child("tasks").Entries() {
			entry, _ := tasks[e.Key].(map[string]any)
			errs = append(errs, checkEntry(seen, k, k.Name+"-"+e.Key, entry, e.Value))
		}
	}
	return errors.Join(errs...)
}

// checkEntry checks the conditions of one entry. seen remembers what is known of a text.
func checkEntry(seen map[string]error, k *loader.Kind, label string, entry map[string]any, at source.Node) error {
	check := func(key string, said any, at source.Node) error {
		text, ok := said.(string)
		if !ok {
			return nil // other types are told where they are used
		}
		err, known := seen[text]
		if !known {
			_, err = cond.Compile(text)
			seen[text] = err
		}
		if err == nil {
			return nil
		}
		return &graph.Error{File: k.File.Path, Line: at.Line(), Label: label, Message: fmt.Sprintf("%s: %v", key, err)}
	}
	first := check("if", entry["if"], at.Child("if"))
	optimization := value.Map(entry, "optimization")
	return errors.Join(first, check("when", entry["when"], at.Child("when")), check("optimization.when", optimization["when"], at.Child("optimization").Child("when")))
}
