package checks_test

import (
	"testing"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatementsFitTheSchema(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), checks.Statements()...)
}
