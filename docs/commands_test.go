package docs_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/docs"
	"github.com/treeline-ci/treeline/docs/command"
)

var updateCount = flag.Bool("update-count", false, "write into CONTRIBUTING.md how many commands of the documentation are run")

// The count in CONTRIBUTING.md is that of the blocks that the test of the documentation's commands types.
func TestHowManyCommandsAreRun(t *testing.T) {
	book, err := docs.Load()
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, p := range book.Order {
		if p.Name != "reference/command-line" && !strings.HasPrefix(p.Name, "reference/api/") { // they are made of the program
			pages[p.Name] = string(p.Source)
		}
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(text)
	}
	run, stay, not := 0, 0, 0
	for name, source := range pages {
		for _, b := range command.Blocks(name, source) {
			switch {
			case b.File != "":
			case b.NotRun != "":
				not++
			default:
				run++
				if b.Stays != "" {
					stay++
				}
			}
		}
	}
	said := fmt.Sprintf("Of %d blocks of commands %d are run, %d of them as servers and others that stay until they are stopped; %d are read only.\n", run+not, run, stay, not)
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
