package jsone_test

import (
	"fmt"
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

// template makes a template that is likely to render to the type.
func (g *generator) template(kind string, depth int) any {
	if depth <= 0 {
		if g.one(2) {
			return g.eval(kind, 1)
		}
		return g.data(kind, 1)
	}
	switch g.IntN(12) {
	case 0, 1, 2:
		return g.eval(kind, depth)
	case 3:
		return g.conditional(kind, depth)
	case 4:
		return g.let(kind, depth)
	case 5:
		if g.one(3) {
			return g.mistake(depth)
		}
	case 6:
		return g.cases(kind, depth)
	case 7:
		return object("$find", g.template("list", depth-1), g.each("(y)", "(y, i)", "(y,i)"), g.loopExpression("bool", depth))
	}
	return g.direct(kind, depth)
}

// direct makes what gives the type by its nature.
func (g *generator) direct(kind string, depth int) any {
	switch kind {
	case "string":
		return g.interpolated(depth)
	case "list", "numbers", "strings", "objects":
		return g.listTemplate(kind, depth)
	case "object":
		return g.objectTemplate(depth)
	case "any":
		return g.template(pick(g, "number", "string", "bool", "list", "object", "numbers", "strings", "objects"), depth-1)
	}
	if g.one(3) {
		return object("$reduce", g.template("numbers", depth-1), "initial", g.data(kind, 1),
			g.each("(acc, y)", "(acc,y,i)"), g.loopTemplate(kind, depth))
	}
	return g.data(kind, 1)
}

func (g *generator) eval(kind string, depth int) any {
	return object("$eval", g.broken(g.expression(kind, depth)))
}

func (g *generator) interpolated(depth int) any {
	var b strings.Builder
	for range 1 + g.IntN(3) {
		b.WriteString(pick(g, "", "a", "$", "$$", "{", "}", " x ", "$${", "é"))
		b.WriteString("${" + g.broken(g.expression(pick(g, "string", "number", "bool", "any"), depth-1)) + "}")
	}
	switch g.IntN(8) {
	case 0:
		return object("$json", g.template("any", depth-1))
	case 1:
		t := object("$fromNow", pick[any](g, "1 day", "2 weeks 3h", "-5 minutes", "1s 2y", g.interpolatedShort()))
		if g.one(2) {
			t.Set("from", pick[any](g, g.moment(), object("$eval", "'"+g.moment()+"'"), g.number(), g.data("object", 1), false, ""))
		}
		return t
	}
	return g.broken(b.String())
}

func (g *generator) interpolatedShort() any { return pick(g, "${1} day", "1${'h'}", "${'x'}") }

func (g *generator) conditional(kind string, depth int) any {
	t := object("$if", g.broken(g.expression(pick(g, "bool", "any"), depth)))
	if !g.one(6) {
		t.Set("then", g.template(kind, depth-1))
	}
	if !g.one(3) {
		t.Set("else", g.template(kind, depth-1))
	}
	if g.one(40) {
		t.Set(pick(g, "$then", "other", "$ifx", "xelse", "elsex"), 1.0)
	}
	return t
}

func (g *generator) let(kind string, depth int) any {
	inner := pick(g, types...)
	name := pick(g, "a", "z", "new_1", "min")
	t := object("$let", object(name, g.template(inner, depth-1)))
	if g.one(8) {
		t = object("$let", g.template("object", depth-1))
	}
	g.bound(func() { t.Set("in", g.template(kind, depth-1)) }, name, inner)
	return t
}

func (g *generator) cases(kind string, depth int) any {
	conditions := &jsone.Object{}
	for range g.IntN(3) {
		conditions.Set(g.broken(g.expression("bool", depth-1)), g.template(kind, depth-1))
	}
	if g.one(3) {
		conditions.Set("$default", g.template(kind, depth-1))
	}
	return object(pick(g, "$switch", "$switch", "$match"), conditions)
}

func (g *generator) each(params ...string) string {
	return "each" + pick(g, params...) + pick(g, "", "", "", "", "", "", "", "", "", "", "", "", "x", " ")
}

func (g *generator) loopTemplate(kind string, depth int) (out any) {
	g.bound(func() { out = g.template(kind, depth-1) }, "y", pick(g, types...), "i", "number", "acc", kind)
	return out
}

func (g *generator) loopExpression(kind string, depth int) (out any) {
	g.bound(func() { out = g.broken(g.expression(kind, depth)) }, "y", pick(g, types...), "i", "number")
	return out
}

func (g *generator) listTemplate(kind string, depth int) any {
	inner := map[string]string{"numbers": "number", "strings": "string", "objects": "object", "list": "any"}[kind]
	switch g.IntN(10) {
	case 0:
		return object("$map", g.template(pick(g, "list", kind), depth-1), g.each("(y)", "(y,i)", "(y, i)", "(y,y)"),
			g.loopTemplate(inner, depth))
	case 1:
		return object("$flatten", g.template("list", depth-1))
	case 2:
		return object("$flattenDeep", g.template("list", depth-1))
	case 3:
		return object("$reverse", g.template(kind, depth-1))
	case 4:
		t := object("$sort", g.template(pick(g, "numbers", "strings", kind), depth-1))
		if g.one(2) {
			t.Set(pick(g, "by(y)", "by(y)", "by(y)", "by(y,z)", "xby(y)"), g.loopExpression(pick(g, "number", "string"), depth))
		}
		return t
	case 5:
		return object("$match", object(g.expression("bool", 1), g.template(inner, depth-1), "true", g.template(inner, depth-1)))
	}
	out := []any{}
	for range g.IntN(4) {
		out = append(out, g.template(inner, depth-1))
	}
	return out
}

func (g *generator) objectTemplate(depth int) any {
	switch g.IntN(9) {
	case 0:
		return object("$merge", g.template("objects", depth-1))
	case 1:
		return object("$mergeDeep", g.template("objects", depth-1))
	case 2:
		return object("$map", g.template("object", depth-1), g.each("(y)", "(y,k)"), g.loopTemplate("object", depth))
	}
	out := &jsone.Object{}
	for range g.IntN(4) {
		key := pick(g, g.key(), "$${x}", "$$"+g.key(), "k${"+g.expression("string", 1)+"}", g.key(), g.key(), "a", "b")
		if g.one(30) {
			key = pick(g, "$foo", "$_x", "$a1", "$", "$$", "${", "$1")
		}
		out.Set(key, g.template("any", depth-1))
	}
	return out
}

// mistake makes an operator that is used wrongly.
func (g *generator) mistake(depth int) any {
	ops := []string{"$eval", "$flatten", "$flattenDeep", "$fromNow", "$if", "$json", "$let", "$map", "$reduce", "$find",
		"$match", "$switch", "$merge", "$mergeDeep", "$reverse", "$sort"}
	t := object(pick(g, ops...), g.template("any", depth-1))
	for range g.IntN(3) {
		t.Set(pick(g, "in", "then", "else", "each(x)", "each(x,i)", "each(a,b,c)", "by(x)", "from", "initial", "foo", "bar",
			pick(g, ops...), "$default", "zin", "each(1)", "each", "by"), g.template("any", depth-1))
	}
	return t
}

// object makes an object from keys and values.
func object(pairs ...any) *jsone.Object {
	o := &jsone.Object{}
	for i := 0; i+1 < len(pairs); i += 2 {
		o.Set(fmt.Sprint(pairs[i]), pairs[i+1])
	}
	return o
}
