package workers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// shareProgram puts the treeline program where the tasks' user can run it and returns that
// directory, "" when the configuration names no program. Tasks start `treeline run-task` from it;
// the program's own place may be closed to their user.
func (w *worker) shareProgram() (string, error) {
	if w.Program == "" {
		return "", nil
	}
	dir := filepath.Join(w.Dir, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("workers: directory of programs: %w", err)
	}
	target := filepath.Join(dir, "treeline")
	fresh := target + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("workers: share program: %w", err)
	}
	// A link costs nothing; a copy is needed from another file system.
	if err := os.Link(w.Program, fresh); err != nil {
		if err := copyProgram(w.Program, fresh); err != nil {
			return "", fmt.Errorf("workers: share program: %w", err)
		}
	}
	if err := os.Rename(fresh, target); err != nil {
		return "", fmt.Errorf("workers: share program: %w", err)
	}
	os.Remove(fresh) // still there when both were links to one file: then the renaming did nothing
	return dir, nil
}

func copyProgram(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
