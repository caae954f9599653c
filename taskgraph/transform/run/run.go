// Package run turns run descriptions, which say how to run something, into task descriptions,
// which say what the worker is given: the transform taskgraph.transforms.run, known as job in
// older trees (taskgraph-map 10).
package run

import (
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/task"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Transform returns the transform under one of its names.
func Transform(name string) transform.Transform {
	r := runner{handlers: handlers()}
	return transform.Transform{Name: name, Narrow: true, Unordered: true, Steps: []transform.Step{
		{Each: transform.Check(Description())},
		{Each: prepare},
		{All: fetches, Only: "fetches"},
		{Each: r.describe},
	}}
}

// Fetch is the shape of one artifact to fetch.
func Fetch() *schema.Object {
	return schema.Strict(
		schema.Req("artifact", schema.String()), schema.Opt("dest", schema.String()),
		schema.Opt("extract", schema.Bool()), schema.Opt("verify-hash", schema.Bool()),
	)
}

// Description is the shape of a run description: what a task description may have, and how to
// run it. Other keys are let through to the task transform, which refuses them.
func Description() schema.Type {
	d := task.Description()
	var fields []schema.Field
	for _, f := range d.Fields() {
		switch f.Name {
		case "label", "always-target", "optimization", "needs-sccache":
			f = schema.Opt(f.Name, f.Type)
		case "worker":
			f = schema.Opt("worker", schema.Map(schema.Any()))
		}
		fields = append(fields, f)
	}
	fields = append(fields,
		schema.Req("run", schema.Open(schema.Req("using", schema.String()), schema.Opt("workdir", schema.String()))),
		schema.Opt("name", schema.String()),
		schema.Opt("when", schema.OneOf(schema.String(), schema.Strict(schema.Opt("files-changed", schema.List(schema.String()))))),
		schema.Opt("fetches", schema.Map(schema.List(schema.OneOf(schema.String(), Fetch())))),
	)
	return schema.Open(fields...).Exclusive("optimization", "when")
}

// prepare rewrites "when", finds the worker's implementation and makes the label.
func prepare(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	switch when := it.Delete("when").(type) {
	case string: // a condition
		it.Set("optimization", map[string]any{"when": when})
	case map[string]any:
		if len(when) == 0 {
			break
		}
		patterns := value.Append(value.List(when, "files-changed"), c.Dir+"/kind.yml")
		if from := it.String("task-from"); from != "" && from != "kind.yml" {
			patterns = value.Append(patterns, c.Dir+"/"+from)
		}
		it.Set("optimization", map[string]any{"skip-unless-changed": patterns})
	}
	if _, ok := it.Map("worker")["implementation"]; ok {
		return it.Errorf("worker.implementation", "must not be given: it follows from worker-type")
	}
	w, err := c.Graph.Worker(it.String("worker-type"), c.Level())
	if err != nil {
		return it.Errorf("worker-type", "%v", err)
	}
	task.SetImplementation(it, w.Implementation, w.OS)
	if !it.Has("label") {
		name := it.String("name")
		if name == "" {
			return it.Errorf("", "has neither a name nor a label")
		}
		it.Set("label", c.Kind+"-"+name)
	}
	it.Delete("name")
	emit(it)
	return nil
}

// job is one run description on its way to a task description.
type job struct {
	*transform.Item
	c *transform.Config
	// run is the description's "run", which the handler may change.
	run map[string]any
	// worker is the description's "worker", which the handler may change.
	worker         map[string]any
	implementation string
}

func (j *job) str(key string) string { return value.String(j.run, key) }

// env is the worker's environment for writing.
func (j *job) env() map[string]any { return j.Own("worker", "env") }

// add appends to a list of the worker.
func (j *job) add(key string, v any) { j.worker[key] = value.Append(value.List(j.worker, key), v) }

func (j *job) isDocker() bool  { return j.implementation == "docker-worker" }
func (j *job) isWindows() bool { return j.worker["os"] == "windows" }

// handler sets up the description for one way of running on one worker implementation.
type handler struct {
	shape    schema.Type
	defaults map[string]any
	setUp    func(r runner, j *job) error
}

type handlerKey struct{ using, implementation string }

// runner is the transform with its table of handlers.
type runner struct{ handlers map[handlerKey]handler }

// Ways are the shapes of "run" by run.using.
func Ways() map[string]schema.Type {
	out := map[string]schema.Type{}
	for key, h := range handlers() {
		out[key.using] = h.shape
	}
	return out
}

// On are the implementations of workers that each run.using is for, sorted.
func On() map[string][]string {
	out := map[string][]string{}
	for key := range handlers() {
		out[key.using] = append(out[key.using], key.implementation)
	}
	for _, on := range out {
		slices.Sort(on)
	}
	return out
}

func handlers() map[handlerKey]handler {
	runTaskDefaults := map[string]any{"checkout": true, "run-as-root": false}
	always := schema.Strict(schema.Req("using", schema.String()))
	return map[handlerKey]handler{
		{"run-task", "docker-worker"}:            {runTaskShape(), runTaskDefaults, dockerRunTask},
		{"run-task", "generic-worker"}:           {runTaskShape(), runTaskDefaults, genericRunTask},
		{"toolchain-script", "docker-worker"}:    {toolchainShape(), nil, toolchain},
		{"toolchain-script", "generic-worker"}:   {toolchainShape(), nil, toolchain},
		{"index-search", "always-optimized"}:     {indexSearchShape(), nil, indexSearch},
		{"always-optimized", "always-optimized"}: {always, nil, func(runner, *job) error { return nil }},
	}
}

// defaultWorkdir is where workers with docker keep a task's files.
const defaultWorkdir = "/builds/worker"

// describe turns the run description into a task description.
func (r runner) describe(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	it.Default("attributes", map[string]any{})
	it.Default("dependencies", map[string]any{})
	for _, key := range []string{"soft-dependencies", "routes", "scopes"} {
		it.Default(key, []any{})
	}
	it.Default("extra", map[string]any{})
	j := &job{Item: it, c: c, run: it.Own("run"), worker: it.Own("worker")}
	j.implementation = value.String(j.worker, "implementation")
	if j.implementation == "docker-worker" || j.implementation == "generic-worker" {
		if _, ok := j.run["workdir"]; !ok {
			j.run["workdir"] = defaultWorkdir
		}
	}
	if err := r.dispatch(j); err != nil {
		return err
	}
	it.Delete("run")
	emit(it)
	return nil
}

// dispatch calls the handler for the job's run.using and worker.
func (r runner) dispatch(j *job) error {
	using := j.str("using")
	h, ok := r.handlers[handlerKey{using, j.implementation}]
	if !ok {
		return j.Errorf("run.using", "%s", r.noHandler(using, j.implementation))
	}
	for key, v := range h.defaults {
		if _, ok := j.run[key]; !ok {
			j.run[key] = v
		}
	}
	if err := j.Check(h.shape, j.run, "run"); err != nil {
		return err
	}
	return h.setUp(r, j)
}

func (r runner) noHandler(using, implementation string) string {
	var on, known []string
	for key := range r.handlers {
		known = append(known, key.using)
		if key.using == using {
			on = append(on, key.implementation)
		}
	}
	slices.Sort(on)
	slices.Sort(known)
	if len(on) > 0 {
		return "using " + using + " does not work on the worker implementation " + implementation + "; it works on " + strings.Join(on, ", ")
	}
	return "there is no way of running called " + using + "; known are " + strings.Join(slices.Compact(known), ", ")
}
