package jsone_test

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/templates/jsone"
)

// generator makes templates that are mostly meaningful and now and then broken.
type generator struct {
	*rand.Rand
	vars map[string][]string // names in scope by type
}

func newGenerator(seed, number uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, number)), vars: map[string][]string{}}
}

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

var types = []string{"number", "string", "bool", "list", "object", "numbers", "strings", "objects", "any"}

func (g *generator) diffCase() diffCase {
	context := &jsone.Object{}
	for i := range 2 + g.IntN(5) {
		kind := pick(g, types...)
		name := pick(g, "a", "b", "x", "key", "v_1", "items", "o", "w") + pick(g, "", strconv.Itoa(i))
		context.Set(name, g.data(kind, 3))
		g.declare(name, kind)
	}
	if g.one(40) {
		context.Set(pick(g, "min", "bad-name", "len", "__proto__"), g.data("any", 1))
	}
	if g.one(40) {
		context.Set("now", g.moment())
	}
	if g.one(12) {
		return diffCase{template: object("$eval", g.soup()), context: context}
	}
	return diffCase{template: g.template(pick(g, types...), 2+g.IntN(4)), context: context}
}

func (g *generator) declare(name, kind string) {
	for k, names := range g.vars {
		var kept []string
		for _, n := range names {
			if n != name {
				kept = append(kept, n)
			}
		}
		g.vars[k] = kept
	}
	g.vars[kind] = append(g.vars[kind], name)
	g.vars["any"] = append(g.vars["any"], name)
}

// bound runs f with variables added, as inside $let and each(...).
func (g *generator) bound(f func(), namesAndKinds ...string) {
	saved := map[string][]string{}
	for k, v := range g.vars {
		saved[k] = append([]string(nil), v...)
	}
	for i := 0; i+1 < len(namesAndKinds); i += 2 {
		g.declare(namesAndKinds[i], namesAndKinds[i+1])
	}
	f()
	g.vars = saved
}

func (g *generator) number() float64 {
	return pick(g, 0, 1, 2, 3, -1, 5, 10, 0.5, -2.25, 1e21, 123456789012, 0.1, 1e-7, 7, 100, 4, float64(g.IntN(50)-10))
}

func (g *generator) text() string {
	return pick(g, "", "a", "b", "abc", "hello world", "Ünï", "😁x", "1", "2.5", " pad ", "a:b:c", "x/y", "ß", "true",
		"2019-01-01T01:00:00.123Z", "2 days", "-1h", "zz", "\u00a0q\t", "12", "0x10", "1e3", "ﬀ", "ΑΣ", "\ue000", "key", "10")
}

func (g *generator) key() string {
	return pick(g, "a", "b", "c", "key", "x", "1", "0", "10", "my-key", "Foo", "toString", "__proto__", "val", "a b", "é", "")
}

// data makes plain data of a type.
func (g *generator) data(kind string, depth int) any {
	switch kind {
	case "number":
		return g.number()
	case "string":
		return g.text()
	case "bool":
		return g.one(2)
	case "numbers", "strings", "objects", "list":
		inner := map[string]string{"numbers": "number", "strings": "string", "objects": "object", "list": "any"}[kind]
		out := []any{}
		for range g.IntN(5) {
			out = append(out, g.data(inner, depth-1))
		}
		return out
	case "object":
		out := &jsone.Object{}
		if depth > 0 {
			for range g.IntN(4) {
				out.Set(g.key(), g.data("any", depth-1))
			}
		}
		return out
	}
	if depth <= 0 {
		return pick[any](g, nil, g.number(), g.text(), true, false)
	}
	return g.data(pick(g, "number", "string", "bool", "list", "object", "numbers", "strings", "objects"), depth-1)
}

