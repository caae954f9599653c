package pg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/treeline-ci/treeline/internal/fault"
)

// oldest is the oldest major version of PostgreSQL that Treeline's SQL runs on.
const oldest = 15

// binaries is one installed PostgreSQL server.
type binaries struct {
	dir   string // holds postgres and initdb
	major int
}

// findBinaries returns the newest usable server, or the one of the given major version when want is
// not 0: a data directory belongs to the major version that made it.
func findBinaries(ctx context.Context, want int) (binaries, error) {
	var best binaries
	for _, dir := range candidateDirs() {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		major, err := majorOf(ctx, filepath.Join(dir, "postgres"))
		if err != nil || major < oldest {
			continue
		}
		if want != 0 && major != want {
			continue
		}
		if major > best.major {
			best = binaries{dir: dir, major: major}
		}
	}
	if best.major != 0 {
		return best, nil
	}
	if want != 0 {
		return best, fault.New(fault.Unavailable, "PostgreSQL %d, which made this data directory, is not installed; "+
			"on Debian or Ubuntu: apt-get install postgresql-%d", want, want)
	}
	return best, fault.New(fault.Unavailable, "no PostgreSQL server (%d or newer) is installed; "+
		"on Debian or Ubuntu: apt-get install postgresql", oldest)
}

func candidateDirs() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/usr/local/opt/postgresql@*/bin",
		"/opt/homebrew/opt/postgresql@*/bin", "/usr/libexec/postgresql*",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // only a malformed pattern, and these are constants
		}
		dirs = append(dirs, found...)
	}
	return dirs
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func majorOf(ctx context.Context, postgres string) (int, error) {
	out, err := exec.CommandContext(ctx, postgres, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("pg: version of %s: %w", postgres, err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("pg: version of %s: cannot read %q", postgres, out)
	}
	return strconv.Atoi(string(m[1]))
}
