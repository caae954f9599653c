package scope_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
)

var (
	leaf  = scope.String
	allOf = scope.AllOf
	anyOf = scope.AnyOf
)

func TestSatisfies(t *testing.T) {
	tests := []struct {
		name string
		have []string
		want scope.Expr
		ok   bool
	}{
		{"equal scopes", []string{"a:b"}, leaf("a:b"), true},
		{"a different scope", []string{"a:b"}, leaf("a:c"), false},
		{"a pattern covers a longer scope", []string{"a:*"}, leaf("a:b"), true},
		{"a pattern covers the bare prefix", []string{"a:*"}, leaf("a:"), true},
		{"a pattern does not cover less than its prefix", []string{"a:*"}, leaf("a"), false},
		{"a required star is literal", []string{"a:b"}, leaf("a:*"), false},
		{"a required star is covered by itself", []string{"a:*"}, leaf("a:*"), true},
		{"a required star is covered by a shorter pattern", []string{"a*"}, leaf("a:*"), true},
		{"the lone star covers all", []string{"*"}, leaf("a:*"), true},
		{"a star in the middle means nothing", []string{"a*c"}, leaf("abc"), false},
		{"a star in the middle equals itself", []string{"a*c"}, leaf("a*c"), true},
		{"AllOf needs every member", []string{"a"}, allOf(leaf("a"), leaf("b")), false},
		{"AllOf with every member", []string{"a", "b"}, allOf(leaf("a"), leaf("b")), true},
		{"an empty AllOf asks for nothing", nil, allOf(), true},
		{"AnyOf needs one member", []string{"b"}, anyOf(leaf("a"), leaf("b")), true},
		{"AnyOf with no member held", []string{"c"}, anyOf(leaf("a"), leaf("b")), false},
		{"an empty AnyOf is out of reach", []string{"*"}, anyOf(), false},
		{"nested", []string{"a", "c*"}, allOf(leaf("a"), anyOf(leaf("b"), allOf(leaf("c"), leaf("cd")))), true},
		{"the zero expression refuses even the star", []string{"*"}, scope.Expr{}, false},
		{"overlapping patterns", []string{"abc*", "ab*", "abd*"}, leaf("abz"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := scope.Satisfies(tt.have, tt.want); got != tt.ok {
				t.Errorf("Satisfies(%q, %s) = %v", tt.have, tt.want.Pretty(), got)
			}
		})
	}
}

func TestCheckSaysWhatIsMissing(t *testing.T) {
	want := allOf(leaf("queue:create-task:low:p/w"), anyOf(leaf("x"), leaf("y")), leaf("held:one"))
	t.Run("with nothing missing there is no error", func(t *testing.T) {
		if err := scope.Check("c", false, []string{"*"}, want); err != nil {
			t.Error(err)
		}
	})
	t.Run("a client sees the missing part first and the whole after", func(t *testing.T) {
		err := scope.Check("some/client", false, []string{"held:*", "secret-of-the-caller"}, want)
		if !errors.Is(err, fault.Forbidden) {
			t.Fatalf("kind of %v", err)
		}
		blocks := strings.Split(fault.Message(err), "```")
		if len(blocks) != 5 {
			t.Fatalf("%d fenced parts in %q", len(blocks), fault.Message(err))
		}
		if !strings.Contains(blocks[0], "some/client") {
			t.Errorf("the client is not named in %q", blocks[0])
		}
		var missing, whole any
		if err := errors.Join(json.Unmarshal([]byte(blocks[1]), &missing), json.Unmarshal([]byte(blocks[3]), &whole)); err != nil {
			t.Fatal(err)
		}
		wantMissing := map[string]any{"AllOf": []any{"queue:create-task:low:p/w", map[string]any{"AnyOf": []any{"x", "y"}}}}
		if diff := cmp.Diff(wantMissing, missing); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(blocks[3], "held:one") || strings.Contains(fault.Message(err), "secret-of-the-caller") {
			t.Errorf("message %q", fault.Message(err))
		}
	})
	t.Run("one missing scope stands bare in its block", func(t *testing.T) {
		err := scope.Check("c", false, []string{"held:one", "x"}, want)
		if got := strings.Split(fault.Message(err), "```")[1]; got != "\nqueue:create-task:low:p/w\n" {
			t.Errorf("first block %q", got)
		}
	})
	t.Run("an anonymous caller sees the whole expression once", func(t *testing.T) {
		err := scope.Check("", true, nil, want)
		if n := strings.Count(fault.Message(err), "```"); n != 2 || !strings.Contains(fault.Message(err), "held:one") {
			t.Errorf("message %q", fault.Message(err))
		}
	})
}

