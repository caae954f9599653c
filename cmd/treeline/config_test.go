package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// runIn runs a command with files in an own folder; %DIR% in an argument is that folder.
func runIn(t *testing.T, cmd *cobra.Command, files map[string]string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "%DIR%", dir)
	}
	var out bytes.Buffer
	cmd.SilenceErrors, cmd.SilenceUsage = true, true // as the root command does
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return strings.ReplaceAll(out.String(), dir, "%DIR%"), err
}

func TestJSONESpec(t *testing.T) {
	files := map[string]string{
		"good.yml": "section: s\n---\ntitle: one\ntemplate: {$eval: '1 + 1'}\ncontext: {}\nresult: 2\n",
		"bad.yml":  "title: one\ntemplate: 1\ncontext: {}\nresult: 2\n",
	}
	out, err := runIn(t, newJSONECommand(), files, "spec", "%DIR%/good.yml")
	if err != nil || out != "1 passed, 0 failed\n" {
		t.Errorf("%q, %v", out, err)
	}
	out, err = runIn(t, newJSONECommand(), files, "spec", "%DIR%/bad.yml")
	if diff := cmp.Diff("line 1: one\n    want 2\n    got  1\n0 passed, 1 failed\n", out); diff != "" || err == nil {
		t.Errorf("%s %v", diff, err)
	}
}

func TestJSONERender(t *testing.T) {
	files := map[string]string{"t.yml": "a: {$eval: 'x + 1'}\nwhen: {$fromNow: 1 day}", "c.json": `{"x": 41}`}
	out, err := runIn(t, newJSONECommand(), files, "render", "--now", "2026-01-01T00:00:00Z", "--context", "%DIR%/c.json", "%DIR%/t.yml")
	if diff := cmp.Diff("{\n  \"a\": 42,\n  \"when\": \"2026-01-02T00:00:00.000Z\"\n}\n", out); diff != "" || err != nil {
		t.Errorf("%s %v", diff, err)
	}
}

const demoConfig = `version: 1
tasks:
  - taskId: {$eval: as_slugid("x")}
    taskQueueId: a/b
    deadline: {$fromNow: 1 day}
    payload: {commit: '${event.after}'}
    metadata: {name: n, description: d, owner: o, source: 'https://x'}
`

func TestConfigRender(t *testing.T) {
	files := map[string]string{".taskcluster.yml": demoConfig, "push.json": `{"after": "abc"}`}
	out, err := runIn(t, newConfigCommand(), files, "render", "--tasks-for", "github-push", "--event", "%DIR%/push.json", "--json", "%DIR%/.taskcluster.yml")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Tasks []struct {
			TaskID string
			Task   struct {
				TaskGroupID string
				Payload     map[string]string
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(got.Tasks) != 1 || got.Tasks[0].Task.Payload["commit"] != "abc" || got.Tasks[0].Task.TaskGroupID != got.Tasks[0].TaskID {
		t.Errorf("got %s", out)
	}
	out, err = runIn(t, newConfigCommand(), files, "render", "--tasks-for", "github-push", "--event", "%DIR%/push.json", "%DIR%/.taskcluster.yml")
	if err != nil || !strings.Contains(out, "      payload:\n        commit: abc\n") {
		t.Errorf("%s %v", out, err)
	}
	_, err = runIn(t, newConfigCommand(), files, "render", "--tasks-for", "github-push", "%DIR%/.taskcluster.yml")
	if err == nil || !strings.Contains(err.Error(), ".taskcluster.yml:6: InterpreterError: unknown context value event") {
		t.Errorf("got %v", err)
	}
}

func TestConfigCheck(t *testing.T) {
	files := map[string]string{".taskcluster.yml": demoConfig, "bad.yml": "version: 1\ntask: []\n"}
	out, err := runIn(t, newConfigCommand(), files, "check", "%DIR%/.taskcluster.yml")
	if err != nil || !strings.Contains(out, "is in order: version 1") {
		t.Errorf("%s %v", out, err)
	}
	_, err = runIn(t, newConfigCommand(), files, "check", "%DIR%/bad.yml")
	if err == nil || !strings.Contains(err.Error(), `bad.yml:2: the file has no key "task"`) {
		t.Errorf("got %v", err)
	}
}
