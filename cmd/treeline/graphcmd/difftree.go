package graphcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/checkout"
	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/taskgraph/config"
)

// side is one of two trees that are compared.
type side struct {
	shown    string // as people know it
	revision string // "" for the work tree
	tree     fs.FS
	root     string // directory of config.yml; "" when the tree has none
}

// workTree is how the work tree is shown.
const workTree = "the work tree"

// resolve finds the full id of a commit.
func resolve(ctx context.Context, c checkout.Checkout, rev string) (string, error) {
	if c.Kind != "git" {
		return "", fmt.Errorf("%s is no git checkout: trees of other revisions can be read from git alone", c.Dir)
	}
	if rev == "" {
		return "", errors.New("a revision is missing")
	}
	if err := checkout.CheckRevisions(rev); err != nil {
		return "", err
	}
	id, err := c.Run(ctx, "rev-parse", "--verify", "--quiet", rev+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("there is no revision %q here", rev)
	}
	return strings.TrimSpace(id), nil
}

// at gives the tree of a revision, read from git's objects: the work tree is not touched. prefetch
// names directories that are read at once.
func (g *generator) at(ctx context.Context, rev string, prefetch ...string) (side, error) {
	id, err := resolve(ctx, g.checkout, rev)
	if err != nil {
		return side{}, err
	}
	repo, err := localgit.Open(ctx, g.checkout.Dir)
	if err != nil {
		return side{}, err
	}
	whole, err := repo.Tree(ctx, id)
	if err != nil {
		return side{}, err
	}
	inside, err := filepath.Rel(g.checkout.Dir, g.top)
	if err != nil {
		return side{}, err
	}
	inside = filepath.ToSlash(inside)
	s := side{shown: rev, revision: id, tree: whole}
	if inside != "." {
		if s.tree, err = fs.Sub(whole, inside); err != nil {
			return side{}, err
		}
	}
	s.root = rootIn(s.tree, g.root)
	under := []string{path.Join(inside, ".taskcluster.yml")}
	for _, name := range append(prefetch, s.root) {
		if name != "" {
			under = append(under, path.Join(inside, name))
		}
	}
	return s, whole.Prefetch(under...)
}

// rootIn is the directory of config.yml in a tree: wanted, or where trees have it; "" without one.
func rootIn(tree fs.FS, wanted string) string {
	if _, err := fs.Stat(tree, path.Join(wanted, "config.yml")); err == nil {
		return wanted
	}
	found, err := config.FindRoot(tree)
	if err != nil {
		return ""
	}
	return found
}

// sides finds what is to be compared: "BASE..HEAD", "BASE...HEAD" (from where HEAD left BASE),
// "BASE" (with the work tree), or "" for the work tree and the commit where it left what is
// published.
func (g *generator) sides(ctx context.Context, spec string) (base, head side, err error) {
	from, to, two := strings.Cut(spec, "..")
	to, three := strings.CutPrefix(to, ".")
	if from == "" {
		if from, err = g.published(ctx, two, to); err != nil {
			return base, head, err
		}
	}
	if !two {
		head = side{shown: workTree, tree: g.tree, root: g.root}
	} else {
		if to == "" {
			to = "HEAD"
		}
		if head, err = g.at(ctx, to); err != nil {
			return base, head, err
		}
	}
	if three {
		id := g.checkout.Ask(ctx, "merge-base", from, head.revision)
		if id == "" {
			return base, head, fmt.Errorf("%s and %s have no common commit", from, to)
		}
		from = id[:min(len(id), 12)]
	}
	base, err = g.at(ctx, from)
	return base, head, err
}

// published is the commit at which the local ones begin: where the branch left its upstream, or the
// main branch of the remote; without either the commit before.
func (g *generator) published(ctx context.Context, two bool, head string) (string, error) {
	if !two || head == "" {
		head = "HEAD"
	}
	if err := checkout.CheckRevisions(head); err != nil {
		return "", err
	}
	for _, other := range []string{"@{upstream}", "refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master"} {
		if id := g.checkout.Ask(ctx, "merge-base", other, head); id != "" {
			return id[:min(len(id), 12)], nil
		}
	}
	if !two {
		return "HEAD", nil
	}
	return head + "~1", nil
}
