package actions

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/importer/actions/source"
)

// object is a mapping that is being written, in the order of its keys.
type object struct{ *yaml.Node }

func newObject() object { return object{&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}} }

// set adds a key. Texts of several lines are literal blocks.
func (o object) set(key string, v any) *yaml.Node {
	n := asNode(v)
	o.Content = append(o.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, n)
	return n
}

func asNode(v any) *yaml.Node {
	switch v := v.(type) {
	case object:
		return v.Node
	case *yaml.Node:
		return v
	case []object:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, o := range v {
			n.Content = append(n.Content, o.Node)
		}
		return n
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
		for _, s := range v {
			n.Content = append(n.Content, asNode(s))
		}
		return n
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(v)}
	case int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(v)}
	}
	text := strings.ToValidUTF8(v.(string), "\uFFFD")
	n := &yaml.Node{}
	n.SetString(text)
	if n.Tag == "!!binary" {
		n.Tag, n.Value, n.Style = "!!str", text, yaml.DoubleQuotedStyle
	}
	if n.Style == 0 && yaml11(text) {
		n.Style = yaml.DoubleQuotedStyle
	}
	if n.Style == yaml.LiteralStyle && (strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\n") || strings.ContainsFunc(text, unprintable)) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// yaml11 reports words and numbers that the generator's YAML would not read as text.
func yaml11(s string) bool {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "":
		return true
	}
	return strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789.:_+-eExXoOabcdefABCDEF", r) }) < 0
}

func unprintable(r rune) bool {
	return r != '\n' && r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffd)
}

