package star

import (
	"io/fs"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// Limits bound one call (a load counts as one call, with all files it loads).
type Limits = bounded.Limits

// Edit is a change of one key of a mapping.
type Edit = bounded.Edit

// ErrLimit is in the chain of every error that says a limit was met.
var ErrLimit = bounded.ErrLimit

// DefaultLimits are generous for real trees and end a hostile file within seconds.
func DefaultLimits() Limits { return bounded.DefaultLimits() }

type builtin = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// library is all that a file may use besides the language.
func library() starlark.StringDict {
	out := bounded.Library()
	out["match"] = matcher("match", `\A(?:`, `)`)
	out["action"] = starlark.NewBuiltin("action", register)
	out["keyed_by"] = starlark.NewBuiltin("keyed_by", keyedBy)
	out["resolve_keyed_by"] = starlark.NewBuiltin("resolve_keyed_by", resolveKeyedBy)
	out["deep_get"] = starlark.NewBuiltin("deep_get", deepGet)
	out["effect"], out["re"], out["tree"] = effects(), regexes(), trees()
	out["sha256"] = starlark.NewBuiltin("sha256", digest)
	return out
}

// surroundings are what the functions of the library find beside the budget of their call.
type surroundings struct {
	tree     fs.FS
	actions  *[]*registration // nil: none can be registered now
	resolver keyedby.Resolver
	patterns map[string]pattern // compiled
}

func newBudget(tree fs.FS, l Limits, items int, say func(line string)) *bounded.Budget {
	b := bounded.NewBudget(l, items, say)
	b.Local = &surroundings{tree: tree}
	return b
}

// around gives what is beside a budget that newBudget made.
func around(b *bounded.Budget) *surroundings { return b.Local.(*surroundings) }

// Builtins are the names of all that files may use besides the language's own functions, sorted:
// functions, and those of modules as MODULE.NAME.
func Builtins() []string {
	var out []string
	for name, v := range library() {
		if _, ok := starlark.Universe[name]; ok || strings.ContainsAny(name, " +-*%|<>=!&^") || name == "in" || name == "not in" {
			continue
		}
		out = append(out, Members(name, v)...)
	}
	slices.Sort(out)
	return out
}

// Members are the full names of what v, called name, has: of its parts if it is a module.
func Members(name string, v starlark.Value) []string {
	r, ok := v.(*bounded.Record)
	if !ok {
		return []string{name}
	}
	out := r.AttrNames()
	for i := range out {
		out[i] = name + "." + out[i]
	}
	return out
}
