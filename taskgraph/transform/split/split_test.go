package split_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/split"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestMatrix(t *testing.T) { transformtest.Run(t, split.Matrix(), "matrix.txtar") }

func TestChunking(t *testing.T) { transformtest.Run(t, split.Chunking(), "chunking.txtar") }
