package taskcontext_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/taskcontext"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestTaskContext(t *testing.T) { transformtest.Run(t, taskcontext.Transform(), "examples.txtar") }
