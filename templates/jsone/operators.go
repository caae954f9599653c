package jsone

import (
	"math"
	"regexp"
	"slices"
	"strings"
)

// render renders a template node. It gives deleteMarker for a node that is to be left out.
func (r *renderer) render(template any, sc *scope) (any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	switch t := template.(type) {
	case string:
		return r.interpolate(t, sc)
	case *list:
		return r.renderList(t, sc)
	case *Object:
		var op operator
		for _, e := range t.entries {
			found := operatorOf(e.key)
			if found == nil {
				continue
			}
			if op != nil {
				return nil, newError(TemplateError, "only one operator allowed")
			}
			op = found
		}
		if op != nil {
			return op(r, t, sc)
		}
		return r.renderObject(t, sc)
	}
	return template, nil
}

func (r *renderer) renderList(t *list, sc *scope) (any, error) {
	out := &list{items: make([]any, 0, len(t.items))}
	for i, item := range t.items {
		v, err := r.render(item, sc)
		if err != nil {
			return nil, inList(err, i)
		}
		if v != any(deleteMarker) {
			out.items = append(out.items, v)
		}
	}
	return out, nil
}

func (r *renderer) renderObject(t *Object, sc *scope) (any, error) {
	out := &Object{entries: make([]entry, 0, len(t.entries)), line: t.line}
	for _, e := range t.ordered() {
		v, err := r.render(e.value, sc)
		if err != nil {
			return nil, inObject(err, e.key)
		}
		if v == any(deleteMarker) {
			continue
		}
		key := e.key
		switch {
		case strings.HasPrefix(key, "$$"):
			key = key[1:]
		case strings.HasPrefix(key, "$") && isPlainName(key[1:]):
			return nil, under(newError(TemplateError, "$<identifier> is reserved; use $$<identifier>"), inKeyOf(e.key))
		default:
			if key, err = r.interpolate(key, sc); err != nil {
				return nil, under(err, inKeyOf(e.key))
			}
		}
		out.Set(key, v)
	}
	return out, nil
}

func inKeyOf(key string) Step { return Step{Key: key, Index: -1, InKey: true} }

// operator renders an object that has the operator's key.
type operator func(r *renderer, t *Object, sc *scope) (any, error)

// operatorOf returns the operator of a key, nil when the key is none.
func operatorOf(key string) operator {
	if len(key) < 3 || key[0] != '$' {
		return nil
	}
	switch key {
	case "$eval":
		return (*renderer).opEval
	case "$flatten":
		return (*renderer).opFlatten
	case "$flattenDeep":
		return (*renderer).opFlattenDeep
	case "$fromNow":
		return (*renderer).opFromNow
	case "$if":
		return (*renderer).opIf
	case "$json":
		return (*renderer).opJSON
	case "$let":
		return (*renderer).opLet
	case "$map":
		return (*renderer).opMap
	case "$reduce":
		return (*renderer).opReduce
	case "$find":
		return (*renderer).opFind
	case "$match":
		return (*renderer).opMatch
	case "$switch":
		return (*renderer).opSwitch
	case "$merge":
		return (*renderer).opMerge
	case "$mergeDeep":
		return (*renderer).opMergeDeep
	case "$reverse":
		return (*renderer).opReverse
	case "$sort":
		return (*renderer).opSort
	}
	return nil
}

// The parameter lists of each(...) and by(...).
const (
	word     = `([a-zA-Z_][a-zA-Z0-9_]*)`
	comma    = `,[\s\v\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}]*`
	eachOne  = `each\(` + word + `(` + comma + word + `)?\)`
	eachTwo  = `each\(` + word + comma + word + `(` + comma + word + `)?\)`
	byOne    = `by\(` + word + `\)`
	valueOf  = " value must evaluate to an array"
	sameType = "$sorted values to be sorted must have the same type"
)

var (
	eachOneKey = regexp.MustCompile(`^` + eachOne + `$`)
	eachTwoKey = regexp.MustCompile(`^` + eachTwo + `$`)
	byOneKey   = regexp.MustCompile(`^` + byOne + `$`)
)

// properties is what an operator's object may hold besides its own key.
type properties struct {
	operator string
	parts    []string       // any key that contains one of them
	last     *regexp.Regexp // or ends like this
}

