package command

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/docs"
)

// Pages are the pages with commands by their paths in the checkout at root: those of the book, but for those that are made of
// the program, README.md and CONTRIBUTING.md.
func Pages(root string) (map[string]string, error) {
	book, err := docs.Load()
	if err != nil {
		return nil, err
	}
	pages := map[string]string{}
	for _, p := range book.Order {
		if p.Name != "reference/command-line" && !strings.HasPrefix(p.Name, "reference/api/") {
			pages["docs/"+p.Name+".md"] = string(p.Source)
		}
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.Join(root, name)) //nolint:gosec // one of two names
		if err != nil {
			return nil, err
		}
		pages[name] = string(text)
	}
	return pages, nil
}

// TypedBy are the blocks of a page that say that this test runs them.
func TypedBy(test, page, source string) []Block {
	return slices.DeleteFunc(Blocks(page, source), func(b Block) bool { return b.RunBy.Name != test })
}
