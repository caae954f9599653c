package checkout

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// unlocked is an extension of Mercurial's that lets nobody lock a repository: what only looks then notes
// nothing in it, as git does with GIT_OPTIONAL_LOCKS=0, and a push leaves its phases as they are.
//
//go:embed unlocked.py
var unlocked []byte

// Unlocked gives options for hg with which it changes nothing in the repository at dir, nor in one with a
// bundle laid over it. They are of use until done is called.
func Unlocked(dir string) (options []string, done func() error, err error) {
	temp, err := os.MkdirTemp("", "treeline-hg-")
	if err != nil {
		return nil, nil, fmt.Errorf("hg: %w", err)
	}
	done = func() error { return os.RemoveAll(temp) }
	file := filepath.Join(temp, "unlocked.py")
	if err := os.WriteFile(file, unlocked, 0o600); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("hg: %w", err), done())
	}
	return []string{"--config", "extensions.unlocked=" + file, "--config", "unlocked.root=" + dir}, done, nil
}
