package jsone

import "slices"

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
