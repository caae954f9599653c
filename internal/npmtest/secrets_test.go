package npmtest_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/purgecache/purgecacheapi"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/secrets/secretsapi"
)

// secretServices are the services secrets, with auth's audit trail, and purge-cache.
func secretServices(t *testing.T, pool *pgxpool.Pool, log *slog.Logger) []web.Service {
	t.Helper()
	ring, err := crypt.NewRing(crypt.Key{Secret: []byte(rand.Text() + rand.Text())[:crypt.KeySize]})
	if err != nil {
		t.Fatal(err)
	}
	room := secrets.New(secrets.Deps{
		Pool: pool, Ring: ring, Log: log,
		Audit: func(ctx context.Context, tx pgx.Tx, name, clientID, action string) error {
			return auth.Audit(ctx, tx, auth.Record{EntityType: "secret", EntityID: name, ClientID: clientID, Action: action})
		},
	})
	return []web.Service{secretsapi.Service(room), purgecacheapi.Service(purgecache.New(pool))}
}