// broken damages an expression now and then.
func (g *generator) broken(s string) string {
	if !g.one(30) || s == "" || strings.Contains(s, "fromNow") {
		return s
	}
	runes := []rune(s)
	i := g.IntN(len(runes) + 1)
	switch g.IntN(3) {
	case 0:
		return string(runes[:i])
	case 1:
		return string(runes[:i]) + pick(g, ")", "(", "[", "]", "}", "{", ",", ":", ".", "'", "\"", "$", "#", "é", " ", "\\",
			"||", "=", "&", "in", " 1 ", "!", "-", "**", "\u2003", "\u0085") + string(runes[i:])
	default:
		return string(runes[:i]) + string(runes[min(i+1, len(runes)):])
	}
}

// expression makes an expression that is likely of the type.
func (g *generator) expression(kind string, depth int) string {
	if g.one(25) {
		kind = pick(g, types...)
	}
	if names := g.vars[kind]; len(names) > 0 && (depth <= 0 || g.one(3)) {
		return pick(g, names...)
	}
	e := func(kind string) string { return g.expression(kind, depth-1) }
	if depth > 0 && g.one(8) {
		return g.access(kind, e)
	}
	switch kind {
	case "number":
		return g.numberExpression(depth, e)
	case "string":
		return g.textExpression(depth, e)
	case "bool":
		return g.boolExpression(depth, e)
	case "numbers", "strings", "objects", "list":
		return g.listExpression(kind, depth, e)
	case "object":
		return g.objectExpression(depth, e)
	}
	return g.expression(pick(g, "number", "string", "bool", "list", "object"), depth-1)
}

func (g *generator) access(kind string, e func(string) string) string {
	switch g.IntN(6) {
	case 0:
		return e("list") + "[" + e("number") + "]"
	case 1:
		return e("string") + "[" + pick(g, "0", "-1", "1", e("number")) + "]"
	case 2:
		return pick(g, e("list"), e("string"), e(kind)) + "[" + pick(g, "", e("number"), "1", "-2", e("any")) + ":" +
			pick(g, "", e("number"), "2", "-1") + "]"
	case 3:
		return e("object") + "." + pick(g, "a", "b", "key", "x", "toString")
	case 4:
		return e("object") + "[" + pick(g, "'a'", "'my-key'", e("string")) + "]"
	}
	return "(" + e(kind) + ")"
}

func (g *generator) numberExpression(depth int, e func(string) string) string {
	if depth <= 0 || g.one(4) {
		return pick(g, "0", "1", "2", "10", "3.5", "-1", "0.1", "7", "100000000000000000000000", "-0")
	}
	switch g.IntN(6) {
	case 0, 1:
		return g.operation([]string{"+", "-", "*", "/"}, "number", e)
	case 2:
		return pick(g, "2", "3", "10", "0.5", "(-2)", e("number")) + " ** " + pick(g, "2", "3", "0", "-1", "10", "0.5", e("number"))
	case 3:
		return pick(g, "-", "+", "- ") + e("number")
	case 4:
		return pick(g, "min", "max", "abs", "ceil", "floor", "sqrt") + "(" + e("number") + pick(g, "", "", ", "+e("number")) + ")"
	}
	return pick(g, "len("+e("string")+")", "len("+e("list")+")", "number("+e("string")+")", "number('"+g.text()+"')")
}

func (g *generator) operation(ops []string, kind string, e func(string) string) string {
	space := pick(g, "", " ", "  ", "\n")
	return e(kind) + space + pick(g, ops...) + space + e(kind)
}

func (g *generator) textExpression(depth int, e func(string) string) string {
	if depth <= 0 || g.one(4) {
		return g.quoted(g.text())
	}
	switch g.IntN(6) {
	case 0, 1:
		return g.operation([]string{"+"}, "string", e)
	case 2:
		return pick(g, "lowercase", "uppercase", "strip", "lstrip", "rstrip") + "(" + e("string") + ")"
	case 3:
		return pick(g, "str("+e("any")+")", "str("+e("number")+")", "typeof("+e("any")+")", "typeof(min)")
	case 4:
		return "join(" + pick(g, e("strings"), e("numbers"), e("list")) + ", " + pick(g, "','", e("string"), e("number")) + ")"
	}
	return "fromNow(" + pick(g, "'1 day'", "'2h 3m'", "'-1y'", "'1mo 2w'", e("string")) +
		pick(g, "", "", ", '"+g.moment()+"'", ", {a: 1}", ", ''") + ")"
}

