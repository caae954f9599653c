package expr

import (
	"regexp"
	"strconv"
	"strings"
)

// Condition is an expression of GitHub that says what event it is, as a condition of Treeline. always() is told apart: it
// is no condition but says what must have become of the jobs before.
type Condition struct {
	Text   string
	Always bool // the job runs whatever became of those before it
}

// Never is the condition that does not hold.
const Never = "false"

// And is the condition that all of several hold; what follows from constants is left out.
func And(parts ...string) string { return joined(" && ", "true", Never, parts) }

// Or is the condition that one of several holds.
func Or(parts ...string) string { return joined(" || ", Never, "true", parts) }

// joined joins conditions; neutral ones are left out, and an absorbing one is all.
func joined(op, neutral, absorbing string, parts []string) string {
	var out []string
	for _, p := range parts {
		switch {
		case p == neutral || p == "" || has(out, p):
		case p == absorbing:
			return absorbing
		default:
			out = append(out, p)
		}
	}
	switch len(out) {
	case 0:
		return neutral
	case 1:
		return out[0]
	}
	for i, p := range out {
		if whole(p) {
			continue
		}
		if strings.Contains(p, " && ") && op != " && " || strings.Contains(p, " || ") && op != " || " || strings.Contains(p, " ? ") {
			out[i] = "(" + p + ")"
		}
	}
	return strings.Join(out, op)
}

// whole reports a condition that is one pair of brackets, or one call.
func whole(p string) bool {
	if !strings.HasPrefix(p, "(") && !strings.HasPrefix(p, "any(") && !strings.HasPrefix(p, "!(") {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] == '\\':
			i++
		case p[i] == '"':
			quoted = !quoted
		case quoted:
		case p[i] == '(':
			depth++
		case p[i] == ')':
			if depth--; depth == 0 {
				return i == len(p)-1
			}
		}
	}
	return false
}

// Not is the opposite of a condition.
func Not(p string) string {
	switch {
	case p == "true":
		return Never
	case p == Never:
		return "true"
	case strings.HasPrefix(p, "!(") && strings.Count(p, "(") == 1:
		return p[2 : len(p)-1]
	case strings.HasPrefix(p, "!") && !strings.Contains(p, " "):
		return p[1:]
	case strings.Contains(p, " "):
		return "!(" + p + ")"
	}
	return "!" + p
}

// ToCondition translates a folded expression; ok is false where Treeline knows nothing that says the same.
func ToCondition(e *Expr) (c Condition, ok bool) {
	switch e.Op {
	case "lit":
		return Condition{Text: strconv.FormatBool(Truth(e.Value))}, true
	case "!":
		if e.Args[0].Op == "call" && e.Args[0].Name == "cancelled" {
			return Condition{Text: "true", Always: true}, true
		}
		c, ok := ToCondition(e.Args[0])
		return Condition{Text: Not(c.Text)}, ok && !c.Always
	case "&&", "||":
		a, ok1 := ToCondition(e.Args[0])
		b, ok2 := ToCondition(e.Args[1])
		both := Condition{Always: a.Always || b.Always}
		if both.Text = Or(a.Text, b.Text); e.Op == "&&" {
			both.Text = And(a.Text, b.Text)
		}
		return both, ok1 && ok2
	case "==", "!=":
		text, ok := equals(e.Args[0], e.Args[1])
		if !ok {
			text, ok = equals(e.Args[1], e.Args[0])
		}
		if e.Op == "!=" {
			text = Not(text)
		}
		return Condition{Text: text}, ok
	case "path":
		return isThere(e.Name)
	case "call":
		return called(e)
	}
	return Condition{Text: Never}, false
}

func isThere(name string) (Condition, bool) {
	switch name {
	case "github.head_ref", "github.base_ref", "github.event.pull_request", "github.event.number", "github.event.pull_request.number":
		return Condition{Text: "is_pull_request"}, true
	case "github.event.pull_request.head.repo.fork":
		return Condition{Text: `tasks_for == "github-pull-request-untrusted"`}, true
	case "github.event.release":
		return Condition{Text: `tasks_for == "github-release"`}, true
	}
	return Condition{Text: Never}, false
}

