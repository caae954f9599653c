package scriptworker_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/scriptworker"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestReleaseArtifacts(t *testing.T) {
	transformtest.Run(t, scriptworker.ReleaseArtifacts(), "release_artifacts.txtar")
}

func TestMarkAsShipped(t *testing.T) {
	transformtest.Run(t, scriptworker.MarkAsShipped(), "mark_as_shipped.txtar")
}
