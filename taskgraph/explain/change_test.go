package explain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/explain"
)

func TestChangesAreToldKeyByKey(t *testing.T) {
	shared := map[string]any{"deep": []any{"as it was"}}
	for _, c := range []struct {
		name     string
		old, new any
		want     []string
	}{
		{"a value", int64(1), int64(2), []string{"k: 1 → 2"}},
		{"a whole number and one with a point", int64(1), 1.0, []string{"k: 1 → 1"}},
		{"no change", []any{"a", nil}, []any{"a", nil}, nil},
		{"a shared mapping", map[string]any{"a": shared}, map[string]any{"a": shared, "b": true}, []string{"+ k.b: true"}},
		{"null is a value", explain.Absent, nil, []string{"+ k: null"}},
		{"a value that is gone", "x", explain.Absent, []string{`- k: "x"`}},
		{"nested", map[string]any{"a": map[string]any{"b": "x"}}, map[string]any{"a": map[string]any{"b": "y", "c": "z"}}, []string{`k.a.b: "x" → "y"`, `+ k.a.c: "z"`}},
		{"more in a list", []any{"a", "z"}, []any{"a", "b", "c", "z"}, []string{`+ k[1…]: ["b", "c"]`}},
		{"fewer in a list", []any{"a", "b"}, []any{"b"}, []string{`- k[0…]: ["a"]`}},
		{"one of a list", []any{"a", map[string]any{"x": int64(1)}}, []any{"a", map[string]any{"x": int64(2)}}, []string{"k[1].x: 1 → 2"}},
		{"another type", []any{}, map[string]any{}, []string{"k: [] → {}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, change := range explain.Compare(nil, "k", c.old, c.new) {
				got = append(got, change.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValuesAreShownShort(t *testing.T) {
	list := make([]any, 100_000)
	for i := range list {
		list[i] = strings.Repeat("ü", 50)
	}
	for _, v := range []any{list, strings.Repeat("ü", 200), map[string]any{strings.Repeat("k", 200): list}} {
		if got := explain.Short(v); len(got) > 80 || !strings.HasSuffix(got, "…") || !strings.HasPrefix(got, got[:1]) {
			t.Errorf("%d bytes: %s", len(got), got)
		}
	}
}

func TestAStepTellsOfManyChangesHowManyMore(t *testing.T) {
	after := map[string]any{}
	for i := range 100 {
		after[fmt.Sprintf("k%02d", i)] = int64(i)
	}
	s := explain.Step{Transform: "t", Keys: []string{"m"}, Edits: []explain.Edit{{Old: map[string]any{}, New: after}}}.Resolve()
	if n := len(s.Changes); n != 25 || s.Changes[24].Key != "and 76 more" || s.Changes[3].String() != "+ m.k03: 3" {
		t.Errorf("%d changes: %v", n, s.Changes)
	}
}
