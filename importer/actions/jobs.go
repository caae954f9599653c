package actions

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// job is a job of the workflow, or of one that it calls.
type job struct {
	id      string // in Treeline's names
	n       *node
	scope   *scope
	env     []binding // of its workflow and its own
	inherit int       // how many of them are the workflow's, which all tasks of the kind have
	wf      *node     // the workflow it stands in
	needs   []*job
	named   map[string][]*job // what the names in its needs stand for
	conds   []string          // what must hold for it to run, with those it needs
	always  bool
	planned bool
	outputs bool // somebody reads its outputs
	entries []*entry
}

// entry is one task.
type entry struct {
	name  string
	job   *job
	scope *scope
	steps []*step
	task
}

// caller is where a workflow is called from.
type caller struct {
	prefix string
	needs  []*node
	names  map[string][]*job
	conds  []string
	always bool
}

// collect takes in the jobs of a workflow, those of workflows that it calls included.
func (f *flow) collect(wf *node, sc *scope, from caller, depth int) []*job {
	jobs, names := wf.at("jobs"), map[string][]*job{}
	if jobs.kind != isMap {
		f.left(jobs, "jobs", "must be a mapping")
		return nil
	}
	env := f.bindings(wf.at("env"))
	var all []*job
	for _, id := range topological(jobs) {
		n := jobs.at(id)
		if n.kind != isMap {
			f.left(n, "the job "+id, "must be a mapping")
			continue
		}
		here := caller{prefix: from.prefix, names: names}
		made := f.one(wf, id, n, sc, env, from, here, depth)
		names[id] = made
		all = append(all, made...)
	}
	return all
}

// topological is the order in which jobs come after those they need; those of a circle stand where they were.
func topological(jobs *node) []string {
	var out []string
	state := map[string]int{}
	var visit func(id string, depth int)
	visit = func(id string, depth int) {
		if state[id] != 0 || jobs.at(id) == nil || depth > 200 {
			return
		}
		state[id] = 1
		for _, need := range jobs.at(id).at("needs").list() {
			visit(need, depth+1)
		}
		out = append(out, id)
	}
	for _, id := range jobs.keys {
		visit(id, 0)
	}
	return out
}

