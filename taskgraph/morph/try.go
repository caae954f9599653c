package morph

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/target"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
	"github.com/treeline-ci/treeline/taskgraph/trysyntax"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// asked is what a push to try asks of its tasks, besides which they are (taskgraph-map 23.2, 23.3).
type asked struct {
	syntax   *trysyntax.Options // nil: the push has no try syntax
	settings map[string]any     // the parameter try_task_config
	tasks    map[string]bool    // labels that its tasks name, chunks by their base and "-*"
}

// try gives tasks what a push to try asks of them. Other pushes have no such parameters.
func (m *morpher) try() error {
	a := asked{tasks: map[string]bool{}}
	a.settings, _ = m.Params.Get(tryconfig.Parameter).(map[string]any)
	if said, ok := m.Params.Get("try_options").(map[string]any); ok {
		o, err := trysyntax.FromParameters(said)
		if err != nil {
			return err
		}
		a.syntax = &o
	}
	if a.syntax == nil && len(a.settings) == 0 {
		return nil
	}
	names, _ := value.Strings(a.settings["tasks"])
	for _, name := range names {
		a.tasks[name] = true
	}
	for _, t := range m.byLabel() {
		c := &changed{task: t.Clone()}
		_, target := slices.BinarySearch(m.Targets, t.Label)
		if target {
			c.copies(a.copies(t))
			c.bySyntax(a.syntax)
		}
		c.mail(a.syntax, m.Params.String("owner"))
		c.environment(value.Map(a.settings, "env"))
		c.priority(a.settings["chemspill-prio"] == true)
		routes, _ := value.Strings(a.settings["routes"])
		c.routes(routes...)
		if len(c.what) > 0 {
			m.tasks[t.TaskID] = c.task
			m.Log.Morphed(explain.Morph{Label: t.Label, Morph: "try", Change: strings.Join(c.what, "; ")})
		}
	}
	return nil
}

// copies is how often a selected task is to run.
func (a asked) copies(t *graph.Task) int64 {
	if n, ok := a.settings["rebuild"].(int64); ok && a.syntax == nil {
		base, chunk := target.ChunkBase(strings.TrimSuffix(t.Label, "-cf"))
		if a.tasks[t.Label] || chunk && a.tasks[base+"-*"] {
			return n
		}
		return 1
	}
	if a.syntax == nil || t.Kind != "test" && t.Attribute("unittest_suite") == nil {
		return 1
	}
	n := a.syntax.Rebuild
	is := func(suite string) bool {
		return t.Attribute(suite+"_try_name") != nil || t.Attribute("unittest_suite") == suite
	}
	if is("talos") && a.syntax.RebuildTalos > 1 {
		n = a.syntax.RebuildTalos
	}
	if is("raptor") && a.syntax.RebuildRaptor > 1 {
		n = a.syntax.RebuildRaptor
	}
	return int64(n)
}

// changed is a copy of a task with what was done to it.
type changed struct {
	task *graph.Task
	what []string
}

func (c *changed) did(format string, args ...any) {
	c.what = append(c.what, fmt.Sprintf(format, args...))
}

func (c *changed) copies(n int64) {
	if n > 1 {
		c.task.Attributes["task_duplicates"] = n
		c.did("runs %d times", n)
	}
}

// bySyntax applies --no-retry, --tag and --interactive to a selected task.
func (c *changed) bySyntax(o *trysyntax.Options) {
	if o == nil {
		return
	}
	if o.NoRetry {
		c.task.Attributes["no_retry"] = true
		c.task.Definition["retries"] = int64(0)
		c.did("--no-retry: no retries")
	}
	if o.Tag != "" {
		c.task.Attributes["tag"] = o.Tag
		c.did("--tag: %s", o.Tag)
	}
	payload := value.Map(c.task.Definition, "payload")
	if o.Interactive && payload["image"] != nil { // what runs in a container of its own can be entered
		payload = maps.Clone(payload)
		features := maps.Clone(value.Map(payload, "features"))
		if features == nil {
			features = map[string]any{}
		}
		features["interactive"] = true
		payload["features"] = features
		c.task.Definition["payload"] = payload
		c.did("--interactive")
	}
}

func (c *changed) mail(o *trysyntax.Options, owner string) {
	if o == nil || o.Notifications == "" {
		return
	}
	if o.Notifications == trysyntax.All {
		c.routes("notify.email." + owner + ".on-any")
		return
	}
	c.routes("notify.email."+owner+".on-failed", "notify.email."+owner+".on-exception")
}

func (c *changed) routes(more ...string) {
	had, _ := value.Strings(c.task.Definition["routes"])
	var add []string
	for _, r := range more {
		if !slices.Contains(had, r) && !slices.Contains(add, r) {
			add = append(add, r)
		}
	}
	if len(add) > 0 {
		c.task.Definition["routes"] = value.Anys(append(slices.Clone(had), add...))
		c.did("routes %s", strings.Join(add, ", "))
	}
}

// environment adds variables where a task has an environment. What a cached task makes is used by other
// pushes, which must not get what was made in another environment.
func (c *changed) environment(env map[string]any) {
	payload := value.Map(c.task.Definition, "payload")
	if len(env) == 0 || payload == nil || payload["env"] == nil && payload["command"] == nil || value.Truthy(c.task.Attribute("cached_task")) {
		return
	}
	payload = maps.Clone(payload)
	all := maps.Clone(value.Map(payload, "env"))
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, env)
	payload["env"] = all
	c.task.Definition["payload"] = payload
	c.did("environment %s", strings.Join(slices.Sorted(maps.Keys(env)), ", "))
}

func (c *changed) priority(lift bool) {
	p := c.task.Definition["priority"]
	if lift && (p == "lowest" || p == "very-low") {
		c.task.Definition["priority"] = "low"
		c.did("chemspill-prio: priority low")
	}
}
