package transform

import (
	"maps"
	"slices"
	"strconv"

	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Ordered is the value v, which came from path in the item, for format strings: mappings in it
// are shown with their keys in the order in which people wrote them.
func (it *Item) Ordered(v any, path ...string) any {
	if !holdsMapping(v) {
		return v
	}
	nodes := make([]source.Node, len(it.origin.Layers))
	for i, n := range it.origin.Layers {
		for _, key := range path {
			n = n.Child(key)
		}
		nodes[i] = n
	}
	return Ordered(v, nodes...)
}

// Ordered is v as it stands at nodes, for format strings.
func Ordered(v any, nodes ...source.Node) any {
	switch v := v.(type) {
	case map[string]any:
		o := value.Ordered{Keys: make([]string, 0, len(v)), Map: make(map[string]any, len(v))}
		add := func(key string) {
			e, ok := v[key]
			if _, seen := o.Map[key]; ok && !seen {
				o.Keys = append(o.Keys, key)
				o.Map[key] = Ordered(e, children(nodes, key)...)
			}
		}
		for _, n := range nodes {
			for _, key := range n.Keys() {
				add(key)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			add(key)
		}
		return o
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = Ordered(e, children(nodes, strconv.Itoa(i))...)
		}
		return out
	}
	return v
}

func children(nodes []source.Node, key string) []source.Node {
	out := make([]source.Node, len(nodes))
	for i, n := range nodes {
		out[i] = n.Child(key)
	}
	return out
}

func holdsMapping(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return true
	case []any:
		return slices.ContainsFunc(v, holdsMapping)
	}
	return false
}
