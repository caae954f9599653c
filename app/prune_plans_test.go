package app

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app/figures"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// fewRows are tables that have few rows in any deployment, and so may be read whole.
var fewRows = []string{"shell_offers", "worker_launches", "repositories", "repository_heads", "action_hooks"}

var readWhole = regexp.MustCompile(`Seq Scan on (\w+)`)

// What removes old rows, some at a time, finds them without reading the table. A clock that moves while the statement
// runs cannot be looked up in an index: every row would be read when none is old.
func TestOldRowsAreFoundByAnIndex(t *testing.T) {
	conn, err := pgtest.DB(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	looked := 0
	for i, s := range figures.Statements() {
		if !strings.Contains(s.Text, "DELETE FROM") || !strings.Contains(s.Text, "LIMIT $1") {
			continue
		}
		looked++
		prepared := fmt.Sprintf("prune_%d", i)
		d, err := conn.Conn().Prepare(t.Context(), prepared, s.Text)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		nothing := strings.TrimSuffix(strings.Repeat("NULL, ", len(d.ParamOIDs)), ", ")
		rows, err := conn.Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE %s(%s)", prepared, nothing), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		for _, line := range plan {
			if m := readWhole.FindStringSubmatch(line); m != nil && !slices.Contains(fewRows, m[1]) {
				t.Errorf("%s reads all of %s:\n%s", s.Name, m[1], strings.Join(plan, "\n"))
			}
			if strings.Contains(line, "Filter:") && strings.Contains(line, "clock_timestamp()") {
				t.Errorf("%s compares every row with a clock that moves: %s", s.Name, strings.TrimSpace(line))
			}
		}
	}
	if looked < 20 {
		t.Errorf("only %d statements remove some rows at a time", looked)
	}
}

// Whoever removes a row asks each table that refers to it whether it still does, also where nothing says so.
func TestReferencesHaveAnIndex(t *testing.T) {
	pool := pgtest.DB(t)
	rows, err := pool.Query(t.Context(), `
SELECT conrelid::regclass || ' (' || (SELECT string_agg(attname, ', ' ORDER BY n) FROM unnest(conkey) WITH ORDINALITY AS k (num, n) JOIN pg_attribute ON attrelid = conrelid AND attnum = num) || ')'
FROM pg_constraint c WHERE contype = 'f' AND connamespace = current_schema()::regnamespace AND NOT EXISTS (
	SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indpred IS NULL AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)`)
	if err != nil {
		t.Fatal(err)
	}
	lacking, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range lacking {
		t.Errorf("%s refers to another table, and no index begins with it", of)
	}
}
