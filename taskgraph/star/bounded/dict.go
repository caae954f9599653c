package bounded

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Dict is a dict made of a Go mapping whose entries are converted when they are asked for:
// most transforms look at few of a task's values. It behaves as a dict does; where that takes
// more than looking up and setting single keys it becomes a real one. It belongs to one
// goroutine and never gets into the globals of a module.
type Dict struct {
	from   map[string]any // never written to
	over   []entry        // what was set or taken out, in this order
	dict   *starlark.Dict // takes the place of from and over once it is there
	length int
	frozen bool

	// What was made of entries of from: the same each time, as it may be changed. Copies made by
	// dict() share it with the one they are copies of.
	made   []entry
	copyOf *Dict
	copied bool
	fault  error // a value that has no form in Starlark
	arena  *Arena
}

// Arena makes Dicts and uses them again once nobody can have one any more: what a transform is
// given for one task it cannot keep for the next, as its globals are frozen. The nil arena makes
// ordinary ones.
type Arena struct {
	dicts []*Dict
	used  int
}

// Dict makes a dict of from, which must not be written to any more.
func (a *Arena) Dict(from map[string]any, frozen bool) *Dict {
	if a == nil {
		return &Dict{from: from, length: len(from), frozen: frozen}
	}
	if a.used == len(a.dicts) {
		block := make([]Dict, 16)
		for i := range block {
			a.dicts = append(a.dicts, &block[i])
		}
	}
	d := a.dicts[a.used]
	a.used++
	over, made := d.over[:0], d.made[:0]
	*d = Dict{from: from, length: len(from), frozen: frozen, over: over, made: made, arena: a}
	return d
}

// Reset takes back all that were made, but keeps no more than a few.
func (a *Arena) Reset() {
	if len(a.dicts) > 1024 {
		a.dicts = nil
	}
	a.used = 0
}

// entry is a key and its value; without one it was taken out.
type entry struct {
	key   string
	value starlark.Value
	added bool // stands behind the keys of from
}

// dictType is the type's name inside the interpreter, which would otherwise take a Dict for
// its own dict when it compares the two. Messages and type() say "dict".
const dictType = "dict\u2060"

// Plainly is a message of the interpreter with the names of types as people know them.
func Plainly(message string) string { return strings.ReplaceAll(message, dictType, "dict") }

// maxOver is how many entries are searched one by one; larger dicts are not copied lazily.
const (
	maxOver   = 16
	maxCopied = 64
)

// Type is that of the interpreter's dicts, as far as people see.
func (d *Dict) Type() string { return dictType }

// Truth is whether it has keys.
func (d *Dict) Truth() starlark.Bool { return d.Len() > 0 }

// Hash fails: a dict cannot be a key.
func (d *Dict) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: dict") }

// String is what str gives.
func (d *Dict) String() string { return d.full().String() }

// Len is the number of keys.
func (d *Dict) Len() int {
	if d.dict != nil {
		return d.dict.Len()
	}
	return d.length
}

// Freeze makes it read-only, with all that is in it.
func (d *Dict) Freeze() {
	if d.frozen {
		return
	}
	d.frozen = true
	if d.dict != nil {
		d.dict.Freeze()
	}
	for _, list := range [][]entry{d.over, d.Origin().made} {
		for _, e := range list {
			if e.value != nil {
				e.value.Freeze()
			}
		}
	}
}

// Origin is where what was made of from is kept.
func (d *Dict) Origin() *Dict {
	if d.copyOf != nil {
		return d.copyOf
	}
	return d
}

func find(list []entry, key string) int {
	for i := range list {
		if list[i].key == key {
			return i
		}
	}
	return -1
}

// From is what it was made of.
func (d *Dict) From() map[string]any { return d.from }

// add appends to a short list of entries.
func add(list []entry, e entry) []entry {
	if list == nil {
		list = make([]entry, 0, 2)
	}
	return append(list, e)
}

