package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/cond"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/startest"
)

// explained reports whether a page has name as code that begins so, perhaps among others.
func explained(page, name string) bool {
	return regexp.MustCompile("`" + regexp.QuoteMeta(name) + "[`(]").MatchString(page)
}

func TestEveryBuiltinOfStarlarkIsExplained(t *testing.T) {
	page := read(t, "reference/starlark.md")
	for _, name := range star.Builtins() {
		if !explained(page, name) {
			t.Errorf("starlark.md does not explain %s", name)
		}
	}
	page = read(t, "how-to/test-your-starlark.md")
	for _, name := range startest.Names() {
		if !explained(page, name) {
			t.Errorf("test-your-starlark.md does not explain %s", name)
		}
	}
	functions := regexp.MustCompile("`((?:re|tree|effect|json|assert|test)\\.[a-z_]+)\\(")
	known := map[string]bool{}
	for _, name := range append(star.Builtins(), startest.Names()...) {
		known[name] = true
	}
	for _, name := range []string{"reference/starlark.md", "how-to/test-your-starlark.md"} {
		for _, m := range functions.FindAllStringSubmatch(read(t, name), -1) {
			if !known[m[1]] {
				t.Errorf("%s explains %s, which is not there", name, m[1])
			}
		}
	}
}

func TestEveryNameOfConditionsIsExplained(t *testing.T) {
	page := read(t, "reference/conditions.md")
	for _, name := range append(cond.Names(), cond.Functions()...) {
		if !explained(page, name) {
			t.Errorf("conditions.md does not explain %s", name)
		}
	}
	for _, block := range regexp.MustCompile("(?m)^ +(?:if|when): (.*)$").FindAllStringSubmatch(page, -1) {
		if _, err := cond.Compile(block[1]); err != nil {
			t.Errorf("conditions.md: %v", err)
		}
	}
}

func TestTheExampleInStarlarkPassesItsTests(t *testing.T) {
	tree := os.DirFS("examples/starlark")
	files, err := startest.Find(tree, ".")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	n := 0
	if err := startest.Run(t.Context(), files, startest.Options{Tree: tree, Root: "taskcluster", Jobs: 2}, func(r startest.Result) {
		n++
		if f := r.Failure; f != nil {
			t.Errorf("%s: %s: %s:%d: %s", r.File, r.Name, f.File, f.Line, f.Message)
		}
	}); err != nil || n < 15 {
		t.Errorf("%d tests, %v", n, err)
	}
}

// TestThePortedFunctionIsThatOfTheExample holds the guide's Starlark to the file that it names.
func TestThePortedFunctionIsThatOfTheExample(t *testing.T) {
	source := read(t, "examples/starlark/taskcluster/build.star")
	_, after, _ := strings.Cut(read(t, "how-to/port-a-python-transform.md"), "The same in Starlark")
	_, block, _ := strings.Cut(after, "```python\n")
	block, _, _ = strings.Cut(block, "```")
	if block == "" || !strings.Contains(source, block) {
		t.Errorf("build.star does not have\n%s", block)
	}
}