func called(e *Expr) (Condition, bool) {
	switch e.Name {
	case "success":
		return Condition{Text: "true"}, true
	case "always":
		return Condition{Text: "true", Always: true}, true
	case "cancelled":
		return Condition{Text: Never}, true
	case "startswith", "endswith", "contains":
		if len(e.Args) == 2 && e.Args[1].Op == "lit" && e.Args[0].Op == "path" {
			text, ok := matches(e.Name, e.Args[0].Name, Text(e.Args[1].Value))
			return Condition{Text: text}, ok
		}
		if e.Name == "contains" && len(e.Args) == 2 && e.Args[0].Op == "lit" && e.Args[1].Op == "path" {
			return oneOf(e)
		}
	}
	return Condition{Text: Never}, false
}

// oneOf is contains(list, path).
func oneOf(e *Expr) (Condition, bool) {
	list, isList := e.Args[0].Value.([]any)
	if !isList {
		return Condition{Text: Never}, false
	}
	out, all := Never, true
	for _, v := range list {
		text, ok := equals(e.Args[1], &Expr{Op: "lit", Value: v})
		out, all = Or(out, text), all && ok
	}
	return Condition{Text: out}, all
}

// Event is the condition that it is one of GitHub's events.
func Event(name string) string {
	switch name {
	case "push":
		return `tasks_for in ["git-push", "github-push", "hg-push"]`
	case "pull_request", "pull_request_target":
		return "is_pull_request"
	case "schedule", "workflow_dispatch":
		return `tasks_for == "cron"`
	case "release":
		return `tasks_for == "github-release"`
	case "merge_group":
		return `tasks_for == "github-merge-group"`
	}
	return Never
}

// equals says that a path has a value.
func equals(e, value *Expr) (string, bool) {
	if e.Op != "path" {
		return Never, false
	}
	if value.Op == "path" {
		a, b := e.Name, value.Name
		if a == "github.event.pull_request.head.repo.full_name" && (b == "github.repository" || b == "github.event.pull_request.base.repo.full_name") {
			return `tasks_for != "github-pull-request-untrusted"`, true
		}
		return Never, false
	}
	if value.Op != "lit" {
		return Never, false
	}
	want := Text(value.Value)
	quoted := strconv.Quote(want)
	switch e.Name {
	case "github.event_name":
		return Event(want), true
	case "github.ref":
		if branch, ok := strings.CutPrefix(want, "refs/heads/"); ok {
			return And("branch == "+strconv.Quote(branch), "!is_pull_request"), true
		}
		if tag, ok := strings.CutPrefix(want, "refs/tags/"); ok {
			return "head_tag == " + strconv.Quote(tag), true
		}
		return Never, strings.HasPrefix(want, "refs/")
	case "github.ref_name":
		return And(Or("branch == "+quoted, "head_tag == "+quoted), "!is_pull_request"), true
	case "github.ref_type":
		if want == "tag" {
			return `head_tag != ""`, true
		}
		return `head_tag == ""`, want == "branch"
	case "github.base_ref", "github.event.pull_request.base.ref":
		if want == "" {
			return "!is_pull_request", true
		}
		return And("is_pull_request", `trimPrefix(base_ref, "refs/heads/") == `+quoted), true
	case "github.head_ref", "github.event.pull_request.head.ref":
		if want == "" {
			return "!is_pull_request", true
		}
		return And("is_pull_request", "branch == "+quoted), true
	case "github.event.pull_request.head.repo.full_name":
		return `tasks_for != "github-pull-request-untrusted"`, strings.Contains(want, "/")
	case "github.event.pull_request.head.repo.fork":
		c := `tasks_for == "github-pull-request-untrusted"`
		if !Truth(value.Value) {
			c = Not(c)
		}
		return c, true
	case "github.actor", "github.triggering_actor", "github.event.pull_request.user.login", "github.event.sender.login":
		return "owner startsWith " + strconv.Quote(strings.TrimSuffix(want, "[bot]")+"@"), want != ""
	}
	return Never, false
}

