package actions

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/importer/actions/source"
)

// job is a job of the workflow, or of one that it calls.
type job struct {
	id      string // in Treeline's names
	n       *source.Node
	scope   *expr.Scope
	env     []binding    // of its workflow and its own
	inherit int          // how many of them are the workflow's, which all tasks of the kind have
	wf      *source.Node // the workflow it stands in
	needs   []*job
	named   map[string]made // what the names in its needs stand for
	conds   []string        // what must hold for it to run, with those it needs
	always  bool
	outputs bool // somebody reads its outputs
	entries []*entry
}

// entry is one task.
type entry struct {
	name  string
	job   *job
	scope *expr.Scope
	steps []*step
	task
}

// caller is where a workflow is called from.
type caller struct {
	prefix string
	names  map[string]made
	conds  []string
	always bool
}

// made is what a job becomes: itself, or those of the workflow that it calls, of which some may not run. Who needs it runs
// where the conditions hold.
type made struct {
	jobs  []*job
	conds []string
}

// collect takes in the jobs of a workflow, those of workflows that it calls included.
func (f *flow) collect(wf *source.Node, sc *expr.Scope, from caller, depth int) []*job {
	jobs, names := wf.At("jobs"), map[string]made{}
	if jobs.Kind != source.Map {
		f.left(jobs, "jobs", "must be a mapping")
		return nil
	}
	env := f.bindings(wf.At("env"))
	var all []*job
	for _, id := range topological(jobs) {
		n := jobs.At(id)
		if n.Kind != source.Map {
			f.left(n, "the job "+id, "must be a mapping")
			continue
		}
		here := caller{prefix: from.prefix, names: names}
		names[id] = f.one(wf, id, n, sc, env, from, here, depth)
		all = append(all, names[id].jobs...)
	}
	return all
}

// topological is the order in which jobs come after those they need; those of a circle stand where they were.
func topological(jobs *source.Node) []string {
	var out []string
	state := map[string]int{}
	var visit func(id string, depth int)
	visit = func(id string, depth int) {
		if state[id] != 0 || jobs.At(id) == nil || depth > 200 {
			return
		}
		state[id] = 1
		for _, need := range jobs.At(id).At("needs").Texts() {
			visit(need, depth+1)
		}
		out = append(out, id)
	}
	for _, id := range jobs.Keys {
		visit(id, 0)
	}
	return out
}

// one makes a job, or what a called workflow has.
func (f *flow) one(wf *source.Node, id string, n *source.Node, sc *expr.Scope, env []binding, from, here caller, depth int) made {
	j := &job{id: f.unique(dotted(here.prefix + id)), n: n, scope: sc.With("github", map[string]any{"job": id}, false), wf: wf, named: map[string]made{}}
	j.inherit = len(env)
	j.env = append(slices.Clone(env), f.bindings(n.At("env"))...)
	needs := n.At("needs").Texts()
	for _, need := range needs {
		m, ok := here.names[need]
		if !ok {
			f.left(n.At("needs"), fmt.Sprintf("%s needs %q", id, need), "there is no such job before it")
			continue
		}
		j.named[need] = m
		j.needs = append(j.needs, m.jobs...)
	}
	if len(needs) == 0 {
		for name, m := range from.names {
			j.named[name] = m
			j.needs = append(j.needs, m.jobs...)
		}
		slices.SortFunc(j.needs, func(a, b *job) int { return strings.Compare(a.id, b.id) })
	}
	j.conds = append(slices.Clone(from.conds), f.trig.when)
	f.condition(j, n.At("if"))
	j.always = j.always || from.always && len(needs) == 0
	if !j.always {
		for _, need := range needs { // the conditions of those before a call are the call's
			j.conds = append(j.conds, j.named[need].conds...)
		}
	}
	if uses := n.At("uses"); uses != nil {
		return made{f.called(j, id, n, sc, depth), j.conds}
	}
	f.jobs = append(f.jobs, j)
	return made{[]*job{j}, j.conds}
}

