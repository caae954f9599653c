package workers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/treeline-ci/treeline/workers/runtask"
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
	return dir, shareScripts(dir)
}

// shareScripts puts the scripts beside the program that images have in /usr/local/bin: payloads made for
// containers name them.
func shareScripts(dir string) error {
	scripts, err := runtask.Scripts()
	if err != nil {
		return err
	}
	for _, name := range []string{"run-task", "fetch-content"} {
		content, err := fs.ReadFile(scripts, name)
		if err != nil {
			return err
		}
		fresh := filepath.Join(dir, name+".new")
		if err := errors.Join(os.WriteFile(fresh, content, 0o755), os.Chmod(fresh, 0o755), os.Rename(fresh, filepath.Join(dir, name))); err != nil {
			return fmt.Errorf("workers: share scripts: %w", err)
		}
	}
	return nil
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
