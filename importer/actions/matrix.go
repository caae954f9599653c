package actions

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/importer/actions/source"
)

const maxCombinations = 256

// combination is one member of a matrix.
type combination struct {
	values map[string]any
	own    map[string]bool // the dimensions; what include added may be overwritten by another include
}

// matrix makes the combinations of a job; one without values where there is no matrix. ok is false when it is only
// known as things run.
func (f *flow) matrix(n *source.Node, sc *expr.Scope) (out []combination, ok bool) {
	out = []combination{{values: map[string]any{}, own: map[string]bool{}}}
	if n.Empty() {
		return out, true
	}
	v, known := f.resolve(n, sc)
	m, isMapping := v.(map[string]any)
	if !known || !isMapping {
		return out, false
	}
	keys := n.Keys
	if len(keys) == 0 {
		keys = slices.Sorted(maps.Keys(m))
	}
	dimensions := 0
	for _, k := range keys {
		if k == "include" || k == "exclude" {
			continue
		}
		list, isList := m[k].([]any)
		if !isList {
			return out, false
		}
		dimensions++
		var next []combination
		for _, c := range out {
			for _, x := range list {
				d := combination{values: maps.Clone(c.values), own: maps.Clone(c.own)}
				d.values[k], d.own[k] = x, true
				if next = append(next, d); len(next) > maxCombinations {
					f.left(n, fmt.Sprintf("a matrix of more than %d combinations", maxCombinations), "GitHub makes no more, and neither does the converter")
					return out[:1], false
				}
			}
		}
		out = next
	}
	if dimensions == 0 {
		out = nil
	}
	exclude, _ := m["exclude"].([]any)
	out = slices.DeleteFunc(out, func(c combination) bool {
		return slices.ContainsFunc(exclude, func(x any) bool {
			rule, _ := x.(map[string]any)
			return len(rule) > 0 && c.fits(rule)
		})
	})
	include, _ := m["include"].([]any)
	return included(out, include), true
}

func (c combination) fits(rule map[string]any) bool {
	for k, want := range rule {
		have, ok := c.values[k]
		if !ok || !same(have, want) {
			return false
		}
	}
	return true
}

func same(a, b any) bool {
	return reflect.DeepEqual(a, b) || expr.Text(a) == expr.Text(b)
}

// included adds each include to all combinations whose own values it does not change, or makes one of it.
func included(out []combination, include []any) []combination {
	original := len(out)
	for _, x := range include {
		add, isMapping := x.(map[string]any)
		if !isMapping || len(out) >= maxCombinations {
			continue
		}
		found := false
		for i := range out[:original] {
			changes := false
			for k, v := range add {
				changes = changes || out[i].own[k] && !same(out[i].values[k], v)
			}
			if !changes {
				maps.Copy(out[i].values, add)
				found = true
			}
		}
		if !found {
			out = append(out, combination{values: maps.Clone(add), own: map[string]bool{}})
		}
	}
	return out
}

// resolve is a node's value with its expressions computed; ok is false when one of them is not known.
func (f *flow) resolve(n *source.Node, sc *expr.Scope) (v any, ok bool) {
	switch {
	case n == nil || n.Kind == source.Null:
		return nil, true
	case n.Kind == source.Scalar:
		if strings.Contains(n.Text, "${{") {
			return sc.Value(n.Text)
		}
		return n.Plain(), true
	case n.Kind == source.Sequence:
		out := []any{}
		for _, i := range n.Items {
			v, ok := f.resolve(i, sc)
			if !ok {
				return nil, false
			}
			out = append(out, v)
		}
		return out, true
	}
	out := map[string]any{}
	for _, k := range n.Keys {
		if out[k], ok = f.resolve(n.At(k), sc); !ok {
			return nil, false
		}
	}
	return out, true
}

// names are short names for the combinations of a job: the values that differ.
func names(id string, list []combination) []string {
	if len(list) == 1 {
		return []string{id}
	}
	differ := map[string]map[string]bool{}
	var keys []string
	for _, c := range list {
		for k := range c.values {
			if differ[k] == nil {
				differ[k] = map[string]bool{}
				keys = append(keys, k)
			}
		}
	}
	slices.Sort(keys)
	for _, c := range list {
		for _, k := range keys {
			differ[k][expr.Text(c.values[k])] = true
		}
	}
	out, seen := make([]string, len(list)), map[string]int{}
	for i, c := range list {
		name := id
		for _, k := range keys {
			switch v := c.values[k].(type) {
			case string, float64, bool:
				if t := dotted(expr.Text(v)); len(differ[k]) > 1 && t != "" && len(t) < 25 && len(name) < 60 {
					switch v {
					case true:
						t = k
					case false:
						t = "no-" + k
					}
					name += "-" + t
				}
			}
		}
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s-%d", name, seen[name])
		}
		out[i] = name
	}
	return out
}

// dotted is a slug that keeps the dots of versions.
func dotted(s string) string {
	return strings.Trim(notDotted.ReplaceAllString(strings.ToLower(s), "-"), "-.")
}
