package builtin_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/loader"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/builtin"
	"github.com/treeline-ci/treeline/taskgraph/transform/run"
	"github.com/treeline-ci/treeline/taskgraph/transform/split"
	"github.com/treeline-ci/treeline/taskgraph/transform/task"
)

// kindsPage is the page of kinds: what the program says stands behind marks "<!-- made: NAME -->", up to the next empty line;
// the last column of a table there is written by people, and stays with the first.
const kindsPage = "reference/kinds.md"

// madeTable is a table of which all columns but the last are made, or all of a whole one.
type madeTable struct {
	header []string
	rows   [][]string
	whole  bool
}

func TestThePageOfKindsSaysWhatTheProgramDoes(t *testing.T) {
	file := filepath.Join("..", "..", "..", "docs", filepath.FromSlash(kindsPage))
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page, made := string(b), string(b)
	tables := kindTables()
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		made = replaceMade(t, made, name, func(old string) string { return tables[name].fill(t, name, old) })
	}
	texts := kindTexts()
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		made = replaceMade(t, made, name, func(string) string { return texts[name] + "\n" })
	}
	if *update {
		if err := os.WriteFile(file, []byte(made), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(page, made); diff != "" {
		t.Errorf("%s does not say what the program does; go test ./taskgraph/transform/builtin -update\n%s", file, diff)
	}
}

// replaceMade puts what make gives of the old text in the place behind a mark.
func replaceMade(t *testing.T, page, name string, fill func(old string) string) string {
	t.Helper()
	mark := "<!-- made: " + name + " -->\n"
	before, rest, ok := strings.Cut(page, mark)
	if !ok {
		t.Fatalf("%s has no %q", kindsPage, mark)
	}
	old, after, more := strings.Cut(rest, "\n\n")
	if !more { // the page ends with it
		return before + mark + fill(rest)
	}
	return before + mark + fill(old+"\n") + "\n" + after
}

func (m madeTable) fill(t *testing.T, name, old string) string {
	t.Helper()
	meanings := map[string]string{}
	for line := range strings.Lines(old) {
		if cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | "); strings.HasPrefix(line, "| `") {
			meanings[strings.TrimSpace(cells[0])] = strings.TrimSpace(cells[len(cells)-1])
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(m.header, " | "), strings.Repeat("---|", len(m.header)))
	for _, row := range m.rows {
		if !m.whole {
			if meanings[row[0]] == "" {
				t.Errorf("%s: %s: %s is not explained", kindsPage, name, row[0])
			}
			row = append(slices.Clone(row), meanings[row[0]])
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

func kindTables() map[string]madeTable {
	kind := madeTable{header: []string{"key", "takes", "meaning"}}
	for _, r := range schema.Rows(loader.Shape(), 1) {
		kind.rows = append(kind.rows, []string{code(r.Path), r.Type})
	}
	loaders := madeTable{header: []string{"loader", "does"}, rows: [][]string{{code(loader.DefaultLoader)}, {code(loader.TransformLoader)}}}
	transforms := madeTable{header: []string{"transform", "does"}}
	for _, name := range slices.Sorted(maps.Keys(builtin.Registry())) {
		transforms.rows = append(transforms.rows, []string{code(strings.TrimSuffix(name, ":transforms"))})
	}
	ways := madeTable{header: []string{"using", "on", "keys", "does"}}
	for _, name := range slices.Sorted(maps.Keys(run.Ways())) {
		ways.rows = append(ways.rows, []string{code(name), codes(run.On()[name]), orNone(codes(keys(run.Ways()[name], "using", "workdir")))})
	}
	limits := madeTable{header: []string{"what", "at most"}, whole: true}
	for _, l := range []struct {
		what string
		most int
	}{
		{"entries of a kind", loader.MaxItems},
		{"tasks of a graph", taskgraph.MaxTasks},
		{"entries that all transforms split off together", transform.MaxMade},
		{"dependencies of a task", taskgraph.MaxDependencies},
		{"parts of a chunked task", split.MaxChunks},
		{"cells of a matrix", split.MaxParts},
		{"faults told at once", transform.MaxErrors},
	} {
		limits.rows = append(limits.rows, []string{l.what, thousands(l.most)})
	}
	return map[string]madeTable{"kind.yml": kind, "loaders": loaders, "transforms": transforms, "ways to run": ways, "limits": limits}
}

// kindTexts are lines of which every word is made.
func kindTexts() map[string]string {
	scriptworkers, others := []string{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(task.Workers())) {
		if strings.HasPrefix(name, "scriptworker") {
			scriptworkers = append(scriptworkers, name)
		} else {
			others = append(others, name)
		}
	}
	needed, may := []string{}, []string{}
	for _, s := range builtin.Pages()["keys-of-tasks"] {
		if s.Title != "Task descriptions" {
			continue
		}
		for _, r := range s.Rows {
			switch {
			case strings.ContainsAny(r.Path, ".[*"):
			case r.Required:
				needed = append(needed, r.Path)
			default:
				may = append(may, r.Path)
			}
		}
	}
	top := []string{}
	for _, r := range schema.Rows(config.Shape(), 2) {
		if r.Required && !strings.Contains(r.Path, "*") {
			top = append(top, r.Path)
		}
	}
	return map[string]string{
		"implementations": fmt.Sprintf("%s, and %d [scriptworkers](keys-of-workers.md).", codes(others), len(scriptworkers)),
		"task keys":       fmt.Sprintf("Needed: %s. May be given: %s.", codes(needed), codes(may)),
		"config keys":     fmt.Sprintf("Needed: %s.", codes(top)),
	}
}

// keys are the topmost keys that a type takes.
func keys(t schema.Type, without ...string) (out []string) {
	for _, r := range schema.Rows(t, 1) {
		if !slices.Contains(without, r.Path) {
			out = append(out, r.Path)
		}
	}
	return out
}

func code(s string) string { return "`" + s + "`" }

func codes(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = code(s)
	}
	return strings.Join(out, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
