package keyedby_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

func TestEvaluate(t *testing.T) {
	cases := []struct {
		name, yaml string
		attributes value.NameMap
		options    keyedby.Options
		want       any
		wantErr    string
	}{
		{name: "a plain value stays", yaml: "{a: 1, b: 2}", want: map[string]any{"a": int64(1), "b": int64(2)}},
		{name: "an exact key wins over expressions", yaml: "{by-p: {lin.*: 1, linux: 2, default: 3}}", attributes: value.NameMap{"p": "linux"}, want: int64(2)},
		{name: "an expression is anchored at both ends", yaml: "{by-p: {inu: 1, lin: 2, default: 3}}", attributes: value.NameMap{"p": "linux"}, want: int64(3)},
		{name: "only the last alternative is anchored at the end", yaml: "{by-p: {'linux|win': 1, default: 2}}", attributes: value.NameMap{"p": "linux64"}, want: int64(1)},
		{name: "special characters are read as an expression", yaml: "{by-p: {'1.0': 1, default: 2}}", attributes: value.NameMap{"p": "1x0"}, want: int64(1)},
		{name: "an end of line is not part of the text", yaml: "{by-p: {'a.': 1, default: 2}}", attributes: value.NameMap{"p": "ab\n"}, want: int64(1)},
		{name: "an unknown attribute takes default", yaml: "{by-typo: {a: 1, default: 2}}", want: int64(2)},
		{name: "an empty text is a value", yaml: "{by-p: {'': 1, default: 2}}", attributes: value.NameMap{"p": ""}, want: int64(1)},
		{name: "choices nest", yaml: "{by-p: {a: {by-q: {b: 1, default: 2}}, default: 3}}", attributes: value.NameMap{"p": "a", "q": "b"}, want: int64(1)},
		{name: "an arm may be null", yaml: "{by-p: {a: null, default: 3}}", attributes: value.NameMap{"p": "a"}, want: nil},
		{name: "integer keys match", yaml: "{by-level: {3: a, default: b}}", attributes: value.NameMap{"level": "3"}, want: "a"},
		{name: "booleans match by name", yaml: "{by-x: {yes: a, default: b}}", attributes: value.NameMap{"x": true}, want: "a"},
		{name: "an end of line is not part of a literal either", yaml: "{by-p: {ab: 1, default: 2}}", attributes: value.NameMap{"p": "ab\n"}, want: int64(1)},
		{name: "expressions look around", yaml: "{by-p: {'linux(?!32).*': 1, default: 2}}", attributes: value.NameMap{"p": "linux64"}, want: int64(1)},
		{name: "classes are of Unicode", yaml: "{by-p: {'Stra\\we': 1, default: 2}}", attributes: value.NameMap{"p": "Straße"}, want: int64(1)},
		{name: "a null attribute takes default", yaml: "{by-p: {a: 1, default: 2}}", attributes: value.NameMap{"p": nil}, want: int64(2)},
		{name: "integers choose integer keys", yaml: "{by-p: {1: a, default: b}}", attributes: value.NameMap{"p": int64(1)}, want: "a"},
		{name: "default is an arm like others", yaml: "{by-p: {default: a, x: b}}", attributes: value.NameMap{"p": "default"}, want: "a"},
		{name: "a mapping of two keys is no choice", yaml: "{by-p: {a: 1}, by-q: {a: 1}}", want: map[string]any{"by-p": map[string]any{"a": int64(1)}, "by-q": map[string]any{"a": int64(1)}}},
		{name: "a deferred choice stays", yaml: "{by-p: {a: 1, b: 2}}", options: keyedby.Options{Defer: []string{"p"}}, want: map[string]any{"by-p": map[string]any{"a": int64(1), "b": int64(2)}}},
		{name: "several may be allowed", yaml: "{by-p: {'b.*': 1, 'bu.*': 2}}", attributes: value.NameMap{"p": "build"}, options: keyedby.Options{AllowSeveral: true}, want: int64(1)},

		{name: "only default", yaml: "{by-p: {default: 1}}", wantErr: `thing: by-p is unnecessary with only the value "default"`},
		{name: "no attribute and no default", yaml: "{by-p: {a: 1, b: 2}}", wantErr: `thing: there is no attribute "p" here`},
		{name: "nothing matches", yaml: "{by-p: {linux: 1, mac: 2}}", attributes: value.NameMap{"p": "linus"}, wantErr: `neither a key that matches "linus" nor "default"; is "linux" meant?`},
		{name: "several match", yaml: "{by-p: {'b.*': 1, 'bu.*': 2}}", attributes: value.NameMap{"p": "build"}, wantErr: `several keys of by-p match "build": b.*, bu.*`},
		{name: "a bad expression", yaml: "{by-p: {'a(': 1, default: 2}}", attributes: value.NameMap{"p": "b"}, wantErr: `"a(" is no regular expression: missing closing ) in`},
		{name: "an expression that never ends", yaml: "{by-p: {'(a+)+b': 1, default: 2}}", attributes: value.NameMap{"p": strings.Repeat("a", 100)}, wantErr: "it takes too long to match"},
		{name: "no arms", yaml: "{by-p: {}}", attributes: value.NameMap{"p": "b"}, wantErr: `neither a key that matches "b" nor "default"`},
		{name: "arms that are no mapping", yaml: "{by-p: [a]}", attributes: value.NameMap{"p": "b"}, wantErr: "must hold a mapping"},
		{name: "an attribute that is a list", yaml: "{by-p: {a: 1, b: 2}}", attributes: value.NameMap{"p": []any{}}, wantErr: "cannot choose by a list"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, err := source.Parse("x.yml", []byte(c.yaml))
			if err != nil {
				t.Fatal(err)
			}
			var r keyedby.Resolver
			got, err := r.Evaluate(f.Value, "thing", c.attributes, c.options)
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Fatalf("got %v, %v; want error %q", got, err, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNestingEnds(t *testing.T) {
	v := any("end")
	for range 200 {
		v = map[string]any{"by-p": map[string]any{"a": v, "b": "x"}}
	}
	var r keyedby.Resolver
	if _, err := r.Evaluate(v, "thing", value.NameMap{"p": "a"}, keyedby.Options{}); err == nil || !strings.Contains(err.Error(), "thing: choices are nested deeper than 100 levels") {
		t.Error(err)
	}
}
