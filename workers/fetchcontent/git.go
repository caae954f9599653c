package fetchcontent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/archive"
	"github.com/treeline-ci/treeline/workers/gitssh"
)

// GitArchive is a revision of a git repository.
type GitArchive struct {
	Repository string
	Commit     string // in full
	Prefix     string // directory in the archive; "" is the repository's name
	DotGit     bool   // the archive has .git too
	KeySecret  string // name of the secret with an ssh key, "" for none
}

func (f *Fetcher) gitCommand(ctx context.Context, args []string) error {
	var g GitArchive
	flags := pflag.NewFlagSet("git-checkout-archive", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&g.Prefix, "path-prefix", "", "")
	flags.BoolVar(&g.DotGit, "include-dot-git", false, "")
	flags.StringVar(&g.KeySecret, "ssh-key-secret", "", "")
	if err := flags.Parse(args); err != nil {
		return fault.Wrap(fault.BadArguments, err, "git-checkout-archive")
	}
	if flags.NArg() != 3 {
		return fault.New(fault.BadArguments, "git-checkout-archive takes a repository, a commit and a file, not %d words", flags.NArg())
	}
	g.Repository, g.Commit = flags.Arg(0), flags.Arg(1)
	return f.GitArchive(ctx, g, flags.Arg(2))
}

var fullHash = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// GitArchive writes the files of the revision, submodules included, to dest, a .tar.zst. The same revision
// gives the same bytes unless .git is in it.
func (f *Fetcher) GitArchive(ctx context.Context, g GitArchive, dest string) (err error) {
	switch {
	case !fullHash.MatchString(g.Commit):
		return fault.New(fault.BadArguments, "%q is not the full hash of a commit", g.Commit)
	case strings.HasPrefix(g.Repository, "-") || g.Repository == "":
		return fault.New(fault.BadArguments, "%q is no repository", g.Repository)
	case archive.Kind(dest) != "zst":
		return fault.New(fault.BadArguments, "the archive must be a .tar.zst, not %s", filepath.Base(dest))
	}
	if g.Prefix == "" {
		g.Prefix = strings.TrimSuffix(filepath.Base(strings.TrimRight(g.Repository, "/")), ".git")
	}
	env := append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
	if g.KeySecret != "" {
		command, remove, err := gitssh.Prepare(ctx, f.Env("TASKCLUSTER_PROXY_URL"), g.KeySecret)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, remove()) }()
		env = append(env, "GIT_SSH_COMMAND="+command)
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(dest), ".git-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := f.checkOut(ctx, g, dir, env); err != nil {
		return err
	}
	return writeFile(dest, func(out *os.File) error { return archive.Pack(ctx, dir, g.Prefix, out) })
}

// checkOut brings the commit into dir: it alone where the server gives commits by name, else with all others.
func (f *Fetcher) checkOut(ctx context.Context, g GitArchive, dir string, env []string) error {
	git := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "advice.detachedHead=false", "-c", "gc.auto=0"}, args...)...)
		cmd.Dir, cmd.Env = dir, env
		if err := f.Run(ctx, cmd); err != nil {
			return fmt.Errorf("git %s: %w", args[0], err)
		}
		return nil
	}
	if err := git("init", "--quiet"); err != nil {
		return err
	}
	err := f.retry(ctx, "Fetching "+redacted(g.Repository), func() error {
		if !g.DotGit && git("fetch", "--quiet", "--depth=1", "--no-tags", "--", g.Repository, g.Commit) == nil {
			return nil
		}
		return git("fetch", "--quiet", "--tags", "--", g.Repository, "+refs/heads/*:refs/remotes/origin/*")
	})
	if err != nil {
		return err
	}
	if err := git("checkout", "--quiet", "--detach", g.Commit); err != nil {
		return fmt.Errorf("%s has no commit %s: %w", redacted(g.Repository), g.Commit, err)
	}
	if err := f.retry(ctx, "Fetching submodules", func() error {
		return git("submodule", "update", "--init", "--recursive", "--quiet")
	}); err != nil {
		return err
	}
	if g.DotGit {
		return nil
	}
	return removeDotGit(dir)
}

// removeDotGit removes .git, also the files of that name in submodules.
func removeDotGit(dir string) error {
	return filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != ".git" {
			return err
		}
		if err := os.RemoveAll(name); err != nil {
			return err
		}
		if d.IsDir() {
			return filepath.SkipDir
		}
		return nil
	})
}
