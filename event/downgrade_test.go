package event_test

import (
	"testing"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// A downgrade leaves each consumer where it stood, so that the older program neither repeats nor skips.
func TestConsumersStayWhereTheyWereWhenTheSchemaGoesBack(t *testing.T) {
	pool := pgtest.DB(t)
	exec(t, pool, "INSERT INTO event_consumers (name, position) VALUES ('a', 3), ('b', 9), ('c', 5)")
	exec(t, pool, "INSERT INTO event_offsets VALUES ('a', 4), ('a', 8), ('b', 7)")
	at := func() map[string]int64 {
		t.Helper()
		list, err := startFeed(t, pool).Consumers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for _, c := range list {
			got[c.Name] = c.Position
		}
		return got
	}
	if got := at(); got["a"] != 8 || got["b"] != 9 || got["c"] != 5 {
		t.Errorf("before: %v", got)
	}
	if err := pg.Downgrade(t.Context(), pool, 14); err != nil {
		t.Fatal(err)
	}
	var a, b, c int64
	err := pool.QueryRow(t.Context(), `SELECT (SELECT position FROM event_consumers WHERE name = 'a'),
		(SELECT position FROM event_consumers WHERE name = 'b'), (SELECT position FROM event_consumers WHERE name = 'c')`).Scan(&a, &b, &c)
	if err != nil || a != 8 || b != 9 || c != 5 {
		t.Errorf("after the downgrade: %d %d %d, %v", a, b, c, err)
	}
	if err := pg.Upgrade(t.Context(), pool, 0); err != nil {
		t.Fatal(err)
	}
	if got := at(); got["a"] != 8 || got["b"] != 9 || got["c"] != 5 {
		t.Errorf("and up again: %v", got)
	}
}
