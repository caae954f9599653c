package app

import (
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/secrets"
)

// Sealed lists every column of the database whose values are sealed with the encryption key.
func Sealed() []reseal.Table {
	return []reseal.Table{auth.Sealed(), hooks.Sealed(hooks.TokenColumn), hooks.Sealed(hooks.TaskColumn), secrets.Sealed(), login.Sealed()}
}
