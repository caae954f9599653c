package auth

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Wide is a client or role that may do everything.
type Wide struct {
	ID     string
	Role   bool
	Static bool // a client of the configuration
}

// Widest lists the clients and roles whose own scopes are everything, without those that are disabled or expired.
func Widest(ctx context.Context, pool *pgxpool.Pool) ([]Wide, error) {
	rows, err := pool.Query(ctx, widestSQL.Text)
	if err != nil {
		return nil, fmt.Errorf("auth: widest: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Wide])
	if err != nil {
		return nil, fmt.Errorf("auth: widest: %w", pg.Classify(err))
	}
	return list, nil
}

var widestSQL = pg.Statement{Name: "auth.widest", Text: `
SELECT client_id, false, client_id LIKE 'static/%' FROM auth_clients
WHERE '*' = ANY (scopes) AND NOT disabled AND expires > now()
UNION ALL SELECT role_id, true, false FROM auth_roles WHERE '*' = ANY (scopes)
ORDER BY 2, 1`}
