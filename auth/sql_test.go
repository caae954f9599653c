package auth

import (
	"testing"

	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatements(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), Statements()...)
}
