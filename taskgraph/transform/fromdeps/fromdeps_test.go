package fromdeps_test

import (
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/transform/fromdeps"
	"github.com/treeline-ci/treeline/taskgraph/transform/transformtest"
)

func TestFromDeps(t *testing.T) { transformtest.Run(t, fromdeps.Transform(), "from_deps.txtar") }

func TestCodeReview(t *testing.T) { transformtest.Run(t, fromdeps.CodeReview(), "code_review.txtar") }
