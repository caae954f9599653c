package jsone_test

import (
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/templates/jsone"
)

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
		t.Set(pick(g, "in", "then", "else", "each(x)", "each(x,i)", "each(a,b,c)", "from", "initial", "foo", "bar",
			pick(g, ops...), "$default", "zin", "each(1)", "each", "by"), g.template("any", depth-1))
	}
	if g.one(20) {
		// Not a list, which the reference takes for its text.
		t.Set("by(x)", pick(g, g.eval("number", 1), any(g.number()), any(g.expression("any", 1))))
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
