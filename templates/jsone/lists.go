package jsone

import (
	"regexp"
	"slices"
)

// This file has the operators that go over lists and objects.

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

// operandObjects is operand for operators that want a list of objects.
func (r *renderer) operandObjects(p properties, t *Object, sc *scope) (*list, error) {
	complaint := p.operator + valueOf + " of objects"
	in, err := r.operandList(p, t, sc, complaint)
	if err != nil {
		return nil, err
	}
	for _, item := range in.items {
		if _, ok := item.(*Object); !ok {
			return nil, newError(TemplateError, "%s", complaint)
		}
	}
	return in, nil
}

func (r *renderer) opMerge(t *Object, sc *scope) (any, error) {
	in, err := r.operandObjects(mergeProperties, t, sc)
	if err != nil {
		return nil, err
	}
	out := &Object{line: t.line}
	for _, item := range in.items {
		if o, ok := item.(*Object); ok {
			if err := r.assign(out, o); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (r *renderer) opMergeDeep(t *Object, sc *scope) (any, error) {
	in, err := r.operandObjects(mergeDeepProperties, t, sc)
	if err != nil {
		return nil, err
	}
	if len(in.items) == 0 {
		return &Object{}, nil
	}
	out := in.items[0]
	in.items = in.items[1:] // in place: the reference takes the first element off the list
	for _, item := range in.items {
		if out, err = r.mergeDeep(out, item); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mergeDeep merges two values: lists are joined, objects merged key by key, otherwise the right one wins.
func (r *renderer) mergeDeep(left, right any) (any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	switch l := left.(type) {
	case *list:
		if r2, ok := right.(*list); ok {
			return &list{slices.Concat(l.items, r2.items)}, r.step(len(l.items) + len(r2.items))
		}
	case *Object:
		r2, ok := right.(*Object)
		if !ok {
			break
		}
		out := &Object{line: l.line}
		if err := r.assign(out, l); err != nil {
			return nil, err
		}
		for _, e := range r2.ordered() {
			value := e.value
			if old, ok := l.Get(e.key); ok {
				merged, err := r.mergeDeep(old, value)
				if err != nil {
					return nil, err
				}
				value = merged
			}
			out.Set(e.key, value)
		}
		return out, nil
	}
	return right, nil
}

func (r *renderer) opReverse(t *Object, sc *scope) (any, error) {
	in, err := r.operandList(reverseProperties, t, sc, "$reverse"+valueOf+" of objects")
	if err != nil {
		return nil, err
	}
	slices.Reverse(in.items) // in place, as the reference does
	return in, nil
}

// tagged is an element with what it is sorted by.
type tagged struct{ by, value any }

func (r *renderer) opSort(t *Object, sc *scope) (any, error) {
	in, err := r.operandList(sortProperties, t, sc, sameType)
	if err != nil {
		return nil, err
	}
	tags, err := r.tag(in, t, sc)
	if err != nil {
		return nil, err
	}
	for _, tag := range tags {
		_, number := tag.by.(float64)
		_, text := tag.by.(string)
		_, firstNumber := tags[0].by.(float64)
		if !number && !text || number != firstNumber {
			return nil, newError(TemplateError, "%s", sameType)
		}
	}
	slices.SortStableFunc(tags, func(a, b tagged) int {
		if x, ok := a.by.(string); ok {
			y, _ := b.by.(string)
			return compareText(x, y)
		}
		x, _ := a.by.(float64)
		y, _ := b.by.(float64)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	out := &list{items: make([]any, len(tags))}
	for i := range tags {
		out.items[i] = tags[i].value
	}
	return out, nil
}

// tag evaluates by(...) for each element; without by(...) an element is sorted by itself.
func (r *renderer) tag(in *list, t *Object, sc *scope) ([]tagged, error) {
	tags := make([]tagged, 0, len(in.items))
	var by entry
	for _, e := range t.ordered() {
		if e.key != "$sort" {
			by = e
			break
		}
	}
	m := byOneKey.FindStringSubmatch(by.key)
	for _, item := range in.items {
		if m == nil {
			tags = append(tags, tagged{item, item})
			continue
		}
		source, ok := by.value.(string)
		if !ok {
			text, _ := toText(by.value, 0)
			return nil, newError(SyntaxError, "Unexpected input for '%s' at ''", text)
		}
		v, err := r.evaluate(source, sc.with(m[1], item))
		if err != nil {
			return nil, inKey(err, by.key)
		}
		tags = append(tags, tagged{v, item})
	}
	return tags, nil
}
