package localgit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Repo is a git repository, with a work tree or bare. It is safe for concurrent use.
type Repo struct {
	dir    string // where git runs
	gitDir string // the common git directory
}

// Open finds the repository at or above path. The error says what to do when there is none or git
// refuses it.
func Open(ctx context.Context, path string) (*Repo, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("localgit: open %s: %w", path, err)
	}
	r := &Repo{dir: abs}
	out, err := r.git(ctx, "rev-parse", "--path-format=absolute", "--git-common-dir")
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s is not a git repository that can be read here: give the path of one, or make one with: git init %s", path, path)
	}
	r.gitDir = strings.TrimSpace(out)
	if top, err := r.git(ctx, "rev-parse", "--path-format=absolute", "--show-toplevel"); err == nil && strings.TrimSpace(top) != "" {
		r.dir = strings.TrimSpace(top)
	}
	return r, nil
}

// Dir returns the top of the work tree, or the git directory of a bare repository.
func (r *Repo) Dir() string { return r.dir }

// Name proposes a name for the repository: the base of its directory without ".git".
func (r *Repo) Name() string {
	base := strings.TrimSuffix(filepath.Base(strings.TrimSuffix(r.dir, "/.git")), ".git")
	name := strings.Trim(regexp.MustCompile(`[^A-Za-z0-9._-]+`).ReplaceAllString(base, "-"), "-._")
	if name == "" {
		return "repository"
	}
	return name
}

var revisionRule = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// checkRevisions refuses what is no full object id, so that nothing from outside is ever read as
// an option or a revision expression.
func checkRevisions(revisions ...string) error {
	for _, rev := range revisions {
		if !revisionRule.MatchString(rev) {
			return fault.New(fault.Invalid, "%q is not a full git revision", rev)
		}
	}
	return nil
}

// git runs one git command and returns what it printed.
func (r *Repo) git(ctx context.Context, args ...string) (string, error) {
	cmd := r.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", fault.Wrap(fault.Unavailable, err, "git is not installed: apt-get install git")
		}
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

func (r *Repo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	cmd.Env = environment()
	return cmd
}

// environment is ours without git's own variables: inside a hook they would point git at another
// repository.
func environment() []string {
	env := []string{"LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0"}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "LC_ALL=") {
			env = append(env, kv)
		}
	}
	return env
}
