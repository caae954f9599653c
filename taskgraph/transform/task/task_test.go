package task_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/task"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestTask(t *testing.T) { transformtest.Run(t, task.Transform(), "examples.txtar") }