// unique is a name that no other job of the kind has.
func (f *flow) unique(name string) string {
	if name == "" {
		name = "job"
	}
	base := name
	for n := 2; slices.ContainsFunc(f.jobs, func(o *job) bool { return o.id == name }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// condition reads a job's if. What cannot be said in Treeline keeps the task from running, so that nothing runs that
// the author meant to keep.
func (f *flow) condition(j *job, n *source.Node) {
	if n.Empty() {
		return
	}
	sc := j.scope.With("env", f.staticEnv(j.env, j.scope), false)
	e, err := f.ifExpr(n, sc)
	if err == nil {
		c, ok := expr.ToCondition(e)
		if ok {
			j.conds, j.always = append(j.conds, c.Text), c.Always
			if strings.Contains(c.Text, `"cron"`) {
				f.note(n, "asks for schedule or workflow_dispatch", "Treeline calls both cron")
			}
			return
		}
		err = errors.New("the conditions of Treeline cannot say it")
	}
	f.left(n, "if: "+limit(n.Str(), 200), fmt.Sprintf("%v; the task does not run until the condition false in its when is another", err))
	j.conds = append(j.conds, expr.Never)
}

// ifExpr is the expression of an if, which needs no ${{ }}.
func (f *flow) ifExpr(n *source.Node, sc *expr.Scope) (*expr.Expr, error) {
	t := strings.TrimSpace(n.Str())
	if strings.HasPrefix(t, "${{") && expr.End(t[3:]) == len(t)-5 {
		t = t[3 : len(t)-2]
	} else if strings.Contains(t, "${{") {
		return sc.AsExpr(t), nil
	}
	e, err := expr.Parse(t)
	if err != nil {
		return nil, err
	}
	return sc.Fold(e), nil
}

// staticEnv are the variables whose values are known.
func (f *flow) staticEnv(env []binding, sc *expr.Scope) map[string]any {
	out := map[string]any{}
	for _, b := range env {
		from := sc
		if b.scope != nil {
			from = b.scope
		}
		if v, ok := from.Fill(b.n.Str()); ok {
			out[b.name] = v
			sc = sc.With("env", map[string]any{b.name: v}, false)
		}
	}
	return out
}

// called takes in the jobs of a workflow of this repository that the job calls.
func (f *flow) called(j *job, id string, n *source.Node, sc *expr.Scope, depth int) []*job {
	f.known(n, "the job "+id, "name", "uses", "with", "secrets", "needs", "if", "permissions", "strategy", "concurrency")
	uses := n.At("uses").Str()
	local, ok := strings.CutPrefix(uses, "./")
	switch {
	case !ok:
		f.left(n.At("uses"), "calls the workflow "+uses+" of another repository", "copy it to this repository, or write its tasks")
		return nil
	case depth >= maxCalls:
		f.left(n.At("uses"), "calls "+uses, fmt.Sprintf("workflows call each other more than %d deep", maxCalls))
		return nil
	}
	local, _, _ = strings.Cut(local, "@")
	b, err := source.Open(f.c.files, path.Clean(local))
	var wf *source.Node
	if err == nil {
		wf, err = source.Parse(local, b)
	}
	if err != nil || wf.At("jobs") == nil {
		f.left(n.At("uses"), "calls "+uses, fmt.Sprintf("it cannot be read: %v", err))
		return nil
	}
	f.known(n.At("strategy"), "the strategy of "+id, "matrix", "fail-fast", "max-parallel")
	list, ok := f.matrix(n.At("strategy").At("matrix"), sc)
	if !ok {
		f.left(n.At("strategy").At("matrix"), "the matrix of calls of "+uses, "it is only known when something has run; list its values. The tasks do not run until then")
		j.conds = append(j.conds, expr.Never)
	}
	before := f.trig.when
	f.trig.when = "true" // it is among the conditions already
	defer func() { f.trig.when = before }()
	var all []*job
	for i, name := range names(j.id, list) {
		if f.calls++; f.calls > maxTasks || len(f.jobs) > maxTasks {
			f.left(n, "calls "+uses, fmt.Sprintf("the workflows make more than %d tasks", maxTasks))
			break
		}
		inner := f.callScope(wf, n, sc.With("matrix", list[i].values, true))
		all = append(all, f.collect(wf, inner, caller{prefix: name + "-", names: j.named, conds: j.conds, always: j.always}, depth+1)...)
	}
	return all
}

// callScope is what a called workflow knows: its inputs, and the secrets it is given.
func (f *flow) callScope(wf, n *source.Node, sc *expr.Scope) *expr.Scope {
	on := wf.At("on").At("workflow_call")
	inner := sc.With("inputs", nil, true)
	inner.Means = map[string]*expr.Expr{}
	for _, name := range on.At("inputs").Names() {
		v := n.At("with").At(name)
		if v == nil {
			inner.Static["inputs."+name] = on.At("inputs").At(name).At("default").Plain()
			continue
		}
		if v.Kind == source.Scalar && strings.Contains(v.Text, "${{") {
			inner.Means["inputs."+name] = sc.AsExpr(v.Text)
		} else {
			inner.Static["inputs."+name] = v.Plain()
		}
	}
	if secrets := n.At("secrets"); secrets != nil && secrets.Kind == source.Map {
		for _, name := range secrets.Keys {
			inner.Means["secrets."+name] = sc.AsExpr(secrets.At(name).Str())
		}
	}
	return inner
}
