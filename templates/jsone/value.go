package jsone

import (
	"bytes"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strconv"
)

// Object is a JSON object that keeps its keys in JavaScript's order: those that are whole numbers first, in rising
// order, then the others as they were added. The zero Object is empty. Not safe for writing by several goroutines.
type Object struct {
	entries []entry
	index   map[string]int // only for larger objects
	numbers bool           // some key is a whole number
	line    int            // of the text it was read from or whose template made it; 0 when it has none
}

type entry struct {
	key   string
	value any
}

// indexFrom is the size from which a map is quicker than looking through the keys.
const indexFrom = 12

// Len returns the number of keys.
func (o *Object) Len() int { return len(o.entries) }

// Line returns the line of the YAML mapping that the object was read from, or that was the template it was rendered
// from; 0 when there is none.
func (o *Object) Line() int { return o.line }

// Get returns the value of a key.
func (o *Object) Get(key string) (any, bool) {
	if i := o.find(key); i >= 0 {
		return o.entries[i].value, true
	}
	return nil, false
}

func (o *Object) find(key string) int {
	if o.index != nil {
		if i, ok := o.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range o.entries {
		if o.entries[i].key == key {
			return i
		}
	}
	return -1
}

// Set sets a key; a key that was there keeps its place.
func (o *Object) Set(key string, value any) {
	if i := o.find(key); i >= 0 {
		o.entries[i].value = value
		return
	}
	o.entries = append(o.entries, entry{key, value})
	if o.index != nil {
		o.index[key] = len(o.entries) - 1
	} else if len(o.entries) >= indexFrom {
		o.index = make(map[string]int, 2*indexFrom)
		for i, e := range o.entries {
			o.index[e.key] = i
		}
	}
	o.numbers = o.numbers || isArrayIndex(key)
}

// ordered returns the entries in JavaScript's order; the caller does not change them.
func (o *Object) ordered() []entry {
	if !o.numbers {
		return o.entries
	}
	var numbered, named []entry
	for _, e := range o.entries {
		if isArrayIndex(e.key) {
			numbered = append(numbered, e)
		} else {
			named = append(named, e)
		}
	}
	slices.SortFunc(numbered, func(a, b entry) int {
		if len(a.key) != len(b.key) {
			return len(a.key) - len(b.key)
		}
		return bytes.Compare([]byte(a.key), []byte(b.key))
	})
	return append(numbered, named...)
}

// sorted returns the entries by key, in the order of JavaScript's sort.
func (o *Object) sorted() []entry {
	list := slices.Clone(o.entries)
	slices.SortFunc(list, func(a, b entry) int { return compareText(a.key, b.key) })
	return list
}

// isArrayIndex says whether JavaScript sorts the key as a number: 0 to 2^32-2 without leading zeros.
func isArrayIndex(key string) bool {
	if key == "" || len(key) > 10 || key[0] < '0' || key[0] > '9' || (key[0] == '0' && len(key) > 1) {
		return false
	}
	n, err := strconv.ParseUint(key, 10, 64)
	return err == nil && n < 1<<32-1
}

// All goes through the keys and values in order.
func (o *Object) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, e := range o.ordered() {
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}

// Map returns the object as plain Go maps and slices, all the way down.
func (o *Object) Map() map[string]any {
	m := make(map[string]any, len(o.entries))
	for _, e := range o.entries {
		m[e.key] = Plain(e.value)
	}
	return m
}

// Plain turns every Object inside a rendered value into a map[string]any.
func Plain(v any) any {
	switch v := v.(type) {
	case *Object:
		return v.Map()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = Plain(v[i])
		}
		return out
	}
	return v
}

// MarshalJSON writes the object in its order; numbers as JavaScript writes them.
func (o *Object) MarshalJSON() ([]byte, error) {
	return AppendJSON(nil, o), nil
}

// Function is a function that a context may hold. Its arguments are nil, bool, float64, string, []any and *Object; the
// error's text becomes a BuiltinError.
type Function struct {
	Name string
	Call func(args []any) (any, error)
	// builtin is set for our own, which work on values without copying and know their render.
	builtin func(r *renderer, sc *scope, args []any) (any, error)
}

// list is a JSON array inside a render. It has an identity, because JSON-e's $reverse and $mergeDeep work in place.
type list struct {
	items []any
}

// deleteMarker is what `$if` without its branch gives: containers leave it out. Elsewhere it is an empty object.
var deleteMarker = &Object{}

// maxImportDepth bounds the nesting of data that comes in.
const maxImportDepth = 1000

// imported copies Go data into a render's values.
func imported(v any, depth int) (any, error) {
	if depth > maxImportDepth {
		return nil, newError(LimitError, "the data is nested more than %d levels deep; flatten it", maxImportDepth)
	}
	switch v := v.(type) {
	case nil, bool, string, float64:
		return v, nil
	case *Object:
		out := &Object{entries: make([]entry, 0, len(v.entries)), line: v.line}
		for _, e := range v.entries {
			value, err := imported(e.value, depth+1)
			if err != nil {
				return nil, err
			}
			out.Set(e.key, value)
		}
		return out, nil
	case map[string]any:
		out := &Object{entries: make([]entry, 0, len(v))}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			value, err := imported(v[key], depth+1)
			if err != nil {
				return nil, err
			}
			out.Set(key, value)
		}
		return out, nil
	case []any:
		out := &list{items: make([]any, len(v))}
		for i := range v {
			value, err := imported(v[i], depth+1)
			if err != nil {
				return nil, err
			}
			out.items[i] = value
		}
		return out, nil
	}
	return importedScalar(v)
}

// importedScalar takes the less common Go types.
func importedScalar(v any) (any, error) {
	switch v := v.(type) {
	case int:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case int32:
		return float64(v), nil
	case uint64:
		return float64(v), nil
	case float32:
		return float64(v), nil
	case json.Number:
		return parseDecimal(v.String()), nil
	case []string:
		out := &list{items: make([]any, len(v))}
		for i := range v {
			out.items[i] = v[i]
		}
		return out, nil
	case map[string]string:
		out := &Object{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out.Set(key, v[key])
		}
		return out, nil
	case *Function:
		return v, nil
	case Function:
		return &v, nil
	}
	return nil, newError(TemplateError, "a template cannot use a Go value of type %T", v)
}

// exported copies a result out of a render. Parts that the result shares are written out each time, so this counts.
func (r *renderer) exported(v any) (any, error) {
	switch v := v.(type) {
	case *Object:
		if err := r.enter(); err != nil {
			return nil, err
		}
		defer r.leave()
		out := &Object{entries: make([]entry, 0, len(v.entries)), line: v.line}
		for _, e := range v.ordered() {
			value, err := r.exported(e.value)
			if err != nil {
				return nil, err
			}
			if err := r.text(len(e.key)); err != nil {
				return nil, err
			}
			out.Set(e.key, value)
		}
		return out, nil
	case *list:
		if err := r.enter(); err != nil {
			return nil, err
		}
		defer r.leave()
		out := make([]any, 0, len(v.items))
		for _, item := range v.items {
			value, err := r.exported(item)
			if err != nil {
				return nil, err
			}
			out = append(out, value)
		}
		return out, nil
	case *Function:
		return nil, newError(TemplateError, "evaluated template contained uncalled functions")
	case string:
		if err := r.text(len(v)); err != nil {
			return nil, err
		}
	}
	return v, r.step(1)
}
