package notify_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/notify"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestNotify(t *testing.T) {
	transformtest.Run(t, notify.Transform("taskgraph.transforms.notify:transforms"), "examples.txtar")
}