var (
	evalProperties        = properties{operator: "$eval", last: regexp.MustCompile(`\$eval$`)}
	flattenProperties     = properties{operator: "$flatten", last: regexp.MustCompile(`\$flatten$`)}
	flattenDeepProperties = properties{operator: "$flattenDeep", last: regexp.MustCompile(`\$flattenDeep$`)}
	fromNowProperties     = properties{"$fromNow", []string{"$fromNow"}, regexp.MustCompile(`from$`)}
	ifProperties          = properties{"$if", []string{"$if", "then"}, regexp.MustCompile(`else$`)}
	jsonProperties        = properties{operator: "$json", last: regexp.MustCompile(`\$json$`)}
	letProperties         = properties{"$let", []string{"$let"}, regexp.MustCompile(`in$`)}
	mapProperties         = properties{"$map", []string{"$map"}, regexp.MustCompile(eachOne + `$`)}
	reduceProperties      = properties{"$reduce", []string{"$reduce", "initial"}, regexp.MustCompile(eachTwo + `$`)}
	findProperties        = properties{"$find", []string{"$find"}, regexp.MustCompile(eachOne + `$`)}
	matchProperties       = properties{operator: "$match", last: regexp.MustCompile(`\$match$`)}
	switchProperties      = properties{operator: "$switch", last: regexp.MustCompile(`\$switch$`)}
	mergeProperties       = properties{operator: "$merge", last: regexp.MustCompile(`\$merge$`)}
	mergeDeepProperties   = properties{operator: "$mergeDeep", last: regexp.MustCompile(`\$mergeDeep$`)}
	reverseProperties     = properties{operator: "$reverse", last: regexp.MustCompile(`\$reverse$`)}
	sortProperties        = properties{"$sort", []string{"$sort"}, regexp.MustCompile(byOne + `$`)}
)

// check refuses keys that the operator does not know. It is as loose as the reference: a key passes when it contains
// an allowed one, and only the last alternative has to stand at the key's end.
func (p properties) check(t *Object) error {
	var unknown []string
	for _, e := range t.entries {
		if p.last.MatchString(e.key) || slices.ContainsFunc(p.parts, func(s string) bool { return strings.Contains(e.key, s) }) {
			continue
		}
		unknown = append(unknown, e.key)
	}
	if unknown == nil {
		return nil
	}
	slices.SortFunc(unknown, compareText)
	err := newError(TemplateError, "%s has undefined properties: %s", p.operator, strings.Join(unknown, " "))
	return under(err, inKeyOf(unknown[0]))
}

// operand checks the keys and renders the value of the operator itself.
func (r *renderer) operand(p properties, t *Object, sc *scope) (any, error) {
	if err := p.check(t); err != nil {
		return nil, err
	}
	v, _ := t.Get(p.operator)
	out, err := r.render(v, sc)
	return out, inKey(err, p.operator)
}

// operandList is operand for operators that want a list.
func (r *renderer) operandList(p properties, t *Object, sc *scope, complaint string) (*list, error) {
	v, err := r.operand(p, t, sc)
	if err != nil {
		return nil, err
	}
	l, ok := v.(*list)
	if !ok {
		return nil, newError(TemplateError, "%s", complaint)
	}
	return l, r.step(len(l.items))
}

func (r *renderer) opEval(t *Object, sc *scope) (any, error) {
	if err := evalProperties.check(t); err != nil {
		return nil, err
	}
	v, _ := t.Get("$eval")
	source, ok := v.(string)
	if !ok {
		return nil, newError(TemplateError, "$eval must be given a string expression")
	}
	out, err := r.evaluate(source, sc)
	return out, inKey(err, "$eval")
}

func (r *renderer) opIf(t *Object, sc *scope) (any, error) {
	if err := ifProperties.check(t); err != nil {
		return nil, err
	}
	v, _ := t.Get("$if")
	source, ok := v.(string)
	if !ok {
		return nil, newError(TemplateError, "$if can evaluate string expressions only")
	}
	condition, err := r.evaluate(source, sc)
	if err != nil {
		return nil, inKey(err, "$if")
	}
	branch := "else"
	if truthy(condition) {
		if _, misspelt := t.Get("$then"); misspelt {
			return nil, newError(TemplateError, "$if Syntax error: $then: should be spelled then: (no $)")
		}
		branch = "then"
	}
	body, ok := t.Get(branch)
	if !ok {
		return deleteMarker, nil
	}
	out, err := r.render(body, sc)
	return out, inKey(err, branch)
}

