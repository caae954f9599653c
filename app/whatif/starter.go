package whatif

import (
	"context"
	"io/fs"
	"path"
	"strings"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/local/starter"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/ui/create"
)

// Starter looks at a repository's default branch and writes a configuration to begin with, as "treeline taskgraph
// init" does in a checkout.
func (l *Lab) Starter(ctx context.Context, repository string) (create.Starter, error) {
	p, err := l.find(ctx, repository, "")
	if err != nil {
		return create.Starter{}, err
	}
	tree, err := l.At(ctx, p.repository, p.revision)
	if err != nil {
		return create.Starter{}, told(err)
	}
	r := p.repository
	project := starter.Project{Name: path.Base(r.Name), Type: intake.RepositoryType(r), DefaultBranch: r.DefaultBranch, App: r.Kind == push.GitHub}
	project.Forge, project.Remote = starter.ReadRemote(r.URL)
	var besides []starter.Finding
	project.Findings, besides = starter.Inspect(tree, "")
	out := create.Starter{Repository: r.Name, Branch: p.ref, Revision: p.revision}
	for _, f := range append(project.Findings, besides...) {
		found := create.Finding{Template: f.Template, Because: f.Because}
		for _, j := range f.Jobs {
			found.Jobs = append(found.Jobs, create.Job{Name: j.Kind + "-" + j.Name, Command: j.Command})
		}
		out.Found = append(out.Found, found)
	}
	for _, f := range project.Files() {
		out.Files = append(out.Files, create.File{Name: f.Name, Why: f.Why, Content: f.Content})
		if _, err := fs.Stat(tree, f.Name); err == nil {
			out.There = append(out.There, f.Name)
		}
	}
	if r.Kind == push.GitHub {
		out.NewFileURL = strings.TrimSuffix(r.URL, ".git") + "/new/"
	}
	return out, nil
}
