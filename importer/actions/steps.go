package actions

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/importer/actions/source"
)

// step is a step of a job, or of an action of this repository that the job uses.
type step struct {
	n     *source.Node
	scope *expr.Scope
	id    string       // of its outputs
	conds []*expr.Expr // its if, and those of the actions around it; nil for none
	env   []binding
	dir   string // of an action, for its own files
}

// flatten puts the steps of actions of this repository in their place.
func (f *flow) flatten(list *source.Node, sc *expr.Scope, outer step, depth int) []*step {
	if list == nil || list.Kind != source.Sequence {
		f.left(list, "steps", "must be a list")
		return nil
	}
	var out []*step
	for i, n := range list.Items {
		if n.Kind != source.Map {
			f.left(n, "a step", "must be a mapping")
			continue
		}
		id := n.At("id").Str()
		if id == "" {
			id = fmt.Sprintf("step%d", i+1)
		}
		st := &step{n: n, scope: sc, id: sc.Steps + id, dir: outer.dir, conds: slices.Clone(outer.conds)}
		st.env = slices.Clone(outer.env)
		for _, b := range f.bindings(n.At("env")) {
			b.scope = sc
			st.env = append(st.env, b)
		}
		inside := f.within(st.env, sc)
		if cond := n.At("if"); !cond.Empty() {
			e, err := f.ifExpr(cond, inside)
			if err != nil {
				f.left(cond, "if: "+limit(cond.Str(), 200), err.Error()+"; the step does not run")
				e = &expr.Expr{Op: "lit", Value: false}
			}
			st.conds = append(st.conds, e)
		}
		local, ok := strings.CutPrefix(n.At("uses").Str(), "./")
		if !ok {
			st.scope = inside
			out = append(out, st)
			continue
		}
		if depth >= maxNesting || len(out) > 2000 {
			f.left(n, "uses ./"+local, fmt.Sprintf("actions use each other more than %d deep", maxNesting))
			continue
		}
		inner, ok := f.composite(st, local, depth)
		if !ok {
			out = append(out, st)
			continue
		}
		out = append(out, inner...)
	}
	return out
}

// within is the scope of a step with such variables. What is not known of them is not what it was outside.
func (f *flow) within(env []binding, sc *expr.Scope) *expr.Scope {
	if len(env) == 0 {
		return sc
	}
	known := f.staticEnv(env, sc)
	out := sc.With("env", known, false)
	for _, b := range env {
		if _, ok := known[b.name]; !ok {
			delete(out.Static, "env."+b.name)
		}
	}
	return out
}

// composite are the steps of an action of this repository; ok is false for one that is a program of its own.
func (f *flow) composite(st *step, dir string, depth int) ([]*step, bool) {
	dir = path.Clean(dir)
	var action *source.Node
	for _, name := range []string{dir + "/action.yml", dir + "/action.yaml"} {
		b, err := source.Open(f.c.files, strings.TrimPrefix(name, "./"))
		if err != nil {
			continue
		}
		if action, err = source.Parse(name, b); err != nil {
			f.left(st.n, "uses ./"+dir, err.Error())
			return nil, false
		}
		break
	}
	if action == nil || !action.At("runs").At("using").Is("composite") {
		return nil, false
	}
	sc := st.scope.With("inputs", nil, true)
	sc.Steps = st.id + "."
	sc.Steps = strings.ReplaceAll(sc.Steps, ".", "-")
	sc.Means = map[string]*expr.Expr{}
	with := st.n.At("with")
	for _, name := range action.At("inputs").Names() {
		v := with.At(name)
		if v == nil {
			v = action.At("inputs").At(name).At("default")
			sc.Static["inputs."+name] = expr.Text(v.Plain())
			continue
		}
		e := st.scope.AsExpr(v.Str())
		if e.Op == "lit" {
			sc.Static["inputs."+name] = expr.Text(e.Value)
		} else {
			sc.Means["inputs."+name] = e
		}
	}
	sc.Static["github.action_path"] = "${GITHUB_WORKSPACE}/" + dir
	outer := step{conds: st.conds, env: st.env, dir: dir}
	steps := f.flatten(action.At("runs").At("steps"), sc, outer, depth+1)
	for _, name := range action.At("outputs").Names() {
		value := action.At("outputs").At(name).At("value").Str()
		st.scope.Means["steps."+st.id+".outputs."+name] = sc.AsExpr(value)
	}
	return steps, true
}

// guard is the condition of a step as far as it is not known: nil for none. known is what is known.
func (st *step) guard() (e *expr.Expr, known bool) {
	for _, c := range st.conds {
		switch {
		case c.Op == "lit" && !expr.Truth(c.Value):
			return nil, false
		case c.Op == "lit":
		case e == nil:
			e = c
		default:
			e = &expr.Expr{Op: "&&", Args: []*expr.Expr{e, c}}
		}
	}
	return e, true
}

// action is the name of the action that a step uses, without version, in lower case.
func (st *step) action() (name, version string) {
	name, version, _ = strings.Cut(st.n.At("uses").Str(), "@")
	return strings.ToLower(name), version
}

// with is an input of the step's action as far as it is known; ok is false for one that is not.
func (st *step) with(name string) (string, bool) {
	n := st.n.At("with").At(name)
	if n == nil || n.Kind == source.Null {
		return "", true
	}
	return st.scope.Fill(n.Str())
}
