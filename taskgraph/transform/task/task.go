// Package task turns task descriptions into the queue's task definitions: the transform
// taskgraph.transforms.task (taskgraph-map 8 and 9). What a description says about workers,
// Treeherder, the index and artifacts becomes payload, routes, scopes and extra.
package task

import (
	"errors"

	"github.com/treeline-ci/treeline/taskgraph/reldate"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Transform returns the transform.
func Transform() transform.Transform {
	d := describer{shape: Description(), workers: builders()}
	return transform.New("taskgraph.transforms.task:transforms", d.describe)
}

// describer is the transform with its tables.
type describer struct {
	shape   *schema.Object
	workers map[string]builder
}

// describe makes a finished task of one description.
func (d describer) describe(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	if err := setWorker(c, it); err != nil {
		return err
	}
	setDefaults(it)
	if err := setLabel(c, it); err != nil {
		return err
	}
	b, err := d.check(it)
	if err != nil {
		return err
	}
	for _, step := range []func(*transform.Config, *transform.Item) error{treeherder, indexRoutes} {
		if err := step(c, it); err != nil {
			return err
		}
	}
	if err := build(c, it, b); err != nil {
		return err
	}
	emit(it)
	return nil
}

// setWorker gives the worker its implementation and system unless the description names one.
func setWorker(c *transform.Config, it *transform.Item) error {
	if it.Map("worker")["implementation"] != nil {
		return nil
	}
	alias, ok := it.Get("worker-type").(string)
	if !ok {
		return it.Errorf("worker-type", "must name an alias of workers.aliases in %s/config.yml", c.Graph.Root)
	}
	w, err := c.Graph.Worker(alias, c.Level())
	if err != nil {
		return it.Errorf("worker-type", "%v", err)
	}
	SetImplementation(it, w.Implementation, w.OS)
	return it.Err()
}

// SetImplementation writes implementation and system to the worker and to the tags.
func SetImplementation(it *transform.Item, implementation, os string) {
	tags := it.Own("tags")
	worker := it.Own("worker")
	tags["worker-implementation"] = implementation
	worker["implementation"] = implementation
	if os != "" {
		tags["os"] = os
		worker["os"] = os
	}
}

// workerDefaults are what workers have that say nothing else, by implementation.
var workerDefaults = func() map[string]map[string]any {
	script := map[string]any{"max-run-time": int64(600)}
	return map[string]map[string]any{
		"docker-worker": {
			"chain-of-trust": false, "taskcluster-proxy": false, "allow-ptrace": false, "loopback-video": false, "volumes": []any{}, "env": map[string]any{},
		},
		"generic-worker":       {"env": map[string]any{}, "os-groups": []any{}, "chain-of-trust": false},
		"scriptworker-signing": script, "beetmover": script, "beetmover-push-to-release": script, "beetmover-maven": script,
		"push-apk": {"commit": false},
	}
}()

func setDefaults(it *transform.Item) {
	it.Default("always-target", false)
	it.Default("optimization", nil)
	it.Default("needs-sccache", false)
	worker := it.Own("worker")
	for key, v := range workerDefaults[value.String(worker, "implementation")] {
		if _, ok := worker[key]; !ok {
			worker[key] = v
		}
	}
}

// setLabel makes the label of kind and name; the name has done its duty then.
func setLabel(c *transform.Config, it *transform.Item) error {
	if !it.Has("label") {
		name := it.String("name")
		if name == "" {
			return it.Errorf("", "has neither a name nor a label")
		}
		it.Set("label", c.Kind+"-"+name)
	}
	it.Delete("name")
	return nil
}

// check checks the description, then the worker's part of it, and finds the payload's builder.
func (d describer) check(it *transform.Item) (builder, error) {
	if err := it.Check(d.shape, it.Values()); err != nil {
		return builder{}, errors.Join(err, d.misplaced(it))
	}
	for name := range it.Map("dependencies") {
		if name == "self" || name == "decision" {
			return builder{}, it.Errorf("dependencies."+name, "the name %q is reserved for references", name)
		}
	}
	implementation := value.String(it.Map("worker"), "implementation")
	b, ok := d.workers[implementation]
	if !ok {
		return builder{}, it.Errorf("worker.implementation", "there is no worker implementation %q; known are %s", implementation, implementations(d.workers))
	}
	return b, it.Check(b.shape, it.Get("worker"), "worker")
}

// misplaced says which transforms the task's unknown keys are for: those must stand before this one.
func (d describer) misplaced(it *transform.Item) error {
	var errs []error
	for _, k := range []struct{ key, transform string }{
		{"from-deps", "from_deps"}, {"matrix", "matrix"}, {"chunk", "chunking"}, {"task-context", "task_context"}, {"notify", "notify"},
		{"fetch", "fetch"}, {"run", "run"}, {"when", "run"}, {"fetches", "run"}, {"cache", "cached_tasks"},
	} {
		if it.Has(k.key) {
			errs = append(errs, it.Errorf(k.key, "is for taskgraph.transforms.%s; list that among the kind's transforms, before taskgraph.transforms.task", k.transform))
		}
	}
	return errors.Join(errs...)
}

// definition is a task definition in the making; the item's own parts are free to be shared
// with it once finished.
type definition struct {
	values  map[string]any
	scopes  []any
	payload any
	expires map[string]any
	// queue is provisioner and worker type with a slash between.
	queue string
}

// build makes the definition and turns the item into the finished task.
func build(c *transform.Config, it *transform.Item, b builder) error {
	def, err := define(c, it)
	if err != nil {
		return err
	}
	if err := b.build(c, it, def); err != nil {
		return err
	}
	attributes, err := finishAttributes(c, it, def)
	if err != nil {
		return err
	}
	ifs, err := ifDependencies(it)
	if err != nil {
		return err
	}
	def.values["payload"] = def.payload
	def.values["scopes"] = def.scopes
	routes := it.List("routes")
	if c.Params.String("repository_type") == "git" {
		routes = value.Append(routes, "checks")
	}
	def.values["routes"] = orList(routes)
	chainOfTrust(c, it, def)
	label := it.String("label")
	dependencies, soft := it.Map("dependencies"), it.List("soft-dependencies")
	description, optimization := it.Get("description"), it.Get("optimization")
	values := it.Clear("task", "attributes")
	values["label"], values["description"], values["task"], values["attributes"] = label, description, def.values, attributes
	values["dependencies"], values["if-dependencies"], values["soft-dependencies"] = orMap(dependencies), ifs, orList(soft)
	values["optimization"] = optimization
	return it.Err()
}

func orList(list []any) []any {
	if list == nil {
		return []any{}
	}
	return list
}

func orMap(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// define makes everything of the definition but what the payload's builder adds.
func define(c *transform.Config, it *transform.Item) (*definition, error) {
	w, err := pool(c, it.String("worker-type"))
	if err != nil {
		return nil, it.Errorf("worker-type", "%v", err)
	}
	def := &definition{queue: w.Provisioner + "/" + w.WorkerType}
	if def.scopes, err = scopes(c, it); err != nil {
		return nil, err
	}
	deadline, priority, err := timing(c, it)
	if err != nil {
		return nil, err
	}
	def.expires = c.Pair("relative-datestamp", orText(it.String("expires-after"), c.DefaultExpiry()))
	owner, label := c.Params.Get("owner"), it.Get("label")
	it.Own("extra")["parent"] = c.DecisionTaskID
	tags := it.Own("tags")
	tags["createdForUser"] = owner
	tags["kind"] = c.Kind
	tags["label"] = label
	tags["project"] = c.Params.Get("project")
	tags["trust-domain"] = c.Graph.Values["trust-domain"]
	def.values = map[string]any{
		"provisionerId": w.Provisioner,
		"workerType":    w.WorkerType,
		"created":       c.Pair("relative-datestamp", "0 seconds"),
		"deadline":      c.Pair("relative-datestamp", deadline),
		"expires":       def.expires,
		"metadata": map[string]any{
			"description": it.String("description") + pushLink(c, it),
			"name":        label,
			"owner":       owner,
			"source":      source(c),
		},
		"extra":    it.Get("extra"),
		"tags":     tags,
		"priority": priority,
	}
	if requires := it.String("requires"); requires != "" {
		def.values["requires"] = requires
	}
	return def, nil
}

// source is the address of the kind, which all its tasks have.
func source(c *transform.Config) any {
	var buf [256]byte
	key := transform.Field(append(buf[:0], "source"...), c.Dir)
	if v, ok := c.Share(key); ok {
		return v
	}
	return c.Keep(key, c.SourceURL(c.Dir))
}

func orText(s, fallback string) string {
	if s != "" {
		return s
	}
	return fallback
}

func scopes(c *transform.Config, it *transform.Item) ([]any, error) {
	list := it.List("scopes")
	out := make([]any, 0, len(list)+4)
	if len(list) == 0 {
		return out, nil
	}
	names := value.NameMap{"level": c.Level(), "project": c.Params.String("project")}
	for _, s := range list {
		text, err := value.Format(s.(string), names)
		if err != nil {
			return nil, it.Errorf("scopes", "%v", err)
		}
		out = append(out, text)
	}
	return out, nil
}

// timing is the deadline and the priority, from the description or the configuration.
func timing(c *transform.Config, it *transform.Item) (deadline, priority string, err error) {
	project := c.Params.String("project")
	for _, key := range []string{"deadline-after", "expires-after"} {
		checkDate(c, it, key)
	}
	if deadline = it.String("deadline-after"); deadline == "" {
		if deadline, err = c.Graph.DeadlineAfter(project); err != nil {
			return "", "", err
		}
	}
	if priority = it.String("priority"); priority == "" {
		priority, err = c.Graph.Priority(project)
	}
	return deadline, priority, err
}

// dateOwner owns what is known of relative dates among what a generation remembers.
type dateOwner struct{}

// checkDate warns of a date that the task could not be created with.
func checkDate(c *transform.Config, it *transform.Item, key string) {
	said := it.String(key)
	if said == "" {
		return
	}
	if _, err := c.Memo(dateOwner{}, said, func() (any, error) { return reldate.Parse(said) }); err != nil {
		c.WarnAt(it, key, "the task cannot be created: %v", err)
	}
}

// finishAttributes writes what target selection needs to the attributes.
func finishAttributes(c *transform.Config, it *transform.Item, def *definition) (map[string]any, error) {
	attributes := it.Room("attributes", 6)
	projects, err := runOnProjects(c, it, def, attributes["build_platform"])
	if err != nil {
		return nil, err
	}
	attributes["kind"] = c.Kind
	attributes["run_on_projects"] = projects
	attributes["run_on_tasks_for"] = orAll(it.Get("run-on-tasks-for"))
	if list := it.List("run-on-git-branches"); len(list) > 0 {
		attributes["run_on_git_branches"] = list
	}
	attributes["always_target"] = it.Get("always-target")
	if phase := it.Get("shipping-phase"); phase != nil {
		attributes["shipping_phase"] = phase
	} else if _, ok := attributes["shipping_phase"]; !ok {
		attributes["shipping_phase"] = nil
	}
	return attributes, nil
}

// all is the list of a task that says nothing else; it is shared.
var all = []any{"all"}

func orAll(v any) any {
	if v == nil {
		return all
	}
	return v
}

// ifDependencies turns edge names into labels.
func ifDependencies(it *transform.Item) ([]any, error) {
	names := it.List("if-dependencies")
	dependencies := it.Map("dependencies")
	out := make([]any, len(names))
	for i, name := range names {
		label, ok := dependencies[name.(string)]
		if !ok {
			return nil, it.Errorf("if-dependencies", "%q is not the name of one of the task's dependencies", name)
		}
		out[i] = label
	}
	return out, nil
}

// chainOfTrust names the image's task as an input where the payload asks for a chain of trust.
func chainOfTrust(c *transform.Config, it *transform.Item, def *definition) {
	payload, _ := def.payload.(map[string]any)
	if !value.Truthy(value.Map(payload, "features")["chainOfTrust"]) || !value.Truthy(it.Map("dependencies")["docker-image"]) {
		return
	}
	it.Own("extra", "chainOfTrust", "inputs")["docker-image"] = c.Pair("task-reference", "<docker-image>")
	def.values["extra"] = it.Get("extra")
}
