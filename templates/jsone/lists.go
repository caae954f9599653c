package jsone

import (
	"regexp"
	"slices"
)

// This file has the operators that go over lists and objects; merge.go and sort.go have more of them.

func (r *renderer) opFlatten(t *Object, sc *scope) (any, error) {
	in, err := r.operandList(flattenProperties, t, sc, "$flatten"+valueOf)
	if err != nil {
		return nil, err
	}
	out := &list{items: []any{}}
	for _, item := range in.items {
		if inner, ok := item.(*list); ok {
			if err := r.step(len(inner.items)); err != nil {
				return nil, err
			}
			out.items = append(out.items, inner.items...)
		} else {
			out.items = append(out.items, item)
		}
	}
	return out, nil
}

func (r *renderer) opFlattenDeep(t *Object, sc *scope) (any, error) {
	in, err := r.operandList(flattenDeepProperties, t, sc, "$flattenDeep"+valueOf)
	if err != nil {
		return nil, err
	}
	out := &list{items: []any{}}
	return out, r.flattenInto(out, in)
}

func (r *renderer) flattenInto(out, in *list) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	for _, item := range in.items {
		inner, ok := item.(*list)
		if !ok {
			out.items = append(out.items, item)
			if err := r.step(1); err != nil {
				return err
			}
			continue
		}
		if err := r.flattenInto(out, inner); err != nil {
			return err
		}
	}
	return nil
}

// loop is the each(...) of $map, $reduce and $find.
type loop struct {
	key   string
	names []string // parameters as given: value, index; for $reduce accumulator, value, index
	body  any
}

// loopOf finds the each(...) among t's keys; size is how many keys t must have.
func loopOf(t *Object, operator string, size int, sizeText string, pattern *regexp.Regexp, skip ...string) (loop, error) {
	if t.Len() != size {
		return loop{}, newError(TemplateError, "%s must have exactly %s properties", operator, sizeText)
	}
	for _, e := range t.ordered() {
		if e.key == operator || slices.Contains(skip, e.key) {
			continue
		}
		m := pattern.FindStringSubmatch(e.key)
		if m == nil {
			break
		}
		l := loop{key: e.key, body: e.value}
		for _, name := range m[1:] {
			if name != "" && name[0] != ',' {
				l.names = append(l.names, name)
			}
		}
		return l, nil
	}
	return loop{}, newError(TemplateError, "%s requires each(identifier) syntax", operator)
}

// scope binds the parameters; arguments that the loop did not ask for are dropped.
func (l loop) scope(sc *scope, args ...any) *scope {
	for i, name := range l.names {
		sc = sc.with(name, args[i])
	}
	return sc
}

func (r *renderer) opMap(t *Object, sc *scope) (any, error) {
	v, err := r.operand(mapProperties, t, sc)
	if err != nil {
		return nil, err
	}
	items, isList := v.(*list)
	object, isObject := v.(*Object)
	if !isList && !isObject {
		return nil, newError(TemplateError, "$map value must evaluate to an array or object")
	}
	each, err := loopOf(t, "$map", 2, "two", eachOneKey)
	if err != nil {
		return nil, err
	}
	if isObject {
		return r.mapObject(object, each, sc)
	}
	out := &list{items: make([]any, 0, len(items.items))}
	// The list may become shorter under way, see the package's head.
	for i, n := 0, len(items.items); i < n && i < len(items.items); i++ {
		v, err := r.render(each.body, each.scope(sc, items.items[i], float64(i)))
		if err != nil {
			return nil, inKey(err, each.key)
		}
		if v != any(deleteMarker) {
			out.items = append(out.items, v)
		}
	}
	return out, nil
}

// mapObject merges what each(...) makes of an object's entries.
func (r *renderer) mapObject(in *Object, each loop, sc *scope) (any, error) {
	out := &Object{line: in.line}
	for _, e := range in.ordered() {
		var inner *scope
		if len(each.names) > 1 {
			inner = each.scope(sc, e.value, e.key)
		} else {
			pair := &Object{}
			pair.Set("key", e.key)
			pair.Set("val", e.value)
			inner = each.scope(sc, pair)
		}
		v, err := r.render(each.body, inner)
		if err != nil {
			return nil, inKey(err, each.key)
		}
		o, ok := v.(*Object)
		if !ok {
			err := newError(TemplateError, "$map on objects expects each(%s) to evaluate to an object", each.names[0])
			return nil, inKey(err, each.key)
		}
		if err := r.assign(out, o); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// assign copies from's keys into to.
func (r *renderer) assign(to, from *Object) error {
	for _, e := range from.ordered() {
		to.Set(e.key, e.value)
	}
	return r.step(from.Len())
}

func (r *renderer) opReduce(t *Object, sc *scope) (any, error) {
	in, err := r.operandList(reduceProperties, t, sc, "$reduce"+valueOf)
	if err != nil {
		return nil, err
	}
	each, err := loopOf(t, "$reduce", 3, "three", eachTwoKey, "initial")
	if err != nil {
		return nil, err
	}
	acc := r.initial(t)
	for i, n := 0, len(in.items); i < n && i < len(in.items); i++ {
		v, err := r.render(each.body, each.scope(sc, acc, in.items[i], float64(i)))
		if err != nil {
			return nil, inKey(err, each.key)
		}
		if v != any(deleteMarker) {
			acc = v
		}
	}
	return acc, nil
}

// initial is $reduce's initial value, which is not rendered. It is copied once a render, so that an operator that
// works in place does not change the template.
func (r *renderer) initial(t *Object) any {
	if v, ok := r.initials[t]; ok {
		return v
	}
	raw, _ := t.Get("initial")
	v := copied(raw)
	if r.initials == nil {
		r.initials = map[*Object]any{}
	}
	r.initials[t] = v
	return v
}

// copied copies template data, whose depth was bounded when it was compiled.
func copied(v any) any {
	switch v := v.(type) {
	case *list:
		out := &list{items: make([]any, len(v.items))}
		for i, item := range v.items {
			out.items[i] = copied(item)
		}
		return out
	case *Object:
		out := &Object{}
		for _, e := range v.entries {
			out.Set(e.key, copied(e.value))
		}
		return out
	}
	return v
}

func (r *renderer) opFind(t *Object, sc *scope) (any, error) {
	in, err := r.operandList(findProperties, t, sc, "$find"+valueOf)
	if err != nil {
		return nil, err
	}
	each, err := loopOf(t, "$find", 2, "two", eachOneKey)
	if err != nil {
		return nil, err
	}
	source, ok := each.body.(string)
	if !ok {
		return nil, newError(TemplateError, "each can evaluate string expressions only")
	}
	for i := 0; i < len(in.items); i++ {
		inner := each.scope(sc, in.items[i], float64(i))
		v, err := r.evaluate(source, inner)
		if err != nil {
			return nil, inKey(err, each.key)
		}
		if !truthy(v) {
			continue
		}
		// The reference renders the expression's text as well and asks whether that is true.
		again, err := r.interpolate(source, inner)
		if err != nil {
			return nil, inKey(err, each.key)
		}
		if again != "" {
			return in.items[i], nil
		}
	}
	return deleteMarker, nil
}
