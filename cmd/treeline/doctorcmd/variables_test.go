package doctorcmd

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the doctor does not know, it takes for a mistake.
func TestEveryVariableOfTheProgramIsKnown(t *testing.T) {
	name := regexp.MustCompile(`"(TREELINE_[A-Z][A-Z0-9_]*[A-Z0-9])"`)
	used := map[string]string{}
	err := filepath.WalkDir("../../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "test/"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for v, path := range used {
		if !slices.Contains(variables(), v) {
			t.Errorf("%s of %s is not in the list", v, path)
		}
	}
	for _, v := range variables() {
		if used[v] == "" && !strings.HasSuffix(v, "_FILE") {
			t.Errorf("nothing reads %s", v)
		}
	}
}
