package dev

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
)

// taskUser is whom tasks run as when Treeline is root.
const taskUser = "nobody"

// elsewhere is where everybody may make directories that last.
const elsewhere = "/var/tmp"

// ofFile names, in a workers' directory elsewhere, the data directory that it belongs to.
const ofFile = "data-directory"

// workersDir is where the workers keep tasks and caches: below data, unless tasks run as another
// user who cannot enter there, as in root's home. Then it is in shared.
func workersDir(shared, data string) (dir, runAs string, err error) {
	dir = filepath.Join(data, "workers")
	if os.Geteuid() != 0 {
		return dir, "", nil
	}
	for above := data; ; above = filepath.Dir(above) {
		if info, err := os.Stat(above); err != nil || info.Mode().Perm()&0o001 == 0 {
			dir, err := dirElsewhere(shared, data)
			return dir, taskUser, err
		}
		if above == filepath.Dir(above) {
			return dir, taskUser, nil
		}
	}
}

// dirElsewhere makes the directory in shared for the workers of data, and notes there whose it is.
func dirElsewhere(shared, data string) (string, error) {
	sum := sha256.Sum256([]byte(data))
	dir, err := ownDir(filepath.Join(shared, "treeline-"+hex.EncodeToString(sum[:6])))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, ofFile), []byte(data+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("dev: workers' directory: %w", err)
	}
	return dir, nil
}

// ownDir makes a directory where everybody may make one, and refuses one that somebody else made.
func ownDir(dir string) (string, error) {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("dev: workers' directory: %w", err)
	}
	own, err := isOwn(dir)
	if err != nil {
		return "", fmt.Errorf("dev: workers' directory: %w", err)
	}
	if !own {
		return "", fault.New(fault.Conflict, "%s is not this user's own directory: remove it, or give --data a directory that user %s can enter", dir, taskUser)
	}
	return dir, nil
}

// isOwn reports whether dir is a directory that this user alone may change.
func isOwn(dir string) (bool, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return false, err
	}
	owner, _, ok := sys.Owner(info)
	return info.IsDir() && ok && owner == uint32(os.Geteuid()) && info.Mode().Perm()&0o022 == 0, nil
}

// removeOrphans removes the workers' directories in shared whose data directory is no longer there. Nobody would
// look for them here, and each has a copy of the program and perhaps large caches. The error tells what stays.
func removeOrphans(shared string) error {
	dirs, err := filepath.Glob(filepath.Join(shared, "treeline-*"))
	if err != nil {
		return fmt.Errorf("dev: workers' directories: %w", err)
	}
	var stay []error
	for _, dir := range dirs {
		if own, err := isOwn(dir); err != nil || !own {
			continue // somebody else's, or just removed
		}
		data, err := os.ReadFile(filepath.Join(dir, ofFile))
		if err != nil {
			continue // not of treeline dev
		}
		if _, err := os.Lstat(strings.TrimSuffix(string(data), "\n")); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			stay = append(stay, fmt.Errorf("dev: what the workers of %s left: %w", strings.TrimSpace(string(data)), err))
		}
	}
	return errors.Join(stay...)
}
