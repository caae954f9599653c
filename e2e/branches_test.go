package e2e_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/push"
)

// pushesOf returns the pushes of a branch, newest first, when there are at least n of them.
func (m *machine) pushesOf(branch string, n int) []pushed {
	m.t.Helper()
	var found []pushed
	m.eventually(time.Minute, fmt.Sprintf("%d pushes of %s", n, branch), func(ctx context.Context) error {
		list, err := m.pushes(ctx, url.Values{"count": {"50"}, "nojobs": {"1"}})
		if err != nil {
			return err
		}
		found = nil
		for _, p := range list {
			if p.Branch == branch {
				found = append(found, p)
			}
		}
		if len(found) < n {
			return fmt.Errorf("%d", len(found))
		}
		return nil
	})
	return found
}

// decided waits until the push with an id is decided, failed or ignored.
func (m *machine) decided(id int64) pushed {
	m.t.Helper()
	var p pushed
	m.eventually(time.Minute, fmt.Sprintf("push %d is decided", id), func(ctx context.Context) error {
		list, err := m.pushes(ctx, url.Values{"push": {fmt.Sprint(id)}})
		if err != nil {
			return err
		}
		if p = list[0]; p.State == push.Received || p.State == push.Deciding {
			return fmt.Errorf("it is %s", p.State)
		}
		return nil
	})
	return p
}

// steps is what pushes say of themselves, for comparing.
func steps(list []pushed) (out []string) {
	for _, p := range list {
		out = append(out, p.Base+" to "+p.Revision)
	}
	return out
}

func TestBranchesAreFollowed(t *testing.T) {
	m := shared(t)
	repo := m.repo()
	git(t, repo, "checkout", "-q", "-f", "-b", "walk", m.first)
	defer func() { git(t, repo, "checkout", "-q", "-f", "main") }()
	m.pushesOf("walk", 1) // the branch itself, where nothing has changed

	one := commit(t, repo, "One", map[string]string{"pages/about.md": "# One\n"})
	two := commit(t, repo, "Two", map[string]string{"README.md": "# Pebble in two\n"})

	t.Run("two quick commits are two pushes, each with its own work", func(t *testing.T) {
		m := shared(t)
		if diff := cmp.Diff([]string{one + " to " + two, m.first + " to " + one, m.first + " to " + m.first}, steps(m.pushesOf("walk", 3))); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff([]string{"build-site", "docs-links", "publish-contents"}, m.green(one, time.Minute)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"docs-links"}, m.green(two, time.Minute)); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("a branch that is set back is a push of what differs", func(t *testing.T) {
		m := shared(t)
		git(t, repo, "reset", "-q", "--hard", m.first)
		list := m.pushesOf("walk", 4)
		if want := two + " to " + m.first; steps(list)[0] != want {
			t.Fatalf("the newest step is %s, want %s", steps(list)[0], want)
		}
		p := m.decided(list[0].ID)
		tasks, err := m.tasks(t.Context(), p.GroupID)
		if diff := cmp.Diff([]string{"build-site", "docs-links", "publish-contents"}, names(tasks)); err != nil || diff != "" {
			t.Errorf("%s: %v %s", p.State, err, diff)
		}
	})

	t.Run("a branch that was rewritten has its new commits and what differs", func(t *testing.T) {
		m := shared(t)
		other := commit(t, repo, "Another way", map[string]string{"test/links": "#!/bin/sh\nexit 0\n"})
		if want, got := m.first+" to "+other, steps(m.pushesOf("walk", 5))[0]; got != want {
			t.Fatalf("the newest step is %s, want %s", got, want)
		}
		git(t, repo, "commit", "-q", "--amend", "-m", "Another way, amended")
		amended := git(t, repo, "rev-parse", "HEAD")
		if want, got := other+" to "+amended, steps(m.pushesOf("walk", 6))[0]; got != want {
			t.Errorf("the newest step is %s, want %s", got, want)
		}
		m.outcome(amended)
	})

	t.Run("a new branch has what it adds to the others", func(t *testing.T) {
		m := shared(t)
		tip := m.onBranch("beside/with-a-slash", "Beside", map[string]string{"test/run": "#!/bin/sh\nexit 0\n"})
		if diff := cmp.Diff([]string{m.first + " to " + tip}, steps(m.pushesOf("beside/with-a-slash", 1))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"lint-shell", "test-cases-1", "test-cases-2"}, m.green(tip, time.Minute)); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("a deleted branch is no push, and may come again", func(t *testing.T) {
		m := shared(t)
		tip := m.onBranch("brief", "Brief", map[string]string{"pages/about.md": "# Brief\n"})
		m.pushesOf("brief", 1)
		git(t, repo, "branch", "-q", "-D", "brief")
		m.onBranch("after-brief", "After", map[string]string{"notes.txt": "after\n"})
		m.pushesOf("after-brief", 1)
		m.onBranch("long-after-brief", "After", map[string]string{"notes.txt": "long after\n"})
		m.pushesOf("long-after-brief", 1) // a whole look began after the branch was gone
		if list := m.pushesOf("brief", 1); len(list) != 1 {
			t.Errorf("%d pushes", len(list))
		}
		git(t, repo, "branch", "brief", tip)
		m.pushesOf("brief", 2)
		m.green(tip, time.Minute)
	})
}

func TestARepositoryThatAsksForNothingIsToldHow(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"without .taskcluster.yml", remove, "Add one"},
		{"whose tasks are for other events", "version: 1\ntasks:\n  $if: tasks_for == \"cron\"\n  then: []\n  else: []\n", "asks for no task"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := shared(t)
			revision := m.onBranch("ignored/"+strings.ReplaceAll(c.name, " ", "-"), "Ask for nothing", map[string]string{".taskcluster.yml": c.config})
			if p := m.outcome(revision); p.State != push.Ignored || p.GroupID != "" {
				t.Errorf("the push is %s, with group %q", p.State, p.GroupID)
			}
			shown := m.errorOn(revision)
			if !strings.Contains(shown, c.want) || strings.HasPrefix(shown, " danger") {
				t.Errorf("the page does not say %q in a friendly way but:\n%s", c.want, shown)
			}
		})
	}
}
