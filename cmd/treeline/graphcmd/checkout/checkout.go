// Package checkout asks version control about a working copy, git's or Mercurial's: what parameters say
// of it, and which files a push changed.
package checkout

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/params"
)

// Checkout is a working copy that commands of version control are run in.
type Checkout struct {
	Dir  string // its top
	Kind string // "git", "hg" or "" when it is neither
}

// emptyTree is the id that git gives to a tree without files.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// Find finds the working copy that dir is part of.
func Find(dir string) (Checkout, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Checkout{}, err
	}
	for d := abs; ; d = filepath.Dir(d) {
		for _, kind := range []string{"git", "hg"} {
			if _, err := os.Stat(filepath.Join(d, "."+kind)); err == nil {
				return Checkout{Dir: d, Kind: kind}, nil
			}
		}
		if d == filepath.Dir(d) {
			return Checkout{Dir: abs}, nil
		}
	}
}

// Run gives the standard output of a command of the working copy's version control.
// It changes nothing, not even what version control keeps to look faster.
func (c Checkout) Run(ctx context.Context, args ...string) (string, error) {
	all := args
	if c.Kind == "hg" {
		options, done, err := Unlocked(c.Dir)
		if err != nil {
			return "", err
		}
		defer func() { _ = done() }() // what is left behind is in the folder for such files
		all = slices.Concat(args[:1], options, args[1:])
	}
	cmd := exec.CommandContext(ctx, c.Kind, all...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C.UTF-8", "HGPLAIN=1", "PYTHONDONTWRITEBYTECODE=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", c.Kind, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return string(out), nil
}

// Ask is run for facts that may be missing: "" then.
func (c Checkout) Ask(ctx context.Context, args ...string) string {
	out, err := c.Run(ctx, args...)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// Facts describes the working copy for local parameters. What is not known stays empty.
func (c Checkout) Facts(ctx context.Context) params.Facts {
	f := params.Facts{RepositoryType: c.Kind, Now: time.Now(), Version: c.Version()}
	switch c.Kind {
	case "git":
		if remote := c.remote(ctx); remote != "" {
			f.RepositoryURL = c.Ask(ctx, "remote", "get-url", remote)
		}
		f.HeadRef = c.Ask(ctx, "branch", "--show-current")
		f.HeadRev = c.Ask(ctx, "rev-parse", "--verify", "--quiet", "HEAD")
		f.FilesChanged = Paths(c.Ask(ctx, "diff", "-z", "--name-only", "--no-renames", "--diff-filter=AM"))
	case "hg":
		f.RepositoryURL = c.Ask(ctx, "paths", "default")
		f.HeadRef = c.Ask(ctx, "branch")
		f.HeadRev = c.Ask(ctx, "log", "-r", ".", "-T", "{node}")
		f.FilesChanged = lines(c.Ask(ctx, "status", "--no-status", "--modified", "--added"))
	}
	return f
}

// remote is the remote that the branch follows, else origin, else the first; "" without any.
func (c Checkout) remote(ctx context.Context) string {
	if branch := c.Ask(ctx, "rev-parse", "--verify", "--quiet", "--abbrev-ref", "--symbolic-full-name", "@{u}"); branch != "" {
		remote, _, _ := strings.Cut(branch, "/")
		return remote
	}
	all := strings.Fields(c.Ask(ctx, "remote"))
	switch {
	case len(all) == 0:
		return ""
	case slices.Contains(all, "origin"):
		return "origin"
	}
	return all[0]
}

// Version is the first line of version.txt.
func (c Checkout) Version() string {
	b, err := os.ReadFile(filepath.Join(c.Dir, "version.txt"))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

// revision is what may stand for a commit on a command line and in a revision set.
var revision = regexp.MustCompile(`\A[0-9A-Za-z_/.][0-9A-Za-z_/.~^-]*\z`)

// CheckRevisions refuses what version control could take for an option or an expression. An empty
// revision is none.
func CheckRevisions(list ...string) error {
	for _, r := range list {
		if r != "" && !revision.MatchString(r) {
			return fmt.Errorf("%q is no revision", r)
		}
	}
	return nil
}

// Message is the message of a commit.
func (c Checkout) Message(ctx context.Context, rev string) (string, error) {
	if err := CheckRevisions(rev); err != nil {
		return "", err
	}
	switch c.Kind {
	case "git":
		return c.Run(ctx, "log", "-1", "--format=%B", rev, "--")
	case "hg":
		return c.Run(ctx, "log", "-r", rev, "-T", "{desc}")
	}
	return "", fmt.Errorf("%s is no git and no hg checkout", c.Dir)
}

// Changed gives the files that the commits from base to rev touch, files of several commits
// several times (taskgraph-map 12.3).
func (c Checkout) Changed(ctx context.Context, base, rev string) ([]string, error) {
	if err := CheckRevisions(base, rev); err != nil {
		return nil, err
	}
	switch c.Kind {
	case "git":
		return c.changedGit(ctx, base, rev)
	case "hg":
		set := fmt.Sprintf("only(%s, %s)", rev, base)
		if base == "" || strings.Trim(base, "0") == "" {
			set = rev
		}
		out, err := c.Run(ctx, "log", "-r", set, "-T", "{files % '{file}\n'}")
		return lines(out), err
	}
	return nil, fmt.Errorf("%s is no git and no hg checkout", c.Dir)
}

func (c Checkout) changedGit(ctx context.Context, base, rev string) ([]string, error) {
	const nul, names, filter = "-z", "--name-only", "--diff-filter=ADM" // without -z git quotes what is not ASCII
	if base == "" {
		base = rev + "~1"
		if !c.has(ctx, base) { // the first commit, or all that a shallow clone has
			base = strings.Repeat("0", 40)
		}
	}
	command := []string{"log", "--format=format:", "--no-renames", nul, names, filter, base + ".." + rev, "--"}
	switch {
	case strings.Trim(base, "0") == "": // a new branch: all its files are new
		command = []string{"diff", "--no-renames", nul, names, filter, emptyTree, rev, "--"}
	case !c.has(ctx, base):
		return nil, fmt.Errorf("the clone in %s has no commit %s to compare %s with: fetch it (git fetch origin %s), or clone more of the history", c.Dir, base, rev, base)
	case c.Ask(ctx, "rev-parse", "--is-shallow-repository") == "true": // its history ends somewhere on the way
		command = []string{"diff", "--no-renames", nul, names, filter, base, rev, "--"}
	}
	out, err := c.Run(ctx, command...)
	return Paths(out), err
}

// has reports whether the clone has the commit.
func (c Checkout) has(ctx context.Context, rev string) bool {
	return c.Ask(ctx, "rev-parse", "--verify", "--quiet", rev+"^{commit}") != ""
}

// lines splits text and drops empty lines.
func lines(text string) []string {
	out := []string{}
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimRight(l, "\r"); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// Paths splits what git ends with NUL; a line end comes before the files of a commit.
func Paths(text string) []string {
	out := []string{}
	for _, p := range strings.Split(text, "\x00") {
		if p = strings.TrimPrefix(p, "\n"); p != "" {
			out = append(out, p)
		}
	}
	return out
}
