package app

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/secrets"
)

// auditSecret writes what is done to a secret into auth's trail: never its value.
func auditSecret(ctx context.Context, tx pgx.Tx, name, clientID, action string) error {
	own := action == secrets.Read || action == secrets.Expired
	return auth.Audit(ctx, tx, auth.Record{EntityType: "secret", EntityID: name, ClientID: clientID, Action: action, Own: own})
}

// Vault is the room of secrets on a deployment's database, without a server. What is read there is in the audit log.
func Vault(pool *pgxpool.Pool, ring *crypt.Ring, log *slog.Logger) *secrets.Secrets {
	return secrets.New(secrets.Deps{Pool: pool, Ring: ring, Audit: auditSecret, Log: log})
}

func (a *App) makeSecrets() {
	a.purges = purgecache.New(a.pool, purgecache.WithLog(a.config.Log))
	a.secrets = Vault(a.pool, a.ring, a.config.Log)
	a.secrets.Alarm = a.alarm().read
}
