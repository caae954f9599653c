package app

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/secrets"
)

// audited writes what is done to a room's entities into auth's trail.
func audited(entityType string) func(ctx context.Context, tx pgx.Tx, id, clientID, action string) error {
	return func(ctx context.Context, tx pgx.Tx, id, clientID, action string) error {
		return auth.Audit(ctx, tx, auth.Record{EntityType: entityType, EntityID: id, ClientID: clientID, Action: action})
	}
}

func (a *App) makeSecrets() {
	a.purges = purgecache.New(a.pool, purgecache.WithLog(a.config.Log))
	a.secrets = secrets.New(secrets.Deps{Pool: a.pool, Ring: a.ring, Audit: audited("secret"), Log: a.config.Log})
}

// startSecrets begins the rounds that remove what has expired, of secrets and of wishes about caches.
func (a *App) startSecrets(ctx context.Context) {
	a.secrets.Start(ctx)
	a.purges.Start(ctx)
	a.onStop(func(context.Context) error {
		a.purges.Stop()
		a.secrets.Stop()
		return nil
	})
}
