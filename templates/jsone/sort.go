package jsone

import "slices"

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
