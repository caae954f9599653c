package decision

import (
	"context"
	"io/fs"

	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

// ActionsInput is what actions.json depends on.
type ActionsInput struct {
	Params         *params.Parameters
	Config         *config.GraphConfig
	Tree           fs.FS       // for actions that the tree's Starlark registers; nil: none
	Star           *star.Files // of Tree; nil: loaded anew, print dropped
	TaskclusterYML []byte      // the file .taskcluster.yml; its digest is part of hook ids
	DecisionTaskID string      // "" means "DECISION-TASK"
	RootURL        string      // of the server
}

// Actions gives the content of actions.json: what people may do with the tasks of the decision
// (package action).
func Actions(ctx context.Context, in ActionsInput) (map[string]any, error) {
	registry, err := action.New(ctx, action.Tree{Config: in.Config, Params: in.Params, Files: in.Tree, Star: in.Star})
	if err != nil {
		return nil, err
	}
	return registry.Render(action.Rendering{
		Params: in.Params, TrustDomain: in.Config.TrustDomain(), TaskclusterYML: in.TaskclusterYML,
		DecisionTaskID: in.DecisionTaskID, RootURL: in.RootURL,
	})
}
