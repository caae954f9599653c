package source

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// lines tells where every key and value stands. A value of no characters stands nowhere.
func lines(n Node, path string, out map[string]int) map[string]int {
	if n.yaml != nil && (n.yaml.Kind != yaml.ScalarNode || n.yaml.Value != "") {
		out[path] = n.Line()
	}
	for _, e := range n.Entries() {
		out[path+"/"+e.Key+"?"] = e.At.Line()
		lines(e.Value, path+"/"+e.Key, out)
	}
	return out
}

// divided compares what the pieces of src give with what the whole gives, and reports whether it was
// read in pieces.
func divided(t *testing.T, src []byte, pieces int) bool {
	t.Helper()
	p := divide(src, pieces)
	if p == nil {
		return false
	}
	got, ok := p.parse("kind.yml")
	if !ok {
		return false
	}
	want, err := parseWhole("kind.yml", src)
	if err != nil {
		t.Fatalf("in pieces it is read, whole it is refused: %v", err)
	}
	if diff := cmp.Diff(want.Value, got.Value); diff != "" {
		t.Errorf("values (-whole +pieces):\n%s", diff)
	}
	if diff := cmp.Diff(lines(want.Root(), "", map[string]int{}), lines(got.Root(), "", map[string]int{})); diff != "" {
		t.Errorf("lines (-whole +pieces):\n%s", diff)
	}
	if len(want.Warnings) > 0 {
		t.Errorf("warnings are lost: %v", want.Warnings)
	}
	return true
}

func TestALargeFileReadInPiecesIsTheSame(t *testing.T) {
	const head = "---\nloader: x\ntask-defaults:\n  a: &not-taken {b: 1}\ntasks:\n"
	plain := "---\nloader: x # why\ntasks:\n"
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, "    t%02d:\n        run:\n            command: >-\n                echo %d &&\n\n                true\n        list: [1, 2]\n\n# between\n    # near\n", i, i)
	}
	cases := []struct {
		name, src string
		pieces    bool
	}{
		{"entries", plain + many.String(), true},
		{"entries and a comment at the end", plain + many.String() + "# end", true},
		{"no newline at the end", plain + many.String() + "    last:\n        x: 1", true},
		{"the mapping is not the last", plain + many.String() + "other: 1\n", false},
		{"an anchor before", head + many.String(), false},
		{"an alias across", plain + "    a0:\n        x: &x 1\n" + many.String() + "    z:\n        y: *x\n", false},
		{"an anchor in a late piece", plain + many.String() + "    z:\n        y: &x 1\n", false},
		{"a merge across", plain + "    a0: &x\n        b: 1\n" + many.String() + "    z:\n        <<: *x\n", false},
		{"a key twice", plain + many.String() + "    t00:\n        x: 1\n", false},
		{"a key twice within a piece", plain + "    a:\n        x: 1\n        x: 2\n" + many.String(), false},
		{"lines that look like keys within quotes", plain + many.String()[:400] + "    q:\n        x: \"begin\n" + many.String()[400:] + "\"\n", false},
		{"lines that look like keys within brackets", plain + "    q: [\n" + many.String() + "    ]\n", false},
		{"a flow mapping", plain + "    {a:\n 1,\n" + strings.Repeat("    b:\n     2,\n", 20) + "    }\n", false},
		{"a mapping after a flow mapping", plain + "    {a: 1}\n" + many.String(), false},
		{"a text whose empty lines count", plain + "    a:\n        x: |+\n            1\n" + many.String(), false},
		{"a text with indentation given whose empty lines count", plain + "    a:\n        x: >2+\n            1\n" + many.String(), false},
		{"a mistake in a late piece", plain + many.String() + "    z:\n        - 1\n        x: 2\n", false},
		{"a second document", plain + many.String() + "---\na: 1\n", false},
		{"a comment first, further in", plain + "         # here\n" + many.String(), false},
		{"a list", "tasks:\n" + strings.Repeat("  - a:\n", 50), false},
		{"Windows line ends", strings.ReplaceAll(plain+many.String(), "\n", "\r\n"), false},
		{"other line ends", plain + "    x: \ry:\n" + many.String(), false},
		{"a tag further in than the entries", plain + "    !!map\n  a: 1\n    b:\n    c:\n" + many.String(), false},
		{"nothing", "", false},
		{"one key", "tasks:\n", false},
		{"no key", "x", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, pieces := range []int{2, 3, 8} {
				if got := divided(t, []byte(c.src), pieces); got != c.pieces {
					t.Errorf("with %d pieces: read in pieces is %v, want %v", pieces, got, c.pieces)
				}
			}
		})
	}
}

func TestALargeFileKeepsItsErrorsAndLines(t *testing.T) {
	var src bytes.Buffer
	src.WriteString("tasks:\n")
	for i := range 20_000 {
		fmt.Fprintf(&src, "  t%05d:\n    x: %d\n", i, i)
	}
	f, err := Parse("kind.yml", src.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got := f.LineOf([]string{"tasks", "t19999", "x"}, true); got != 40_001 {
		t.Errorf("the last value is on line %d, want 40001", got)
	}
	src.WriteString("  late:\n    x: [\n")
	if _, err = Parse("kind.yml", src.Bytes()); err == nil || !strings.Contains(err.Error(), "4000") {
		t.Errorf("got %v, want an error with a line near 40003", err)
	}
}

func FuzzPieces(f *testing.F) {
	f.Add("tasks:\n  a:\n    b: 1\n  c:\n    d: 'x\n  e:\n    '\n", 2)
	f.Add("tasks:\n  a:\n    - |\n      x\n  c:\n    d: 1\n  e:\n  # x\n  f:\n    {}\n", 3)
	f.Add("tasks:\n  {a:\n   1,\n  b:\n   2,\n  }\n", 2)
	f.Add("tasks:\n  a: \"x\n  b:\n    c\"\n  d:\n    e: 5\"\n", 2)
	f.Fuzz(func(t *testing.T, src string, pieces int) { divided(t, []byte(src), pieces%9) })
}
