package quickstart_test

import (
	"testing"

	"github.com/treeline-ci/treeline/app/github/quickstart"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatementsFitTheSchema(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), quickstart.Statements()...)
}
