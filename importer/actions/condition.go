package actions

import (
	"regexp"
	"strconv"
	"strings"
)

// The condition language of Treeline (docs/reference/conditions.md), made from expressions of GitHub that say what event
// it is. always is told apart: it is no condition but says what must have become of the jobs before.
type condition struct {
	text   string
	always bool // the job runs whatever became of those before it
}

const never = "false"

func and(parts ...string) string { return joined(" && ", "true", never, parts) }
func or(parts ...string) string  { return joined(" || ", never, "true", parts) }

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
		if strings.Contains(p, " && ") && op != " && " || strings.Contains(p, " || ") && op != " || " || strings.Contains(p, " ? ") {
			out[i] = "(" + p + ")"
		}
	}
	return strings.Join(out, op)
}

func not(p string) string {
	switch {
	case p == "true":
		return never
	case p == never:
		return "true"
	case strings.HasPrefix(p, "!(") && strings.Count(p, "(") == 1:
		return p[2 : len(p)-1]
	case strings.ContainsAny(p, " "):
		return "!(" + p + ")"
	}
	return "!" + p
}

// condition translates a folded expression; ok is false where Treeline knows nothing that says the same.
func toCondition(e *expr) (c condition, ok bool) {
	switch e.op {
	case "lit":
		return condition{text: strconv.FormatBool(truth(e.value))}, true
	case "!":
		if e.args[0].op == "call" && e.args[0].name == "cancelled" {
			return condition{text: "true", always: true}, true
		}
		c, ok := toCondition(e.args[0])
		return condition{text: not(c.text)}, ok && !c.always
	case "&&", "||":
		a, ok1 := toCondition(e.args[0])
		b, ok2 := toCondition(e.args[1])
		both := condition{always: a.always || b.always}
		if both.text = or(a.text, b.text); e.op == "&&" {
			both.text = and(a.text, b.text)
		}
		return both, ok1 && ok2
	case "==", "!=":
		text, ok := equals(e.args[0], e.args[1])
		if !ok {
			text, ok = equals(e.args[1], e.args[0])
		}
		if e.op == "!=" {
			text = not(text)
		}
		return condition{text: text}, ok
	case "path":
		return isThere(e.name)
	case "call":
		return called(e)
	}
	return condition{text: never}, false
}

func isThere(name string) (condition, bool) {
	switch name {
	case "github.head_ref", "github.base_ref", "github.event.pull_request", "github.event.number", "github.event.pull_request.number":
		return condition{text: "is_pull_request"}, true
	case "github.event.pull_request.head.repo.fork":
		return condition{text: `tasks_for == "github-pull-request-untrusted"`}, true
	case "github.event.release":
		return condition{text: `tasks_for == "github-release"`}, true
	}
	return condition{text: never}, false
}

func called(e *expr) (condition, bool) {
	switch e.name {
	case "success":
		return condition{text: "true"}, true
	case "always":
		return condition{text: "true", always: true}, true
	case "cancelled":
		return condition{text: never}, true
	case "startswith", "endswith", "contains":
		if len(e.args) == 2 && e.args[1].op == "lit" && e.args[0].op == "path" {
			text, ok := matches(e.name, e.args[0].name, text(e.args[1].value))
			return condition{text: text}, ok
		}
		if e.name == "contains" && len(e.args) == 2 && e.args[0].op == "lit" && e.args[1].op == "path" {
			return oneOf(e)
		}
	}
	return condition{text: never}, false
}

// oneOf is contains(list, path).
func oneOf(e *expr) (condition, bool) {
	list, isList := e.args[0].value.([]any)
	if !isList {
		return condition{text: never}, false
	}
	out, all := never, true
	for _, v := range list {
		text, ok := equals(e.args[1], &expr{op: "lit", value: v})
		out, all = or(out, text), all && ok
	}
	return condition{text: out}, all
}

// events are the conditions that say what event it is.
func event(name string) string {
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
	return never
}

