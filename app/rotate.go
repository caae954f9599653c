package app

import (
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
)

// Sealed lists every column of the database whose values are sealed with the encryption key.
func Sealed() []reseal.Table {
	return []reseal.Table{auth.Sealed()}
}
