package docs_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/docs/command"
)

var updateCount = flag.Bool("update-count", false, "write into CONTRIBUTING.md how many commands of the documentation are run")

// The count in CONTRIBUTING.md is that of the blocks that the test of the documentation's commands types.
func TestHowManyCommandsAreRun(t *testing.T) {
	pages := pagesWithCommands(t)
	run, stay, apart, not := 0, 0, 0, 0
	for name, source := range pages {
		for _, b := range command.Blocks(name, source) {
			switch {
			case b.File != "":
			case b.NotRun != "":
				not++
			case b.Elsewhere():
				apart++
			default:
				run++
				if b.Stays != "" {
					stay++
				}
			}
		}
	}
	said := fmt.Sprintf("Of %d blocks of commands %d are run, %d of them as servers and others that stay until they are stopped, and %d by targets of make of their own; %d are read only.\n", run+apart+not, run+apart, stay, apart, not)
	const mark = "<!-- counted by go test ./docs -run TestHowManyCommandsAreRun -update-count -->\n"
	before, rest, ok := strings.Cut(pages["CONTRIBUTING.md"], mark)
	if !ok {
		t.Fatalf("CONTRIBUTING.md has no %q", mark)
	}
	old, after, _ := strings.Cut(rest, "\n")
	if old+"\n" == said {
		return
	}
	if !*updateCount {
		t.Fatalf("CONTRIBUTING.md says %q, and it is %q: go test ./docs -run TestHowManyCommandsAreRun -update-count", old, said)
	}
	if err := os.WriteFile(filepath.Join("..", "CONTRIBUTING.md"), []byte(before+mark+said+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func pagesWithCommands(t *testing.T) map[string]string {
	t.Helper()
	pages, err := command.Pages("..")
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// A block that says which test runs it is typed by none in make test: so there is that test, in a directory that this target
// of make tests. That it types the block, it sees to by itself.
func TestTargetsRunTheBlocksThatSaySo(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join("..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range pagesWithCommands(t) {
		for _, b := range command.Blocks(name, source) {
			if b.RunBy == (command.Test{}) {
				continue
			}
			if b.NotRun != "" {
				t.Errorf("%s:%d is not run, and run by %s", name, b.Line, b.RunBy.Name)
			}
			if err := runs(string(makefile), b.RunBy); err != nil {
				t.Errorf("%s:%d: %v", name, b.Line, err)
			}
		}
	}
	if runs("test-x:\n\t$(GO) test ./docs\n", command.Test{Target: "test-x", Name: "TestNobodyWrote"}) == nil {
		t.Error("a test that is none is found")
	}
}

var (
	testCommand = regexp.MustCompile(`\$\(GO\) test [^\n]*`)
	onlyTests   = regexp.MustCompile(` -run '?([^ ']+)`)
	directory   = regexp.MustCompile(` \./([a-z0-9/]+)`)
)

// runs tells why a target of make does not run a test.
func runs(makefile string, by command.Test) error {
	recipe := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(by.Target) + `:.*\n((?:\t.*\n)+)`).FindStringSubmatch(makefile)
	if recipe == nil {
		return fmt.Errorf("make has no target %q", by.Target)
	}
	for _, typed := range testCommand.FindAllString(recipe[1], -1) {
		if only := onlyTests.FindStringSubmatch(typed); only != nil {
			if ok, err := regexp.MatchString(strings.ReplaceAll(only[1], "$$", "$"), by.Name); err != nil || !ok {
				continue
			}
		}
		for _, dir := range directory.FindAllStringSubmatch(typed, -1) {
			files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(dir[1]), "*_test.go"))
			if err != nil {
				return err
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				if strings.Contains(string(text), "func "+by.Name+"(t *testing.T)") {
					return nil
				}
			}
		}
	}
	return fmt.Errorf("make %s runs no %s", by.Target, by.Name)
}
