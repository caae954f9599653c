package dev

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// private returns a directory that only its owner can enter.
func private(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWhereWorkersLive(t *testing.T) {
	shared, data := t.TempDir(), private(t)
	dir, runAs, err := workersDir(shared, data)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if dir != filepath.Join(data, "workers") || runAs != "" {
			t.Errorf("%s as %q", dir, runAs)
		}
		return
	}
	// Tasks of root run as somebody else, who cannot enter the directory.
	if !strings.HasPrefix(dir, shared) || runAs != taskUser {
		t.Errorf("%s as %q", dir, runAs)
	}
	if again, _, err := workersDir(shared, data); err != nil || again != dir {
		t.Errorf("%s at the next start, %v", again, err)
	}
	other, _, err := workersDir(shared, private(t))
	if err != nil {
		t.Fatal(err)
	}
	if other == dir {
		t.Error("two data directories share it")
	}
}

// What workers keep elsewhere goes when its data directory has gone, and nothing else.
func TestWhatWorkersLeaveIsRemoved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only workers of root live elsewhere")
	}
	shared, gone, kept := t.TempDir(), private(t), private(t)
	var dirs []string
	for _, data := range []string{gone, kept} {
		dir, _, err := workersDir(shared, data)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "dev-1", "caches", "deep"), 0o700); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	foreign := filepath.Join(shared, "treeline-notes") // a directory of the user's, with a name like ours
	loose := filepath.Join(shared, "treeline-loose")   // others may change it, so they may have written what it says
	for dir, mode := range map[string]fs.FileMode{foreign: 0o755, loose: 0o777} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(loose, ofFile), []byte("/not/there\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}

	if err := removeOrphans(shared); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{dirs[0]: false, dirs[1]: true, foreign: true, loose: true} {
		if _, err := os.Stat(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		} else if (err == nil) != want {
			t.Errorf("%s: there %v, want %v", filepath.Base(dir), err == nil, want)
		}
	}
}
