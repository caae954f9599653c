package dockerimage_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/dockerimage"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestDockerImage(t *testing.T) { transformtest.Run(t, dockerimage.Transform(), "examples.txtar") }
