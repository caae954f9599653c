package scope_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
)

func TestTemplateRender(t *testing.T) {
	tests := []struct {
		name, template string
		params         map[string]any
		want           string
		names          []string
	}{
		{"plain", `"a:b"`, nil, `"a:b"`, nil},
		{"parameters", `"a:<x>/<y>"`, map[string]any{"x": "1", "y": 2}, `"a:1/2"`, []string{"x", "y"}},
		{"a parameter that looks like a hole is not filled again", `"a:<x>"`, map[string]any{"x": "<y>", "y": "no"}, `"a:<y>"`, []string{"x"}},
		{"the role parameter is no hole", `"a:<..>"`, nil, `"a:<..>"`, nil},
		{"nested lists", `{"AnyOf":["a",{"AllOf":["b:<x>","c"]}]}`, map[string]any{"x": "1"}, `{"AnyOf":["a",{"AllOf":["b:1","c"]}]}`, []string{"x"}},
		{"a loop", `{"for":"s","in":"scopes","each":"<s>"}`, map[string]any{"scopes": []string{"a", "b*"}}, `{"AllOf":["a","b*"]}`, []string{"scopes"}},
		{"a loop over nothing asks for nothing", `{"for":"s","in":"scopes","each":"<s>"}`, map[string]any{"scopes": []any{}}, `{"AllOf":[]}`, []string{"scopes"}},
		{"a loop sees outer parameters", `{"for":"r","in":"rs","each":{"AnyOf":["a:<r>:<x>","b"]}}`, map[string]any{"rs": []any{"1"}, "x": "2"}, `{"AllOf":[{"AnyOf":["a:1:2","b"]}]}`, []string{"rs", "x"}},
		{"a condition that holds", `{"if":"private","then":"a:<x>","else":"b"}`, map[string]any{"private": true, "x": "1"}, `"a:1"`, []string{"private", "x"}},
		{"a condition that does not", `{"if":"private","then":"a:<x>","else":"b"}`, map[string]any{"private": false}, `"b"`, []string{"private", "x"}},
		{"a missing branch asks for nothing", `{"if":"private","then":"a"}`, map[string]any{"private": false}, `{"AllOf":[]}`, []string{"private"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tmpl, err := scope.ParseTemplate([]byte(tt.template))
			if err != nil {
				t.Fatal(err)
			}
			expr, err := tmpl.Render(tt.params)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(expr)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(canonical(t, tt.want), canonical(t, string(got))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.names, tmpl.Params()); diff != "" {
				t.Error(diff)
			}
			back, err := json.Marshal(tmpl)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(canonical(t, tt.template), canonical(t, string(back))); diff != "" {
				t.Error(diff)
			}
			var again scope.Expr
			if err := json.Unmarshal(got, &again); err != nil || again.Pretty() != expr.Pretty() {
				t.Errorf("expression read back as %s (%v)", again.Pretty(), err)
			}
		})
	}
}

func TestTemplateRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, bad := range []string{``, `7`, `[]`, `{}`, `{"AllOf":"a"}`, `{"AllOf":[null]}`, `{"AnyOf":[],"AllOf":[]}`, `{"for":"x","in":"y"}`,
		`{"for":1,"in":"y","each":"a"}`, `{"for":"x","in":"y","each":null}`, `{"if":1,"then":"a"}`, `{"if":"x","when":"a"}`, `{"OneOf":[]}`} {
		if _, err := scope.ParseTemplate([]byte(bad)); !errors.Is(err, fault.Invalid) {
			t.Errorf("ParseTemplate(%s) = %v", bad, err)
		}
	}
	if tmpl, err := scope.ParseTemplate([]byte("null")); tmpl != nil || err != nil {
		t.Errorf("null = %v, %v", tmpl, err)
	}
	for _, bad := range []scope.Template{scope.Text("a:<x>"), scope.For{Each: "s", In: "x", Body: scope.Text("<s>")}, scope.If{Cond: "x"}, scope.Any{scope.Text("<x>")}} {
		if _, err := bad.Render(map[string]any{"x": 1.5}); !errors.Is(err, fault.Internal) {
			t.Errorf("%#v with a number rendered: %v", bad, err)
		}
	}
}

func canonical(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{`"a:<x>"`, `{"AnyOf":["a",{"AllOf":["<x>"]}]}`, `{"for":"s","in":"list","each":"<s>"}`, `{"if":"yes","then":"a","else":null}`, `null`} {
		f.Add([]byte(seed))
	}
	params := map[string]any{"x": "1", "list": []string{"a", "b"}, "yes": true}
	f.Fuzz(func(t *testing.T, data []byte) {
		tmpl, err := scope.ParseTemplate(data)
		if err != nil || tmpl == nil {
			return
		}
		out, err := json.Marshal(tmpl)
		if err != nil {
			t.Fatalf("%s cannot be written: %v", data, err)
		}
		if _, err := scope.ParseTemplate(out); err != nil {
			t.Fatalf("%s was written as %s, which cannot be read: %v", data, out, err)
		}
		if expr, err := tmpl.Render(params); err == nil {
			scope.Satisfies([]string{"*"}, expr)
		}
	})
}

func FuzzScopes(f *testing.F) {
	f.Add("a:*", "a:b", "a:")
	f.Add("*", "**", "a**")
	f.Fuzz(func(t *testing.T, a, b, want string) {
		have := []string{a, b}
		if scope.Satisfies(have, scope.String(want)) != scope.Satisfies(scope.Normalize(have), scope.String(want)) {
			t.Fatalf("normalizing %q changes the answer for %q", have, want)
		}
	})
}
