// Package sample holds a small real project whose work Treeline can run, for the first minutes
// with the product and for tests.
package sample

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed all:project
var project embed.FS

// Name is the sample repository's directory name.
const Name = "pebble"

// Create makes a git repository with the sample project and one commit at dir. It leaves a
// directory that is a repository already as it is, and reports whether it made one.
func Create(ctx context.Context, dir string) (created bool, err error) {
	if _, err := os.Stat(filepath.Join(dir, ".git", "HEAD")); err == nil {
		if err := git(ctx, dir, "rev-parse", "--verify", "-q", "HEAD"); err == nil {
			return false, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("sample: %w", err)
	}
	if err := write(dir); err != nil {
		return false, fmt.Errorf("sample: write project: %w", err)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"config", "user.name", "Treeline"},
		{"config", "user.email", "treeline@localhost"},
		{"add", "-A"},
		{"commit", "-q", "-m", "A tiny site generator, with its tests and its work"},
	} {
		if err := git(ctx, dir, args...); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Files returns the sample project's files by path.
func Files() (map[string]string, error) {
	out := map[string]string{}
	err := fs.WalkDir(project, "project", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := project.ReadFile(name)
		out[strings.TrimPrefix(name, "project/")] = string(data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sample: %w", err)
	}
	return out, nil
}

func write(dir string) error {
	return fs.WalkDir(project, "project", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, strings.TrimPrefix(strings.TrimPrefix(name, "project"), "/"))
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		data, err := project.ReadFile(name)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(string(data), "#!") { // embedding forgets which files are programs
			mode = 0o755
		}
		return os.WriteFile(target, data, mode)
	})
}

func git(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sample: git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