// equals says that a path has a value.
func equals(e, value *expr) (string, bool) {
	if e.op != "path" {
		return never, false
	}
	if value.op == "path" {
		a, b := e.name, value.name
		if a == "github.event.pull_request.head.repo.full_name" && (b == "github.repository" || b == "github.event.pull_request.base.repo.full_name") {
			return `tasks_for != "github-pull-request-untrusted"`, true
		}
		return never, false
	}
	if value.op != "lit" {
		return never, false
	}
	want := text(value.value)
	quoted := strconv.Quote(want)
	switch e.name {
	case "github.event_name":
		return event(want), true
	case "github.ref":
		if branch, ok := strings.CutPrefix(want, "refs/heads/"); ok {
			return and("branch == "+strconv.Quote(branch), "!is_pull_request"), true
		}
		if tag, ok := strings.CutPrefix(want, "refs/tags/"); ok {
			return "head_tag == " + strconv.Quote(tag), true
		}
		return never, strings.HasPrefix(want, "refs/")
	case "github.ref_name":
		return and(or("branch == "+quoted, "head_tag == "+quoted), "!is_pull_request"), true
	case "github.ref_type":
		if want == "tag" {
			return `head_tag != ""`, true
		}
		return `head_tag == ""`, want == "branch"
	case "github.base_ref", "github.event.pull_request.base.ref":
		if want == "" {
			return "!is_pull_request", true
		}
		return and("is_pull_request", `trimPrefix(base_ref, "refs/heads/") == `+quoted), true
	case "github.head_ref", "github.event.pull_request.head.ref":
		if want == "" {
			return "!is_pull_request", true
		}
		return and("is_pull_request", "branch == "+quoted), true
	case "github.event.pull_request.head.repo.full_name":
		return `tasks_for != "github-pull-request-untrusted"`, strings.Contains(want, "/")
	case "github.event.pull_request.head.repo.fork":
		c := `tasks_for == "github-pull-request-untrusted"`
		if !truth(value.value) {
			c = not(c)
		}
		return c, true
	case "github.actor", "github.triggering_actor", "github.event.pull_request.user.login", "github.event.sender.login":
		return "owner startsWith " + strconv.Quote(strings.TrimSuffix(want, "[bot]")+"@"), want != ""
	}
	return never, false
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
				return and("!is_pull_request", `head_tag == ""`, "branch startsWith "+strconv.Quote(branch)), true
			}
			return never, false
		}
		if how == "contains" && (want == "refs/tags/" || want == "refs/tags") {
			return `head_tag != ""`, true
		}
		return and("!is_pull_request", "head_ref"+op+strconv.Quote(want)), true
	case "github.ref_name":
		return and("!is_pull_request", `(head_tag == "" ? branch : head_tag)`+op+strconv.Quote(want)), true
	case "github.head_ref", "github.event.pull_request.head.ref":
		return and("is_pull_request", "branch"+op+strconv.Quote(want)), true
	case "github.base_ref", "github.event.pull_request.base.ref":
		return and("is_pull_request", `trimPrefix(base_ref, "refs/heads/")`+op+strconv.Quote(want)), true
	case "github.actor":
		return "owner" + op + strconv.Quote(want), how != "endswith"
	}
	return never, false
}

// pattern is a filter of GitHub as a regular expression: * is anything but a slash, ** anything.
func pattern(glob string) string {
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
		all = append(all, pattern(g))
	}
	out := "^" + all[0] + "$"
	if len(all) > 1 {
		out = "^(" + strings.Join(all, "|") + ")$"
	}
	_, err := regexp.Compile(out)
	return out, err == nil && len(out) < 900
}

// anyOf says that a name fits one of the patterns, in the order in which ! takes some back.
func anyOf(name string, globs []string) (string, bool) {
	cond, exact := never, true
	var in, plain []string
	flush := func() {
		if len(plain) > 0 {
			for i, p := range plain {
				plain[i] = strconv.Quote(p)
			}
			if len(plain) == 1 {
				cond = or(cond, name+" == "+plain[0])
			} else {
				cond = or(cond, name+" in ["+strings.Join(plain, ", ")+"]")
			}
		}
		if len(in) > 0 {
			p, ok := patterns(in)
			cond, exact = or(cond, name+" matches "+strconv.Quote(p)), exact && ok
		}
		in, plain = nil, nil
	}
	for _, g := range globs {
		if out, ok := strings.CutPrefix(g, "!"); ok {
			flush()
			p, ok := patterns([]string{out})
			cond, exact = and(cond, not(name+" matches "+strconv.Quote(p))), exact && ok
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
