package queue_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
)

// TestPlansGoByIndexes looks at the plans that the queue's connections keep, in a database without a
// row or statistics: they must be right for full tables too. Whatever reads all of a table, or builds
// something of all of it, is none.
func TestPlansGoByIndexes(t *testing.T) {
	e := queuetest.New(t)
	conn, err := e.Pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for i, s := range queue.Statements {
		d, err := conn.Conn().Prepare(t.Context(), fmt.Sprintf("plan%d", i), s.Text)
		if err != nil {
			t.Fatal(err)
		}
		args := ""
		if n := len(d.ParamOIDs); n > 0 {
			args = "(NULL" + strings.Repeat(", NULL", n-1) + ")"
		}
		rows, err := conn.Conn().Query(t.Context(), fmt.Sprintf("EXPLAIN EXECUTE plan%d%s", i, args), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		text := strings.Join(plan, "\n")
		for _, step := range []string{"Seq Scan", "Hash Join", "Hash Right", "Hash Left", "Hash Semi", "Hash Anti", "Merge Join", "Merge Left", "Merge Right", "Merge Semi", "Merge Anti"} {
			if strings.Contains(text, step) {
				t.Errorf("%s has a %s:\n%s", s.Name, step, text)
			}
		}
	}
}
