package standing_test

import (
	"testing"

	"github.com/treeline-ci/treeline/app/github/standing"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatementsFitTheSchema(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), standing.Statements()...)
}

func TestNothingIsThereAtFirst(t *testing.T) {
	if f, err := standing.Of(t.Context(), pgtest.DB(t)); err != nil || f != (standing.Figures{}) {
		t.Errorf("%+v, %v", f, err)
	}
}
