package actions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/bash"
	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/importer/actions/source"
)

// dynamic says in bash what is only known when a task runs: text for the inside of double quotes.
func (s *script) dynamic(e *expr.Expr) (string, bool) {
	switch e.Op {
	case "lit":
		return bash.InQuotes(expr.Text(e.Value)), true
	case "path":
		return s.variable(e.Name)
	case "call":
		return s.function(e)
	case "||", "&&":
		return s.choice(e)
	}
	return "", false
}

// function is format with values that are not known yet, and functions of one argument that change nothing in a text.
func (s *script) function(e *expr.Expr) (string, bool) {
	switch e.Name {
	case "format":
		if len(e.Args) == 0 || e.Args[0].Op != "lit" {
			return "", false
		}
		out := bash.InQuotes(expr.Text(e.Args[0].Value))
		for i, a := range e.Args[1:] {
			t, ok := s.dynamic(a)
			if !ok {
				return "", false
			}
			out = strings.ReplaceAll(out, fmt.Sprintf("{%d}", i), t)
		}
		return strings.NewReplacer("{{", "{", "}}", "}").Replace(out), len(out) < expr.MaxText
	case "fromjson", "tojson":
		if len(e.Args) == 1 && e.Args[0].Op == "path" && strings.Contains(e.Args[0].Name, ".outputs.") {
			return s.dynamic(e.Args[0])
		}
	}
	return "", false
}

// choice is a && b || c, and a || b.
func (s *script) choice(e *expr.Expr) (string, bool) {
	if e.Op == "||" && e.Args[0].Op == "&&" {
		test, ok := s.test(e.Args[0].Args[0])
		yes, ok1 := s.dynamic(e.Args[0].Args[1])
		no, ok2 := s.dynamic(e.Args[1])
		return fmt.Sprintf(`$(if %s; then printf %%s "%s"; else printf %%s "%s"; fi)`, test, yes, no), ok && ok1 && ok2
	}
	if e.Op == "||" {
		a, ok1 := s.dynamic(e.Args[0])
		b, ok2 := s.dynamic(e.Args[1])
		if name, ok := strings.CutPrefix(a, "${"); ok && ok1 && ok2 && strings.HasSuffix(name, "}") && strings.Count(a, "$") == 1 {
			return "${" + strings.TrimSuffix(name, "}") + ":-" + b + "}", true
		}
		return fmt.Sprintf(`$(if [[ -n "%s" ]]; then printf %%s "%s"; else printf %%s "%s"; fi)`, a, a, b), ok1 && ok2
	}
	test, ok := s.test(e)
	return fmt.Sprintf(`$(if %s; then echo true; else echo false; fi)`, test), ok
}

// test is a command of bash that ends with 0 where the expression holds.
func (s *script) test(e *expr.Expr) (string, bool) {
	switch e.Op {
	case "lit":
		if expr.Truth(e.Value) {
			return "true", true
		}
		return "false", true
	case "!":
		t, ok := s.test(e.Args[0])
		return "! " + t, ok
	case "&&", "||":
		a, ok1 := s.test(e.Args[0])
		b, ok2 := s.test(e.Args[1])
		return "{ " + a + " " + e.Op + " " + b + "; }", ok1 && ok2
	case "==", "!=":
		return s.compared(e)
	case "call":
		return s.asked(e)
	case "path":
		t, ok := s.variable(e.Name)
		return `[[ -n "` + t + `" ]]`, ok
	}
	return "false", false
}

func (s *script) compared(e *expr.Expr) (string, bool) {
	a, b := e.Args[0], e.Args[1]
	if a.Op == "path" && a.Name == "github.event.pull_request.head.repo.full_name" {
		s.use("TASKS_FOR")
		return `[[ $TASKS_FOR ` + e.Op + ` github-pull-request-untrusted ]]`, false
	}
	x, ok1 := s.dynamic(a)
	y, ok2 := s.dynamic(b)
	if x == "${GITHUB_ACTOR}" {
		y = strings.TrimSuffix(y, "[bot]") // Treeline's owner is the person's name without it
	}
	return `[[ "` + x + `" ` + e.Op + ` "` + y + `" ]]`, ok1 && ok2
}

func (s *script) asked(e *expr.Expr) (string, bool) {
	switch e.Name {
	case "success":
		return `[[ $failed == 0 ]]`, true
	case "failure":
		return `[[ $failed != 0 ]]`, true
	case "always":
		return "true", true
	case "cancelled":
		return "false", true
	}
	if len(e.Args) != 2 {
		return "false", false
	}
	a, ok1 := s.dynamic(e.Args[0])
	b, ok2 := s.dynamic(e.Args[1])
	switch e.Name {
	case "contains":
		return `[[ "` + a + `" == *"` + b + `"* ]]`, ok1 && ok2
	case "startswith":
		return `[[ "` + a + `" == "` + b + `"* ]]`, ok1 && ok2
	case "endswith":
		return `[[ "` + a + `" == *"` + b + `" ]]`, ok1 && ok2
	}
	return "false", false
}

