package checkout_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/checkout"
)

// git runs git in the current directory.
func git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits all of the current directory, made a git repository before, and returns the head.
func commit(t *testing.T, message string) string {
	t.Helper()
	git(t, "init", "-q")
	git(t, "add", "-A")
	git(t, "commit", "-q", "-m", message)
	return git(t, "rev-parse", "HEAD")
}

func TestFilesChangedAreThoseOfAllCommits(t *testing.T) {
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	write("a", "1")
	first := commit(t, "first")
	write("b", "1")
	write("c", "1")
	commit(t, "second")
	write("b", "2")
	if err := os.Remove("c"); err != nil {
		t.Fatal(err)
	}
	last := commit(t, "third, DONTBUILD")
	c, err := checkout.Find(".")
	if err != nil || c.Kind != "git" {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, x := range map[string]struct {
		base, rev string
		want      []string
	}{
		"a range":          {first, last, []string{"b", "b", "c", "c"}},
		"a new branch":     {strings.Repeat("0", 40), last, []string{"a", "b"}},
		"no base":          {"", last, []string{"b", "c"}},
		"the first commit": {"", first, []string{"a"}},
		"nothing":          {last, last, []string{}},
	} {
		got, err := c.Changed(t.Context(), x.base, x.rev)
		slices.Sort(got)
		if diff := cmp.Diff(x.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	for _, bad := range []string{"--output=x", "all()", "a b"} {
		if _, err := c.Changed(t.Context(), first, bad); err == nil || !strings.Contains(err.Error(), "is no revision") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if msg, err := c.Message(t.Context(), last); err != nil || !strings.Contains(msg, "DONTBUILD") {
		t.Errorf("message %q, %v", msg, err)
	}
	write("a", "2")
	if f := c.Facts(t.Context()); f.HeadRev != last || f.HeadRef != "main" || !cmp.Equal(f.FilesChanged, []string{"a"}) {
		t.Errorf("facts: %+v", f)
	}
}

// Git quotes such names where it can, and then no pattern would match them.
func TestFilesChangedMayHaveAnyName(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	commit(t, "first")
	const odd = "Übersicht, \"neu\"\n.md"
	if err := os.WriteFile(odd, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	last := commit(t, "second")
	c, err := checkout.Find(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		base string
		want []string
	}{"a range": {"", []string{odd}}, "a new branch": {strings.Repeat("0", 40), []string{"a", odd}}} {
		got, err := c.Changed(t.Context(), x.base, last)
		slices.Sort(got)
		if diff := cmp.Diff(x.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	if err := os.WriteFile(odd, []byte("2"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := c.Facts(t.Context()).FilesChanged; !cmp.Equal(got, []string{odd}) {
		t.Errorf("facts: %q", got)
	}
}

func TestFilesChangedByMergesRenamesAndInShallowClones(t *testing.T) {
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	t.Chdir(dir)
	write("a", "1")
	first := commit(t, "first")
	git(t, "checkout", "-q", "-b", "side")
	write("side", "1")
	commit(t, "on the side")
	git(t, "checkout", "-q", "main")
	git(t, "mv", "a", "renamed")
	commit(t, "renamed")
	git(t, "merge", "-q", "-m", "merge", "side")
	merge := git(t, "rev-parse", "HEAD")
	c, err := checkout.Find(".")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Changed(t.Context(), first, merge)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"a", "renamed", "side"}, got); diff != "" || err != nil {
		t.Errorf("a merge: %v %s", err, diff)
	}
	gone := strings.Repeat("1", 40)
	if _, err := c.Changed(t.Context(), gone, merge); err == nil || !strings.Contains(err.Error(), "has no commit "+gone+" to compare "+merge+" with: fetch it (git fetch origin "+gone+")") {
		t.Errorf("a base that was pushed away: %v", err)
	}
	t.Chdir(t.TempDir())
	git(t, "clone", "-q", "--depth", "1", "file://"+dir, "shallow")
	t.Chdir("shallow")
	if c, err = checkout.Find("."); err != nil {
		t.Fatal(err)
	}
	got, err = c.Changed(t.Context(), "", merge)
	if diff := cmp.Diff([]string{"renamed", "side"}, got); diff != "" || err != nil {
		t.Errorf("all that a shallow clone has: %v %s", err, diff)
	}
	git(t, "fetch", "-q", "--depth", "1", "origin", first)
	got, err = c.Changed(t.Context(), first, merge)
	slices.Sort(got)
	if diff := cmp.Diff([]string{"a", "renamed", "side"}, got); diff != "" || err != nil {
		t.Errorf("a shallow clone with its base: %v %s", err, diff)
	}
}

func TestTheRemoteIsTheOneThatTheBranchFollows(t *testing.T) {
	t.Chdir(t.TempDir())
	git(t, "init", "-q")
	git(t, "commit", "-q", "--allow-empty", "-m", "first") // so that there is a branch
	c, err := checkout.Find(".")
	if err != nil {
		t.Fatal(err)
	}
	url := func() string { return c.Facts(t.Context()).RepositoryURL }
	if got := url(); got != "" {
		t.Errorf("without a remote: %s", got)
	}
	git(t, "remote", "add", "another", "https://example.org/another")
	if got := url(); got != "https://example.org/another" {
		t.Errorf("the only one: %s", got)
	}
	git(t, "remote", "add", "origin", "https://example.org/origin")
	if got := url(); got != "https://example.org/origin" {
		t.Errorf("origin: %s", got)
	}
	git(t, "update-ref", "refs/remotes/another/main", "HEAD")
	git(t, "config", "branch.main.remote", "another")
	git(t, "config", "branch.main.merge", "refs/heads/main")
	if got := url(); got != "https://example.org/another" {
		t.Errorf("the one followed: %s", got)
	}
	git(t, "checkout", "-q", "--detach")
	if f := c.Facts(t.Context()); f.HeadRef != "" || f.HeadRev == "" {
		t.Errorf("detached: %+v", f)
	}
}
