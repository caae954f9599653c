package actions_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/importer/actions"
	"github.com/treeline-ci/treeline/local/starter"
)

// FuzzConvert: whatever a workflow says, the conversion ends, what it writes is YAML within bounds, and whoever wrote
// the workflow has not escaped from a comment into the configuration.
func FuzzConvert(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(b).Files {
			if strings.HasPrefix(file.Name, ".github/") {
				f.Add(string(file.Data), "acme/app")
			}
		}
	}
	f.Add("on: push\njobs:\n  \"a\\nb: c\":\n    name: \"x\\u2028evil: true\"\n    runs-on: \"l\\n- x\"\n    steps: [{run: \"a\\0b\\r\\n\\ttab \", name: \"n\\n  evil: true\"}]\n", "a\nb/c")
	f.Add("on: push\njobs: {a: {runs-on: ubuntu-latest, needs: b, steps: []}, b: {needs: a, uses: ./.github/workflows/w.yml}}\n", "")
	f.Fuzz(func(t *testing.T, text, repository string) {
		files := fstest.MapFS{".github/workflows/w.yml": {Data: []byte(text)}, ".github/actions/a/action.yml": {Data: []byte(text)}}
		r, err := actions.Convert(files, starter.Project{Name: repository, Type: "git", DefaultBranch: "main"}, actions.Options{Repository: repository, Images: true})
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, file := range r.Files {
			size += len(file.Content)
			var v map[string]any
			if err := yaml.Unmarshal([]byte(file.Content), &v); err != nil && strings.HasSuffix(file.Name, ".yml") {
				t.Errorf("%s: %v\n%s", file.Name, err, file.Content)
			}
			if v["evil"] != nil {
				t.Errorf("%s:\n%s", file.Name, file.Content)
			}
		}
		if size > 64<<20 {
			t.Errorf("%d bytes of %d", size, len(text))
		}
	})
}
