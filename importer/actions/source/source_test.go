package source_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/importer/actions/source"
)

func TestNodesKeepTheirPlaces(t *testing.T) {
	n, err := source.Parse("w.yml", []byte("on: push\nx: &x {a: 1, b: [t, 2]}\ny:\n  <<: *x\n  a: null\nz: *x\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"on": "push", "x": map[string]any{"a": 1.0, "b": []any{"t", 2.0}}, "y": map[string]any{"a": nil, "b": []any{"t", 2.0}}, "z": map[string]any{"a": 1.0, "b": []any{"t", 2.0}}}
	if diff := cmp.Diff(want, n.Plain()); diff != "" {
		t.Error(diff)
	}
	if n.At("y").At("a").Line != 5 || n.At("z").Line != 6 || n.At("nothing").At("here").Str() != "" {
		t.Error("places")
	}
}

// hostile are files that are small and stand for much, or are no workflows.
func hostile() map[string]string {
	bomb := "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	text := "t: &t \"" + strings.Repeat("x", 100_000) + "\"\nl:\n" + strings.Repeat("  - *t\n", 100)
	return map[string]string{
		"stands for more than": bomb, "holds more than": text, "nested deeper": strings.Repeat("[", 200) + strings.Repeat("]", 200),
		"not YAML": "a: [", "is empty": "# nothing\n", "a key must be text": "[a]: b\n",
	}
}

func TestHostileFilesAreRefused(t *testing.T) {
	for want, text := range hostile() {
		_, err := source.Parse("w.yml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "w.yml") {
			t.Errorf("%s: %v", want, err)
		}
	}
	files := fstest.MapFS{"w.yml": {Data: make([]byte, 2<<20)}}
	if _, err := source.Open(files, "w.yml"); err == nil || !strings.Contains(err.Error(), "has more than") {
		t.Error(err)
	}
}

// FuzzParse: whatever a file holds is read or refused.
func FuzzParse(f *testing.F) {
	for _, text := range hostile() {
		if len(text) < 2000 {
			f.Add([]byte(text))
		}
	}
	f.Add([]byte("on: {push: {branches: [a]}}\njobs:\n  a:\n    <<: &x {b: c}\n    d: *x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := source.Parse("w.yml", b)
		if err == nil {
			_ = n.Plain()
		}
	})
}