// remarked is a comment from remarks that a reader of the file should see.
func remarked(list []Remark) string {
	var lines []string
	for _, m := range list {
		if m.Level == Note {
			continue
		}
		word := "differs"
		if m.Level == Left {
			word = "NOT CONVERTED"
		}
		line := fmt.Sprintf("# %s: %s:%d: %s", word, m.File, m.Line, m.What)
		if m.Do != "" {
			line += ": " + m.Do
		}
		if line = clear(line); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// clear is a text that can stand in a comment: one line, nothing but what prints.
func clear(s string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) || r == '\n' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// kindYML is the kind of a workflow.
func (f *flow) kindYML() (string, error) {
	o := newObject()
	o.set("loader", "taskgraph.loader.transform:loader")
	transforms := []string{"taskgraph.transforms.run:transforms", "taskgraph.transforms.task:transforms"}
	checkouts := true
	for _, j := range f.jobs {
		for _, e := range j.entries {
			f.taskContext = f.taskContext || e.context
			checkouts = checkouts && e.checkout
		}
	}
	if f.taskContext {
		transforms = append([]string{"taskgraph.transforms.task_context:transforms"}, transforms...)
	}
	o.set("transforms", transforms).Style = 0
	o.set("task-defaults", f.defaults(checkouts))
	tasks, symbols := newObject(), map[string]int{}
	var said []Remark
	for _, j := range f.jobs {
		anchors := map[string]*yaml.Node{}
		for _, e := range j.entries {
			tasks.set(e.name, f.entry(e, checkouts, symbols, anchors))
			tasks.Content[len(tasks.Content)-2].HeadComment = remarked(e.comments)
			said = append(said, e.comments...)
		}
	}
	o.set("tasks", tasks)
	rest := slices.DeleteFunc(slices.Clone(f.all), func(m Remark) bool { return slices.Contains(said, m) })
	o.HeadComment = strings.TrimRight(fmt.Sprintf("# %s, as treeline import github-actions made it of %s.\n%s", clear(f.title), f.file, remarked(rest)), "\n")
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(o.Node); err != nil {
		return "", fmt.Errorf("write the kind %s: %w", f.kind, err)
	}
	return b.String(), enc.Close()
}

func (f *flow) defaults(checkouts bool) object {
	o := newObject()
	if len(f.trig.tasksFor) > 0 {
		o.set("run-on-tasks-for", f.trig.tasksFor)
	} else {
		a := newObject()
		a.set("cron", true)
		o.set("attributes", a) // only jobs of .cron.yml select such tasks
	}
	if len(f.trig.branches) > 0 {
		o.set("run-on-git-branches", f.trig.branches)
	}
	if f.trig.when != "true" {
		o.set("when", f.trig.when)
	}
	worker, env := newObject(), newObject()
	env.set("CI", "true")
	for _, b := range f.env {
		v, ok := f.scope.Fill(b.n.Str())
		if b.n.Kind == source.Scalar && !strings.Contains(b.n.Text, "${{") {
			v, ok = expr.Text(b.n.Plain()), true
		}
		if ok && b.name != "CI" {
			env.set(b.name, v)
		}
	}
	worker.set("env", env)
	o.set("worker", worker)
	run := newObject()
	run.set("using", "run-task")
	if checkouts {
		run.set("cwd", "{checkout}")
	}
	o.set("run", run)
	th := newObject()
	th.set("tier", 1)
	o.set("treeherder", th)
	return o
}

// entry is one task of the kind.
func (f *flow) entry(e *entry, checkouts bool, symbols map[string]int, anchors map[string]*yaml.Node) object {
	o := newObject()
	o.set("description", f.describe(e))
	o.set("worker-type", e.worker.Alias)
	f.dependencies(o, e)
	if when := expr.And(e.job.conds...); when != f.trig.when {
		o.set("when", when)
	}
	if len(e.scopes) > 0 {
		o.set("scopes", e.scopes)
	}
	if e.context {
		o.set("task-context", contextOf())
	}
	o.set("worker", e.workerKeys())
	th := newObject()
	th.set("symbol", limit(f.kind, 25)+"("+symbol(e.name, symbols)+")")
	th.set("kind", treeherderKind(e.name))
	th.set("platform", map[string]string{"linux": "linux", "windows": "windows", "macosx": "macos"}[e.worker.OS]+"/opt")
	o.set("treeherder", th)
	run := newObject()
	if len(e.caches) > 0 {
		run.set("use-caches", append([]string{"checkout"}, e.caches...))
	}
	switch {
	case !e.checkout:
		run.set("checkout", false)
	case !checkouts:
		run.set("cwd", "{checkout}")
	}
	if first := anchors[e.command]; first != nil && len(e.command) > 40 {
		if first.Anchor == "" {
			first.Anchor = "script-" + strconv.Itoa(len(symbols)) // of as many tasks so far, which is unique
		}
		run.set("command", &yaml.Node{Kind: yaml.AliasNode, Value: first.Anchor, Alias: first})
	} else {
		anchors[e.command] = run.set("command", e.command)
	}
	o.set("run", run)
	return o
}

func (f *flow) describe(e *entry) string {
	name := e.job.n.At("name").Str()
	if t, ok := e.scope.Fill(name); ok && t != "" {
		name = t
	} else {
		name = e.job.n.At("name").Str()
	}
	if name = oneLine(clear(name)); name == "" || strings.Contains(name, "${{") {
		name = e.name
	}
	return fmt.Sprintf("%s, of %s:%d.", limit(name, 200), e.job.n.File, e.job.n.Line)
}

func contextOf() object {
	o, from := newObject(), newObject()
	from.set("tasks_for", "tasks_for")
	from.set("base_ref", []string{"base_ref", "head_ref"})
	from.set("owner", "owner")
	o.set("from-parameters", from)
	o.set("substitution-fields", []string{"worker.env.TASKS_FOR", "worker.env.BASE_REF", "worker.env.OWNER"})
	return o
}

// dependencies writes what an entry comes after, and what it fetches. Those that may be left out while it runs do not
// pull it.
func (f *flow) dependencies(o object, e *entry) {
	hard, soft, fetches := newObject(), []string{}, newObject()
	own := expr.And(e.job.conds...)
	for _, d := range e.needs {
		label := f.kind + "-" + d.on.name
		edge := d.on.name
		if edge == "self" || edge == "decision" {
			edge += "-job"
		}
		absent := e.job.always && expr.And(d.on.job.conds...) != own || !e.job.always && !e.job.implies(d.on.job)
		if absent && len(d.fetches) == 0 {
			soft = append(soft, label)
			continue
		}
		hard.set(edge, label)
		if len(d.fetches) > 0 {
			var list []object
			for _, want := range d.fetches {
				x := newObject()
				x.set("artifact", want.artifact)
				x.set("dest", want.dest)
				if !want.extract {
					x.set("extract", false)
				}
				list = append(list, x)
			}
			fetches.set(edge, list)
		}
	}
	if len(hard.Content) > 0 {
		o.set("dependencies", hard)
	}
	if len(soft) > 0 {
		o.set("soft-dependencies", soft)
	}
	if e.job.always && len(e.needs) > 0 {
		o.set("requires", "all-resolved")
	}
	if len(fetches.Content) > 0 {
		o.set("fetches", fetches)
	}
}

// implies reports whether another job runs wherever this one does, as far as their conditions say.
func (j *job) implies(other *job) bool {
	return !slices.ContainsFunc(other.conds, func(c string) bool { return c != "true" && !slices.Contains(j.conds, c) })
}

func (e *entry) workerKeys() object {
	o := newObject()
	if e.image != "" {
		o.set("docker-image", e.image)
	}
	o.set("max-run-time", e.maxRun)
	if e.proxy {
		o.set("taskcluster-proxy", true)
	}
	env := newObject()
	for _, p := range e.env {
		env.set(p.key, p.value)
	}
	if e.artifacts {
		env.set("UPLOAD_DIR", e.directory())
	}
	if e.context {
		env.set("TASKS_FOR", "{tasks_for}")
		env.set("BASE_REF", "{base_ref}")
		env.set("OWNER", "{owner}")
	}
	if len(env.Content) > 0 {
		o.set("env", env)
	}
	if len(e.mounts) > 0 {
		var list []object
		for _, m := range e.mounts {
			x := newObject()
			x.set("cache-name", m.key)
			x.set("directory", m.value)
			list = append(list, x)
		}
		o.set("mounts", list)
	}
	var artifacts []object
	add := func(kind, name, path string) {
		x := newObject()
		x.set("type", kind)
		x.set("name", name)
		x.set("path", path)
		artifacts = append(artifacts, x)
	}
	if e.artifacts {
		add("directory", "public/build", e.directory())
	}
	if e.summary {
		add("file", "public/summary.md", strings.TrimPrefix(e.summaryFile(), "$TASK_WORKDIR/"))
	}
	if len(artifacts) > 0 {
		o.set("artifacts", artifacts)
	}
	return o
}

// symbol is a name that fits and that no other task of the kind has.
func symbol(name string, seen map[string]int) string {
	short := name
	if len(short) > 25 {
		short = strings.Trim(short[:22], "-.")
	}
	for base, n := short, 2; seen[short] > 0; n++ {
		short = fmt.Sprintf("%s~%d", base[:min(len(base), 20)], n)
	}
	seen[short]++
	return short
}

func treeherderKind(name string) string {
	switch {
	case strings.Contains(name, "build"):
		return "build"
	case strings.Contains(name, "deploy"), strings.Contains(name, "release"), strings.Contains(name, "publish"):
		return "other"
	}
	return "test"
}
