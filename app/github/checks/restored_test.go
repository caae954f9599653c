package checks

import (
	"testing"

	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatementsOfRestoredFitTheSchema(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), maybeMadeSQL, compareAllSQL, compareBranchesSQL)
}
