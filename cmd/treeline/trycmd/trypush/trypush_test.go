package trypush_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/cmd/treeline/trycmd/trypush"
	"github.com/treeline-ci/treeline/internal/hgtest"
)

// The environment that makes this program push, for the tests that kill it.
const (
	pushFrom = "TRYPUSH_TEST_FROM"
	pushTo   = "TRYPUSH_TEST_TO"
)

func TestMain(m *testing.M) {
	for key, value := range map[string]string{
		"HGRCPATH": "", "HGUSER": "Ada Lovelace <ada@example.com>", "GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_SYSTEM": os.DevNull,
		"GIT_AUTHOR_NAME": "Ada Lovelace", "GIT_AUTHOR_EMAIL": "ada@example.com", "GIT_COMMITTER_NAME": "Ada Lovelace", "GIT_COMMITTER_EMAIL": "ada@example.com",
	} {
		os.Setenv(key, value)
	}
	if from := os.Getenv(pushFrom); from != "" {
		_, err := push(context.Background(), from, os.Getenv(pushTo), true)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const config = `{"version": 2}` + "\n"

// moment is when the commits of tests are made.
var moment = time.Unix(1_700_000_000, 0).In(time.FixedZone("", 2*3600))

// push pushes what the tests push.
func push(ctx context.Context, from, to string, changes bool) (string, error) {
	w, err := trypush.Open(from)
	if err != nil {
		return "", err
	}
	return w.Push(ctx, trypush.Push{
		Message: "try: all of it  \n\nwith ünlauts", Files: map[string][]byte{"try_task_config.json": []byte(config)},
		Changes: changes, Address: to, Branch: "try/ada/1", Verify: true, Now: moment,
	})
}

// state is all that a working copy consists of: each file below it with mode and content. Mercurial's
// caches are left out, as looking writes them.
func state(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if d.IsDir() && (name == ".hg/cache" || name == ".hg/wcache") {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(path)
			out[name] = "link " + to
			return err
		}
		content, err := os.ReadFile(path)
		out[name] = fmt.Sprintf("%v %x", info.Mode(), sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// gitPair is a repository with a commit that its remote has and one that it has not, and the remote.
func gitPair(t *testing.T) (work, remote string) {
	t.Helper()
	dir := t.TempDir()
	work, remote = filepath.Join(dir, "work: one"), filepath.Join(dir, "remote.git")
	run(t, dir, "git", "init", "-q", "--bare", "-b", "main", remote)
	run(t, dir, "git", "init", "-q", "-b", "main", work)
	write(t, work, map[string]string{"a": "1\n", "gone": "1\n", "sub/b": "1\n", "old name": "1\n2\n3\n4\n"})
	run(t, work, "git", "add", "-A")
	run(t, work, "git", "commit", "-q", "-m", "first")
	run(t, work, "git", "remote", "add", "origin", remote)
	run(t, work, "git", "push", "-q", "-u", "origin", "main")
	write(t, work, map[string]string{"a": "2\n"})
	run(t, work, "git", "commit", "-q", "-a", "-m", "second")
	return work, remote
}

// disturb changes a working copy in all ways, without a commit.
func disturb(t *testing.T, program, work string) {
	t.Helper()
	write(t, work, map[string]string{"a": "3\n", "added": "1\n", "unknown": "1\n", "sub/b": "2\n"})
	run(t, work, program, "add", "added")
	run(t, work, program, "rm", "gone")
	run(t, work, program, "mv", "old name", "new näme")
	if err := os.Chmod(filepath.Join(work, "sub/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(work, "link")); err != nil {
		t.Fatal(err)
	}
	run(t, work, program, "add", "link")
}

func TestGitPushLeavesTheWorkingCopyAlone(t *testing.T) {
	for name, c := range map[string]struct {
		changes bool
		want    map[string]string // files of the commit that differ from the head's
	}{
		"without what is not committed": {false, map[string]string{"try_task_config.json": config}},
		"with it":                       {true, map[string]string{"try_task_config.json": config, "a": "3\n", "added": "1\n", "sub/b": "2\n", "new näme": "1\n2\n3\n4\n", "link": "a", "gone": "", "old name": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			work, remote := gitPair(t)
			disturb(t, "git", work)
			before := state(t, work)
			revision, err := push(t.Context(), filepath.Join(work, "sub"), remote, c.changes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, state(t, work)); diff != "" {
				t.Errorf("the working copy has changed:\n%s", diff)
			}
			if got := run(t, remote, "git", "rev-parse", "try/ada/1"); got != revision {
				t.Errorf("the branch is at %s, want %s", got, revision)
			}
			got := map[string]string{}
			for entry := range strings.SplitSeq(strings.TrimSuffix(run(t, remote, "git", "diff", "-z", "--no-renames", "--name-only", revision+"^", revision), "\x00"), "\x00") {
				show := exec.CommandContext(t.Context(), "git", "show", revision+":"+entry)
				show.Dir = remote
				content, _ := show.Output() // a file that is gone has none
				got[entry] = string(content)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the commit (-want +got):\n%s", diff)
			}
			if parent := run(t, remote, "git", "rev-parse", revision+"^"); parent != run(t, work, "git", "rev-parse", "HEAD") {
				t.Errorf("its parent is %s", parent)
			}
			run(t, remote, "git", "fsck", "--strict")
		})
	}
}

// hgPair is the same in Mercurial; the remote is served.
func hgPair(t *testing.T, settings string) (work, remote *hgtest.Repo, url string) {
	t.Helper()
	remote = hgtest.Init(t, "remote")
	work = hgtest.Init(t, "work + one")
	first := work.Commit("first", map[string]string{"a": "1\n", "gone": "1\n", "sub/b": "1\n", "old name": "1\n2\n3\n4\n"})
	work.Run("push", "-q", "-r", first, remote.Dir)
	work.Run("phase", "--public", first)
	work.Run("branch", "-q", "some branch")
	work.Commit("second", map[string]string{"a": "2\n"})
	work.Run("bookmark", "here")
	write(t, remote.Dir, map[string]string{".hg/hgrc": "[phases]\npublish = False\n[web]\nallow-push = *\npush_ssl = no\n" + settings})
	return work, remote, remote.Serve().URL
}

func TestMercurialPushLeavesTheWorkingCopyAlone(t *testing.T) {
	for _, changes := range []bool{false, true} {
		t.Run(fmt.Sprintf("changes %v", changes), func(t *testing.T) {
			work, remote, url := hgPair(t, "")
			disturb(t, "hg", work.Dir)
			looks := [][]string{{"status", "-C"}, {"log", "-G", "--debug"}, {"phase", "all()"}, {"bookmarks"}, {"summary"}}
			var seen []string
			for _, look := range looks {
				seen = append(seen, work.Run(look...))
			}
			before := state(t, work.Dir)
			revision, err := push(t.Context(), filepath.Join(work.Dir, "sub"), url, changes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, state(t, work.Dir)); diff != "" {
				t.Errorf("the working copy has changed:\n%s", diff)
			}
			for i, look := range looks {
				if diff := cmp.Diff(seen[i], work.Run(look...)); diff != "" {
					t.Errorf("hg %v: %s", look, diff)
				}
			}
			remote.Run("verify", "-q")
			if got := remote.Run("cat", "-r", revision, filepath.Join(remote.Dir, "try_task_config.json")); got != strings.TrimSpace(config) {
				t.Errorf("the configuration is %q", got)
			}
			// Mercurial itself makes the same commit, to the letter.
			write(t, work.Dir, map[string]string{"try_task_config.json": config})
			work.Run("add", "try_task_config.json")
			args := []string{"commit", "-m", "try: all of it  \n\nwith ünlauts", "-d", "1700000000 -7200"}
			if !changes {
				args = append(args, "try_task_config.json")
			}
			work.Run(args...)
			if theirs := work.Run("log", "-r", ".", "-T", "{node}"); theirs != revision {
				t.Errorf("Mercurial makes %s of it, this %s", theirs, revision)
			}
		})
	}
	t.Run("of a share, and when the tree has such a file already", func(t *testing.T) {
		work, remote, url := hgPair(t, "")
		work.Commit("third", map[string]string{"try_task_config.json": config})
		share := filepath.Join(t.TempDir(), "share")
		run(t, ".", "hg", "--config", "extensions.share=", "share", "-q", "--noupdate", work.Dir, share)
		run(t, share, "hg", "update", "-q", "some branch")
		before, shared := state(t, share), state(t, work.Dir)
		revision, err := push(t.Context(), share, url, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, state(t, share)) + cmp.Diff(shared, state(t, work.Dir)); diff != "" {
			t.Errorf("the working copies have changed:\n%s", diff)
		}
		remote.Run("verify", "-q")
		if got := remote.Run("log", "-r", revision, "-T", "{branch} {p1.desc} {files}"); got != "some branch third" {
			t.Errorf("the commit is %q", got)
		}
	})
}

// A push that is killed when everything is on its way leaves everything as it was, too.
func TestAKilledPushLeavesTheWorkingCopyAlone(t *testing.T) {
	wait := func(dir string) string {
		return fmt.Sprintf("touch %s/began; while [ ! -e %s/go ]; do sleep 0.05; done", dir, dir)
	}
	kill := func(t *testing.T, work, url, dir string) {
		t.Helper()
		before := state(t, work)
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), pushFrom+"="+work, pushTo+"="+url, "TMPDIR="+t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.After(30 * time.Second); ; {
			if _, err := os.Stat(filepath.Join(dir, "began")); err == nil {
				break
			}
			select {
			case <-tick.C:
			case err := <-ended:
				t.Fatalf("the push ended before it was received: %v", err)
			case <-deadline:
				t.Fatal("the push does not arrive")
			}
		}
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-ended
		if diff := cmp.Diff(before, state(t, work)); diff != "" {
			t.Errorf("the working copy has changed:\n%s", diff)
		}
		write(t, dir, map[string]string{"go": ""})
	}
	t.Run("with git", func(t *testing.T) {
		work, remote := gitPair(t)
		disturb(t, "git", work)
		dir := t.TempDir()
		hook := filepath.Join(remote, "hooks", "pre-receive")
		write(t, filepath.Dir(hook), map[string]string{"pre-receive": "#!/bin/sh\n" + wait(dir) + "\n"})
		if err := os.Chmod(hook, 0o755); err != nil {
			t.Fatal(err)
		}
		kill(t, work, remote, dir)
		run(t, work, "git", "fsck", "--strict")
	})
	t.Run("with Mercurial", func(t *testing.T) {
		dir := t.TempDir()
		work, _, url := hgPair(t, "[hooks]\npretxnchangegroup.wait = "+wait(dir)+"\n")
		disturb(t, "hg", work.Dir)
		status := work.Run("status")
		kill(t, work.Dir, url, dir)
		work.Run("verify", "-q")
		if diff := cmp.Diff(status, work.Run("status")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMistakesAreTold(t *testing.T) {
	var work, remote string // of each mistake its own
	var w trypush.Work
	for name, c := range map[string]struct {
		do   func() error
		want string
	}{
		"no working copy":       {func() error { _, err := trypush.Open(t.TempDir()); return err }, "is in no working copy"},
		"no such remote":        {func() error { _, err := w.Address(t.Context(), "try"); return err }, `knows no remote "try" (known: origin)`},
		"an option as a remote": {func() error { _, err := w.Address(t.Context(), "--exec=x"); return err }, "is no name"},
		"no such repository":    {func() error { _, err := push(t.Context(), work, remote+".none", false); return err }, "does not appear to be a git repository"},
		"nothing committed": {func() error {
			empty := t.TempDir()
			run(t, empty, "git", "init", "-q")
			_, err := push(t.Context(), empty, remote, false)
			return err
		}, "commit something first"},
		"nothing committed, with Mercurial": {func() error {
			_, err := push(t.Context(), hgtest.Init(t, "empty").Dir, remote, false)
			return err
		}, "commit something first"},
		"a branch that is there": {func() error {
			run(t, remote, "git", "branch", "try/ada/1/x", "main")
			_, err := push(t.Context(), work, remote, false)
			return err
		}, "cannot create 'refs/heads/try/ada/1'"},
		"conflicts": {func() error {
			run(t, work, "git", "switch", "-q", "-c", "other", "HEAD~")
			write(t, work, map[string]string{"a": "other\n"})
			run(t, work, "git", "commit", "-q", "-a", "-m", "other")
			_ = exec.CommandContext(t.Context(), "git", "-C", work, "merge", "main").Run() // it conflicts
			_, err := push(t.Context(), work, remote, true)
			return err
		}, "a has conflicts"},
	} {
		t.Run(name, func(t *testing.T) {
			work, remote = gitPair(t)
			var err error
			if w, err = trypush.Open(work); err != nil {
				t.Fatal(err)
			}
			if to, err := w.Address(t.Context(), "origin"); err != nil || to != remote {
				t.Errorf("%s, %v", to, err)
			}
			if err := c.do(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestChangesNotCommittedAreSeen(t *testing.T) {
	work, _ := gitPair(t)
	disturb(t, "git", work)
	hg, _, _ := hgPair(t, "")
	disturb(t, "hg", hg.Dir)
	for _, dir := range []string{work, hg.Dir} {
		w, err := trypush.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.Changes(t.Context())
		slices.Sort(c.Tracked)
		want := trypush.Changes{Tracked: []string{"a", "added", "gone", "link", "new näme", "old name", "sub/b"}, Untracked: 1}
		if diff := cmp.Diff(want, c); diff != "" || err != nil {
			t.Errorf("%s: %v %s", w.Kind, err, diff)
		}
	}
}
