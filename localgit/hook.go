package localgit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	hookName   = "reference-transaction" // git runs it whenever a ref has moved, whoever moved it
	hookMarker = "# Treeline: tells a watching server that a branch moved."
	notifyFile = "treeline-notify"
)

// hookScript touches a file that Watch looks at. It can't fail a commit and needs no server.
const hookScript = `#!/bin/sh
` + hookMarker + `
# Safe to delete: Treeline also polls.
[ "$1" = committed ] && : > "$(git rev-parse --git-common-dir)/` + notifyFile + `" 2>/dev/null
exit 0
`

// ErrForeignHook says that the repository has a hook of its own where ours would go.
var ErrForeignHook = errors.New("the repository has a " + hookName + " hook of its own, which is left alone")

// Hook installs the hook that makes a commit known at once. It is idempotent. A hook that is not
// ours stays (ErrForeignHook), and hooks kept outside the repository are not touched: then polling
// alone finds the commits.
func (r *Repo) Hook(ctx context.Context) error {
	out, err := r.git(ctx, "rev-parse", "--path-format=absolute", "--git-path", "hooks")
	if err != nil {
		return fmt.Errorf("localgit: find hooks: %w", err)
	}
	dir := strings.TrimSpace(out)
	if inside, err := filepath.Rel(r.gitDir, dir); err != nil || strings.HasPrefix(inside, "..") {
		return ErrForeignHook
	}
	path := filepath.Join(dir, hookName)
	old, err := os.ReadFile(path)
	switch {
	case err == nil && string(old) == hookScript:
		return nil
	case err == nil && !strings.Contains(string(old), hookMarker):
		return ErrForeignHook
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("localgit: read hook: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("localgit: make hooks directory: %w", err)
	}
	// Written beside and renamed: git must never run half a script.
	fresh := path + ".treeline-new"
	if err := os.WriteFile(fresh, []byte(hookScript), 0o755); err != nil {
		return fmt.Errorf("localgit: write hook: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("localgit: install hook: %w", err)
	}
	return nil
}