// convert makes the Starlark value of an entry of from, or gives the one made before.
func (d *Dict) convert(key string, v any) (starlark.Value, error) {
	switch v := v.(type) {
	case string:
		return starlark.String(v), nil
	case bool:
		return starlark.Bool(v), nil
	case nil:
		return starlark.None, nil
	case int64:
		return starlark.MakeInt64(v), nil
	}
	o := d.Origin()
	if i := find(o.made, key); i >= 0 {
		return o.made[i].value, nil
	}
	x, err := (&converter{lazy: true, arena: d.arena}).toStar(v)
	if err != nil {
		return nil, err
	}
	if d.frozen || o.frozen {
		x.Freeze()
	}
	if !isScalar(x) {
		o.made = add(o.made, entry{key: key, value: x})
	}
	return x, nil
}

// Get looks a key up.
func (d *Dict) Get(k starlark.Value) (starlark.Value, bool, error) {
	key, ok := k.(starlark.String)
	if !ok || d.dict != nil {
		return d.full().Get(k)
	}
	return d.get(string(key))
}

func (d *Dict) get(key string) (starlark.Value, bool, error) {
	if i := find(d.over, key); i >= 0 {
		return d.over[i].value, d.over[i].value != nil, nil
	}
	v, there := d.from[key]
	if !there {
		return nil, false, nil
	}
	if len(d.Origin().made) >= maxOver && !d.copied && d.copyOf == nil {
		return d.full().Get(starlark.String(key))
	}
	x, err := d.convert(key, v)
	return x, err == nil, err
}

// settable reports whether single keys can be set without making it a real dict.
func (d *Dict) settable() bool { return d.dict == nil && !d.frozen && len(d.over) < maxOver }

// SetKey sets a key.
func (d *Dict) SetKey(k, v starlark.Value) error {
	key, ok := k.(starlark.String)
	if !ok || !d.settable() {
		return d.full().SetKey(k, v) // which says what is wrong, if it is
	}
	d.set(string(key), v)
	return nil
}

func (d *Dict) set(key string, v starlark.Value) {
	_, there := d.from[key]
	i := find(d.over, key)
	switch {
	case i >= 0 && d.over[i].value != nil:
		d.over[i].value = v
		return
	case i >= 0: // it was taken out, so it now stands last
		d.over = slices.Delete(d.over, i, i+1)
		there = false
	}
	d.over = add(d.over, entry{key: key, value: v, added: !there})
	if !there {
		d.length++
	}
}

// remove takes a key out that is there.
func (d *Dict) remove(key string) {
	d.length--
	if i := find(d.over, key); i >= 0 {
		d.over[i].value, d.over[i].added = nil, false
		return
	}
	d.over = add(d.over, entry{key: key})
}

// copy is dict(d): a dict of its own that holds the same values; nil where that takes a real one.
func (d *Dict) copy() *Dict {
	if d.dict != nil || len(d.from) > maxCopied {
		return nil
	}
	o := d.Origin()
	o.copied = true
	out := d.arena.Dict(d.from, false)
	out.length, out.copyOf = d.length, o
	out.over = append(out.over, d.over...)
	return out
}

// full makes the real dict, from now on the only one that counts. A value that cannot be converted
// is not in it, and fails the call at its end.
func (d *Dict) full() *starlark.Dict {
	if d.dict != nil {
		return d.dict
	}
	out := starlark.NewDict(d.length)
	put := func(key string, v starlark.Value) {
		_ = out.SetKey(starlark.String(key), v) // a string can be hashed, and nobody iterates yet
	}
	o, c := d.Origin(), converter{lazy: true, arena: d.arena}
	for _, key := range slices.Sorted(maps.Keys(d.from)) {
		if i := find(d.over, key); i >= 0 {
			if e := d.over[i]; e.value != nil && !e.added {
				put(key, e.value)
			}
			continue
		}
		var v starlark.Value
		var err error
		if i := find(o.made, key); i >= 0 {
			v = o.made[i].value
		} else if o.copied { // the copies must come to hold the same
			v, err = d.convert(key, d.from[key])
		} else {
			v, err = c.toStar(d.from[key])
		}
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

// changes are what was set, taken out or may have been changed inside.
func (d *Dict) changes() iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for _, e := range d.over {
			if !yield(e) {
				return
			}
		}
		for _, e := range d.Origin().made {
			if find(d.over, e.key) < 0 && !yield(e) {
				return
			}
		}
	}
}

