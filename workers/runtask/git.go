package runtask

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/treeline-ci/treeline/workers/gitssh"
)

// useKey gets the ssh key that the repository needs, if any; the function returned removes it.
func (r *runner) useKey(ctx context.Context, c *checkout) (remove func() error, err error) {
	if c.secret == "" {
		return func() error { return nil }, nil
	}
	c.ssh, remove, err = gitssh.Prepare(ctx, r.env["TASKCLUSTER_PROXY_URL"], c.secret)
	if err != nil {
		return nil, fmt.Errorf("the ssh key of %s: %w", c.name, err)
	}
	r.say("vcs", "Using the ssh key of secret %s", c.secret)
	return remove, nil
}

// git is a repository in its directory.
type git struct {
	r *runner
	c checkout
}

func (g git) run(ctx context.Context, args ...string) error {
	// A transfer below a kilobyte a second for a minute has failed.
	extra := []string{"GIT_TERMINAL_PROMPT=0", "GIT_HTTP_LOW_SPEED_LIMIT=1024", "GIT_HTTP_LOW_SPEED_TIME=60"}
	if g.c.ssh != "" {
		extra = append(extra, "GIT_SSH_COMMAND="+g.c.ssh)
	}
	argv := append([]string{"git", "-c", "advice.detachedHead=false", "-c", "gc.auto=0"}, args...)
	return g.r.run(ctx, "vcs", g.c.dir, argv, extra...)
}

func (r *runner) checkOutGit(ctx context.Context, c checkout) (string, error) {
	g := git{r, c}
	fresh := false
	if _, err := os.Stat(filepath.Join(c.dir, ".git")); err != nil {
		if err := os.MkdirAll(c.dir, 0o755); err != nil {
			return "", err
		}
		if err := g.run(ctx, "init", "-q"); err != nil {
			return "", err
		}
		fresh = true
	}
	fetch := g.fetch
	if c.shallow {
		fetch = g.fetchShallow
	}
	if err := fetch(ctx, fresh); err != nil {
		return "", fmt.Errorf("fetch %s: %w", c, err)
	}
	if err := g.update(ctx); err != nil {
		return "", fmt.Errorf("check out %s: %w", c, err)
	}
	return r.output(ctx, c.dir, "git", "rev-parse", "HEAD")
}

// fetch brings the revision and its history: all branches and tags of the base into a new clone, then what
// the head has besides.
func (g git) fetch(ctx context.Context, fresh bool) error {
	c, r := g.c, g.r
	if fresh {
		err := r.retry(ctx, func() error {
			return g.run(ctx, "fetch", "--quiet", "--force", "--tags", "--", c.base, "+refs/heads/*:refs/remotes/origin/*")
		})
		if err != nil {
			return err
		}
	}
	if c.baseRev != "" && !g.has(ctx, c.baseRev) {
		if err := g.run(ctx, "fetch", "--quiet", "--no-tags", "--", c.base, c.baseRev); err != nil {
			r.say("vcs", "%s does not give its revision %s by name", c.base, c.baseRev)
		}
	}
	if c.ref != "" && (c.rev == "" || !g.has(ctx, c.rev)) {
		tags := "--no-tags"
		if !strings.HasPrefix(c.ref, "refs/heads/") && c.base == c.head {
			tags = "--tags"
		}
		err := r.retry(ctx, func() error { return g.run(ctx, "fetch", "--quiet", "--force", tags, "--", c.head, c.ref) })
		if err != nil && c.rev == "" {
			return err
		}
	}
	if c.rev == "" || g.has(ctx, c.rev) {
		return nil
	}
	// The ref has moved away from the revision, or there is none.
	return r.retry(ctx, func() error { return g.run(ctx, "fetch", "--quiet", "--force", "--no-tags", "--", c.head, c.rev) })
}

// has reports whether the revision, a commit, is there.
func (g git) has(ctx context.Context, rev string) bool {
	_, err := g.r.output(ctx, g.c.dir, "git", "cat-file", "-e", rev+"^{commit}")
	return err == nil
}

// fetchShallow brings the revision alone: by its name, or, where the server refuses that, by its ref.
func (g git) fetchShallow(ctx context.Context, _ bool) error {
	return g.r.retry(ctx, func() error {
		err := g.run(ctx, "fetch", "--quiet", "--force", "--no-tags", "--depth=1", "--", g.c.head, g.c.revision())
		if err != nil && g.c.rev != "" && g.c.ref != "" {
			err = g.run(ctx, "fetch", "--quiet", "--force", "--no-tags", "--depth=1", "--", g.c.head, g.c.ref)
		}
		return err
	})
}

// update makes the work tree that of the revision and removes everything else, except repositories inside.
func (g git) update(ctx context.Context) error {
	target := g.c.rev
	if target == "" {
		target = "FETCH_HEAD"
	}
	branch := strings.TrimPrefix(g.c.ref, "refs/heads/")
	checkout := []string{"checkout", "-f", "-q", "--detach", target}
	if branch != "" && !strings.HasPrefix(branch, "refs/") {
		checkout = []string{"checkout", "-f", "-q", "-B", branch, target}
	}
	clean := []string{"clean", "-xdffq"}
	for _, inside := range g.c.inside {
		clean = append(clean, "-e", "/"+inside)
	}
	if err := g.run(ctx, checkout...); err != nil {
		return err
	}
	err := g.r.retry(ctx, func() error { return g.run(ctx, "submodule", "update", "--init", "--recursive", "--force", "--quiet") })
	if err != nil {
		return err
	}
	return g.run(ctx, clean...)
}
