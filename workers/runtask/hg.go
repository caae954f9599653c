package runtask

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// checkOutHg clones into the shared store where there is one, so that the next clone of the same history
// costs little, and updates to the revision.
func (r *runner) checkOutHg(ctx context.Context, c checkout) (string, error) {
	hg := func(dir string, args ...string) error {
		argv := []string{"hg", "--config", "extensions.share=", "--config", "extensions.purge="}
		if store := r.env["HG_STORE_PATH"]; store != "" {
			argv = append(argv, "--config", "share.pool="+store)
		}
		if c.ssh != "" {
			argv = append(argv, "--config", "ui.ssh="+c.ssh)
		}
		return r.run(ctx, "vcs", dir, append(argv, args...), "HGPLAIN=1")
	}
	if _, err := os.Stat(filepath.Join(c.dir, ".hg")); err != nil {
		err := r.retry(ctx, func() error {
			return hg(filepath.Dir(c.dir), "clone", "--noupdate", "--", c.base, c.dir)
		})
		if err != nil {
			return "", fmt.Errorf("clone %s: %w", c.base, err)
		}
	}
	if err := r.retry(ctx, func() error { return hg(c.dir, "pull", "-r", c.revision(), "--", c.head) }); err != nil {
		return "", fmt.Errorf("pull %s: %w", c, err)
	}
	if err := hg(c.dir, "update", "--clean", "-r", c.revision()); err != nil {
		return "", fmt.Errorf("update to %s: %w", c, err)
	}
	purge := []string{"purge", "--all"}
	for _, inside := range c.inside {
		purge = append(purge, "-X", inside)
	}
	if err := hg(c.dir, purge...); err != nil {
		return "", fmt.Errorf("purge %s: %w", c.dir, err)
	}
	return r.output(ctx, c.dir, "hg", "log", "-r", ".", "-T", "{node}")
}
