package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/internal/slug"
)

func TestActionCommands(t *testing.T) {
	repo := filepath.Join(t.TempDir(), sample.Name)
	if _, err := sample.Create(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	startRemote(t, func(c *app.Config) { c.Repositories = []app.LocalRepository{{Path: repo}} })
	group := decidedGroup(t)
	var tasks struct {
		Tasks []struct {
			Status struct{ TaskID string }
			Task   struct{ Metadata struct{ Name string } }
		}
	}
	readJSON(t, must(t, "api", "queue", "listTaskGroup", group), &tasks)
	byName := map[string]string{}
	for _, item := range tasks.Tasks {
		byName[item.Task.Metadata.Name] = item.Status.TaskID
	}
	t.Run("list names what fits a group, a task, or a decision task", func(t *testing.T) {
		for id, want := range map[string][]string{
			group:                {"add-new-jobs", "release-promotion", "build_number*,release_promotion_flavor*,", "yes"},
			byName["lint-shell"]: {"retrigger", "rerun", "cancel"},
		} {
			out := must(t, "action", "list", id)
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("%s lacks %s:\n%s", id, w, out)
				}
			}
		}
		if out := must(t, "action", "list", group, "--task"); !strings.Contains(out, "retrigger") || strings.Contains(out, "add-new-jobs") {
			t.Error(out)
		}
		var list struct{ Actions []struct{ Name string } }
		readJSON(t, must(t, "action", "list", byName["lint-shell"], "--json"), &list)
		if len(list.Actions) != 3 {
			t.Errorf("%+v", list)
		}
	})
	t.Run("run starts one, waits for it and prints it", func(t *testing.T) {
		out := must(t, "action", "run", byName["lint-shell"], "cancel", "--wait")
		if !strings.HasSuffix(out, "completed\n") {
			t.Error(out)
		}
		if out := must(t, "task", "status", byName["lint-shell"], "--json"); !strings.Contains(out, `"reasonResolved": "canceled"`) {
			t.Error(out)
		}
	})
	t.Run("run takes the input from a file and from --set, and --key makes it one", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "input.yml")
		if err := os.WriteFile(file, []byte("tasks: [docs-links]\ntimes: 5\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"action", "run", group, "add-new-jobs", "--input", file, "--set", "times: 2", "--key", "once", "--wait", "--json"}
		var first, again struct {
			TaskID string
			Status struct{ State string }
		}
		readJSON(t, must(t, args...), &first)
		readJSON(t, must(t, args...), &again)
		if first.TaskID != again.TaskID || first.Status.State != "completed" {
			t.Errorf("%+v and %+v", first, again)
		}
		if log := must(t, "task", "log", first.TaskID); strings.Count(log, "(docs-links)") != 2 {
			t.Error(log)
		}
	})
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a wrong input":  {[]string{"run", group, "add-new-jobs", "--set", "times: 0"}, 1, "times: must be 1 or more, not 0"},
		"no YAML":        {[]string{"run", group, "add-new-jobs", "--set", "[1]"}, 1, "give it as 'name: value'"},
		"no file":        {[]string{"run", group, "add-new-jobs", "--input", "/nowhere"}, 1, "--input: open /nowhere"},
		"no such action": {[]string{"run", group, "make-coffee"}, 4, "There is no action"},
		"no such group":  {[]string{"list", slug.New()}, 4, "has no decision task"},
		"no id":          {[]string{"list", "x"}, 1, "is not the id"},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, code := treeline(t, append([]string{"action"}, c.args...)...)
			if code != c.code || !strings.Contains(stderr, c.says) {
				t.Errorf("%d: %s", code, stderr)
			}
		})
	}
	t.Run("an action that fails is told by the exit code", func(t *testing.T) {
		_, stderr, code := treeline(t, "action", "run", byName["build-site"], "retrigger", "--wait")
		if code != int(exitFailed) || !strings.Contains(stderr, "says why") {
			t.Errorf("%d: %s", code, stderr)
		}
	})
	t.Run("without rights it says which are missing", func(t *testing.T) {
		t.Setenv("TASKCLUSTER_CLIENT_ID", "")
		t.Setenv("TASKCLUSTER_ACCESS_TOKEN", "")
		_, stderr, code := treeline(t, "action", "run", group, "cancel-all")
		if code != int(exitDenied) || !strings.Contains(stderr, "hooks:trigger-hook:project-pebble/in-tree-action-3-generic/") {
			t.Errorf("%d: %s", code, stderr)
		}
		_, stderr, _ = treeline(t, "action", "list", group)
		if !strings.Contains(stderr, "cancel-all: Sign in first. It needs the scope hooks:trigger-hook:") {
			t.Error(stderr)
		}
	})
}

// decidedGroup waits for the first decision.
func decidedGroup(t *testing.T) string {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		var list struct {
			Groups []struct {
				TaskGroupID string
				Counts      map[string]int
			}
		}
		readJSON(t, must(t, "group", "list", "--json"), &list)
		if len(list.Groups) > 0 {
			if _, _, code := treeline(t, "task", "wait", list.Groups[0].TaskGroupID, "--timeout", "20s"); code == 0 {
				return list.Groups[0].TaskGroupID
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is decided")
		}
	}
}

func readJSON(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}
