package pg_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// linted is the newest version that was there before the rules about locks; up to it only the rules hold
// without which a program of the version before would not run.
const linted = 36

// rules say what a version's statements must not do upwards, for the program of the version before works
// on the new schema, and nobody may wait for long.
var rules = []struct {
	what  string
	match *regexp.Regexp
	since int
}{
	{"drops a table, which the program before may use", regexp.MustCompile(`(?i)\bDROP TABLE\b`), 0},
	{"drops a column, which the program before may use", regexp.MustCompile(`(?i)\bDROP COLUMN\b`), 0},
	{"renames, and the program before knows the old name", regexp.MustCompile(`(?i)\bRENAME\b`), 0},
	{"changes a type: every row is written while nobody can read", regexp.MustCompile(`(?i)\bALTER (?:COLUMN )?\w+ (?:SET DATA )?TYPE\b`), 0},
	{"locks a table by itself", regexp.MustCompile(`(?i)\bLOCK TABLE\b`), 0},
	{"reads every row while nobody can write; validate it online", regexp.MustCompile(`(?i)\bSET NOT NULL\b`), linted},
	{"writes every row while nobody can read: a default that is no constant", regexp.MustCompile(`(?i)\bADD COLUMN[^,;]*DEFAULT (?:clock_timestamp|random|gen_random_uuid)`), linted},
	{"writes the whole table anew", regexp.MustCompile(`(?m)^\s*(?:CLUSTER|VACUUM|REINDEX)\b`), 0},
	{"works on rows of a table: that belongs into a batch", regexp.MustCompile(`(?im)^\s*(?:UPDATE|DELETE)\b`), linted},
}

var (
	comments    = regexp.MustCompile(`--[^\n]*`)
	made        = regexp.MustCompile(`(?i)\bCREATE TABLE (?:IF NOT EXISTS )?(\w+)`)
	madeIndex   = regexp.MustCompile(`(?i)\bCREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?(\w+)\s+ON\s+(\w+)`)
	constrained = regexp.MustCompile(`(?i)\bADD (?:CONSTRAINT \w+ )?(?:CHECK|FOREIGN KEY)\b[^;]*`)
	smallTable  = regexp.MustCompile(`(?m)^-- small: (\w+)`)
)

// lint returns what is wrong with a version's up file.
func lint(number int, text string) (wrong []string) {
	plain := comments.ReplaceAllString(text, "")
	for _, r := range rules {
		if number > r.since && r.match.MatchString(plain) {
			wrong = append(wrong, r.what)
		}
	}
	if number <= linted {
		return wrong
	}
	var free []string
	for _, m := range append(made.FindAllStringSubmatch(plain, -1), smallTable.FindAllStringSubmatch(text, -1)...) {
		free = append(free, m[1])
	}
	for _, m := range madeIndex.FindAllStringSubmatch(plain, -1) {
		if !slices.Contains(free, m[2]) {
			wrong = append(wrong, "nobody can write "+m[2]+" while the index "+m[1]+" is made: put it into an .up.index.sql, or say -- small: "+m[2])
		}
	}
	for _, m := range constrained.FindAllString(plain, -1) {
		if !strings.Contains(strings.ToUpper(m), "NOT VALID") {
			wrong = append(wrong, "reads every row while nobody can write: a constraint without NOT VALID")
		}
	}
	return wrong
}

func TestVersionsOnlyAdd(t *testing.T) {
	files, err := filepath.Glob("versions/*.up.sql")
	if err != nil || len(files) < 30 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		number, err := strconv.Atoi(name[:4])
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range lint(number, string(text)) {
			t.Errorf("%s %s", name, wrong)
		}
	}
}

func TestLintFindsWhatStopsEverybody(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want int
	}{
		"a new table with its index":       {"CREATE TABLE a (id int);\nCREATE INDEX a_id ON a (id);", 0},
		"an index on a table of before":    {"CREATE INDEX tasks_x ON tasks (x);", 1},
		"one on a small table":             {"-- small: claims\nCREATE INDEX claims_x ON claims (x);", 0},
		"a column":                         {"ALTER TABLE tasks ADD COLUMN x text NOT NULL DEFAULT '';", 0},
		"a column with a default per row":  {"ALTER TABLE tasks ADD COLUMN x timestamptz DEFAULT clock_timestamp();", 1},
		"a dropped column":                 {"ALTER TABLE tasks DROP COLUMN x;", 1},
		"a dropped column in a comment":    {"-- DROP COLUMN x\nCREATE TABLE a (id int);", 0},
		"a renamed column":                 {"ALTER TABLE tasks RENAME x TO y;", 1},
		"another type":                     {"ALTER TABLE tasks ALTER COLUMN x TYPE bigint;", 1},
		"not null":                         {"ALTER TABLE tasks ALTER COLUMN x SET NOT NULL;", 1},
		"rows":                             {"UPDATE tasks SET x = 1;", 1},
		"a constraint that reads all rows": {"ALTER TABLE tasks ADD CONSTRAINT c CHECK (x > 0);", 1},
		"a constraint for new rows":        {"ALTER TABLE tasks ADD CONSTRAINT c CHECK (x > 0) NOT VALID;", 0},
		"settings of a table":              {"ALTER TABLE tasks SET (fillfactor = 70);", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lint(linted+1, tt.text); len(got) != tt.want {
				t.Errorf("%q", got)
			}
		})
	}
}
