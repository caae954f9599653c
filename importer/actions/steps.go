package actions

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// step is a step of a job, or of an action of this repository that the job uses.
type step struct {
	n     *node
	scope *scope
	id    string  // of its outputs
	conds []*expr // its if, and those of the actions around it; nil for none
	env   []binding
	dir   string // of an action, for its own files
}

// flatten puts the steps of actions of this repository in their place.
func (f *flow) flatten(list *node, sc *scope, outer step, depth int) []*step {
	if list == nil || list.kind != isList {
		f.left(list, "steps", "must be a list")
		return nil
	}
	var out []*step
	for i, n := range list.items {
		if n.kind != isMap {
			f.left(n, "a step", "must be a mapping")
			continue
		}
		id := n.at("id").str()
		if id == "" {
			id = fmt.Sprintf("step%d", i+1)
		}
		st := &step{n: n, scope: sc, id: sc.steps + id, dir: outer.dir, conds: slices.Clone(outer.conds)}
		st.env = append(slices.Clone(outer.env), f.bindings(n.at("env"))...)
		if cond := n.at("if"); !cond.empty() {
			e, err := f.ifExpr(cond, sc.with("env", f.staticEnv(st.env, sc), false))
			if err != nil {
				f.left(cond, "if: "+limit(cond.str(), 200), err.Error()+"; the step does not run")
				e = &expr{op: "lit", value: false}
			}
			st.conds = append(st.conds, e)
		}
		local, ok := strings.CutPrefix(n.at("uses").str(), "./")
		if !ok {
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

// composite are the steps of an action of this repository; ok is false for one that is a program of its own.
func (f *flow) composite(st *step, dir string, depth int) ([]*step, bool) {
	dir = path.Clean(dir)
	var action *node
	for _, name := range []string{dir + "/action.yml", dir + "/action.yaml"} {
		b, err := open(f.c.files, strings.TrimPrefix(name, "./"))
		if err != nil {
			continue
		}
		if action, err = parse(name, b); err != nil {
			f.left(st.n, "uses ./"+dir, err.Error())
			return nil, false
		}
		break
	}
	if action == nil || !action.at("runs").at("using").is("composite") {
		return nil, false
	}
	sc := st.scope.with("inputs", nil, true)
	sc.steps = st.id + "."
	sc.steps = strings.ReplaceAll(sc.steps, ".", "-")
	sc.means = map[string]*expr{}
	with := st.n.at("with")
	for _, name := range action.at("inputs").keysOf() {
		v := with.at(name)
		if v == nil {
			v = action.at("inputs").at(name).at("default")
			sc.static["inputs."+name] = text(v.plain())
			continue
		}
		e := st.scope.asExpr(v.str())
		if e.op == "lit" {
			sc.static["inputs."+name] = text(e.value)
		} else {
			sc.means["inputs."+name] = e
		}
	}
	sc.static["github.action_path"] = "${GITHUB_WORKSPACE}/" + dir
	outer := step{conds: st.conds, env: st.env, dir: dir}
	steps := f.flatten(action.at("runs").at("steps"), sc, outer, depth+1)
	for _, name := range action.at("outputs").keysOf() {
		value := action.at("outputs").at(name).at("value").str()
		st.scope.means["steps."+st.id+".outputs."+name] = sc.asExpr(value)
	}
	return steps, true
}

// guard is the condition of a step as far as it is not known: nil for none. known is what is known.
func (st *step) guard() (e *expr, known bool) {
	for _, c := range st.conds {
		switch {
		case c.op == "lit" && !truth(c.value):
			return nil, false
		case c.op == "lit":
		case e == nil:
			e = c
		default:
			e = &expr{op: "&&", args: []*expr{e, c}}
		}
	}
	return e, true
}

// action is the name of the action that a step uses, without version, in lower case.
func (st *step) action() (name, version string) {
	name, version, _ = strings.Cut(st.n.at("uses").str(), "@")
	return strings.ToLower(name), version
}

// with is an input of the step's action as far as it is known; ok is false for one that is not.
func (st *step) with(name string) (string, bool) {
	n := st.n.at("with").at(name)
	if n == nil || n.kind == isNull {
		return "", true
	}
	return st.scope.fill(n.str())
}
