package actions_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/npmtest"
	"github.com/treeline-ci/treeline/task"
)

// The npm package taskcluster-client starts an action by the hook that actions.json names.
func TestTheClientOfThePeerStartsAnActionByItsHook(t *testing.T) {
	modules, err := npmtest.Install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "pebble")
	group := w.decision("pebble")
	act := func(c string, token string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "peer.js"), group, "add-new-jobs", `{"tasks": ["lint-shell"], "times": 2}`)
		cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "TASKCLUSTER_ROOT_URL="+w.config.RootURL, "TASKCLUSTER_CLIENT_ID="+c, "TASKCLUSTER_ACCESS_TOKEN="+token)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	var id string
	sheriff := w.client("people/sheriff", "hooks:trigger-hook:project-pebble/in-tree-action-3-generic/*", "auth:expand-scopes")
	w.eventually("the hook is made with the decision", func() error {
		out, err := act("people/sheriff", sheriff.Credentials().AccessToken)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		id = out
		return nil
	})
	w.done(id, task.Completed)
	if log := w.log(id); strings.Count(log, "(lint-shell)") != 2 {
		t.Error(log)
	}
	reader := w.client("people/reader", "hooks:trigger-hook:project-pebble/in-tree-action-3-release-promotion/*", "auth:expand-scopes")
	if out, err := act("people/reader", reader.Credentials().AccessToken); !errors.As(err, new(*exec.ExitError)) || !strings.Contains(out, "InsufficientScopes") {
		t.Errorf("who may not: %v %s", err, out)
	}
}
