package value_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/value"
)

func TestFormat(t *testing.T) {
	names := value.NameMap{
		"name": "x", "n": int64(42), "f": 1.5, "yes": true, "none": nil, "list": []any{"a", int64(1)},
		"matrix": map[string]any{"os": "linux", "a b": "spaced", "0": "zero", "deep": map[string]any{"k": "v"}}, "w": int64(6),
	}
	cases := []struct{ in, want string }{
		{"plain", "plain"}, {"{name}-{n}", "x-42"}, {"{{name}}", "{name}"}, {"}}{{", "}{"},
		{"{matrix[os]}", "linux"}, {"{matrix[a b]}", "spaced"}, {"{matrix[deep][k]}", "v"}, {"{matrix[0]}", "zero"}, {"{list[1]}", "1"},
		{"{yes} {none} {f}", "True None 1.5"}, {"{list}", "['a', 1]"}, {"{matrix[deep]!r}", "{'k': 'v'}"}, {"{name!r}", "'x'"},
		{"{n:05d}", "00042"}, {"{n:>{w}}|", "    42|"}, {"{name:*^5}", "**x**"}, {"{n:x} {n:#X} {n:b}", "2a 0X2A 101010"}, {"{n:,}", "42"},
		{"{f:.2f} {f:+.0%}", "1.50 +150%"}, {"{name:3}|{n:3}|", "x  | 42|"}, {"{yes:d}", "1"}, {"{f:08.3f}", "0001.500"},
	}
	for _, c := range cases {
		got, err := value.Format(c.in, names)
		if err != nil || got != c.want {
			t.Errorf("%q gives %q, %v; want %q", c.in, got, err, c.want)
		}
	}
	bad := map[string]string{
		"{nobody}": `{nobody} is not known here`, "{": "never closed", "}": "single }", "{0}": "by name, not by place", "{}": "by name",
		"{name:d}": "does not fit a string", "{matrix[gone]}": `there is no "gone"`, "{name!z}": "!s, !r, !a", "{n:99999999}": "not understood",
		"{name[os]}": `there is no "os"`, "{none:5}": "does not fit null", "{matrix[]}": "must hold a key", "{n:{w:{w}}}": "nested too deep",
	}
	for in, want := range bad {
		if got, err := value.Format(in, names); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %q, %v; want an error with %q", in, got, err, want)
		}
	}
}

func TestSubstituteSharesWhatStays(t *testing.T) {
	in := map[string]any{"{name}": "k", "same": map[string]any{"a": []any{"b", int64(1)}}, "list": []any{"{name}", "y"}}
	out, err := value.Substitute(in, value.NameMap{"name": "x"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"x": "k", "same": map[string]any{"a": []any{"b", int64(1)}}, "list": []any{"x", "y"}}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	if !value.Same(in["same"].(map[string]any), out.(map[string]any)["same"].(map[string]any)) {
		t.Error("what did not change was copied")
	}
	if in["list"].([]any)[0] != "{name}" {
		t.Error("the input was changed")
	}
}

func TestMerge(t *testing.T) {
	m := func(kv ...any) map[string]any {
		out := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i].(string)] = kv[i+1]
		}
		return out
	}
	cases := []struct {
		name                string
		parent, child, want map[string]any
	}{
		{"mappings merge", m("a", m("b", "1", "c", "2")), m("a", m("c", "3")), m("a", m("b", "1", "c", "3"))},
		{"lists append", m("a", []any{"1"}), m("a", []any{"2"}), m("a", []any{"1", "2"})},
		{"a choice replaces", m("a", m("b", "1")), m("a", m("by-x", m())), m("a", m("by-x", m()))},
		{"a mapping merges into a choice", m("a", m("by-x", m())), m("a", m("b", "1")), m("a", m("by-x", m(), "b", "1"))},
		{"scalars replace", m("a", "1"), m("a", int64(2)), m("a", int64(2))},
		{"null replaces", m("a", []any{"1"}), m("a", nil), m("a", nil)},
		{"no parent", nil, m("a", "1"), m("a", "1")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, value.Merge(c.parent, c.child)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCompact(t *testing.T) {
	v := map[string]any{"b": []any{int64(1), nil, map[string]any{}}, "a": "é<"}
	if got, err := value.Compact(v); err != nil || got != `{"a":"\u00e9<","b":[1,null,{}]}` {
		t.Error(got, err)
	}
	if got, err := value.CompactOrdered([]string{"b", "zz", "a"}, v); err != nil || got != `{"b":[1,null,{}],"a":"\u00e9<"}` {
		t.Error(got, err)
	}
}

func FuzzFormat(f *testing.F) {
	for _, s := range []string{"{a}", "{a[b]!r:>{w}}", "{{}}", "{a.b[c]}", "{a:0=+#9,.3f}"} {
		f.Add(s)
	}
	names := value.NameMap{"a": map[string]any{"b": "c", "n": int64(-5)}, "w": int64(4)}
	f.Fuzz(func(t *testing.T, s string) {
		if out, err := value.Format(s, names); err == nil && !strings.ContainsAny(s, "{}") && out != s {
			t.Fatalf("%q became %q", s, out)
		}
	})
}
