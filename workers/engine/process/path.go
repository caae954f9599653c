package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// LookPath finds the program of a command as Run does: for those who start it themselves.
func LookPath(spec Spec) (string, error) {
	program, err := lookPath(spec)
	if err != nil {
		return "", &StartError{Program: name(spec.Argv), Err: err}
	}
	return program, nil
}

// lookPath finds the program of a command as the task's own shell would: in the PATH of the
// command's environment, relative names in its directory.
func lookPath(spec Spec) (string, error) {
	if len(spec.Argv) == 0 || spec.Argv[0] == "" {
		return "", errors.New("the command is empty")
	}
	name := spec.Argv[0]
	if strings.ContainsAny(name, separators) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(spec.Dir, name)
		}
		return found(name)
	}
	var denied error
	for _, dir := range filepath.SplitList(pathOf(spec.Env)) {
		if dir == "" {
			dir = "."
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(spec.Dir, dir)
		}
		candidate, err := found(filepath.Join(dir, name))
		if err == nil {
			return candidate, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", errors.New("not found in PATH (" + pathOf(spec.Env) + ")")
}

func pathOf(env []string) string {
	path := ""
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v // the last one counts, as for os/exec
		}
	}
	return path
}

// found is the file of a program: name, or with one of the endings that programs have on this system.
func found(name string) (string, error) {
	first := executable(name)
	if first == nil {
		return name, nil
	}
	for _, ending := range endings {
		if executable(name+ending) == nil {
			return name + ending, nil
		}
	}
	return name, first
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return plain(err)
	case info.IsDir():
		return errors.New("is a directory")
	case !mayRun(info):
		return fs.ErrPermission
	}
	return nil
}