// Iterate walks the keys.
func (d *Dict) Iterate() starlark.Iterator { return d.full().Iterate() }

// Items gives the pairs of key and value.
func (d *Dict) Items() []starlark.Tuple { return d.full().Items() }

// AttrNames are the methods of a dict.
func (d *Dict) AttrNames() []string { return starlark.NewDict(0).AttrNames() }

// The methods that need no real dict; they are never written to.
var (
	lazyGet        = starlark.NewBuiltin("get", dictGet)
	lazySetDefault = starlark.NewBuiltin("setdefault", dictSetDefault)
	lazyPop        = starlark.NewBuiltin("pop", dictPop)
)

// Attr gives a method of a dict.
func (d *Dict) Attr(name string) (starlark.Value, error) {
	if d.settable() {
		switch name {
		case "setdefault":
			return lazySetDefault.BindReceiver(d), nil
		case "pop":
			return lazyPop.BindReceiver(d), nil
		}
	}
	if name == "get" {
		return lazyGet.BindReceiver(d), nil
	}
	return d.full().Attr(name)
}

func dictGet(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	key, missing, err := keyAndDefault(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	v, ok, err := b.Receiver().(*Dict).Get(key)
	if err != nil || ok {
		return v, err
	}
	return missing, nil
}

func keyAndDefault(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (key, missing starlark.Value, err error) {
	if len(kwargs) == 0 && len(args) == 2 {
		return args[0], args[1], nil
	}
	missing = starlark.None
	err = starlark.UnpackPositionalArgs(b.Name(), args, kwargs, 1, &key, &missing)
	return key, missing, err
}

func dictSetDefault(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	key, value, err := keyAndDefault(b, args, kwargs)
	if err != nil {
		return nil, err
	}
	d := b.Receiver().(*Dict)
	if v, ok, err := d.Get(key); err != nil || ok {
		return v, err
	}
	return value, d.SetKey(key, value)
}

func dictPop(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	d := b.Receiver().(*Dict)
	key, ok := starlark.String(""), false
	if len(args) > 0 {
		key, ok = args[0].(starlark.String)
	}
	if !ok || len(args) > 2 || len(kwargs) > 0 || !d.settable() {
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

// makeDict is dict(x, **kwargs): of a task's dict it makes a lazy copy.
func makeDict(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	b := BudgetOf(t)
	for _, a := range args {
		if err := b.iterated(t, a); err != nil {
			return nil, err
		}
	}
	if len(args) == 1 && len(kwargs) < maxOver/2 {
		if of, ok := args[0].(*Dict); ok {
			if d := of.copy(); d != nil {
				for _, kv := range kwargs {
					if err := d.SetKey(kv[0], kv[1]); err != nil {
						return nil, err
					}
				}
				return d, b.Charge(4 * ElementBytes * (1 + len(d.over)))
			}
		}
	}
	v, err := starlark.Call(t, starlark.Universe["dict"], args, kwargs)
	if err != nil {
		return nil, unwrap(err)
	}
	return v, b.made(t, v)
}

// Binary is d |= y: the guard of | hands real dicts to the interpreter, so this is met only where
// d changes in place.
func (d *Dict) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	other, ok := AsDict(y)
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

// AsDict gives the real dict of v, if it is a dict of either form.
func AsDict(v starlark.Value) (*starlark.Dict, bool) {
	switch v := v.(type) {
	case *starlark.Dict:
		return v, true
	case *Dict:
		return v.full(), true
	}
	return nil, false
}

// IsDict reports whether v is a dict of either form.
func IsDict(v starlark.Value) bool {
	switch v.(type) {
	case *starlark.Dict, *Dict:
		return true
	}
	return false
}

// Real gives v, or the real dict in its place.
func Real(v starlark.Value) starlark.Value {
	if d, ok := v.(*Dict); ok {
		return d.full()
	}
	return v
}

// plain gives v with real dicts all through, copied where that takes it: what the interpreter
// compares. v is within the limits of a measure.
func plain(v starlark.Value) starlark.Value {
	switch v := v.(type) {
	case *Dict:
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
