package builtin_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/transform/builtin"
)

var update = flag.Bool("update", false, "write the tables of keys anew; what they say of each key stays")

// TestTheReferenceOfKeysAgreesWithTheSchemas: each section of the pages is a heading, what people
// wrote, and a table made from the schema with a column of meanings that people wrote.
func TestTheReferenceOfKeysAgreesWithTheSchemas(t *testing.T) {
	for name, sections := range builtin.Pages() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("..", "..", "..", "docs", "reference", name+".md")
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			page := string(b)
			made := page
			for _, s := range sections {
				table, unexplained := replaceTable(t, made, s)
				made = table
				for _, key := range unexplained {
					t.Errorf("%s: %s: the key %s is not explained", file, s.Title, key)
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(made), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(page, made); diff != "" {
				t.Errorf("%s does not say what the schemas do; go test ./taskgraph/transform/builtin -update\n%s", file, diff)
			}
		})
	}
}

const header = "| key | takes | meaning |\n|---|---|---|\n"

// replaceTable puts the table of the section's keys in place of the one behind its heading.
func replaceTable(t *testing.T, page string, s builtin.Section) (made string, unexplained []string) {
	t.Helper()
	heading := "\n## " + s.Title + "\n"
	before, section, ok := strings.Cut(page, heading)
	if !ok {
		t.Fatalf("there is no section %q", s.Title)
	}
	rest := ""
	if at := strings.Index(section, "\n## "); at >= 0 {
		section, rest = section[:at], section[at:]
	}
	text, table, ok := strings.Cut(section, header)
	if !ok {
		t.Fatalf("the section %q has no table", s.Title)
	}
	meanings := map[string]string{}
	after := ""
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, "\x00"), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 {
			after += line
			continue
		}
		key := strings.TrimSuffix(strings.TrimPrefix(cells[0], "| "), " (needed)")
		meanings[key] = strings.ReplaceAll(strings.TrimSuffix(cells[2], " |"), "\x00", `\|`)
	}
	var b strings.Builder
	for _, r := range s.Rows {
		key := "`" + r.Path + "`"
		meaning := strings.TrimSpace(meanings[key])
		if meaning == "" {
			unexplained = append(unexplained, r.Path)
		}
		if r.Required {
			fmt.Fprintf(&b, "| %s (needed) | %s | %s |\n", key, r.Type, meaning)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", key, r.Type, meaning)
	}
	return before + heading + text + header + b.String() + after + rest, unexplained
}
