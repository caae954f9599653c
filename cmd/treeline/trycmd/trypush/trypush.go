// Package trypush makes a commit on top of what is checked out and pushes it to another repository, and
// leaves no trace in the one it stands in: no file, no index, no commit, no branch or bookmark and no phase
// changes there, also when it is killed half way. With git the commit is made by plumbing commands in a
// folder of objects of its own; with Mercurial it is written into a bundle, and pushed from the repository with the
// bundle laid over it, which no transaction touches.
package trypush

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/checkout"
)

// Push is what is to be pushed, and where to.
type Push struct {
	Message string
	Files   map[string][]byte // of the commit, by path; they take the place of those of the same path
	Changes bool              // the commit also has what is changed and not committed
	Address string            // of the repository; see Work.Address
	Branch  string            // git: the branch to make; Mercurial has none
	Verify  bool              // git: run the hook pre-push
	Now     time.Time
	Stdin   io.Reader // of programs that ask for a password; nil: there is nobody to ask
	Said    io.Writer // gets what the other repository says
}

// Work is a working copy.
type Work struct{ checkout.Checkout }

// Open finds the working copy that a directory is in.
func Open(dir string) (Work, error) {
	c, err := checkout.Find(dir)
	if err == nil && c.Kind == "" {
		err = fmt.Errorf("%s is in no working copy of git or Mercurial: a try push needs one", dir)
	}
	return Work{c}, err
}

// Push makes the commit and pushes it, and returns its revision.
func (w Work) Push(ctx context.Context, p Push) (revision string, err error) {
	dir, err := os.MkdirTemp("", "treeline-try-")
	if err != nil {
		return "", fmt.Errorf("try: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if w.Kind == "git" {
		return w.pushGit(ctx, dir, p)
	}
	return w.pushMercurial(ctx, dir, p)
}

// Changes says what is not committed: files that version control knows, and how many it does not.
type Changes struct {
	Tracked   []string
	Untracked int
}

// Changes looks for what is not committed.
func (w Work) Changes(ctx context.Context) (Changes, error) {
	args := []string{"status", "--porcelain=v1", "-z", "--no-renames", "--ignore-submodules=none"}
	if w.Kind == "hg" {
		args = []string{"status", "--print0", "--modified", "--added", "--removed", "--deleted", "--unknown"}
	}
	out, err := w.Run(ctx, args...)
	var c Changes
	for entry := range strings.SplitSeq(out, "\x00") {
		switch {
		case strings.HasPrefix(entry, "?"):
			c.Untracked++
		case w.Kind == "git" && len(entry) > 3:
			c.Tracked = append(c.Tracked, entry[3:])
		case len(entry) > 2:
			c.Tracked = append(c.Tracked, entry[2:])
		}
	}
	return c, err
}

// Head is the revision that is checked out; an error when there is none.
func (w Work) Head(ctx context.Context) (string, error) {
	head := w.Facts(ctx).HeadRev
	if head == "" || strings.Trim(head, "0") == "" {
		return "", fmt.Errorf("%s has no commit checked out: commit something first", w.Dir)
	}
	return head, nil
}

// Remotes are the names of other repositories that this one knows.
func (w Work) Remotes(ctx context.Context) []string {
	if w.Kind == "git" {
		return strings.Fields(w.Ask(ctx, "remote"))
	}
	var names []string
	for line := range strings.Lines(w.Ask(ctx, "paths")) {
		name, _, _ := strings.Cut(line, " = ")
		names = append(names, name)
	}
	return names
}

var isAddress = regexp.MustCompile(`://|^[^/]*@?[^/]+:|^\.{0,2}/`)

// Address is where to push for a remote's name, and for an address the address.
func (w Work) Address(ctx context.Context, remote string) (string, error) {
	if strings.HasPrefix(remote, "-") {
		return "", fmt.Errorf("%q is no name and no address of a repository", remote)
	}
	ask := []string{"paths", remote}
	if w.Kind == "git" {
		ask = []string{"remote", "get-url", "--push", remote}
	} else if push := w.Ask(ctx, "paths", remote+":pushurl"); push != "" {
		return push, nil
	}
	if address := w.Ask(ctx, ask...); address != "" {
		return address, nil
	}
	if isAddress.MatchString(remote) {
		return remote, nil
	}
	known := strings.Join(w.Remotes(ctx), ", ")
	if known == "" {
		known = "none"
	}
	return "", fmt.Errorf("this repository knows no remote %q (known: %s)", remote, known)
}

// command is one run of a program of version control.
type command struct {
	dir   string
	env   []string // besides ours
	stdin io.Reader
	said  io.Writer // gets what it writes to standard error, besides the error's text
}

// run runs a program and returns what it prints. The error has what it says.
func (c command) run(ctx context.Context, program string, args ...string) (string, error) {
	name := program + " " + args[0]
	if program == "hg" {
		options, done, err := checkout.Unlocked(c.dir)
		if err != nil {
			return "", err
		}
		defer func() { _ = done() }() // what is left behind is in the folder for such files
		args = slices.Concat(args[:1], options, args[1:])
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), append([]string{"LC_ALL=C.UTF-8", "HGPLAIN=1", "HGENCODING=UTF-8", "PYTHONDONTWRITEBYTECODE=1"}, c.env...)...)
	cmd.Stdin = c.stdin
	cmd.WaitDelay = 5 * time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if err != nil {
		text := strings.TrimSpace(said.String())
		if text == "" {
			text = strings.TrimSpace(out.String())
		}
		return "", fmt.Errorf("%s: %w: %s", name, err, text)
	}
	if c.said != nil {
		_, err = c.said.Write(said.Bytes())
	}
	return out.String(), err
}

// line is run for one line of output.
func (c command) line(ctx context.Context, program string, args ...string) (string, error) {
	out, err := c.run(ctx, program, args...)
	return strings.TrimRight(out, "\r\n"), err
}
