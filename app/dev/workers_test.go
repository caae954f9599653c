package dev

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/treeline-ci/treeline/internal/fault"
)

func TestWorkersKeepToADirectoryOfTheirOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "treeline-abc")
	for range 2 {
		if got, err := ownDir(dir); err != nil || got != dir {
			t.Fatalf("%s, %v", got, err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := ownDir(dir); !errors.Is(err, fault.Conflict) {
		t.Errorf("a directory that others may write to: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if _, err := ownDir(link); !errors.Is(err, fault.Conflict) {
		t.Errorf("a link: %v", err)
	}
}
