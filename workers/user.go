package workers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/engine/process"
)

const (
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	probeTime   = 10 * time.Second
)

// prepareUser finds who runs the tasks' commands and where they are looked for: in the worker's own
// PATH and the usual directories, less those that the tasks' user may not enter. It runs a program
// as that user in a directory such as tasks get, so that a worker whose tasks could not even start
// says so at once.
func (w *worker) prepareUser(ctx context.Context) error {
	programs, err := w.shareProgram()
	if err != nil {
		return err
	}
	dirs := filepath.SplitList(os.Getenv("PATH"))
	if programs != "" {
		dirs = append([]string{programs}, dirs...)
	}
	for _, dir := range filepath.SplitList(defaultPath) {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	w.userName = "task"
	if w.task != nil {
		w.userName = w.task.Name
	} else if u, err := user.Current(); err == nil {
		w.userName = u.Username
	}
	if w.task != nil {
		if dirs, err = w.enterable(ctx, dirs); err != nil {
			return err
		}
	}
	w.path = strings.Join(dirs, string(filepath.ListSeparator))
	return nil
}

func (w *worker) enterable(ctx context.Context, dirs []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	probe, err := os.MkdirTemp(w.Dir, "probe-")
	if err != nil {
		return nil, fmt.Errorf("workers: directory: %w", err)
	}
	defer os.RemoveAll(probe)
	if err := os.Chmod(probe, 0o711); err != nil {
		return nil, fmt.Errorf("workers: directory: %w", err)
	}
	var out bytes.Buffer
	script := `for d in "$@"; do if [ -d "$d" ] && [ -x "$d" ]; then printf '%s\n' "$d"; fi; done`
	exit, err := process.Run(ctx, process.Spec{
		Argv: append([]string{"/bin/sh", "-c", script, "sh"}, dirs...),
		Dir:  probe, User: w.task, Env: []string{"PATH=" + defaultPath}, Output: &out,
	})
	if start, ok := errors.AsType[*process.StartError](err); ok {
		return nil, fault.Wrap(fault.Invalid, start, "user %s cannot enter %s: give the directories above it the right to be entered (chmod o+x), or choose another directory",
			w.task.Name, w.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("workers: run /bin/sh as user %s: %w", w.task.Name, err)
	}
	if exit.Code != 0 {
		return nil, fault.New(fault.Invalid, "user %s cannot run /bin/sh: exit status %d", w.task.Name, exit.Code)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n"), nil
}
