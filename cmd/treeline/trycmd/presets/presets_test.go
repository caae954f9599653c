package presets_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/presets"
)

func TestFilesAreReadAndChecked(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"all that may stand there", "a: {description: d, owner: me, selector: fuzzy, query: [x], and: true, exact: true, full: true, env: [A=b], rebuild: 2}", ""},
		{"nothing", "\n", ""},
		{"an unknown key", "a: {\n  qeury: [x]}", "file.yml: yaml: unmarshal errors:\n  line 2: field qeury not found"},
		{"an unknown selector", "a: {selector: perf}", `file.yml: a: selector is "perf"; it may be fuzzy, chooser or auto`},
		{"a bad name", `"a b": {query: [x]}`, `file.yml: "a b" cannot name a preset`},
		{"a negative number", "a: {rebuild: -1}", "rebuild is -1"},
		{"no YAML", "a: [", "file.yml: yaml"},
		{"too much", strings.Repeat("#", 1<<20+1), "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := presets.Parse("file.yml", []byte(c.text))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestPresetsOfThePersonHideThoseOfTheTree(t *testing.T) {
	dir := t.TempDir()
	f := presets.Files{
		User: filepath.Join(dir, "new", "presets.yml"), Root: "taskcluster",
		Tree: fstest.MapFS{"taskcluster/try-presets.yml": {Data: []byte("a: {query: [tree]}\nb: {query: [tree]}\n")}},
	}
	if err := f.Save("a", presets.Preset{Selector: "fuzzy", Query: []string{"mine"}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Save("c", presets.Preset{Selector: "auto"}); err != nil {
		t.Fatal(err)
	}
	all, err := f.Read()
	if err != nil || len(all) != 3 || all["a"].Query[0] != "mine" || all["a"].From != f.User || all["b"].From != "taskcluster/try-presets.yml" {
		t.Errorf("%+v, %v", all, err)
	}
	if info, err := os.Stat(f.User); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := f.Save("../x", presets.Preset{}); err == nil {
		t.Error("a path is taken for a name")
	}
}

func TestTheCommandLineAddsToAPreset(t *testing.T) {
	preset := presets.Preset{Selector: "fuzzy", Query: []string{"a"}, Env: []string{"A=1"}, Rebuild: 2, Full: true, Strategy: "s"}
	got := preset.Under(presets.Preset{Query: []string{"b"}, Env: []string{"A=2"}, Exact: true, Rebuild: 5})
	want := presets.Preset{Selector: "fuzzy", Query: []string{"a", "b"}, Env: []string{"A=1", "A=2"}, Rebuild: 5, Full: true, Exact: true, Strategy: "s"}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if len(preset.Query) != 1 {
		t.Error("the preset itself has changed")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a: {query: [x]}", "a: &x {env: [A=b]}\nb: *x", "- a", "a: {rebuild: x}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := presets.Parse("f", []byte(text))
		if err != nil {
			return
		}
		for name, p := range set {
			if presets.CheckName(name) != nil || p.Selector == "" {
				t.Fatalf("%q: %+v", name, p)
			}
		}
	})
}
