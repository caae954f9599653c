package uitest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/ui"
)

// newRest makes the rooms of the smaller pages.
func newRest(t testing.TB, s *Site) ui.Rest {
	t.Helper()
	ring, err := crypt.NewRing(crypt.Key{Secret: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	audit := func(ctx context.Context, tx pgx.Tx, name, client, action string) error {
		return auth.Audit(ctx, tx, auth.Record{EntityType: "secret", EntityID: name, ClientID: client, Action: action})
	}
	return ui.Rest{
		Index:   index.New(s.Pool),
		Secrets: secrets.New(secrets.Deps{Pool: s.Pool, Ring: ring, Audit: audit, Log: s.log}),
	}
}
