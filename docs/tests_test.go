package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shown is a test that a page names: `TestName`, or `folder.TestName`.
var shown = regexp.MustCompile("`(?:([a-z0-9_/]+)\\.)?((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)`")

// TestTestsThatPagesNameAreThere: what a page says is shown by a test leads to that test, whatever became of its name.
func TestTestsThatPagesNameAreThere(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)\(`)
	folders := map[string]map[string]bool{"": {}} // what each has; "": all together
	files(t, "..", "_test.go", func(path, text string) {
		folder := filepath.ToSlash(filepath.Dir(path))
		if folders[folder] == nil {
			folders[folder] = map[string]bool{}
		}
		for _, m := range declared.FindAllStringSubmatch(text, -1) {
			folders[folder][m[1]], folders[""][m[1]] = true, true
		}
	})
	named := 0
	files(t, ".", ".md", func(path, text string) {
		for _, m := range shown.FindAllStringSubmatch(text, -1) {
			if named++; !folders[m[1]][m[2]] {
				t.Errorf("%s: there is no test %s", path, m[0])
			}
		}
	})
	if named < 50 {
		t.Errorf("only %d tests are named", named)
	}
}

// files reads those below a folder whose names end so.
func files(t *testing.T, folder, ending string, each func(path, text string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, ending):
			return nil
		}
		text, err := os.ReadFile(filepath.Join(folder, path))
		each(path, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