// one makes a job, or what a called workflow has.
func (f *flow) one(wf *node, id string, n *node, sc *scope, env []binding, from, here caller, depth int) []*job {
	j := &job{id: f.unique(dotted(here.prefix + id)), n: n, scope: sc.with("github", map[string]any{"job": id}, false), wf: wf, named: map[string][]*job{}}
	j.inherit = len(env)
	j.env = append(slices.Clone(env), f.bindings(n.at("env"))...)
	needs := n.at("needs").list()
	for _, need := range needs {
		made, ok := here.names[need]
		if !ok {
			f.left(n.at("needs"), fmt.Sprintf("%s needs %q", id, need), "there is no such job before it")
			continue
		}
		j.named[need] = made
		j.needs = append(j.needs, made...)
	}
	if len(needs) == 0 {
		for name, made := range from.names {
			j.named[name] = made
			j.needs = append(j.needs, made...)
		}
		slices.SortFunc(j.needs, func(a, b *job) int { return strings.Compare(a.id, b.id) })
	}
	j.conds = append(slices.Clone(from.conds), f.trig.when)
	f.condition(j, n.at("if"))
	j.always = j.always || from.always && len(needs) == 0
	if !j.always {
		for _, need := range j.needs {
			j.conds = append(j.conds, need.conds...)
		}
	}
	if uses := n.at("uses"); uses != nil {
		return f.called(j, id, n, sc, depth)
	}
	f.jobs = append(f.jobs, j)
	return []*job{j}
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
func (f *flow) condition(j *job, n *node) {
	if n.empty() {
		return
	}
	sc := j.scope.with("env", f.staticEnv(j.env, j.scope), false)
	e, err := f.ifExpr(n, sc)
	if err == nil {
		c, ok := toCondition(e)
		if ok {
			j.conds, j.always = append(j.conds, c.text), c.always
			if strings.Contains(c.text, `"cron"`) {
				f.note(n, "asks for schedule or workflow_dispatch", "Treeline calls both cron")
			}
			return
		}
		err = fmt.Errorf("Treeline's conditions cannot say it")
	}
	f.left(n, "if: "+limit(n.str(), 200), fmt.Sprintf("%v; the task does not run until the condition false in its when is another", err))
	j.conds = append(j.conds, never)
}

// ifExpr is the expression of an if, which needs no ${{ }}.
func (f *flow) ifExpr(n *node, sc *scope) (*expr, error) {
	t := strings.TrimSpace(n.str())
	if strings.HasPrefix(t, "${{") && endOf(t[3:]) == len(t)-5 {
		t = t[3 : len(t)-2]
	} else if strings.Contains(t, "${{") {
		return sc.asExpr(t), nil
	}
	e, err := parseExpr(t)
	if err != nil {
		return nil, err
	}
	return sc.fold(e), nil
}

// staticEnv are the variables whose values are known.
func (f *flow) staticEnv(env []binding, sc *scope) map[string]any {
	out := map[string]any{}
	for _, b := range env {
		if v, ok := sc.fill(b.n.str()); ok {
			out[b.name] = v
			sc = sc.with("env", map[string]any{b.name: v}, false)
		}
	}
	return out
}

// called takes in the jobs of a workflow of this repository that the job calls.
func (f *flow) called(j *job, id string, n *node, sc *scope, depth int) []*job {
	f.known(n, "the job "+id, "name", "uses", "with", "secrets", "needs", "if", "permissions", "strategy", "concurrency")
	uses := n.at("uses").str()
	local, ok := strings.CutPrefix(uses, "./")
	switch {
	case !ok:
		f.left(n.at("uses"), "calls the workflow "+uses+" of another repository", "copy it to this repository, or write its tasks")
		return nil
	case depth >= maxCalls:
		f.left(n.at("uses"), "calls "+uses, fmt.Sprintf("workflows call each other more than %d deep", maxCalls))
		return nil
	case !n.at("strategy").empty():
		f.left(n.at("strategy"), "a matrix of calls of "+uses, "write the jobs with the matrix itself")
	}
	local, _, _ = strings.Cut(local, "@")
	b, err := open(f.c.files, path.Clean(local))
	var wf *node
	if err == nil {
		wf, err = parse(local, b)
	}
	if err != nil || wf.at("jobs") == nil {
		f.left(n.at("uses"), "calls "+uses, fmt.Sprintf("it cannot be read: %v", err))
		return nil
	}
	inner := f.callScope(wf, n, sc)
	before := f.trig.when
	f.trig.when = "true" // it is among the conditions already
	defer func() { f.trig.when = before }()
	return f.collect(wf, inner, caller{prefix: id + "-", names: j.named, conds: j.conds, always: j.always}, depth+1)
}

// callScope is what a called workflow knows: its inputs, and the secrets it is given.
func (f *flow) callScope(wf, n *node, sc *scope) *scope {
	on := wf.at("on").at("workflow_call")
	inner := sc.with("inputs", nil, true)
	inner.means = map[string]*expr{}
	for _, name := range on.at("inputs").keysOf() {
		v := n.at("with").at(name)
		if v == nil {
			inner.static["inputs."+name] = on.at("inputs").at(name).at("default").plain()
			continue
		}
		if v.kind == isText && strings.Contains(v.text, "${{") {
			inner.means["inputs."+name] = sc.asExpr(v.text)
		} else {
			inner.static["inputs."+name] = v.plain()
		}
	}
	if secrets := n.at("secrets"); secrets != nil && secrets.kind == isMap {
		for _, name := range secrets.keys {
			inner.means["secrets."+name] = sc.asExpr(secrets.at(name).str())
		}
	}
	return inner
}

func (n *node) keysOf() []string {
	if n == nil {
		return nil
	}
	return n.keys
}
