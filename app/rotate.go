package app

import (
	"context"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/hooks"
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
