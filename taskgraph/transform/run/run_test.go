package run_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/run"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestRun(t *testing.T) {
	transformtest.Run(t, run.Transform("taskgraph.transforms.run:transforms"), "examples.txtar")
}
