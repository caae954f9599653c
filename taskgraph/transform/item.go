package transform

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Origin is where an item came from. It is shared by all items that an entry splits into.
type Origin struct {
	Provenance explain.Provenance // without steps
	// Layers are the places whose values were merged into the entry: the defaults of the kind,
	// those of the file, the entry itself.
	Layers []source.Node

	once  sync.Once
	ruled map[string]string // see places
}

// Item is one task in the making. It belongs to one goroutine at a time. Its values may be
// shared with other items: they are changed only through Set, Delete and Own.
type Item struct {
	values  map[string]any
	owned   []unsafe.Pointer // nested mappings that no other item shares
	origin  *Origin
	steps   []*explain.Step
	touched []string
	traced  bool  // whether before is kept
	before  []any // by position in touched: the value when the transform began, explain.Absent for none
	cell    []explain.Dimension
	note    string
	rule    string // where the rule stands that may drop it, as file:line
	err     error
	spares  *spares // what it can be split with
	split   bool    // whether it may become one of them
}

// NewItem makes an item of values, which it takes over; what is nested in them stays shared.
func NewItem(values map[string]any, origin *Origin) *Item {
	return &Item{values: values, origin: origin}
}

// Values returns the item's values for reading.
func (it *Item) Values() map[string]any { return it.values }

// Get returns the value under a top-level key, nil without one.
func (it *Item) Get(key string) any { return it.values[key] }

// Has reports whether a top-level key is there.
func (it *Item) Has(key string) bool { _, ok := it.values[key]; return ok }

// Lookup returns what stands at a dotted path.
func (it *Item) Lookup(path string) (any, bool) { return value.Get(it.values, path) }

// String returns the string under a top-level key, "" without one.
func (it *Item) String(key string) string { return value.String(it.values, key) }

// Map returns the mapping under a top-level key for reading, nil without one.
func (it *Item) Map(key string) map[string]any { return value.Map(it.values, key) }

// List returns the list under a top-level key for reading, nil without one.
func (it *Item) List(key string) []any { return value.List(it.values, key) }

// Set puts v under a top-level key.
func (it *Item) Set(key string, v any) {
	it.touch(key)
	it.values[key] = v
}

// Default puts v under a top-level key unless something is there, null included.
func (it *Item) Default(key string, v any) {
	if !it.Has(key) {
		it.Set(key, v)
	}
}

// Delete takes a top-level key out and returns what stood there.
func (it *Item) Delete(key string) any {
	v, ok := it.values[key]
	if ok {
		it.touch(key)
		delete(it.values, key)
	}
	return v
}

// Append adds to the list under a top-level key.
func (it *Item) Append(key string, more ...any) {
	it.Set(key, value.Append(it.List(key), more...))
}

// touch notes that the value under key is about to be changed.
func (it *Item) touch(key string) {
	if it.touched == nil {
		it.touched = make([]string, 0, 16)
	}
	if slices.Contains(it.touched, key) {
		return
	}
	it.touched = append(it.touched, key)
	if it.traced {
		it.before = append(it.before, it.at(key))
	}
}

// at is the value under a top-level key, explain.Absent without one.
func (it *Item) at(key string) any {
	if v, ok := it.values[key]; ok {
		return v
	}
	return explain.Absent
}

// Own returns the mapping at the path for writing, made if it is not there. Mappings nested in
// it stay shared and need an Own of their own. If something else than a mapping is in the way,
// the item fails with an error and the mapping returned leads nowhere.
func (it *Item) Own(path ...string) map[string]any {
	it.touch(path[0])
	m := it.values
	for i, key := range path {
		v, there := m[key]
		child, ok := v.(map[string]any)
		switch {
		case ok && it.owns(child):
		case ok:
			child = maps.Clone(child)
			if child == nil {
				child = map[string]any{}
			}
			m[key] = it.own(child)
		case !there || v == nil:
			child = it.own(map[string]any{})
			m[key] = child
		default:
			it.Fail(it.Errorf(strings.Join(path[:i+1], "."), "must be a mapping, not %s", value.Kind(v)))
			return map[string]any{}
		}
		m = child
	}
	return m
}

func pointer(m map[string]any) unsafe.Pointer { return reflect.ValueOf(m).UnsafePointer() }

// Mine returns m, a mapping that the caller made and is putting into the item's values: Own need not
// copy it.
func (it *Item) Mine(m map[string]any) map[string]any { return it.own(m) }

func (it *Item) own(m map[string]any) map[string]any {
	if it.owned == nil {
		it.owned = make([]unsafe.Pointer, 0, 12)
	}
	it.owned = append(it.owned, pointer(m))
	return m
}

