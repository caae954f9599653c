package bounded

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"
)

// Record is a read-only value with attributes, each made when it is first asked for.
type Record struct {
	Name   string
	Fields map[string]func() (starlark.Value, error)
	made   map[string]starlark.Value
}

// Constant is the field of a value that exists already.
func Constant(v starlark.Value) func() (starlark.Value, error) {
	return func() (starlark.Value, error) { return v, nil }
}

// LazyField is the field of a Go value, converted when it is asked for and frozen.
func LazyField(v any) func() (starlark.Value, error) {
	return func() (starlark.Value, error) {
		x, err := Lazily(v)
		if err != nil {
			return nil, err
		}
		x.Freeze()
		return x, nil
	}
}

// Module is a read-only group of built-ins, each named MODULE.NAME. All its values exist from the
// start, so several goroutines may use it at once.
func Module(name string, members ...*starlark.Builtin) *Record {
	r := &Record{Name: name, made: map[string]starlark.Value{}, Fields: map[string]func() (starlark.Value, error){}}
	for _, m := range members {
		key := strings.TrimPrefix(m.Name(), name+".")
		r.made[key], r.Fields[key] = m, Constant(m)
	}
	return r
}

// String is the record's name.
func (r *Record) String() string { return "<" + r.Name + ">" }

// Type is the record's name.
func (r *Record) Type() string { return r.Name }

// Freeze does nothing: it is read-only from the start.
func (r *Record) Freeze() {}

// Truth is true.
func (r *Record) Truth() starlark.Bool { return true }

// Hash fails.
func (r *Record) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: %s", r.Name) }

// AttrNames are the names of its fields.
func (r *Record) AttrNames() []string { return slices.Sorted(maps.Keys(r.Fields)) }

// Attr makes the attribute, once per record; a record belongs to one call, hence to one goroutine.
func (r *Record) Attr(name string) (starlark.Value, error) {
	if v, ok := r.made[name]; ok {
		return v, nil
	}
	field, ok := r.Fields[name]
	if !ok {
		return nil, nil
	}
	v, err := field()
	if err != nil {
		return nil, fmt.Errorf("%s.%s: %w", r.Name, name, err)
	}
	if r.made == nil {
		r.made = map[string]starlark.Value{}
	}
	r.made[name] = v
	return v, nil
}
