// Package npmtest installs programs of others, from the lock file beside it, for tests that let
// them speak to Treeline: the npm package taskcluster-client is the real client that users have.
// They are never used at run time.
package npmtest

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

//go:embed package.json
var packageJSON []byte

//go:embed package-lock.json
var packageLock []byte

// Install returns the directory node_modules with the locked packages, which is made once per
// machine and lock file. It needs npm and, the first time, a registry.
func Install(ctx context.Context) (string, error) {
	sum := sha256.Sum256(append(packageJSON[:len(packageJSON):len(packageJSON)], packageLock...))
	dir := filepath.Join(os.TempDir(), "treeline-npmtest-"+hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("npmtest: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return "", fmt.Errorf("npmtest: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("npmtest: lock: %w", err)
	}
	modules, done := filepath.Join(dir, "node_modules"), filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return modules, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("npmtest: %w", err)
	}
	for name, data := range map[string][]byte{"package.json": packageJSON, "package-lock.json": packageLock} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return "", fmt.Errorf("npmtest: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npmtest: npm ci (is npm installed, does it reach its registry?): %w\n%s", err, out)
	}
	return modules, os.WriteFile(done, nil, 0o644)
}