func (it *Item) owns(m map[string]any) bool { return slices.Contains(it.owned, pointer(m)) }

// SetPath puts v at a dotted path; mappings on the way are made as needed.
func (it *Item) SetPath(path string, v any) {
	var few [6]string
	parts := few[:0]
	for part := range strings.SplitSeq(path, ".") {
		parts = append(parts, part)
	}
	last := len(parts) - 1
	if last == 0 {
		it.Set(path, v)
		return
	}
	it.Own(parts[:last]...)[parts[last]] = v
}

// Room returns the mapping under a top-level key for writing, as Own does, with room for more keys.
func (it *Item) Room(key string, more int) map[string]any {
	m, ok := it.values[key].(map[string]any)
	if !ok || it.owns(m) {
		return it.Own(key)
	}
	it.touch(key)
	roomy := make(map[string]any, len(m)+more)
	maps.Copy(roomy, m)
	it.values[key] = it.own(roomy)
	return roomy
}

// Substitute formats the strings of what stands at a dotted path; without anything there, found is
// false. Mappings that are the item's own are written to.
func (it *Item) Substitute(path string, names value.Names) (found bool, err error) {
	v, ok := it.Lookup(path)
	if !ok {
		return false, nil
	}
	if m, ok := v.(map[string]any); ok && it.owns(m) && value.SubstituteOwn(m, names) {
		top, _, _ := strings.Cut(path, ".")
		it.touch(top)
		return true, nil
	}
	n, err := value.Substitute(v, names)
	if err != nil {
		return true, err
	}
	it.SetPath(path, n)
	return true, nil
}

// Clear takes all values out of the item and returns the mapping for others; touched are the keys that
// the history shall name.
func (it *Item) Clear(touched ...string) map[string]any {
	for _, key := range touched {
		it.touch(key)
	}
	clear(it.values)
	it.owned = nil
	return it.values
}

// Become gives the item other values, which it takes over; touched are the keys that the
// history shall name.
func (it *Item) Become(values map[string]any, touched ...string) {
	for _, key := range touched {
		it.touch(key)
	}
	it.values, it.owned = values, nil
}

// Cell says in the item's history of which cell of a matrix it is.
func (it *Item) Cell(cell []explain.Dimension) { it.cell = cell }

// Note adds words to the item's history, such as the chunk it is.
func (it *Item) Note(text string) {
	if it.note != "" {
		text = it.note + "; " + text
	}
	it.note = text
}

// Fail makes the item fail once the running step is done; the first error counts.
func (it *Item) Fail(err error) {
	if it.err == nil {
		it.err = err
	}
}

// Label is the item's label, or the one it is going to have.
func (it *Item) Label() string {
	if label := it.String("label"); label != "" {
		return label
	}
	name := it.String("name")
	if name == "" {
		name = it.origin.Provenance.Entry
	}
	return it.origin.Provenance.Kind + "-" + name
}

// Errorf makes an error about what stands at a dotted path ("" for the item itself), with the
// file and line it came from.
func (it *Item) Errorf(path, format string, args ...any) error {
	var parts []string
	message := fmt.Sprintf(format, args...)
	if path != "" {
		parts = strings.Split(path, ".")
		message = path + ": " + message
	}
	file, line := it.Place(parts, false)
	return &graph.Error{File: file, Line: line, Label: it.Label(), Message: message}
}

// Place is the file and line from which the value at path came, as near as is known.
func (it *Item) Place(path []string, onKey bool) (file string, line int) {
	o := it.origin
	file, line = o.Provenance.File, o.Provenance.Line
	best := 0
	for _, n := range slices.Backward(o.Layers) { // the later layer covers the earlier
		depth := 0
		at := n
		for i, key := range path {
			next := at.Child(key)
			if onKey && i == len(path)-1 {
				next = at.Key(key)
			}
			if !next.OK() {
				break
			}
			at = next
			depth++
		}
		if depth > best {
			best, file, line = depth, at.File(), at.Line()
		}
	}
	return file, line
}

// Keys returns the keys of the mapping at path in the order in which people wrote them;
// keys that transforms added come after, sorted.
func (it *Item) Keys(path ...string) []string {
	v, _ := value.Get(it.values, strings.Join(path, "."))
	m, _ := v.(map[string]any)
	return it.KeysOf(m, path...)
}

// KeysOf is Keys for a mapping that came from path, elements of lists included.
func (it *Item) KeysOf(m map[string]any, path ...string) []string {
	out := make([]string, 0, len(m))
	seen := make(map[string]bool, len(m))
	add := func(key string) {
		if _, ok := m[key]; ok && !seen[key] {
			seen[key] = true
			out = append(out, key)
		}
	}
	for _, n := range it.origin.Layers {
		for _, key := range path {
			n = n.Child(key)
		}
		for _, key := range n.Keys() {
			add(key)
		}
	}
	if len(out) < len(m) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			add(key)
		}
	}
	return out
}