// asks reports whether an expression asks how the job stands.
func asks(e *expr.Expr, names ...string) bool {
	if e == nil {
		return false
	}
	if e.Op == "call" && slices.Contains(names, e.Name) {
		return true
	}
	for _, a := range e.Args {
		if asks(a, names...) {
			return true
		}
	}
	return false
}

var named = map[string]string{
	"github.sha": "GITHUB_SHA", "github.event.after": "GITHUB_SHA", "github.event.pull_request.head.sha": "GITHUB_SHA", "github.event.head_commit.id": "GITHUB_SHA",
	"github.ref": "GITHUB_REF", "github.ref_name": "GITHUB_REF_NAME", "github.ref_type": "GITHUB_REF_TYPE", "github.event.release.tag_name": "GITHUB_REF_NAME",
	"github.event.ref": "GITHUB_REF",
	"github.head_ref":  "GITHUB_HEAD_REF", "github.event.pull_request.head.ref": "GITHUB_HEAD_REF",
	"github.base_ref": "GITHUB_BASE_REF", "github.event.pull_request.base.ref": "GITHUB_BASE_REF",
	"github.event_name": "GITHUB_EVENT_NAME", "github.run_id": "GITHUB_RUN_ID", "github.run_attempt": "GITHUB_RUN_ATTEMPT", "github.workspace": "GITHUB_WORKSPACE",
	"github.actor": "GITHUB_ACTOR", "github.triggering_actor": "GITHUB_ACTOR", "github.event.sender.login": "GITHUB_ACTOR",
	"runner.temp": "RUNNER_TEMP", "github.repository": "GITHUB_REPOSITORY", "github.repository_owner": "GITHUB_REPOSITORY_OWNER",
	"github.event.before": "GITHUB_BASE_SHA", "github.event.pull_request.base.sha": "GITHUB_BASE_SHA",
}

// variable is what bash has for a path.
func (s *script) variable(name string) (string, bool) {
	if v, ok := named[name]; ok {
		s.use(v)
		return "${" + v + "}", true
	}
	context, rest, _ := strings.Cut(name, ".")
	parts := strings.Split(rest, ".")
	switch {
	case context == "env" && bash.IsName(rest):
		return "${" + rest + "}", true
	case context == "secrets" && bash.IsName(rest):
		return s.secret(rest), true
	case context == "steps" && len(parts) == 2 && (parts[1] == "outcome" || parts[1] == "conclusion"):
		return "${" + strings.ToUpper(parts[1]) + "_" + notName.ReplaceAllString(parts[0], "_") + ":-skipped}", true
	case name == "job.status":
		return "$(if [[ $failed == 0 ]]; then echo success; else echo failure; fi)", true
	case name == "github.token":
		return s.secret("GITHUB_TOKEN"), true
	case context == "steps" && len(parts) == 3 && parts[1] == "outputs":
		s.use("OUTPUTS")
		return "$(output " + parts[0] + " " + bash.Quoted(parts[2]) + ")", true
	case context == "needs" && len(parts) == 3 && parts[1] == "outputs" && s.fetchOutputs(parts[0]):
		s.use("OUTPUTS")
		return "$(output needs." + parts[0] + " " + bash.Quoted(parts[2]) + ")", true
	}
	return "", false
}

// fill puts bash in the place of the expressions of a text: of a script if raw, and else of a text for double quotes. What
// cannot be said is remarked on and stays as it is.
func (s *script) fill(sc *expr.Scope, n *source.Node, t string, raw bool) (out string, dynamic bool) {
	chunks := s.chunks(sc, n, t)
	if raw {
		out = bash.Weave(chunks)
	}
	for _, c := range chunks {
		dynamic = dynamic || c.Expands
		if !raw && c.Expands {
			out += c.Text
		} else if !raw {
			out += bash.InQuotes(c.Text)
		}
	}
	return out, dynamic
}

// chunks are the parts of a text, with what is known of its expressions filled in.
func (s *script) chunks(sc *expr.Scope, n *source.Node, t string) []bash.Chunk {
	list, err := expr.Pieces(t)
	if err != nil {
		s.f.left(n, "an expression", err.Error())
		return []bash.Chunk{{Text: t}}
	}
	var out []bash.Chunk
	size := 0
	for _, p := range list {
		c := bash.Chunk{Text: p.Literal}
		if p.E != nil {
			c = s.expression(sc, n, p)
		}
		if size += len(c.Text); size > expr.MaxText {
			s.f.left(n, "a text", "it becomes too large")
			break
		}
		out = append(out, c)
	}
	return out
}

func (s *script) expression(sc *expr.Scope, n *source.Node, p expr.Piece) bash.Chunk {
	e := sc.Fold(p.E)
	if e.Op == "lit" {
		return bash.Chunk{Text: expr.Text(e.Value)}
	}
	if v, ok := s.dynamic(e); ok {
		return bash.Chunk{Text: v, Expands: true}
	}
	s.f.left(n, "the expression ${{ "+limit(p.Source, 200)+" }}", "Treeline has nothing that says the same; write the value, or read it in the script")
	return bash.Chunk{Text: "${{ " + p.Source + " }}", Expands: true} // bash ends the step there
}

func limit(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
