package actions

import (
	"fmt"
	"regexp"

	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/importer/actions/known"
	"github.com/treeline-ci/treeline/importer/actions/source"
)

var (
	stepResult = regexp.MustCompile(`(?i)\bsteps\.([\w-]+)\.(?:outcome|conclusion)\b`)
	jobStatus  = regexp.MustCompile(`(?i)\bjob\.status\b`)
	notName    = regexp.MustCompile(`[^A-Za-z0-9_]`)
)

// ask finds the steps whose outcome others ask for; a script keeps no more. Where any is asked for, or the job's own, it
// goes on behind a failure as far as conditions say.
func (s *script) ask() {
	s.wanted = map[string]bool{}
	look := func(prefix string) func(text string) {
		return func(text string) {
			for _, m := range stepResult.FindAllStringSubmatch(text, -1) {
				s.wanted[prefix+m[1]] = true
			}
			s.guarded = s.guarded || jobStatus.MatchString(text)
		}
	}
	for _, st := range s.e.steps {
		texts(st.n, look(st.scope.Steps))
		if guard, _ := st.guard(); guard != nil {
			paths(guard, look("")) // also the conditions of the actions around it
		}
	}
	texts(s.e.job.n.At("outputs"), look(s.e.scope.Steps))
	s.guarded = s.guarded || len(s.wanted) > 0
}

// texts calls fn with all that is said in a node.
func texts(n *source.Node, fn func(string)) {
	if n == nil {
		return
	}
	fn(n.Text)
	for _, k := range n.Keys {
		texts(n.Vals[k], fn)
	}
	for _, i := range n.Items {
		texts(i, fn)
	}
}

// paths calls fn with all paths of an expression.
func paths(e *expr.Expr, fn func(string)) {
	if e.Op == "path" {
		fn(e.Name)
	}
	for _, a := range e.Args {
		paths(a, fn)
	}
}

// ended is the command that keeps how a step ended.
func (s *script) ended(st *step, goesOn bool) string {
	s.helper("ended")
	on := ""
	if goesOn {
		on = " on"
	}
	return fmt.Sprintf("; code=$?; ended %s $code%s", notName.ReplaceAllString(st.id, "_"), on)
}

// converts reports whether a step without commands is there all the same: a worker has what it would set up.
func converts(st *step) bool {
	name, _ := st.action()
	return name == "actions/checkout" || known.Setup(name) != "" || known.Replaced(name) != ""
}