// finish closes a transform: what it touched becomes a step of the item's history.
func (it *Item) finish(transform string, steps *stepCache) {
	if len(it.touched) > 0 || it.note != "" || it.cell != nil {
		s := steps.of(transform, it.touched)
		if it.traced || it.note != "" || it.cell != nil {
			own := *s
			own.Note, own.Cell = it.note, it.cell
			if it.traced {
				own.Edits = it.edits(own.Keys)
			}
			s = &own
		}
		if len(it.steps) == cap(it.steps) { // most items have a handful
			it.steps = append(make([]*explain.Step, 0, len(it.steps)+3), it.steps...)
		}
		it.steps = append(it.steps, s)
	}
	it.touched, it.before, it.cell, it.note = it.touched[:0], nil, nil, ""
	if it.traced {
		it.owned = nil // the history refers to these mappings: the next transform copies them
	}
}

// edits gives the values of keys before and after the transform.
func (it *Item) edits(keys []string) []explain.Edit {
	out := make([]explain.Edit, len(keys))
	for i, key := range keys {
		out[i] = explain.Edit{Old: it.before[slices.Index(it.touched, key)], New: it.at(key)}
	}
	return out
}

// Trace makes the history of the item hold values, not only the keys that changed.
func (it *Item) Trace() { it.traced = true }

// stepCache shares the steps of a transform: most items of a kind have the same one.
type stepCache struct {
	keys []string // as they were touched
	last *explain.Step
}

func (c *stepCache) of(transform string, keys []string) *explain.Step {
	if c.last == nil || c.last.Transform != transform || !slices.Equal(keys, c.keys) {
		c.keys = slices.Clone(keys)
		c.last = &explain.Step{Transform: transform, Keys: slices.Sorted(slices.Values(keys))}
	}
	return c.last
}

// Task makes the finished task of the item.
func (it *Item) Task() (*graph.Task, error) {
	p := it.origin.Provenance
	p.Steps = it.steps
	if it.traced {
		p.Places = it.origin.places()
	}
	t := &graph.Task{Kind: p.Kind, Provenance: p, Label: it.String("label"), Description: it.String("description")}
	if err := it.Err(); err != nil {
		return nil, err
	}
	for _, key := range []string{"label", "description"} {
		if _, ok := it.values[key].(string); !ok {
			return nil, it.Errorf("", "the kind's last transform gave no %s; every task needs one", key)
		}
	}
	var ok bool
	if t.Definition, ok = it.values["task"].(map[string]any); !ok {
		return nil, it.Errorf("", "the kind's transforms gave no task definition; does the kind lack taskgraph.transforms.task?")
	}
	if t.Attributes, ok = it.values["attributes"].(map[string]any); !ok {
		return nil, it.Errorf("", "the kind's last transform gave no attributes")
	}
	if t.Attributes["kind"] != p.Kind {
		t.Attributes = maps.Clone(t.Attributes)
		t.Attributes["kind"] = p.Kind
	}
	if v := it.values["optimization"]; v != nil {
		if t.Optimization, ok = v.(map[string]any); !ok || len(t.Optimization) == 0 {
			return nil, it.Errorf("optimization", "must be null or a mapping of one strategy to its argument")
		}
	}
	return t, it.edges(t)
}

func (it *Item) edges(t *graph.Task) error {
	deps := it.Map("dependencies")
	t.Dependencies = make(map[string]string, len(deps))
	bad := ""
	for name, v := range deps {
		label, ok := v.(string)
		if !ok && (bad == "" || name < bad) {
			bad = name
		}
		t.Dependencies[name] = label
	}
	if bad != "" {
		return it.Errorf("dependencies."+bad, "must be the label of a task, not %s", value.Kind(deps[bad]))
	}
	for _, list := range []struct {
		key   string
		field *[]string
	}{{"soft-dependencies", &t.SoftDependencies}, {"if-dependencies", &t.IfDependencies}} {
		v := it.values[list.key]
		if v == nil {
			continue
		}
		var ok bool
		if *list.field, ok = value.Strings(v); !ok {
			return it.Errorf(list.key, "must be a list of labels")
		}
	}
	return nil
}

// Err is the error that makes the item fail, if there is one.
func (it *Item) Err() error { return it.err }

// ShortList writes list for people: the first few and how many more there are.
func ShortList(list []string) string {
	const most = 8
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:most], ", ") + " and " + strconv.Itoa(len(list)-most) + " more"
}
