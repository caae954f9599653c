package intake

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/push"
)

// Forge reads one repository, whatever keeps it. It is safe for concurrent use.
type Forge interface {
	// Heads returns the revision of every branch.
	Heads(ctx context.Context) (map[string]string, error)

	// Has reports whether the repository still has a revision. It is asked after Tree failed.
	Has(ctx context.Context, revision string) bool

	// Tree opens the files of a revision; it lives as long as ctx.
	Tree(ctx context.Context, revision string) (Tree, error)
}

// Tree is the files of one revision. Its lists of paths are complete; contents are read when asked for.
// A file that is too large is a fault.TooLarge.
type Tree interface {
	fs.ReadFileFS
	fs.ReadDirFS
	fs.StatFS

	// Prefetch reads what stands at or below the given paths at once, for a forge where each read
	// costs a round trip.
	Prefetch(under ...string) error
}

// Describer is a Forge that can say of a revision what the record of its push would: author, e-mail,
// message, time, files changed, the revision it builds on; and where the forge counts pushes, which it is.
type Describer interface {
	Describe(ctx context.Context, revision string) (p push.Push, pushlogID string, err error)
}

// LocalForge reads a git repository on this machine.
func LocalForge(r *localgit.Repo) Forge { return localForge{r} }

type localForge struct{ *localgit.Repo }

func (f localForge) Tree(ctx context.Context, revision string) (Tree, error) {
	return f.Repo.Tree(ctx, revision)
}

// Describe tells what the head of a branch is without a record of its push.
func (f localForge) Describe(ctx context.Context, revision string) (push.Push, string, error) {
	commits, err := f.Commits(ctx, "", revision, 2)
	if err != nil {
		return push.Push{}, "", err
	}
	head := commits[0]
	p := push.Push{Revision: revision, Author: head.Author, Email: head.Email, Message: head.Message, Time: head.Time}
	if len(commits) > 1 {
		p.Base = commits[1].Revision
	}
	p.FilesChanged, err = f.Repo.FilesChanged(ctx, p.Base, revision)
	return p, "", err
}

// At opens a repository's tree at a revision. A revision that is gone for good is a mistake of whoever
// rewrote the branch.
func (in *Intake) At(ctx context.Context, r push.Repository, revision string) (Tree, error) {
	forge, err := in.Open(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("intake: open repository %s: %w", r.Name, err)
	}
	tree, err := forge.Tree(ctx, revision)
	if err != nil && !forge.Has(ctx, revision) {
		if _, broken := forge.Heads(ctx); broken == nil { // the repository can be read, so it is gone for good
			err = mistake(codeNoRevision, "", 0, "The repository no longer has revision %s: its branch was rewritten, and the old history cleaned up since. Push again.", revision)
		}
	}
	return tree, err
}

// RepositoryType is the kind of version control of a repository, as parameters and templates have it.
func RepositoryType(r push.Repository) string {
	if r.Kind == push.Mercurial {
		return "hg"
	}
	return "git"
}
