package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
)

// git runs git in dir with an identity of its own.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// remove, as the content of a file, deletes it.
const remove = "\x00remove"

// commit writes files and commits them; it returns the revision.
func commit(t testing.TB, dir, message string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if content == remove {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", message)
	return git(t, dir, "rev-parse", "HEAD")
}

// onBranch commits files on a new branch that starts at the machine's first revision, whatever
// other tests have done since, and returns the revision.
func (m *machine) onBranch(branch, message string, files map[string]string) string {
	m.t.Helper()
	git(m.t, m.repo(), "checkout", "-q", "-f", "--detach", m.first)
	defer git(m.t, m.repo(), "checkout", "-q", "-f", "main")
	revision := commit(m.t, m.repo(), message, files)
	git(m.t, m.repo(), "branch", branch, revision)
	return revision
}

// pushed is a push as the page of its repository has it.
type pushed struct {
	ID       int64       `json:"id"`
	Revision string      `json:"revision"`
	Base     string      `json:"base"`
	Branch   string      `json:"branch"`
	Message  string      `json:"message"`
	State    push.State  `json:"state"`
	GroupID  string      `json:"groupId"`
	Error    *push.Error `json:"error"`
}

// pushes returns the newest pushes.
func (m *machine) pushes(ctx context.Context, query url.Values) ([]pushed, error) {
	query.Set("repo", m.repoName())
	body, err := m.get(ctx, "/ui/api/jobs?"+query.Encode())
	if err != nil {
		return nil, err
	}
	var page struct{ Pushes []pushed }
	return page.Pushes, json.Unmarshal([]byte(body), &page)
}

// outcome waits until Treeline is done with the push of a revision: it is decided, failed or
// ignored.
func (m *machine) outcome(revision string) pushed {
	m.t.Helper()
	var found pushed
	m.eventually(2*time.Minute, "the push of "+revision+" is decided", func(ctx context.Context) error {
		list, err := m.pushes(ctx, url.Values{"revision": {revision}})
		if err != nil {
			return err
		}
		found = list[0]
		if found.State == push.Received || found.State == push.Deciding {
			return fmt.Errorf("it is %s", found.State)
		}
		return nil
	})
	return found
}

// tasks returns the tasks of a group.
func (m *machine) tasks(ctx context.Context, groupID string) ([]client.GroupTask, error) {
	var list []client.GroupTask
	for t, err := range m.client.GroupTasks(ctx, groupID) {
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// resolved waits until the push of a revision is decided and all its tasks are resolved, and
// returns these.
func (m *machine) resolved(revision string, patience time.Duration) []client.GroupTask {
	m.t.Helper()
	p := m.outcome(revision)
	if p.State != push.Decided {
		m.t.Fatalf("the push of %s is %s: %+v\n%s", revision, p.State, p.Error, m.cli("task", "log", p.GroupID))
	}
	var list []client.GroupTask
	m.eventually(patience, "the tasks of "+revision+" are resolved", func(ctx context.Context) (err error) {
		if list, err = m.tasks(ctx, p.GroupID); err != nil {
			return err
		}
		for _, t := range list {
			if !t.Status.State.Resolved() {
				return fmt.Errorf("%s is %s", t.Task.Metadata.Name, t.Status.State)
			}
		}
		return nil
	})
	return list
}

// green waits until the push of a revision is decided and all its tasks are completed; it returns
// their names without the decision task's, sorted.
func (m *machine) green(revision string, patience time.Duration) []string {
	m.t.Helper()
	list := m.resolved(revision, patience)
	for _, t := range list {
		if t.Status.State != task.Completed {
			m.t.Fatalf("%s is %s:\n%s", t.Task.Metadata.Name, t.Status.State, m.cli("task", "log", t.Status.TaskID))
		}
	}
	return names(list)
}

// names returns the names of tasks without the decision task's, sorted.
func names(list []client.GroupTask) []string {
	names := []string{}
	for _, t := range list {
		if t.Status.TaskID != t.Status.TaskGroupID {
			names = append(names, t.Task.Metadata.Name)
		}
	}
	slices.Sort(names)
	return names
}
