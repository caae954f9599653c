package app

import (
	"cmp"
	"context"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/chore"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/secrets"
)

// Sealed lists every column of the database whose values are sealed with the encryption key.
func Sealed() []reseal.Table {
	return []reseal.Table{auth.Sealed(), auth.SealedOld(), hooks.Sealed(hooks.TokenColumn), hooks.Sealed(hooks.TaskColumn), secrets.Sealed(), login.Sealed()}
}

// checkKeys says so when the database holds what this server has no key for. It serves all the same: the
// key may have been lost with what it sealed.
func (a *App) checkKeys(ctx context.Context) error {
	unknown, err := reseal.Unknown(ctx, a.pool, a.ring, Sealed()...)
	for id, tables := range unknown {
		a.config.Log.Error("values in the database are sealed with an encryption key that this server has not: give it as a retired key, or look whether this is the right database",
			"key", id, "tables", tables)
	}
	return err
}

// keysEvery is how often the key service is asked whether it still unwraps the keys. A server that serves has them and
// goes on; that its next start would fail is to be known before.
const keysEvery = 15 * time.Minute

// watchKeys tells when the key service no longer unwraps the keys, for which alerts stand.
func (a *App) watchKeys(ctx context.Context) {
	recheck := a.config.Secrets.Recheck
	if recheck == nil {
		return
	}
	a.untilStop(ctx, func(ctx context.Context) error {
		tick := time.NewTicker(cmp.Or(a.config.KeysEvery, keysEvery))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
			}
			if err := chore.Do(ctx, "keys.unwrap", chore.Plain(recheck)); err != nil && ctx.Err() == nil {
				a.config.Log.ErrorContext(ctx, "the encryption keys cannot be unwrapped: this server goes on with those that it has, and would not start again", "err", err)
			}
		}
	})
}