// matches says that a path begins with, ends with or contains a text.
func matches(how, name, want string) (string, bool) {
	op := map[string]string{"startswith": " startsWith ", "endswith": " endsWith ", "contains": " contains "}[how]
	switch name {
	case "github.ref":
		if how == "startswith" {
			if tag, ok := strings.CutPrefix(want, "refs/tags"); ok {
				if tag = strings.TrimPrefix(tag, "/"); tag == "" {
					return `head_tag != ""`, true
				}
				return "head_tag startsWith " + strconv.Quote(tag), true
			}
			if branch, ok := strings.CutPrefix(want, "refs/heads/"); ok {
				return And("!is_pull_request", `head_tag == ""`, "branch startsWith "+strconv.Quote(branch)), true
			}
			return Never, false
		}
		if how == "contains" && (want == "refs/tags/" || want == "refs/tags") {
			return `head_tag != ""`, true
		}
		return And("!is_pull_request", "head_ref"+op+strconv.Quote(want)), true
	case "github.ref_name":
		return And("!is_pull_request", `(head_tag == "" ? branch : head_tag)`+op+strconv.Quote(want)), true
	case "github.head_ref", "github.event.pull_request.head.ref":
		return And("is_pull_request", "branch"+op+strconv.Quote(want)), true
	case "github.base_ref", "github.event.pull_request.base.ref":
		return And("is_pull_request", `trimPrefix(base_ref, "refs/heads/")`+op+strconv.Quote(want)), true
	case "github.actor":
		return "owner" + op + strconv.Quote(want), how != "endswith"
	}
	return Never, false
}

// Pattern is a filter of GitHub as a regular expression: * is anything but a slash, ** anything.
func Pattern(glob string) string {
	var b strings.Builder
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case strings.HasPrefix(glob[i:], "**/"):
			b.WriteString("(.*/)?")
			i += 2
		case strings.HasPrefix(glob[i:], "**"):
			b.WriteString(".*")
			i++
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?' || c == '+':
			b.WriteByte(c) // of the character before, as at GitHub
		case c == '[' && strings.IndexByte(glob[i:], ']') > 1:
			end := strings.IndexByte(glob[i:], ']')
			b.WriteString(glob[i : i+end+1])
			i += end
		case c == '\\' && i+1 < len(glob):
			i++
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		default:
			b.WriteString(literal(c))
		}
	}
	return b.String()
}

// literal is a byte of a pattern as it stands; only ASCII has bytes that mean something.
func literal(c byte) string {
	if c < 0x80 {
		return regexp.QuoteMeta(string(rune(c)))
	}
	return string([]byte{c})
}

// patterns is one expression for several; ok is false for one that makes none.
func patterns(globs []string) (string, bool) {
	var all []string
	for _, g := range globs {
		all = append(all, Pattern(g))
	}
	out := "^" + all[0] + "$"
	if len(all) > 1 {
		out = "^(" + strings.Join(all, "|") + ")$"
	}
	_, err := regexp.Compile(out)
	return out, err == nil && len(out) < 900
}

// AnyOf says that a name fits one of the patterns, in the order in which ! takes some back.
func AnyOf(name string, globs []string) (string, bool) {
	cond, exact := Never, true
	var in, plain []string
	flush := func() {
		if len(plain) > 0 {
			for i, p := range plain {
				plain[i] = strconv.Quote(p)
			}
			if len(plain) == 1 {
				cond = Or(cond, name+" == "+plain[0])
			} else {
				cond = Or(cond, name+" in ["+strings.Join(plain, ", ")+"]")
			}
		}
		if len(in) > 0 {
			p, ok := patterns(in)
			cond, exact = Or(cond, name+" matches "+strconv.Quote(p)), exact && ok
		}
		in, plain = nil, nil
	}
	for _, g := range globs {
		if out, ok := strings.CutPrefix(g, "!"); ok {
			flush()
			p, ok := patterns([]string{out})
			cond, exact = And(cond, Not(name+" matches "+strconv.Quote(p))), exact && ok
			continue
		}
		if strings.ContainsAny(g, `*?+[]\!`) {
			in = append(in, g)
		} else {
			plain = append(plain, g)
		}
	}
	flush()
	return cond, exact
}
