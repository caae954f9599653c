package fetch_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/fetch"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestFetch(t *testing.T) { transformtest.Run(t, fetch.Transform(), "examples.txtar") }
