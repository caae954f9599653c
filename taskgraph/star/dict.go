package star

import (
	"fmt"
	"maps"
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// lazyDict is a dict made of a Go mapping whose entries are converted when they are asked for:
// most transforms look at few of a task's values. It behaves as a dict does; where that takes
// more than looking up and setting single keys it becomes a real one. It belongs to one
// goroutine and never gets into the globals of a module.
type lazyDict struct {
	from   map[string]any // never written to
	over   []entry        // what was asked for, set or taken out, in this order
	dict   *starlark.Dict // takes the place of over once it is there
	length int
	frozen bool
	fault  error // a value that has no form in Starlark
}

// entry is a key that was converted or changed. Without a value it was taken out.
type entry struct {
	key   string
	value starlark.Value
	added bool // stands behind the keys of from
}

// dictType is the type's name inside the interpreter, which would otherwise take a lazyDict for
// its own dict when it compares the two. Messages and type() say "dict".
const dictType = "dict\u2060"

// maxOver is how many entries are searched one by one.
const maxOver = 16

func newLazyDict(from map[string]any, frozen bool) *lazyDict {
	return &lazyDict{from: from, length: len(from), frozen: frozen}
}

func (d *lazyDict) Type() string          { return dictType }
func (d *lazyDict) Truth() starlark.Bool  { return d.Len() > 0 }
func (d *lazyDict) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: dict") }
func (d *lazyDict) String() string        { return d.full().String() }

// Len is the number of keys.
func (d *lazyDict) Len() int {
	if d.dict != nil {
		return d.dict.Len()
	}
	return d.length
}

// Freeze makes it read-only, with all that is in it.
func (d *lazyDict) Freeze() {
	if d.frozen {
		return
	}
	d.frozen = true
	if d.dict != nil {
		d.dict.Freeze()
	}
	for _, e := range d.over {
		if e.value != nil {
			e.value.Freeze()
		}
	}
}

func (d *lazyDict) find(key string) int {
	for i := range d.over {
		if d.over[i].key == key {
			return i
		}
	}
	return -1
}

// convert makes the Starlark value of an entry of from.
func (d *lazyDict) convert(v any) (starlark.Value, error) {
	x, err := (&converter{lazy: true}).toStar(v)
	if err == nil && d.frozen {
		x.Freeze()
	}
	return x, err
}

// Get looks a key up.
func (d *lazyDict) Get(k starlark.Value) (starlark.Value, bool, error) {
	key, ok := k.(starlark.String)
	if !ok || d.dict != nil {
		return d.full().Get(k)
	}
	return d.get(string(key))
}

func (d *lazyDict) get(key string) (starlark.Value, bool, error) {
	if i := d.find(key); i >= 0 {
		return d.over[i].value, d.over[i].value != nil, nil
	}
	v, there := d.from[key]
	if !there {
		return nil, false, nil
	}
	x, err := d.convert(v)
	if err != nil {
		return nil, false, err
	}
	if !isScalar(x) { // it may be changed, and must be the same one next time
		if len(d.over) >= maxOver {
			return d.full().Get(starlark.String(key))
		}
		d.over = append(d.over, entry{key: key, value: x})
	}
	return x, true, nil
}

// SetKey sets a key.
func (d *lazyDict) SetKey(k, v starlark.Value) error {
	key, ok := k.(starlark.String)
	if !ok || d.dict != nil || d.frozen || len(d.over) >= maxOver {
		return d.full().SetKey(k, v) // which says what is wrong, if it is
	}
	d.set(string(key), v)
	return nil
}

func (d *lazyDict) set(key string, v starlark.Value) {
	_, there := d.from[key]
	i := d.find(key)
	switch {
	case i >= 0 && d.over[i].value != nil:
		d.over[i].value = v
		return
	case i >= 0: // it was taken out, so it now stands last
		d.over = slices.Delete(d.over, i, i+1)
		there = false
	}
	d.over = append(d.over, entry{key: key, value: v, added: !there})
	if !there {
		d.length++
	}
}

// remove takes a key out that is there.
func (d *lazyDict) remove(key string) {
	d.length--
	if i := d.find(key); i >= 0 {
		d.over[i].value, d.over[i].added = nil, false
		return
	}
	d.over = append(d.over, entry{key: key})
}

// full makes the real dict, from now on the only one that counts. A value that cannot be converted
// is not in it, and fails the call at its end.
func (d *lazyDict) full() *starlark.Dict {
	if d.dict != nil {
		return d.dict
	}
	c := converter{lazy: true}
	out := starlark.NewDict(d.length)
	put := func(key string, v starlark.Value) {
		_ = out.SetKey(starlark.String(key), v) // a string can be hashed, and nobody iterates yet
	}
	for _, key := range slices.Sorted(maps.Keys(d.from)) {
		if i := d.find(key); i >= 0 {
			if e := d.over[i]; e.value != nil && !e.added {
				put(key, e.value)
			}
			continue
		}
		v, err := c.toStar(d.from[key])
		if err != nil {
			d.fault = err
			continue
		}
		put(key, v)
	}
	for _, e := range d.over {
		if e.added {
			put(e.key, e.value)
		}
	}
	if d.frozen {
		out.Freeze()
	}
	d.dict, d.over = out, nil
	return out
}

// Iterate walks the keys.
func (d *lazyDict) Iterate() starlark.Iterator { return d.full().Iterate() }

// Items gives the pairs of key and value.
func (d *lazyDict) Items() []starlark.Tuple { return d.full().Items() }

// AttrNames are the methods of a dict.
func (d *lazyDict) AttrNames() []string { return starlark.NewDict(0).AttrNames() }

// Attr gives a method of a dict.
func (d *lazyDict) Attr(name string) (starlark.Value, error) {
	if d.dict == nil && !d.frozen && len(d.over) < maxOver {
		switch name {
		case "setdefault":
			return starlark.NewBuiltin(name, d.setDefault).BindReceiver(d), nil
		case "pop":
			return starlark.NewBuiltin(name, d.pop).BindReceiver(d), nil
		}
	}
	if name == "get" {
		return starlark.NewBuiltin(name, d.getOr).BindReceiver(d), nil
	}
	return d.full().Attr(name)
}

func (d *lazyDict) getOr(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key starlark.Value
	missing := starlark.Value(starlark.None)
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &key, &missing); err != nil {
		return nil, err
	}
	v, ok, err := d.Get(key)
	if err != nil || ok {
		return v, err
	}
	return missing, nil
}

