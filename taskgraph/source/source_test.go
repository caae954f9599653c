package source_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/source"
)

func TestScalarsFollowYAML11(t *testing.T) {
	cases := map[string]any{
		"on": true, "Yes": true, "no": false, "OFF": false, "y": "y", "true": true, "~": nil, "null": nil, "": nil,
		"12": int64(12), "-7": int64(-7), "+7": int64(7), "010": int64(8), "0o10": "0o10", "08": "08", "0x1F": int64(31), "0b101": int64(5),
		"1_000": int64(1000), "1:30": int64(90), "1:30:00": int64(5400), "1:75": "1:75", "0": int64(0),
		"1.5": 1.5, "1.": 1.0, ".5": 0.5, "1e5": "1e5", "1.0e5": "1.0e5", "1.0e+5": 1e5, ".inf": math.Inf(1), "-.INF": math.Inf(-1),
		"1.2.3": "1.2.3", "2026-01-01": "2026-01-01", "-": "-", "--x": "--x", "+": "+", ".": ".", "3 days": "3 days", "1.0": 1.0,
		"'12'": "12", `"on"`: "on", "!!str 12": "12", "c3333333333333333333333333333333333333d0": "c3333333333333333333333333333333333333d0",
		"none": "none", "1:2:x": "1:2:x",
	}
	for text, want := range cases {
		if text == "-" {
			continue // an empty list item
		}
		f, err := source.Parse("f.yml", []byte("k: "+text+"\n"))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(map[string]any{"k": want}, f.Value); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestKeysMergesAndAliases(t *testing.T) {
	f, err := source.Parse("f.yml", []byte(`
base: &base {b: 1, a: 2}
other: &other
  c: 3
  a: 9
use:
  z: 0
  <<: [*base, *other]
  a: own
by-level: {3: x, on: y, 010: z, 1.5: w}
list: &list [*base]
again: *list
`))
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Map()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"base": map[string]any{"b": int64(1), "a": int64(2)}, "other": map[string]any{"c": int64(3), "a": int64(9)},
		"use":      map[string]any{"z": int64(0), "b": int64(1), "a": "own", "c": int64(3)},
		"by-level": map[string]any{"3": "x", "true": "y", "8": "z", "1.5": "w"},
		"list":     []any{map[string]any{"b": int64(1), "a": int64(2)}}, "again": []any{map[string]any{"b": int64(1), "a": int64(2)}},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	use := f.Root().Child("use")
	if diff := cmp.Diff([]string{"b", "a", "c", "z"}, use.Keys()); diff != "" {
		t.Error(diff)
	}
	for path, line := range map[string]int{"a": 9, "c": 4, "z": 7, "b": 2} {
		if got := use.Child(path).Line(); got != line {
			t.Errorf("use.%s is on line %d, want %d", path, got, line)
		}
	}
	if got := f.Root().Child("again").Child("0").Child("a").Line(); got != 2 {
		t.Errorf("again[0].a is on line %d", got)
	}
	if got := f.Root().Key("use").Line(); got != 6 {
		t.Errorf("the key use is on line %d", got)
	}
}

func TestFaultsHaveFileAndLine(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 9; i++ {
		prev := "*a" + string(rune('0'+i-1))
		bomb += "a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.Repeat(prev+",", 9) + prev + "]\n"
	}
	cases := []struct{ name, text, want string }{
		{"syntax", "a: 1\nb: [1, 2\nc: 3\n", "kind.yml:"},
		{"a tab", "a:\n\tb: 1\n", "kind.yml:2: is not valid YAML: found character that cannot start any token"},
		{"a circle", "a: &a\n  b: *a\n", "kind.yml:2: the alias *a stands inside the value that it names"},
		{"aliases that explode", bomb, "kind.yml: stands for 1234567"},
		{"too deep", strings.Repeat("[", 200) + strings.Repeat("]", 200), "kind.yml:1: is nested deeper than 100 levels"},
		{"two documents", "a: 1\n---\nb: 2\n", "kind.yml:2: holds a second document"},
		{"a huge number", "rev: 1111111111111111111111111111111111111111\n", "kind.yml:1: the number 1111111111111111111111111111111111111111 is too large; put it in quotes"},
		{"a key that is a list", "? [a]\n: b\n", "kind.yml:1: a key must be text"},
		{"an unknown tag", "a: !foo b\n", "kind.yml:1: the tag !foo is not known"},
		{"merge of text", "a:\n  <<: text\n", "kind.yml:2: << needs a mapping"},
		{"unknown alias", "a: *x\n", "kind.yml: is not valid YAML: unknown anchor 'x' referenced"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := source.Parse("kind.yml", []byte(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s…", err, c.want)
			}
		})
	}
	t.Run("a key given twice warns", func(t *testing.T) {
		f, err := source.Parse("kind.yml", []byte("a: 1\nb: 2\na: 3\n"))
		if err != nil || len(f.Warnings) != 1 || f.Warnings[0].Line != 3 {
			t.Fatalf("%v %v", f.Warnings, err)
		}
		if diff := cmp.Diff(map[string]any{"a": int64(3), "b": int64(2)}, f.Value); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an empty file is an empty map", func(t *testing.T) {
		f, err := source.Parse("kind.yml", []byte("---\n"))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := f.Map(); m != nil || err != nil {
			t.Fatal(m, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: 1\n", "a: &x [*x]\n", "<<: {a: 1}\n", "? {a: b}\n: c\n", "--- !!int 0x\n", "a: 1:2:3\nb: -.inf\n", "a: |\n  x\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := source.Parse("f.yml", src)
		if err != nil {
			return
		}
		m, _ := file.Value.(map[string]any)
		keys := file.Root().Keys()
		if m != nil && len(keys) != len(m) {
			t.Fatalf("%d keys in order, %d in the map", len(keys), len(m))
		}
		for _, key := range keys {
			if !file.Root().Child(key).OK() {
				t.Fatalf("no node for key %q", key)
			}
		}
	})
}
