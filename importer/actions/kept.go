package actions

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/source"
)

// keep takes in a workflow that is not to be converted, but was before: its kind stays as it is, and the files that all kinds
// share go on having what belongs to it. What is to be said of it was said then.
func (c *converter) keep(name string) {
	k := &converter{files: c.files, project: c.project, options: c.options, result: &Result{}, workers: map[string]*Worker{}, secrets: map[string]*Secret{}}
	k.workflow(name)
	for _, f := range k.flows {
		if _, err := fs.Stat(c.files, f.kindFile()); err != nil || slices.ContainsFunc(c.flows, func(o *flow) bool { return o.kind == f.kind }) {
			continue
		}
		f.kept = true
		c.flows = append(c.flows, f)
	}
	for alias, w := range k.workers {
		if c.workers[alias] == nil {
			c.workers[alias] = w
		}
	}
}

// kindFile is where the flow's kind is.
func (f *flow) kindFile() string { return "taskcluster/kinds/" + f.kind + "/kind.yml" }

// others are the workers of the config.yml that is there, for aliases that no workflow asks for: kinds that were written or
// changed by hand do, or those of a conversion that was told of other runners.
func (c *converter) others() []Worker {
	const name = "taskcluster/config.yml"
	text, err := source.Open(c.files, name)
	if err != nil {
		return nil
	}
	config, err := source.Parse(name, text)
	if err != nil {
		return nil
	}
	var out []Worker
	asked, aliases := c.workerNames(), config.At("workers").At("aliases")
	for _, alias := range aliases.Names() {
		w := aliases.At(alias)
		queue := w.At("provisioner").Str() + "/" + w.At("worker-type").Str()
		if !slices.Contains(asked, alias) && !strings.HasPrefix(queue, "/") && !strings.HasSuffix(queue, "/") {
			out = append(out, Worker{Alias: alias, Queue: queue, Implementation: w.At("implementation").Str(), OS: w.At("os").Str()})
		}
	}
	return out
}
