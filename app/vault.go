package app

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/secrets"
)

// auditSecret writes what is done to a secret into auth's trail: never its value.
func auditSecret(ctx context.Context, tx pgx.Tx, name, clientID, action string) error {
	own := action == secrets.Read || action == secrets.Expired
	return auth.Audit(ctx, tx, auth.Record{EntityType: "secret", EntityID: name, ClientID: clientID, Action: action, Own: own})
}

func (a *App) makeSecrets() {
	a.purges = purgecache.New(a.pool, purgecache.WithLog(a.config.Log))
	a.secrets = secrets.New(secrets.Deps{Pool: a.pool, Ring: a.ring, Audit: auditSecret, Log: a.config.Log})
}
