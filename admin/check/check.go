// Package check holds what a directory makes against the conditions that the directory itself sets: that
// no client of level 1 reaches a secret of level 3, that every hook has an owner. Conditions are
// expressions (expr-lang/expr); what can be asked is in docs/reference/admin-directory.md.
package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/admin/tree"
	"github.com/treeline-ci/treeline/auth/scope"
)

const (
	maxSource = 2000
	maxNodes  = 1000
	maxFound  = 10 // that a failure names
)

// Failure is a condition that does not hold, or cannot be asked.
type Failure struct {
	At      string   `json:"at"` // where the check stands
	Name    string   `json:"name"`
	Reason  string   `json:"reason"`
	Problem string   `json:"problem,omitempty"` // why it cannot be asked
	Found   []string `json:"found"`             // what is against it, with the place where it stands
}

func (f Failure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: does not hold\n  reason: %s\n", f.At, f.Name, f.Reason)
	if f.Problem != "" {
		fmt.Fprintf(&b, "  the check cannot be made: %s\n", f.Problem)
	}
	for i, found := range f.Found {
		if i == maxFound {
			fmt.Fprintf(&b, "  … and %d more\n", len(f.Found)-i)
			break
		}
		fmt.Fprintf(&b, "  %s\n", found)
	}
	return b.String()
}

// Run makes all checks of a directory. All is well when nothing is returned.
func Run(t *tree.Tree, want resource.Set) ([]Failure, error) {
	things, err := thingsOf(t, want)
	if err != nil {
		return nil, err
	}
	var out []Failure
	for _, c := range t.Checks {
		f := Failure{At: c.Place.String(), Name: c.Name, Reason: c.Reason, Found: []string{}}
		found, err := one(c, things)
		if err != nil {
			f.Problem = err.Error()
		}
		for _, at := range found {
			f.Found = append(f.Found, fmt.Sprintf("%s: %s %s", at.at, at.kind, at.env["id"]))
		}
		if err != nil || len(found) > 0 || c.Expr != "" && found != nil {
			out = append(out, f)
		}
	}
	return out, nil
}

// one returns what is against a check; not nil and empty when a condition about all does not hold.
func one(c tree.Check, things map[string][]thing) ([]thing, error) {
	if c.Expr != "" {
		env := map[string]any{}
		for of, list := range things {
			all := make([]map[string]any, len(list))
			for i, t := range list {
				all[i] = t.env
			}
			env[of] = all
		}
		holds, err := ask(c.Expr, env)
		if err != nil || holds {
			return nil, err
		}
		return []thing{}, nil
	}
	list, known := things[c.Of]
	if !known {
		return nil, fmt.Errorf("%q are no things; there are clients, roles, hooks, worker-pools, secrets, denylist and repositories (in expr: worker_pools)", c.Of)
	}
	var found []thing
	where, err := compileFor(c.Where, list)
	if err != nil {
		return nil, err
	}
	holds, err := compileFor(c.Holds, list)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		against, err := t.against(c, where, holds)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.env["id"], err)
		}
		if against {
			found = append(found, t)
		}
	}
	return found, nil
}

func (t thing) against(c tree.Check, where, holds *vm.Program) (bool, error) {
	if where != nil {
		if chosen, err := truth(where, t.env); err != nil || !chosen {
			return false, err
		}
	}
	if c.Every {
		ok, err := truth(holds, t.env)
		return !ok, err
	}
	if len(c.Reaches)+len(c.Has) == 0 {
		return true, nil
	}
	expanded, _ := t.env["expanded"].([]string)
	set := scope.NewSet(expanded)
	return slices.ContainsFunc(c.Reaches, func(s string) bool { return reaches(expanded, s) }) || slices.ContainsFunc(c.Has, set.Has), nil
}

// compileFor compiles a condition about things of one kind; nil for none.
func compileFor(source string, list []thing) (*vm.Program, error) {
	if source == "" || len(list) == 0 {
		return nil, nil
	}
	return compile(source, list[0].env)
}

func compile(source string, env map[string]any) (*vm.Program, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("the condition has more than %d bytes", maxSource)
	}
	return expr.Compile(source, append(functions(), expr.Env(env), expr.AsBool(), expr.MaxNodes(maxNodes))...)
}

func ask(source string, env map[string]any) (bool, error) {
	p, err := compile(source, env)
	if err != nil {
		return false, err
	}
	return truth(p, env)
}

func truth(p *vm.Program, env map[string]any) (bool, error) {
	out, err := expr.Run(p, env)
	if err != nil {
		return false, err
	}
	yes, _ := out.(bool)
	return yes, nil
}

// functions are what conditions can call besides expr's own.
func functions() []expr.Option {
	two := func(name string, f func(scopes []string, s string) bool) expr.Option {
		return expr.Function(name, func(params ...any) (any, error) {
			scopes, ok := params[0].([]string)
			s, isText := params[1].(string)
			if !ok || !isText {
				return nil, fmt.Errorf("%s takes a list of scopes, such as expanded, and a scope", name)
			}
			return f(scopes, s), nil
		}, new(func(any, string) bool))
	}
	return []expr.Option{
		two("holds", func(scopes []string, s string) bool { return scope.NewSet(scopes).Has(s) }),
		two("reaches", reaches),
		expr.Function("glob", func(params ...any) (any, error) {
			pattern, ok := params[0].(string)
			text, isText := params[1].(string)
			if !ok || !isText {
				return nil, fmt.Errorf("glob takes a pattern and a text")
			}
			return resource.Glob(pattern, text), nil
		}, new(func(string, string) bool)),
	}
}

// reaches reports whether scopes hold anything that a scope stands for: of x:*, one that begins so.
func reaches(scopes []string, s string) bool {
	prefix, star := strings.CutSuffix(s, "*")
	for _, have := range scopes {
		p, wild := strings.CutSuffix(have, "*")
		switch {
		case have == s, wild && strings.HasPrefix(prefix, p), star && strings.HasPrefix(p, prefix):
			return true
		}
	}
	return false
}

// Filter is a condition about resources: kind, id, action ("" where there is none), level of growth.
type Filter struct{ program *vm.Program }

// NewFilter reads a filter; "" chooses everything.
func NewFilter(source string) (Filter, error) {
	if source == "" {
		return Filter{}, nil
	}
	p, err := compile(source, filterEnv(resource.Key{}, "", nil))
	if err != nil {
		return Filter{}, fmt.Errorf("--filter: %w (it can use kind, id, action, scopes and description)", err)
	}
	return Filter{p}, nil
}

// Keep reports whether a filter chooses a resource.
func (f Filter) Keep(k resource.Key, action string, body []byte) (bool, error) {
	if f.program == nil {
		return true, nil
	}
	return truth(f.program, filterEnv(k, action, body))
}
