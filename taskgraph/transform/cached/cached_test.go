package cached_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/cached"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestCachedTasks(t *testing.T) { transformtest.Run(t, cached.Transform(), "examples.txtar") }
