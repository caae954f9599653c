package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
)

// everything is what the sample's first commit makes.
var everything = []string{"build-site", "docs-links", "lint-shell", "publish-contents", "test-cases-1", "test-cases-2"}

func TestTheSamplesCommitTurnsGreen(t *testing.T) {
	m := shared(t)
	p := m.decided(1) // shared has waited until it was green
	list, err := m.tasks(t.Context(), p.GroupID)
	if diff := cmp.Diff(everything, names(list)); err != nil || diff != "" {
		t.Errorf("the tasks of the first commit (-want +got): %v\n%s", err, diff)
	}

	t.Run("the group list counts its tasks by state", func(t *testing.T) {
		var list struct {
			Groups []struct {
				TaskGroupID string             `json:"taskGroupId"`
				Counts      map[task.State]int `json:"counts"`
			} `json:"groups"`
		}
		if err := json.Unmarshal([]byte(m.cli("group", "list", "--json")), &list); err != nil {
			t.Fatal(err)
		}
		for _, g := range list.Groups {
			if g.TaskGroupID != p.GroupID {
				continue
			}
			want := map[task.State]int{"completed": 7, "failed": 0, "exception": 0, "pending": 0, "running": 0, "unscheduled": 0}
			if diff := cmp.Diff(want, g.Counts); diff != "" {
				t.Error(diff)
			}
			return
		}
		t.Errorf("group %s is not in %+v", p.GroupID, list)
	})

	t.Run("the decision published what the graph is", func(t *testing.T) {
		for name, want := range map[string]string{
			"public/parameters.yml": m.first, "public/task-graph.json": "publish-contents", "public/label-to-taskid.json": "build-site",
			"public/full-task-graph.json": "test-cases-2", "public/target-tasks.json": "lint-shell", "public/actions.json": "version",
			"public/logs/live.log": "Decided in",
		} {
			if got := m.artifact(p.GroupID, name); !strings.Contains(got, want) {
				t.Errorf("%s lacks %q: %s", name, want, tail(got, 300))
			}
		}
	})

	t.Run("real work was done: the last task lists the pages that the build made", func(t *testing.T) {
		i := slices.IndexFunc(list, func(t client.GroupTask) bool { return t.Task.Metadata.Name == "publish-contents" })
		if i < 0 {
			t.Fatal("there is no such task")
		}
		if got := m.artifact(list[i].Status.TaskID, "public/contents.txt"); strings.TrimSpace(got) == "" {
			t.Error("public/contents.txt is empty")
		}
	})
}

// artifact returns the content of an artifact of a task's latest run, verified against its sha256.
func (m *machine) artifact(taskID, name string) string {
	m.t.Helper()
	var content bytes.Buffer
	if _, err := m.client.DownloadArtifact(m.t.Context(), client.Download{TaskID: taskID, RunID: client.LatestRun, Name: name}, &content); err != nil {
		m.t.Fatal(err)
	}
	return content.String()
}

func TestACommitRunsWhatItTouches(t *testing.T) {
	for _, c := range []struct {
		branch string
		files  map[string]string
		want   []string
	}{
		{"documentation", map[string]string{"README.md": "# Pebble\n\nSee [the index](pages/index.md).\n"}, []string{"docs-links"}},
		{"a-script", map[string]string{"test/run": "#!/bin/sh\nexit 0\n"}, []string{"lint-shell", "test-cases-1", "test-cases-2"}},
		{"nothing-known", map[string]string{"notes.txt": "nobody's business\n"}, []string{}},
	} {
		t.Run(c.branch, func(t *testing.T) {
			m := shared(t)
			revision := m.onBranch("touch/"+c.branch, "Touch "+c.branch, c.files)
			if diff := cmp.Diff(c.want, m.green(revision, time.Minute)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestABreakingCommitIsRedWithTheReasonInTheLog(t *testing.T) {
	m := shared(t)
	revision := m.onBranch("broken", "Break it", map[string]string{"test/cases/heading.html": "<h2>wrong</h2>\n"})
	states := map[task.State]int{}
	for _, tk := range m.resolved(revision, time.Minute) {
		states[tk.Status.State]++
		if tk.Status.State != task.Failed {
			continue
		}
		if log := m.cli("task", "log", tk.Status.TaskID); !strings.Contains(log, "FAILED") || !strings.Contains(log, "heading") {
			t.Errorf("the log does not tell: %s", log)
		}
		page, err := m.get(t.Context(), "/tasks/"+tk.Status.TaskID)
		if err != nil || !strings.Contains(page, "failed") {
			t.Errorf("the task's page does not say failed: %v", err)
		}
	}
	if want := map[task.State]int{task.Completed: 3, task.Failed: 1}; !cmp.Equal(states, want) {
		t.Errorf("%v, want %v", states, want)
	}
}

func TestStopAndStartKeepAll(t *testing.T) {
	m := shared(t)
	var before []pushed
	m.eventually(time.Minute, "all pushes are decided", func(ctx context.Context) (err error) {
		before, err = m.pushes(ctx, url.Values{"count": {"50"}, "nojobs": {"1"}})
		for _, p := range before {
			if p.State == push.Received || p.State == push.Deciding {
				return fmt.Errorf("%d is %s", p.ID, p.State)
			}
		}
		return err
	})
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	git(t, m.repo(), "checkout", "-q", "main")
	revision := commit(t, m.repo(), "While nobody looks", map[string]string{"README.md": "# Pebble\n\nWritten while nobody looked; see [the index](pages/index.md).\n"})
	m.start()

	t.Run("a commit made meanwhile is found", func(t *testing.T) {
		m := shared(t)
		if diff := cmp.Diff([]string{"docs-links"}, m.green(revision, time.Minute)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what was there is there", func(t *testing.T) {
		after, err := m.pushes(t.Context(), url.Values{"count": {"50"}, "nojobs": {"1"}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before[:min(49, len(before))], after[1:]); diff != "" {
			t.Errorf("pushes (-before +after):\n%s", diff)
		}
		if p := m.decided(1); p.State != push.Decided || !strings.Contains(m.artifact(p.GroupID, "public/parameters.yml"), m.first) {
			t.Errorf("%+v", p)
		}
	})
}
