package replicate_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/replicate"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestReplicate(t *testing.T) { transformtest.Run(t, replicate.Transform(), "examples.txtar") }
