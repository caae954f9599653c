package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
)

// The hook that "admin drift-hook" makes runs on a worker, and is green as long as nobody changes by hand
// what the directory says.
func TestTheDriftHookReportsDrift(t *testing.T) {
	m := shared(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return text
	}
	files := map[string]string{"ops/roles.yml": write("roles.yml", "managed: [\"role:drift:*\"]\nroles:\n  drift:people: {description: For the test., scopes: [\"as-written:*\"]}\n")}
	files["ops/drift.yml"] = write("drift.yml", m.cli("admin", "drift-hook", "--id", "drift/look", "--task-queue", "local/work", "--owner", "ops@acme.example",
		"--repository", m.url("/git/"+m.repoName()), "--branch", "ops", "--path", "ops", "--program", program))
	m.cli("admin", "apply", "--dir", dir, "--allow-scope-growth")
	m.onBranch("ops", "The directory", files)

	fire := func() (state task.State, log string) {
		var fired struct {
			Status struct{ TaskID string }
		}
		if err := m.client.Call(t.Context(), "hooks", http.MethodPost, "/hooks/drift/look/trigger", nil, map[string]any{}, &fired); err != nil {
			t.Fatal(err)
		}
		id := fired.Status.TaskID
		m.eventually(time.Minute, "the hook's task ends", func(ctx context.Context) error {
			var answer struct{ Status struct{ State task.State } }
			if err := m.client.Call(ctx, "queue", http.MethodGet, client.Path("task", id, "status"), nil, nil, &answer); err != nil {
				return err
			}
			if state = answer.Status.State; state == task.Pending || state == task.Running {
				return fmt.Errorf("it is %s", state)
			}
			return nil
		})
		return state, m.artifact(id, "public/logs/live.log")
	}
	if state, log := fire(); state != task.Completed || !strings.Contains(log, "nothing differs") {
		t.Fatalf("without drift: %s\n%s", state, log)
	}
	by := map[string]any{"scopes": []string{"as-written:*", "by-hand:*"}, "description": "For the test."}
	if err := m.client.Call(t.Context(), "auth", http.MethodPost, "/roles/drift%3Apeople", nil, by, nil); err != nil {
		t.Fatal(err)
	}
	if state, log := fire(); state != task.Failed || !strings.Contains(log, "~ role drift:people  (roles.yml:3)") || !strings.Contains(log, "- scopes: by-hand:*") {
		t.Errorf("with drift: %s\n%s", state, log)
	}
	m.cli("admin", "apply", "--dir", dir)
	if out := m.cli("admin", "diff", "--dir", dir); !strings.Contains(out, "nothing differs") {
		t.Error(out)
	}
}
