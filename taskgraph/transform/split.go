package transform

import (
	"maps"
	"slices"
	"unsafe"
)

// spares are items that became tasks. Items pass a row one after the other, so that what an entry is split into
// can be made of the few that went before, and memory is not asked for again.
type spares struct{ items []*Item }

// Split returns an item with the same values and history. Both may be changed apart.
func (it *Item) Split() *Item {
	const more = 8 // room for what the next transforms add
	it.owned = nil
	part := it.spares.take()
	if part == nil {
		part = &Item{values: make(map[string]any, len(it.values)+more), touched: make([]string, 0, 16), owned: make([]unsafe.Pointer, 0, 12)}
	}
	maps.Copy(part.values, it.values)
	*part = Item{
		values:  part.values,
		owned:   part.owned,
		origin:  it.origin,
		steps:   it.steps[:len(it.steps):len(it.steps)],
		touched: append(part.touched, it.touched...),
		traced:  it.traced,
		before:  slices.Clone(it.before),
		cell:    it.cell,
		note:    it.note,
		err:     it.err,
		spares:  it.spares,
		split:   true,
	}
	return part
}

// take gives an item without values, nil if there is none.
func (s *spares) take() *Item {
	if s == nil || len(s.items) == 0 {
		return nil
	}
	last := len(s.items) - 1
	it := s.items[last]
	s.items = s.items[:last]
	return it
}

// put keeps an item that has become a task, and that nothing refers to any more, if an item was split into it. What a
// traced item holds belongs to the history.
func (s *spares) put(it *Item) {
	const most = 4
	if !it.split || it.spares != s || it.traced || len(s.items) == most {
		return
	}
	clear(it.values)
	clear(it.owned) // what they pointed to shall go
	it.owned, it.touched = it.owned[:0], it.touched[:0]
	s.items = append(s.items, it)
}