// moment is a time as ISO 8601 has it, or nothing like one. JavaScript's engines read much else by rules of their own,
// which we do not follow.
func (g *generator) moment() string {
	return pick(g, "2019-01-01T01:00:00.123Z", "2018-02-28", "2017-01-19T16:27:20+02:00", "2020-02-29T23:59Z", "0001-01-01",
		"2017-13-01", "nonsense", "2019-06", "1970-01-01T00:00:00Z", "Thu, 19 Jan 2017 16:27:20 GMT")
}

func (g *generator) quoted(s string) string {
	if strings.Contains(s, "'") {
		return `"` + s + `"`
	}
	return pick(g, "'"+s+"'", `"`+s+`"`)
}

func (g *generator) boolExpression(depth int, e func(string) string) string {
	if depth <= 0 || g.one(5) {
		return pick(g, "true", "false", "null", "!null", "defined('a')", "defined('x1')", "min == min", "max != min")
	}
	switch g.IntN(6) {
	case 0:
		return pick(g, "!", "!!", "! ") + e(pick(g, "bool", "any"))
	case 1:
		return g.operation([]string{"||", "&&"}, pick(g, "bool", "any"), e)
	case 2:
		return g.operation([]string{"<", ">", "<=", ">="}, pick(g, "number", "string", "any"), e)
	case 3:
		return g.operation([]string{"==", "!="}, pick(g, "number", "string", "any", "list", "object"), e)
	case 4:
		return e(pick(g, "string", "number", "any")) + " in " + e(pick(g, "string", "list", "object", "strings", "any"))
	}
	return "(" + e("bool") + ")" + pick(g, " && ", "||", " == ") + e("bool")
}

func (g *generator) listExpression(kind string, depth int, e func(string) string) string {
	inner := map[string]string{"numbers": "number", "strings": "string", "objects": "object", "list": "any"}[kind]
	if depth > 0 && g.one(3) {
		if kind == "strings" {
			return "split(" + e("string") + ", " + pick(g, "':'", "''", "1", e("string")) + ")"
		}
		return "range(" + pick(g, "0", "1", "-3") + ", " + pick(g, "4", "0", "3") + pick(g, "", "", ", 2", ", -1") + ")"
	}
	items := make([]string, g.IntN(4))
	for i := range items {
		items[i] = e(inner)
	}
	return "[" + strings.Join(items, pick(g, ", ", ",")) + pick(g, "", "", "", "", "", "", "", ",") + "]"
}

func (g *generator) objectExpression(depth int, e func(string) string) string {
	items := make([]string, g.IntN(4))
	for i := range items {
		items[i] = pick(g, "a", "b", "key", "'my-key'", `"1"`, "'0'", "x", "__proto__", "''") + pick(g, ": ", ":") + e("any")
	}
	return "{" + strings.Join(items, ", ") + pick(g, "", "", "", ",") + "}"
}

// soup makes a row of random tokens, to compare what the parsers let pass and how they complain.
func (g *generator) soup() string {
	var b strings.Builder
	for range 1 + g.IntN(9) {
		name := pick(g, "a", "min", "x")
		if names := g.vars["any"]; len(names) > 0 && g.one(2) {
			name = pick(g, names...)
		}
		b.WriteString(pick(g, "**", "+", "-", "*", "/", "[", "]", ".", "(", ")", "{", "}", ":", ",", ">=", "<=", "<", ">", "==", "!=", "!",
			"&&", "||", "true", "false", "in", "null", "1", "2.5", "0", "'s'", "\"t\"", name, name, name, "'a'", "inx", "nullable", "1.", "..",
			"&", "é", "'"))
		b.WriteString(pick(g, "", " ", " ", "\t"))
	}
	return b.String()
}
