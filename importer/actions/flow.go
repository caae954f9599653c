package actions

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/importer/actions/source"
	"github.com/treeline-ci/treeline/local/starter"
)

// The bounds of what workflows make.
const (
	maxTasks   = 2000
	maxCalls   = 4  // workflows that call workflows
	maxNesting = 10 // actions that use actions
	maxOutput  = 16 << 20
)

type converter struct {
	files   fs.FS
	project starter.Project
	options Options
	result  *Result
	flows   []*flow
	workers map[string]*Worker
	secrets map[string]*Secret
	tasks   int
	output  int // bytes of scripts
}

// flow is a workflow that is being converted.
type flow struct {
	remarks
	c           *converter
	file, kind  string
	title       string
	root        *source.Node
	scope       *expr.Scope
	trig        triggers
	env         []binding
	jobs        []*job
	calls       int   // of other workflows
	cancel      *bool // concurrency
	taskContext bool
	kept        bool // its kind is there and stays; see keep
}

// binding is a variable of env.
type binding struct {
	name  string
	n     *source.Node
	scope *expr.Scope // of its value; nil: that of who asks
}

var notKind, notDotted = regexp.MustCompile(`[^a-z0-9]+`), regexp.MustCompile(`[^a-z0-9.]+`)

// slug is a name as kinds and tasks can have it.
func slug(s string) string {
	return strings.Trim(notKind.ReplaceAllString(strings.ToLower(s), "-"), "-")
}

func (c *converter) workflow(name string) {
	f := &flow{c: c, file: name, scope: expr.NewScope()}
	out := Outcome{File: name}
	defer func() {
		out.Left = f.count(Left)
		if out.State == "" {
			if out.State = Whole; out.Left > 0 {
				out.State = Partly
			}
		}
		c.result.Workflows = append(c.result.Workflows, out)
		c.result.Remarks = append(c.result.Remarks, f.all...)
	}()
	if err := f.read(); err != nil {
		f.all = append(f.all, Remark{File: name, Line: 1, Level: Left, What: "the workflow", Do: err.Error()})
		out.State = Refused
		return
	}
	switch {
	case f.trig.called:
		f.note(f.root.At("on"), "runs only when another workflow calls it", "it becomes part of those that do")
		out.State = Whole
		return
	case len(f.trig.tasksFor) == 0 && f.trig.cron == nil:
		f.left(f.root, "the workflow", "none of the events that start it is one of Treeline's")
		out.State = Refused
		return
	}
	f.convert()
	for _, j := range f.jobs {
		out.Tasks += len(j.entries)
	}
	if out.Jobs = len(f.jobs); out.Tasks == 0 {
		f.left(f.root, "the workflow", "none of its jobs could be converted")
		out.State = Refused
		return
	}
	out.Kind = f.kind
	c.flows = append(c.flows, f)
}

func (f *flow) read() error {
	b, err := source.Open(f.c.files, f.file)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if f.root, err = source.Parse(f.file, b); err != nil {
		return err
	}
	if f.root.Kind != source.Map || f.root.At("jobs") == nil {
		return fmt.Errorf("%s has no jobs", f.file)
	}
	f.kind = slug(strings.TrimSuffix(path.Base(f.file), path.Ext(f.file)))
	if slices.Contains([]string{"", "docker-image", "toolchain", "fetch", "packages"}, f.kind) {
		f.kind = strings.TrimPrefix(f.kind+"-workflow", "-")
	}
	for base, n := f.kind, 2; slices.ContainsFunc(f.c.flows, func(o *flow) bool { return o.kind == f.kind }); n++ {
		f.kind = fmt.Sprintf("%s-%d", base, n)
	}
	if f.title = f.root.At("name").Str(); f.title == "" {
		f.title = f.file
	}
	f.facts()
	f.known(f.root, "the workflow", "name", "run-name", "on", "true", "env", "defaults", "jobs", "permissions", "concurrency")
	on := f.root.At("on")
	f.trig = f.on(on)
	f.concurrency(f.root.At("concurrency"))
	f.permissions(f.root.At("permissions"))
	f.env = f.bindings(f.root.At("env"))
	return nil
}

// facts are what is known of every run.
func (f *flow) facts() {
	set := func(name string, v any) { f.scope.Static["github."+name] = v }
	set("workflow", f.title)
	set("server_url", "https://github.com")
	set("api_url", "https://api.github.com")
	set("graphql_url", "https://api.github.com/graphql")
	set("event.repository.default_branch", f.c.project.DefaultBranch)
	if repository := f.c.options.Repository; repository != "" {
		owner, name, _ := strings.Cut(repository, "/")
		set("repository", repository)
		set("repository_owner", owner)
		set("event.repository.name", name)
		set("event.repository.full_name", repository)
		set("event.pull_request.base.repo.full_name", repository)
		set("repositoryurl", "https://github.com/"+repository+".git")
	}
}

func (f *flow) bindings(n *source.Node) []binding {
	var out []binding
	if n == nil || n.Kind != source.Map {
		if !n.Empty() {
			f.left(n, "env", "it must be a mapping")
		}
		return nil
	}
	for _, k := range n.Keys {
		out = append(out, binding{name: k, n: n.At(k)})
	}
	return out
}

// concurrency is about builds that make others needless.
func (f *flow) concurrency(n *source.Node) {
	no := false
	if n == nil {
		f.cancel = &no
		return
	}
	if n.Kind == source.Scalar {
		f.check(n, "concurrency without cancel-in-progress", "Treeline does not make pushes wait for each other; where that matters, let the task take a lock")
		f.cancel = &no
		return
	}
	cancel := n.At("cancel-in-progress")
	yes := cancel.Is("true")
	if cancel != nil && !yes && !cancel.Is("false") {
		yes = true
		f.check(cancel, "cancel-in-progress is an expression", "builds of pull requests are cancelled by newer ones, those of branches are not; see treeline.cancelOlderOnBranches")
		f.cancel = &yes
		return
	}
	if !yes {
		f.check(n, "concurrency without cancel-in-progress", "Treeline does not make pushes wait for each other; where that matters, let the task take a lock")
	}
	if f.cancel = &yes; yes && strings.Contains(n.At("group").Str(), "ref") && slices.Contains(f.trig.tasksFor, "git-push") && !strings.Contains(n.At("group").Str(), "sha") {
		f.trig.cancels = f.root.At("on").At("push").At("branches").Texts()
		if len(f.trig.cancels) == 0 {
			f.trig.cancels = []string{"*"}
		}
	}
}

// permissions are what the token may do; tasks have scopes, and no token.
func (f *flow) permissions(n *source.Node) {
	if n == nil {
		return
	}
	var writes []string
	for _, k := range n.Keys {
		if n.At(k).Is("write") {
			writes = append(writes, k)
		}
	}
	if n.Is("write-all") {
		writes = []string{"everything"}
	}
	if len(writes) > 0 {
		f.check(n, "permissions to write: "+strings.Join(writes, ", "), "tasks have no token of GitHub; one that writes there reads a token from a secret, or uses what Treeline does itself (checks)")
	}
}
