package runtask

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// attempts is how often something that crosses the network is tried, with growing pauses between.
const attempts = 3

// checkOut brings c.dir to the wanted revision, reusing what is there, and returns the revision.
func (r *runner) checkOut(ctx context.Context, c checkout) (string, error) {
	if err := os.MkdirAll(filepath.Dir(c.dir), 0o755); err != nil {
		return "", fmt.Errorf("run-task: %w", err)
	}
	r.say("vcs", "Checking out %s into %s", c, c.dir)
	if c.kind == "hg" {
		return r.checkOutHg(ctx, c)
	}
	return r.checkOutGit(ctx, c)
}

func (r *runner) checkOutGit(ctx context.Context, c checkout) (string, error) {
	git := func(args ...string) error {
		return r.run(ctx, "vcs", c.dir, append([]string{"git", "-c", "advice.detachedHead=false", "-c", "gc.auto=0"}, args...))
	}
	if _, err := os.Stat(filepath.Join(c.dir, ".git")); err != nil {
		if err := os.MkdirAll(c.dir, 0o755); err != nil {
			return "", fmt.Errorf("run-task: %w", err)
		}
		if err := git("init", "-q"); err != nil {
			return "", err
		}
	}
	fetch := []string{"fetch", "--no-tags", "--force", "--quiet"}
	if c.shallow {
		fetch = append(fetch, "--depth=1")
	}
	// The revision itself, which a server may refuse to give by its name; then the ref it was on.
	err := r.retry(ctx, func() error {
		err := git(append(fetch, "--", c.head, c.revision())...)
		if err != nil && c.rev != "" && c.ref != "" {
			err = git(append(fetch, "--", c.head, c.ref)...)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("run-task: fetch %s: %w", c, err)
	}
	target := c.rev
	if target == "" {
		target = "FETCH_HEAD"
	}
	branch := strings.TrimPrefix(c.ref, "refs/heads/")
	checkout := []string{"checkout", "-f", "-q", "--detach", target}
	if branch != "" && !strings.HasPrefix(branch, "refs/") {
		checkout = []string{"checkout", "-f", "-q", "-B", branch, target}
	}
	for _, step := range [][]string{checkout, {"submodule", "update", "--init", "--recursive", "--force", "--quiet"}, {"clean", "-xdffq"}} {
		if err := git(step...); err != nil {
			return "", fmt.Errorf("run-task: check out %s: %w", c, err)
		}
	}
	return r.output(ctx, c.dir, "git", "rev-parse", "HEAD")
}

func (r *runner) checkOutHg(ctx context.Context, c checkout) (string, error) {
	if _, err := os.Stat(filepath.Join(c.dir, ".hg")); err != nil {
		err := r.retry(ctx, func() error {
			return r.run(ctx, "vcs", filepath.Dir(c.dir), []string{"hg", "clone", "--noupdate", "--", c.base, c.dir})
		})
		if err != nil {
			return "", fmt.Errorf("run-task: clone %s: %w", c.base, err)
		}
	}
	err := r.retry(ctx, func() error {
		return r.run(ctx, "vcs", c.dir, []string{"hg", "pull", "-r", c.revision(), "--", c.head})
	})
	if err != nil {
		return "", fmt.Errorf("run-task: pull %s: %w", c, err)
	}
	if err := r.run(ctx, "vcs", c.dir, []string{"hg", "update", "--clean", "-r", c.revision()}); err != nil {
		return "", fmt.Errorf("run-task: update to %s: %w", c, err)
	}
	if err := r.run(ctx, "vcs", c.dir, []string{"hg", "--config", "extensions.purge=", "purge", "--all"}); err != nil {
		return "", fmt.Errorf("run-task: purge %s: %w", c.dir, err)
	}
	return r.output(ctx, c.dir, "hg", "log", "-r", ".", "-T", "{node}")
}

// retry calls f again, after 2 and 4 seconds, when it fails.
func (r *runner) retry(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || attempt == attempts || ctx.Err() != nil {
			return err
		}
		pause := time.Duration(1<<attempt) * time.Second
		r.say("vcs", "Failed (%v); trying again in %v", err, pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
