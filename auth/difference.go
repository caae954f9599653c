package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// maxChange is how many bytes of a change are kept in the audit trail.
const maxChange = 64 << 10

// member is how one member of an entity differs: lists of texts by what came and went, others by what
// they were and are. What is absent was not there.
type member struct {
	From    json.RawMessage `json:"from,omitempty"`
	To      json.RawMessage `json:"to,omitempty"`
	Added   []string        `json:"added,omitempty"`
	Removed []string        `json:"removed,omitempty"`
}

// Difference is how two states of an entity differ: a JSON object of the members that do, each as
// {"from", "to"}, or for lists of texts as {"added", "removed"}. Both are written as JSON objects; nil
// is an entity that is not there. It is nil when nothing differs.
func Difference(before, after any) (json.RawMessage, error) {
	was, err := members(before)
	if err != nil {
		return nil, err
	}
	is, err := members(after)
	if err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(was))
	for name := range is {
		if _, both := was[name]; !both {
			names = append(names, name)
		}
	}
	out := map[string]member{}
	for _, name := range names {
		if m, differs := compare(was[name], is[name]); differs {
			out[name] = m
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return json.Marshal(out)
}

func members(entity any) (map[string]json.RawMessage, error) {
	if entity == nil {
		return nil, nil
	}
	text, err := json.Marshal(entity)
	if err != nil {
		return nil, fmt.Errorf("an entity cannot be written as JSON: %w", err)
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("an entity is no JSON object: %w", err)
	}
	return out, nil
}

func compare(was, is json.RawMessage) (member, bool) {
	if bytes.Equal(was, is) {
		return member{}, false
	}
	before, ok := texts(was)
	after, both := texts(is)
	if !ok || !both {
		return member{From: was, To: is}, true
	}
	m := member{Added: without(after, before), Removed: without(before, after)}
	if len(m.Added)+len(m.Removed) == 0 && len(before)+len(after) > 0 { // another order, or twice the same
		return member{From: was, To: is}, true
	}
	return m, len(before)+len(after) > 0
}

// texts reads a list of texts; nothing at all is an empty one.
func texts(value json.RawMessage) (list []string, ok bool) {
	return list, value == nil || json.Unmarshal(value, &list) == nil && list != nil
}

func without(list, others []string) []string {
	known := make(map[string]bool, len(others))
	for _, s := range others {
		known[s] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return known[s] })
}

// shortened is a change as it is kept: of one that is too long, only which members differ.
func shortened(change json.RawMessage) json.RawMessage {
	if len(change) <= maxChange {
		return change
	}
	var out map[string]json.RawMessage
	if json.Unmarshal(change, &out) != nil {
		return nil
	}
	for name := range out {
		out[name] = json.RawMessage(`{"to": "(too long to be kept)"}`)
	}
	text, err := json.Marshal(out)
	if err != nil || len(text) > maxChange {
		return nil
	}
	return text
}
