package diff

import (
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// scopesOf are the scopes of a task's definition, none of no task.
func scopesOf(t *graph.Task) []string {
	if t == nil {
		return nil
	}
	list, _ := value.Strings(t.Definition["scopes"])
	return list
}

// covers reports whether who holds these scopes has scope: one of them is the same, or ends in a star
// and begins it.
func covers(held []string, scope string) bool {
	return slices.ContainsFunc(held, func(h string) bool {
		prefix, star := strings.CutSuffix(h, "*")
		return h == scope || star && strings.HasPrefix(scope, prefix)
	})
}

// gained are the scopes that tasks of b have and that the same tasks of a have not, sorted; a task
// that a has not gains all it has.
func gained(a, b labelled) []Scope {
	who := map[string][]string{}
	for label, t := range b.tasks {
		had := scopesOf(a.tasks[label])
		for _, s := range scopesOf(t) {
			if !covers(had, s) {
				who[s] = append(who[s], label)
			}
		}
	}
	if len(who) == 0 {
		return []Scope{}
	}
	all := map[string]bool{}
	for _, t := range a.tasks {
		for _, s := range scopesOf(t) {
			all[s] = true
		}
	}
	held := slices.Collect(maps.Keys(all))
	out := make([]Scope, 0, len(who))
	for _, s := range slices.Sorted(maps.Keys(who)) {
		slices.Sort(who[s])
		out = append(out, Scope{Scope: s, Labels: slices.Compact(who[s]), New: !covers(held, s)})
	}
	return out
}
