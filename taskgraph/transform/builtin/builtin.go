// Package builtin gathers the transforms that Treeline brings along, under the names by which
// kind files know them.
package builtin

import (
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/cached"
	"github.com/treeline-ci/treeline/taskgraph/transform/dockerimage"
	"github.com/treeline-ci/treeline/taskgraph/transform/fetch"
	"github.com/treeline-ci/treeline/taskgraph/transform/fromdeps"
	"github.com/treeline-ci/treeline/taskgraph/transform/notify"
	"github.com/treeline-ci/treeline/taskgraph/transform/replicate"
	"github.com/treeline-ci/treeline/taskgraph/transform/run"
	"github.com/treeline-ci/treeline/taskgraph/transform/scriptworker"
	"github.com/treeline-ci/treeline/taskgraph/transform/split"
	"github.com/treeline-ci/treeline/taskgraph/transform/task"
	"github.com/treeline-ci/treeline/taskgraph/transform/taskcontext"
)

// Registry returns all transforms by name. Names of older versions stand beside the present
// ones.
func Registry() transform.Registry {
	r := transform.Registry{}
	for _, t := range []transform.Transform{
		cached.Transform(),
		dockerimage.Transform(),
		fetch.Transform(),
		fromdeps.Transform(),
		fromdeps.CodeReview(),
		notify.Transform("taskgraph.transforms.notify:transforms"),
		notify.Transform("taskgraph.transforms.release_notifications:transforms"),
		run.Transform("taskgraph.transforms.run:transforms"),
		run.Transform("taskgraph.transforms.job:transforms"),
		split.Chunking(),
		split.Matrix(),
		task.Transform(),
		taskcontext.Transform(),
		replicate.Transform(),
		scriptworker.MarkAsShipped(),
		scriptworker.ReleaseArtifacts(),
	} {
		r[t.Name] = t
	}
	return r
}
