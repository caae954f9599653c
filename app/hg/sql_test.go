package hg

import (
	"testing"

	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatementsFitTheSchema(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), Statements()...)
}
