package docs_test

import (
	"bufio"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pgtest"
)

var updateTables = flag.Bool("update-tables", false, "write docs/reference/tables.md")

const tablesHead = `# Tables

What the database holds, and what removes it. Columns and indexes are those of the catalogue; the sentences stand in
` + "`tables.txt`" + ` beside each room. A *job* runs on one server at a time, in short transactions; ` + "`treeline serve --keep-…`" + ` says for how long
things are kept that do not say so themselves ([upgrades](../operations/upgrade.md), [the database](../operations/database.md)).
`

// table is one of the database.
type table struct {
	Name, Columns, Indexes, Options string
}

// said is what a room says of a table.
type said struct{ room, holds, removed string }

func TestTables(t *testing.T) {
	words := tableLines(t)
	jobs := tableJobs(t)
	rows, err := pgtest.DB(t).Query(t.Context(), tablesSQL)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	if err != nil {
		t.Fatal(err)
	}
	byRoom := map[string][]table{}
	for _, table := range tables {
		s, ok := words[table.Name]
		if !ok {
			t.Errorf("the table %s has no line in its room's tables.txt: what it holds | what removes its rows", table.Name)
			continue
		}
		byRoom[s.room] = append(byRoom[s.room], table)
		for _, m := range regexp.MustCompile(`job ([a-z-]+):`).FindAllStringSubmatch(s.removed, -1) {
			if !slices.Contains(jobs[m[1]], table.Name) {
				t.Errorf("%s: the job %s of app/retention.go does not name it", table.Name, m[1])
			}
		}
		delete(words, table.Name)
	}
	for name, s := range words {
		t.Errorf("%s/tables.txt: there is no table %s", s.room, name)
	}
	got := tablesPage(t, byRoom)
	const page = "reference/tables.md"
	if *updateTables {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/%s is not what the database is (go test ./docs -run '^TestTables$' -update-tables):\n%s", page, diff)
	}
}

// tablesPage writes the page.
func tablesPage(t *testing.T, byRoom map[string][]table) string {
	words := tableLines(t)
	var out strings.Builder
	out.WriteString(tablesHead)
	var rooms []string
	for room := range byRoom {
		rooms = append(rooms, room)
	}
	slices.Sort(rooms)
	for _, room := range rooms {
		fmt.Fprintf(&out, "\n## %s\n", room)
		for _, table := range byRoom[room] {
			s := words[table.Name]
			fmt.Fprintf(&out, "\n### %s\n\n%s\n\n- Removed by: %s.\n- Columns: %s.\n", table.Name, s.holds, s.removed, table.Columns)
			if table.Indexes != "" {
				fmt.Fprintf(&out, "- Indexes: %s.\n", table.Indexes)
			}
			if table.Options != "" {
				fmt.Fprintf(&out, "- Storage: %s.\n", table.Options)
			}
		}
	}
	return out.String()
}

// tableLines reads all tables.txt.
func tableLines(t *testing.T) map[string]said {
	t.Helper()
	out := map[string]said{}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && (e.Name() == "node_modules" || e.Name() == ".git" || e.Name() == "testdata") {
			return fs.SkipDir
		}
		if err != nil || e.Name() != "tables.txt" {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		room := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), "../"))
		for lines := bufio.NewScanner(file); lines.Scan(); {
			name, rest, ok := strings.Cut(lines.Text(), ": ")
			holds, removed, both := strings.Cut(rest, " | ")
			if _, double := out[name]; !ok || !both || double {
				t.Errorf("%s: %q is not TABLE: what it holds | what removes its rows, or is there twice", path, lines.Text())
			}
			out[name] = said{room, holds, removed}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tableJobs reads which job looks after which tables.
func tableJobs(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../app/retention.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, m := range regexp.MustCompile(`Name: "([a-z-]+)",.*?Tables: \[\]string\{(.*?)\}`).FindAllStringSubmatch(string(text), -1) {
		for _, table := range strings.Split(m[2], ",") {
			out[m[1]] = append(out[m[1]], strings.Trim(table, ` "`))
		}
	}
	return out
}

const tablesSQL = `
SELECT c.relname,
	(SELECT string_agg('` + "`" + `' || a.attname || '` + "`" + ` ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN '' ELSE ' or null' END, ', ' ORDER BY a.attnum)
		FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
	coalesce((SELECT string_agg('` + "`" + `' || i.relname || '` + "`" + ` ' || regexp_replace(pg_get_indexdef(i.oid), '^.* USING ', ''), ', ' ORDER BY i.relname)
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid), ''),
	coalesce(array_to_string(c.reloptions, ', '), '')
FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname COLLATE "C"`