func (r *renderer) opLet(t *Object, sc *scope) (any, error) {
	if err := letProperties.check(t); err != nil {
		return nil, err
	}
	v, _ := t.Get("$let")
	if _, ok := v.(*Object); !ok {
		return nil, newError(TemplateError, "$let value must be an object")
	}
	rendered, err := r.render(v, sc)
	if err != nil {
		return nil, inKey(err, "$let")
	}
	vars, ok := rendered.(*Object)
	if !ok {
		return nil, newError(TemplateError, "$let value must be an object")
	}
	for _, e := range vars.entries {
		if !identifier.MatchString(e.key) {
			return nil, newError(TemplateError, "top level keys of $let must follow /[a-zA-Z_][a-zA-Z0-9_]*/")
		}
	}
	body, _ := t.Get("in")
	if body == nil {
		return nil, newError(TemplateError, "$let operator requires an `in` clause")
	}
	out, err := r.render(body, &scope{parent: sc, object: vars})
	return out, inKey(err, "in")
}

func (r *renderer) opFromNow(t *Object, sc *scope) (any, error) {
	v, err := r.operand(fromNowProperties, t, sc)
	if err != nil {
		return nil, err
	}
	reference, _ := sc.lookup("now")
	if from, _ := t.Get("from"); truthyJS(from) {
		if reference, err = r.render(from, sc); err != nil {
			return nil, inKey(err, "from")
		}
	}
	offset, ok := v.(string)
	if !ok {
		return nil, newError(TemplateError, "$fromNow expects a string")
	}
	out, fault := r.fromNow(offset, reference)
	if fault != "" {
		return nil, newError(TemplateError, "%s", fault)
	}
	return out, nil
}

// truthyJS is JavaScript's own idea of truth, where empty lists and objects are true.
func truthyJS(v any) bool {
	switch v := v.(type) {
	case *list, *Object:
		return true
	case float64:
		return v != 0 && !math.IsNaN(v)
	}
	return truthy(v)
}

func (r *renderer) opJSON(t *Object, sc *scope) (any, error) {
	v, err := r.operand(jsonProperties, t, sc)
	if err != nil {
		return nil, err
	}
	data, err := r.exported(v)
	if err != nil {
		return nil, err
	}
	text := appendJSON(nil, data, (*Object).sorted)
	return string(text), r.text(len(text))
}

// conditions evaluates the keys of $match and $switch in their sorted order and renders the values of the true ones.
func (r *renderer) conditions(p properties, t *Object, sc *scope) ([]any, *Object, error) {
	if err := p.check(t); err != nil {
		return nil, nil, err
	}
	v, _ := t.Get(p.operator)
	cases, ok := v.(*Object)
	if !ok {
		return nil, nil, newError(TemplateError, "%s can evaluate objects only", p.operator)
	}
	out := []any{}
	for _, e := range cases.sorted() {
		if e.key == "$default" && p.operator == "$switch" {
			continue
		}
		condition, err := r.evaluate(e.key, sc)
		if err != nil {
			return nil, nil, inKey(under(err, inKeyOf(e.key)), p.operator)
		}
		if !truthy(condition) {
			continue
		}
		value, err := r.render(e.value, sc)
		if err != nil {
			return nil, nil, inKey(inKey(err, e.key), p.operator)
		}
		out = append(out, value)
	}
	return out, cases, nil
}

func (r *renderer) opMatch(t *Object, sc *scope) (any, error) {
	out, _, err := r.conditions(matchProperties, t, sc)
	return &list{out}, err
}

func (r *renderer) opSwitch(t *Object, sc *scope) (any, error) {
	out, cases, err := r.conditions(switchProperties, t, sc)
	if err != nil {
		return nil, err
	}
	if len(out) > 1 {
		return nil, newError(TemplateError, "$switch can only have one truthy condition")
	}
	if len(out) == 1 {
		return out[0], nil
	}
	fallback, ok := cases.Get("$default")
	if !ok {
		return deleteMarker, nil
	}
	v, err := r.render(fallback, sc)
	return v, inKey(inKey(err, "$default"), "$switch")
}
