package hooks_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// pool opens another pool on a database, for a process that is to die.
func pool(t *testing.T, config *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}