func (d *lazyDict) setDefault(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key starlark.Value
	value := starlark.Value(starlark.None)
	if err := starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &key, &value); err != nil {
		return nil, err
	}
	if v, ok, err := d.Get(key); err != nil || ok {
		return v, err
	}
	return value, d.SetKey(key, value)
}

func (d *lazyDict) pop(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	key, ok := starlark.String(""), false
	if len(args) > 0 {
		key, ok = args[0].(starlark.String)
	}
	if !ok || len(args) > 2 || len(kwargs) > 0 || d.dict != nil || d.frozen || len(d.over) >= maxOver {
		m, err := d.full().Attr("pop")
		if err != nil {
			return nil, err
		}
		v, err := starlark.Call(t, m, args, kwargs)
		if err != nil {
			return nil, unwrap(err)
		}
		return v, nil
	}
	v, there, err := d.get(string(key))
	switch {
	case err != nil:
		return nil, err
	case there && d.dict == nil:
		d.remove(string(key))
		return v, nil
	case there: // the look-up made it a real one
		_, _, err := d.dict.Delete(key)
		return v, err
	case len(args) == 2:
		return args[1], nil
	}
	return nil, fmt.Errorf("%s: missing key", b.Name())
}

// Binary is d |= y: the guard of | hands real dicts to the interpreter, so this is met only where
// d changes in place.
func (d *lazyDict) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	other, ok := asDict(y)
	if op != syntax.PIPE || !ok || side != starlark.Left {
		return nil, nil
	}
	for k, v := range other.Entries() {
		if err := d.SetKey(k, v); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// asDict gives the real dict of v, if it is a dict of either form.
func asDict(v starlark.Value) (*starlark.Dict, bool) {
	switch v := v.(type) {
	case *starlark.Dict:
		return v, true
	case *lazyDict:
		return v.full(), true
	}
	return nil, false
}

// isDict reports whether v is a dict of either form.
func isDict(v starlark.Value) bool {
	switch v.(type) {
	case *starlark.Dict, *lazyDict:
		return true
	}
	return false
}

// real gives v, or the real dict in its place.
func real(v starlark.Value) starlark.Value {
	if d, ok := v.(*lazyDict); ok {
		return d.full()
	}
	return v
}

// plain gives v with real dicts all through, copied where that takes it: what the interpreter
// compares. v is within the limits of a measure.
func plain(v starlark.Value) starlark.Value {
	switch v := v.(type) {
	case *lazyDict:
		return plainDict(v.full())
	case *starlark.Dict:
		return plainDict(v)
	case *starlark.List:
		out := make([]starlark.Value, v.Len())
		for i := range out {
			out[i] = plain(v.Index(i))
		}
		return starlark.NewList(out)
	case starlark.Tuple:
		out := make(starlark.Tuple, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	}
	return v
}

func plainDict(d *starlark.Dict) *starlark.Dict {
	out := starlark.NewDict(d.Len())
	for k, v := range d.Entries() {
		_ = out.SetKey(k, plain(v)) // k is a key already
	}
	return out
}
