package conformance_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Values that would be long stand in the test data as {"~": "what"}: nothing at all, a string of so
// many letters, so many items like one, so many members.
type (
	absent   struct{}
	repeated struct{ length int }
	counted  struct {
		length int
		like   any
	}
	members struct{ length int }
)

// MarshalJSON implements json.Marshaler.
func (absent) MarshalJSON() ([]byte, error) { return []byte(`{"~":"absent"}`), nil }

// MarshalJSON implements json.Marshaler.
func (r repeated) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"~":"x*%d"}`, r.length), nil
}

// MarshalJSON implements json.Marshaler.
func (m members) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"~":"members*%d"}`, m.length), nil
}

// MarshalJSON implements json.Marshaler.
func (c counted) MarshalJSON() ([]byte, error) {
	like, err := json.Marshal(c.like)
	return fmt.Appendf(nil, `{"~":"items*%d","like":%s}`, c.length, like), err
}

func manyOf(instance any, n int) any {
	if list, ok := instance.([]any); ok && len(list) > 0 {
		return counted{n, list[0]}
	}
	return make([]any, max(n, 0))
}

// decoded reads a value back from the test data.
func decoded(t testing.TB, data json.RawMessage) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	m, _ := v.(map[string]any)
	what, ok := m["~"].(string)
	if !ok {
		return v
	}
	name, count, _ := strings.Cut(what, "*")
	n, _ := strconv.Atoi(count)
	switch name {
	case "absent":
		return absent{}
	case "x":
		return repeated{n}
	case "members":
		return members{n}
	case "items":
		return counted{n, m["like"]}
	}
	t.Fatalf("no value is written %s", data)
	return nil
}

// spelled returns the value that is meant.
func spelled(v any) any {
	switch v := v.(type) {
	case repeated:
		return strings.Repeat("x", v.length)
	case members:
		m := map[string]any{}
		for i := range v.length {
			m["m"+strconv.Itoa(i)] = "x"
		}
		return m
	case counted:
		list := make([]any, v.length)
		for i := range list {
			list[i] = another(v.like, i)
		}
		return list
	}
	return v
}

const digits = "abcdefghijklmnop"

// another returns a value like the given, another one for each i below 65,536.
func another(like any, i int) any {
	switch v := like.(type) {
	case string:
		count := string([]byte{digits[i>>12&15], digits[i>>8&15], digits[i>>4&15], digits[i&15]})
		if len(v) == 22 { // a slugid: its first letters are free
			return count + v[4:]
		}
		return v + count
	case float64:
		return v + float64(i)
	case map[string]any:
		out := maps.Clone(v)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if s, ok := v[name].(string); ok && len(s) == 22 || ok && name == "name" {
				out[name] = another(s, i)
				return out
			}
		}
		return out
	}
	return like
}

// with returns a copy of an instance that has a value at a place, and false when there is no such
// place.
func with(instance any, at []string, value any) (any, bool) {
	if len(at) == 0 {
		_, none := value.(absent)
		return spelled(value), !none
	}
	switch v := instance.(type) {
	case map[string]any:
		out := maps.Clone(v)
		if _, none := value.(absent); none && len(at) == 1 {
			delete(out, at[0])
			return out, true
		}
		inner, ok := with(v[at[0]], at[1:], value)
		out[at[0]] = inner
		return out, ok
	case []any:
		i, err := strconv.Atoi(at[0])
		if err != nil || i >= len(v) {
			return nil, false
		}
		out := slices.Clone(v)
		if _, none := value.(absent); none && len(at) == 1 {
			return slices.Delete(out, i, i+1), true
		}
		inner, ok := with(v[i], at[1:], value)
		out[i] = inner
		return out, ok
	}
	return nil, false
}

// place splits a JSON pointer; names with slashes do not occur.
func place(pointer string) []string {
	if pointer == "" {
		return nil
	}
	return strings.Split(pointer[1:], "/")
}
