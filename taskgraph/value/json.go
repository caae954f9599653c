package value

import (
	"sort"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// Compact writes v as JSON in one line without spaces, keys sorted, everything outside ASCII
// escaped: the form of JSON inside the values of a task (taskgraph-map 28, trap 19).
func Compact(v any) (string, error) {
	b, err := appendCompact(nil, v)
	return string(b), err
}

func appendCompact(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		return appendPairs(b, keys, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendCompact(b, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	return graph.AppendJSON(b, v)
}

// CompactOrdered is Compact for a mapping whose keys keep the order given; keys that m has not
// are left out.
func CompactOrdered(keys []string, m map[string]any) (string, error) {
	var in []string
	for _, k := range keys {
		if _, ok := m[k]; ok {
			in = append(in, k)
		}
	}
	b, err := appendPairs(nil, in, m)
	return string(b), err
}

func appendPairs(b []byte, keys []string, m map[string]any) ([]byte, error) {
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = graph.AppendJSON(b, k) // a string always has a form
		b = append(b, ':')
		var err error
		if b, err = appendCompact(b, m[k]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}
