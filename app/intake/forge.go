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

// LocalForge reads a git repository on this machine.
func LocalForge(r *localgit.Repo) Forge { return localForge{r} }

type localForge struct{ *localgit.Repo }

func (f localForge) Tree(ctx context.Context, revision string) (Tree, error) {
	return f.Repo.Tree(ctx, revision)
}

// at opens a repository's tree at a revision. A revision that is gone for good is a mistake of whoever
// rewrote the branch.
func (in *Intake) at(ctx context.Context, r push.Repository, revision string) (Tree, error) {
	forge, err := in.Open(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("intake: open repository %s: %w", r.Name, err)
	}
	tree, err := forge.Tree(ctx, revision)
	if err != nil && !forge.Has(ctx, revision) {
		if _, broken := forge.Heads(ctx); broken == nil { // the repository can be read, so it is gone for good
			err = mistake("no-revision", "", 0, "The repository no longer has revision %s: its branch was rewritten, and the old history cleaned up since. Push again.", revision)
		}
	}
	return tree, err
}