func TestNormalize(t *testing.T) {
	tests := []struct {
		name     string
		in, want []string
	}{
		{"nothing", nil, []string{}},
		{"sorted and each once", []string{"b", "a", "b"}, []string{"a", "b"}},
		{"a pattern swallows what it covers", []string{"a:b", "a:*", "a:b:c", "b"}, []string{"a:*", "b"}},
		{"a pattern swallows patterns", []string{"a:b*", "a*", "a:*"}, []string{"a*"}},
		{"the bare prefix is swallowed", []string{"a", "a*"}, []string{"a*"}},
		{"the star swallows all", []string{"z", "*", "a*"}, []string{"*"}},
		{"characters below the star do not hide the pattern", []string{"a!b", "a*", "a b"}, []string{"a*"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, scope.Normalize(tt.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValid(t *testing.T) {
	for s, want := range map[string]bool{"a:b": true, "a b*": true, "*": true, "": false, "**": false, "a**": false, "a\n": false, "é": false, "a\x7f": false} {
		if scope.Valid(s) != want {
			t.Errorf("Valid(%q) = %v", s, !want)
		}
	}
}

// scopes draws from a tiny alphabet, so that the draws cover each other often.
func scopes() *rapid.Generator[[]string] {
	return rapid.SliceOfN(rapid.StringMatching(`[ab:]{0,4}\*?`), 0, 8)
}

func TestLaws(t *testing.T) {
	t.Run("a set answers as the plain definition does", rapid.MakeCheck(func(t *rapid.T) {
		have, want := scopes().Draw(t, "have"), rapid.StringMatching(`[ab:]{0,5}\*?`).Draw(t, "want")
		plain := slices.ContainsFunc(have, func(h string) bool {
			return h == want || strings.HasSuffix(h, "*") && strings.HasPrefix(want, h[:len(h)-1])
		})
		if got := scope.Satisfies(have, leaf(want)); got != plain {
			t.Fatalf("Satisfies(%q, %q) = %v", have, want, got)
		}
	}))
	t.Run("normalizing changes no answer and is idempotent", rapid.MakeCheck(func(t *rapid.T) {
		have, want := scopes().Draw(t, "have"), rapid.StringMatching(`[ab:]{0,5}\*?`).Draw(t, "want")
		n := scope.Normalize(have)
		if scope.Satisfies(have, leaf(want)) != scope.Satisfies(n, leaf(want)) {
			t.Fatalf("%q normalizes to %q, which answers %q differently", have, n, want)
		}
		if diff := cmp.Diff(n, scope.Normalize(n)); diff != "" {
			t.Fatal(diff)
		}
		for i, s := range n {
			if scope.Satisfies(slices.Delete(slices.Clone(n), i, i+1), leaf(s)) {
				t.Fatalf("%q in %q is covered by the others", s, n)
			}
		}
	}))
	t.Run("satisfaction is transitive", rapid.MakeCheck(func(t *rapid.T) {
		a, b, c := scopes().Draw(t, "a"), scopes().Draw(t, "b"), scopes().Draw(t, "c")
		if scope.Satisfies(a, scope.Strings(b...)) && scope.Satisfies(b, scope.Strings(c...)) && !scope.Satisfies(a, scope.Strings(c...)) {
			t.Fatalf("%q ⊇ %q ⊇ %q, but not the first ⊇ the last", a, b, c)
		}
	}))
	t.Run("what is missing is missing, and having it suffices", rapid.MakeCheck(func(t *rapid.T) {
		have := scopes().Draw(t, "have")
		want := drawExpr(t, 3)
		missing, ok := scope.NewSet(have).Missing(want)
		if !ok {
			return
		}
		if scope.Satisfies(have, missing) {
			t.Fatalf("%q satisfies %s", have, missing.Pretty())
		}
		if more := append(slices.Clone(have), missing.Scopes()...); scope.Satisfies(more, missing) && !scope.Satisfies(more, want) {
			t.Fatalf("%q do not satisfy %s", more, want.Pretty())
		}
	}))
}

func drawExpr(t *rapid.T, depth int) scope.Expr {
	kind := rapid.IntRange(0, 2).Draw(t, "kind")
	if depth == 0 || kind == 0 {
		return leaf(rapid.StringMatching(`[ab:]{0,4}\*?`).Draw(t, "leaf"))
	}
	list := make([]scope.Expr, rapid.IntRange(0, 3).Draw(t, "members"))
	for i := range list {
		list[i] = drawExpr(t, depth-1)
	}
	if kind == 1 {
		return allOf(list...)
	}
	return anyOf(list...)
}
