package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/near"
	"github.com/treeline-ci/treeline/internal/sys"
)

// prefix begins the names of variables that are Treeline's.
const prefix = "TREELINE_"

// Variables finds names in an environment ("NAME=value") that begin as Treeline's do, and are none that it reads.
func Variables(environ, known []string) Check {
	return Check{Name: "environment", Look: func(context.Context) (found []Finding, _ error) {
		for _, e := range environ {
			name, _, _ := strings.Cut(e, "=")
			if !strings.HasPrefix(name, prefix) || slices.Contains(known, name) {
				continue
			}
			if meant := near.Word(name, known, 1+len(name)/4); meant != "" {
				found = append(found, Found("env-unknown", "the variable %s is not known; %s is", name, meant))
			} else {
				found = append(found, Found("env-unknown", "the variable %s is not known", name))
			}
		}
		return found, nil
	}}
}

// mounted is where Compose and Podman put the secrets of a container, which nobody else uses.
const mounted = "/run/secrets/"

// Files finds files with secrets that others than their owner and its group may read. Those of a container are its own.
func Files(paths []string) Check {
	return Check{Name: "files with secrets", Look: func(context.Context) (found []Finding, _ error) {
		for _, path := range paths {
			info, err := os.Stat(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // that it is missing says who reads it
			}
			if err != nil {
				return found, err
			}
			if info.Mode().Perm()&0o007 != 0 && !strings.HasPrefix(path, mounted) {
				found = append(found, Found("file-readable-by-all", "%s has the mode %04o", path, info.Mode().Perm()))
			}
		}
		return found, nil
	}}
}

// The room on a disk below which a finding is made, in bytes.
const (
	diskFull = 1 << 30
	diskLow  = 10 << 30
)

// Disk looks how much room there is where a directory is. low is where it gets scarce; 0: 10 GiB.
func Disk(dir string, low int64) Check {
	return Check{Name: "room in " + dir, Look: func(context.Context) ([]Finding, error) {
		free, err := sys.Free(dir)
		if err != nil {
			return nil, fmt.Errorf("doctor: %s: %w", dir, err)
		}
		if low == 0 {
			low = diskLow
		}
		switch {
		case free < diskFull:
			return []Finding{Found("disk-full", "%s has %d MB left", dir, free>>20)}, nil
		case free < low:
			return []Finding{Found("disk-low", "%s has %d MB left", dir, free>>20)}, nil
		}
		return nil, nil
	}}
}

// Weak says what is wrong with a password or token; "" when nothing is.
func Weak(secret string) (code, why string) {
	switch lower := strings.ToLower(secret); {
	case slices.Contains([]string{"guest", "minioadmin", "postgres", "treeline", "password", "passwort", "secret", "changeme", "change-me", "admin", "root", "test", "example", "123456", "12345678"}, lower):
		return "secret-default", "is one that everybody tries first"
	case len(secret) < 12:
		return "secret-weak", fmt.Sprintf("has %d characters", len(secret))
	case distinct(secret) < 6:
		return "secret-weak", fmt.Sprintf("has %d different characters", distinct(secret))
	}
	return "", ""
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}
