package explain

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Change is the value under one dotted key before and after, both as short JSON. Old is "" for a
// value that was not there, New for one that is gone.
type Change struct {
	Key string `json:"key"`
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// Edit is a top-level value before and after a transform, Absent for none. The values must not
// change any more.
type Edit struct{ Old, New any }

type absent struct{}

// Absent stands for a value that is not there, as null is a value.
var Absent any = absent{}

// Bounds of what is told of a step.
const (
	maxChanges = 24 // of one step; the rest is counted
	maxShort   = 80 // bytes of a value
)

// Resolve returns s with Changes made of the recorded values, if there are any. It is done when
// somebody asks, as most steps are never looked at.
func (s Step) Resolve() Step {
	if s.Edits == nil {
		return s
	}
	var all []Change
	for i, key := range s.Keys {
		old, made := s.Edits[i].Old, s.Edits[i].New
		if m, ok := made.(map[string]any); ok && len(m) > 0 && (old == Absent || old == nil) {
			old = map[string]any{} // its keys say more than the whole
		}
		all = Compare(all, key, old, made)
	}
	s.Changes, s.Edits = all, nil
	if more := len(all) - maxChanges; more > 0 {
		s.Changes = append(all[:maxChanges:maxChanges], Change{Key: fmt.Sprintf("and %d more", more)})
	}
	return s
}

// Omitted stands for a value that is left out.
const Omitted = "…"

// Brief is Resolve without the values that stand elsewhere, which makes the steps of most tasks the same:
// of keys that were added nothing is told, as the finished task has them, and of those that were removed
// only that.
func (s Step) Brief() Step {
	if s.Edits == nil {
		return s
	}
	var all []Change
	for i, key := range s.Keys {
		switch e := s.Edits[i]; {
		case e.Old == Absent:
		case e.New == Absent:
			all = append(all, Change{Key: key, Old: Omitted})
		default:
			Differences(key, e.Old, e.New, func(key string, old, made any) {
				if old != Absent {
					all = append(all, Change{Key: key, Old: Short(old), New: Short(made)})
				}
			})
		}
	}
	s.Changes, s.Edits = all[:min(len(all), maxChanges)], nil
	return s
}

// Resolve returns p with the changes of all steps.
func (p Provenance) Resolve() Provenance {
	steps := make([]*Step, len(p.Steps))
	for i, s := range p.Steps {
		resolved := s.Resolve()
		steps[i] = &resolved
	}
	p.Steps = steps
	return p
}

// Compare appends what differs between two values, as they are decoded from YAML or JSON, below key,
// in short. Absent stands for no value.
func Compare(out []Change, key string, old, new any) []Change {
	Differences(key, old, new, func(key string, old, new any) {
		out = append(out, Change{Key: key, Old: Short(old), New: Short(new)})
	})
	return out
}

// Differences tells each of what differs between two values below key: mappings key by key, of lists
// the part that differs.
func Differences(key string, old, new any, each func(key string, old, new any)) {
	switch a := old.(type) {
	case map[string]any:
		if b, ok := new.(map[string]any); ok {
			compareMaps(key, a, b, each)
			return
		}
	case []any:
		if b, ok := new.([]any); ok {
			compareLists(key, a, b, each)
			return
		}
	}
	if !Equal(old, new) {
		each(key, old, new)
	}
}

func compareMaps(key string, a, b map[string]any, each func(key string, old, new any)) {
	if reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() {
		return
	}
	var keys []string
	for k, v := range a {
		if w, both := b[k]; !both || !Equal(v, w) {
			keys = append(keys, k)
		}
	}
	for k := range b {
		if _, both := a[k]; !both {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		Differences(joined(key, k), at(a, k), at(b, k), each)
	}
}

func joined(key, k string) string {
	if key == "" {
		return k
	}
	return key + "." + k
}

func at(m map[string]any, key string) any {
	if v, ok := m[key]; ok {
		return v
	}
	return Absent
}

// compareLists leaves out what both lists begin and end with.
func compareLists(key string, a, b []any, each func(key string, old, new any)) {
	if len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) {
		return
	}
	from := 0
	for from < len(a) && from < len(b) && Equal(a[from], b[from]) {
		from++
	}
	endA, endB := len(a), len(b)
	for endA > from && endB > from && Equal(a[endA-1], b[endB-1]) {
		endA--
		endB--
	}
	a, b = a[from:endA], b[from:endB]
	if len(a) == len(b) {
		for i := range a {
			Differences(key+"["+strconv.Itoa(from+i)+"]", a[i], b[i], each)
		}
		return
	}
	old, made := Absent, Absent
	if len(a) > 0 {
		old = a
	}
	if len(b) > 0 {
		made = b
	}
	each(key+"["+strconv.Itoa(from)+"…]", old, made)
}

// Equal reports whether two values are the same, as values of YAML: 1 and 1.0 are not.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case nil, string, bool, int64, float64, int, absent:
		return a == b
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		if reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() {
			return true
		}
		for k, v := range a {
			if w, there := b[k]; !there || !Equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, Equal)
	}
	return reflect.DeepEqual(a, b)
}

// Short writes v as JSON, cut to a length that fits a line; "" for Absent.
func Short(v any) string {
	if v == Absent {
		return ""
	}
	b := appendShort(nil, v)
	if len(b) <= maxShort {
		return string(b)
	}
	end := maxShort - len("…")
	for end > 0 && !utf8.RuneStart(b[end]) {
		end--
	}
	return string(b[:end]) + "…"
}

// appendShort writes v until there is enough of it.
func appendShort(b []byte, v any) []byte {
	if len(b) > maxShort {
		return b
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendText(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case float64:
		return strconv.AppendFloat(b, v, 'g', -1, 64)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b = appendShort(b, e); len(b) > maxShort {
				return b
			}
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(appendText(b, k), ": "...)
			if b = appendShort(b, v[k]); len(b) > maxShort {
				return b
			}
		}
		return append(b, '}')
	}
	return fmt.Append(b, v)
}

// appendText writes at most the part of a text that can be shown.
func appendText(b []byte, s string) []byte {
	if len(s) > maxShort {
		s = s[:maxShort]
	}
	return strconv.AppendQuote(b, s)
}
