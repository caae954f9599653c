package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/workers"
)

const cliQueue = "cli/test"

// startRemote runs the whole server and a worker, and sets the variables by which commands find
// the server.
func startRemote(t *testing.T, changes ...func(*app.Config)) {
	t.Helper()
	server := apptest.Start(t, changes...)
	t.Setenv("TASKCLUSTER_ROOT_URL", server.URL)
	t.Setenv("TASKCLUSTER_CLIENT_ID", server.Root.ClientID)
	t.Setenv("TASKCLUSTER_ACCESS_TOKEN", server.Root.AccessToken)
	t.Setenv("TASKCLUSTER_CERTIFICATE", "")
	t.Setenv("XDG_CACHE_HOME", filepath.Join(server.Dir, "cache"))
	startTestWorker(t, filepath.Join(server.Dir, "worker"))
}

func startTestWorker(t *testing.T, dir string) {
	t.Helper()
	c, err := client.FromEnv(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- workers.Run(ctx, workers.Config{
			Client: c, TaskQueueID: cliQueue, WorkerGroup: "cli", WorkerID: "w", Dir: dir, Capacity: 4, Grace: time.Second,
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("worker: %v", err)
		}
	})
}

// treeline runs a command line and returns what it printed and its exit code.
func treeline(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetIn(strings.NewReader(`{"scopes": ["a:b"]}`))
	root.SetOut(&out)
	root.SetErr(&errs)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code = execute(ctx, root, args)
	return out.String(), errs.String(), code
}

// must runs a command line that has to end well.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := treeline(t, args...)
	if code != 0 {
		t.Fatalf("treeline %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

func TestRemoteCommands(t *testing.T) {
	startRemote(t)
	if got := must(t, "group", "list", "--json"); strings.Join(strings.Fields(got), "") != `{"groups":[]}` {
		t.Errorf("no groups are %s", got)
	}
	t.Run("a task from its making to its end", func(t *testing.T) {
		id := strings.TrimSpace(must(t, "task", "create", "--queue", cliQueue, "--", "sh", "-c", "echo hello; sleep 0.3; echo end"))
		log := must(t, "task", "log", id)
		if !strings.Contains(log, "\nhello\n") || !strings.Contains(log, "\nend\n") || !strings.Contains(log, "Result: completed") {
			t.Errorf("log:\n%s", log)
		}
		must(t, "task", "wait", id)
		if got := must(t, "task", "status", id); !strings.Contains(got, "completed") || !strings.Contains(got, "on cli/w") {
			t.Errorf("status: %s", got)
		}
		checkGroupList(t, id)
		if got := must(t, "group", "show", id); !strings.Contains(got, "1 tasks: 1 completed") {
			t.Errorf("group: %s", got)
		}
		must(t, "group", "watch", id)
		if got := must(t, "task", "artifacts", id); !strings.Contains(got, "public/logs/live_backing.log") {
			t.Errorf("artifacts: %s", got)
		}
		file := filepath.Join(t.TempDir(), "log")
		var got struct{ Verified bool }
		if err := json.Unmarshal([]byte(must(t, "artifact", "get", id, "public/logs/live_backing.log", "-o", file, "--json")), &got); err != nil || !got.Verified {
			t.Errorf("%+v, %v", got, err)
		}
		checkJSONLog(t, must(t, "task", "log", id, "--json"), log)
		if data, err := os.ReadFile(file); err != nil || string(data) != log {
			t.Errorf("downloaded %d bytes, %v", len(data), err)
		}
		if got := must(t, "task", "rerun", id); !strings.Contains(got, "run 1") {
			t.Errorf("rerun: %s", got)
		}
		must(t, "task", "wait", id)
	})
	t.Run("who makes a task that nobody would run is told", func(t *testing.T) {
		out, errs, code := treeline(t, "task", "create", "--queue", "cli/empty", "--", "true")
		id := strings.TrimSpace(out)
		if code != 0 || !strings.Contains(errs, "No worker asked for work of cli/empty") || !strings.Contains(errs, "treeline task why "+id) {
			t.Errorf("exit code %d: %s%s", code, out, errs)
		}
		if _, errs, _ := treeline(t, "task", "create", "--queue", cliQueue, "--", "true"); errs != "" {
			t.Errorf("of a task that is run: %s", errs)
		}
		if _, errs, _ := treeline(t, "task", "create", "--json", "--queue", "cli/empty", "--", "true"); errs != "" {
			t.Errorf("a program is told: %s", errs)
		}
	})
	t.Run("the exit code tells how a task ended", func(t *testing.T) {
		id := strings.TrimSpace(must(t, "task", "create", "--queue", cliQueue, "--", "false"))
		for _, command := range [][]string{{"task", "wait", id}, {"group", "watch", id}} {
			if _, _, code := treeline(t, command...); code != int(exitFailed) {
				t.Errorf("%q: exit code %d", command, code)
			}
		}
		idle := strings.TrimSpace(must(t, "task", "create", "--queue", "cli/nobody", "--", "true"))
		must(t, "task", "cancel", idle)
		if _, _, code := treeline(t, "task", "wait", idle); code != int(exitException) {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("a task can be made of a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "task.yml")
		text := "taskQueueId: cli/nobody\npayload: {maxRunTime: 1, command: [[x]]}\nmetadata: {name: from a file, description: d, owner: o, source: 'https://x'}\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		id := strings.TrimSpace(must(t, "task", "create", "--file", file))
		if got := must(t, "task", "show", id); !strings.Contains(got, `"from a file"`) {
			t.Errorf("%s", got)
		}
		if got := must(t, "group", "cancel", id); !strings.Contains(got, "1 of 1 tasks canceled") {
			t.Errorf("%s", got)
		}
	})
	t.Run("the index", func(t *testing.T) {
		id := strings.TrimSpace(must(t, "task", "create", "--queue", "cli/nobody", "--", "true"))
		must(t, "index", "insert", "cli.test.latest", id, "--rank", "7")
		if got := must(t, "index", "find", "cli.test.latest"); strings.TrimSpace(got) != id {
			t.Errorf("%s", got)
		}
		if got := must(t, "index", "list", "cli.test"); !strings.Contains(got, "cli.test.latest") {
			t.Errorf("%s", got)
		}
	})
	t.Run("why a task waits, priorities and weights", testWhyCommand)
	t.Run("every method of every service", testAPICommand)
	t.Run("help, pages and completions of every method", testAPIHelp)
	t.Run("errors name code, message and remedy", testRemoteErrors)
}

// checkJSONLog checks that a log is the same as JSON.
func checkJSONLog(t *testing.T, got, want string) {
	t.Helper()
	var lines strings.Builder
	for text := range strings.Lines(got) {
		var l struct{ Line string }
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		lines.WriteString(l.Line + "\n")
	}
	if lines.String() != want {
		t.Errorf("as JSON: %q, want %q", &lines, want)
	}
}

// checkGroupList checks the exact shape that programs rely on.
func checkGroupList(t *testing.T, id string) {
	t.Helper()
	var got map[string][]map[string]any
	if err := json.Unmarshal([]byte(must(t, "group", "list", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string][]map[string]any{"groups": {{"taskGroupId": id, "counts": map[string]any{
		"completed": 1.0, "failed": 0.0, "exception": 0.0, "pending": 0.0, "running": 0.0, "unscheduled": 0.0,
	}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func testAPICommand(t *testing.T) {
	for _, service := range strings.Fields(must(t, "api")) {
		list := must(t, "api", service)
		if !strings.Contains(list, "ping\n") {
			t.Errorf("service %s has no ping:\n%s", service, list)
		}
		if got := must(t, "api", service, "ping"); !strings.Contains(got, `"alive": true`) {
			t.Errorf("%s: %s", service, got)
		}
	}
	id := strings.TrimSpace(must(t, "task", "create", "--queue", "cli/nobody", "--", "true"))
	if got := must(t, "api", "queue", "status", id); !strings.Contains(got, `"state": "pending"`) {
		t.Errorf("%s", got)
	}
	if got := must(t, "api", "queue", "listTaskGroup", id, "--query", "limit=1"); !strings.Contains(got, id) {
		t.Errorf("%s", got)
	}
	if got := must(t, "api", "auth", "expandScopes", "--body", "-"); !regexp.MustCompile(`"a:b"`).MatchString(got) {
		t.Errorf("%s", got)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"queue", "nonsense"}, "has no method nonsense"},
		{[]string{"queue", "status"}, "takes 1 arguments (taskId)"},
		{[]string{"queue", "listTaskGroup", id, "--query", "colour=blue"}, `knows no query key "colour"`},
		{[]string{"queue", "status", id, "--query", "colour=blue"}, `knows no query key "colour", it takes none`},
		{[]string{"queue", "status", id, "--query", "x"}, "key=value"},
		{[]string{"auth", "expandScopes", "--body", "{"}, "is no JSON"},
		{[]string{"nonsense"}, `has no service "nonsense"`},
		{[]string{"queue", "status"}, "usage: treeline api queue status <taskId>"},
		{[]string{"queue", "status", id, "--body", "{}"}, "status takes no body"},
		{[]string{"queue", "status", id, "--paginate"}, "status gives no pages"},
	} {
		if _, errs, code := treeline(t, append([]string{"api"}, c.args...)...); code == 0 || !strings.Contains(errs, c.want) {
			t.Errorf("%q: exit code %d, %s", c.args, code, errs)
		}
	}
}

// testAPIHelp asks for the help of every method of every service, for pages and for completions.
func testAPIHelp(t *testing.T) {
	for _, service := range strings.Fields(must(t, "api")) {
		var reference client.Reference
		if err := json.Unmarshal([]byte(must(t, "api", service, "--json")), &reference); err != nil {
			t.Fatal(err)
		}
		for _, e := range reference.Entries {
			help := must(t, "api", service, e.Name, "--help")
			for _, part := range []string{e.Title, "Usage:\n  treeline api " + service + " " + e.Name, "Scopes:", "Examples:\n  treeline api " + service} {
				if !strings.Contains(help, part) {
					t.Errorf("the help of %s %s does not say %q:\n%s", service, e.Name, part, help)
				}
			}
		}
	}
	if help := must(t, "api", "queue", "claimWork", "--help"); !regexp.MustCompile(`(?m)^  workerId +string +required`).MatchString(help) {
		t.Errorf("the help of claimWork does not describe its body:\n%s", help)
	}
	group := strings.TrimSpace(must(t, "task", "create", "--queue", "cli/nobody", "--", "true"))
	if got := must(t, "api", "auth", "listRoleIds", "--query", "limit=1", "--paginate"); strings.Contains(got, "continuationToken") || !strings.Contains(got, "anonymous") {
		t.Errorf("all pages: %s", got)
	}
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"qu"}, "queue\n"}, {[]string{"queue", "getTaskG"}, "getTaskGroup\t"},
		{[]string{"queue", "listTaskGroup", group, "--query", "li"}, "limit=\n"},
	} {
		if got := must(t, append([]string{"__complete", "api"}, c.words...)...); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q completes to %q", c.words, got)
		}
	}
	if help := must(t, "api", "--help"); !strings.Contains(help, "--paginate") {
		t.Errorf("the help of the command: %s", help)
	}
	if out, errs, _ := treeline(t, "api", "queue", "nonsense", "--help"); !strings.Contains(errs, "no method nonsense") || !strings.Contains(out, "--paginate") {
		t.Errorf("the help of no method: %s%s", out, errs)
	}
}

func testRemoteErrors(t *testing.T) {
	away := func(body string) map[string]string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(s.Close)
		return map[string]string{"TASKCLUSTER_ROOT_URL": s.URL}
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		args []string
		code exit.Code
		want []string
	}{
		{"not found", nil, []string{"task", "status", "fN1SbArXTPSVFNUvaOlinQ"}, exitNotFound, []string{"ResourceNotFound (404)", "remedy:"}},
		{"bad credentials", map[string]string{"TASKCLUSTER_ACCESS_TOKEN": "wrong"}, []string{"group", "list"}, exitDenied, []string{"AuthenticationFailed (401)", "TASKCLUSTER_ACCESS_TOKEN"}},
		{"no credentials", map[string]string{"TASKCLUSTER_CLIENT_ID": ""}, []string{"task", "create", "--queue", cliQueue, "--", "true"}, exitDenied,
			[]string{"InsufficientScopes (403)", "set TASKCLUSTER_CLIENT_ID"}},
		{"no server", map[string]string{"TASKCLUSTER_ROOT_URL": ""}, []string{"group", "list"}, 1, []string{"TASKCLUSTER_ROOT_URL is not set"}},
		{"a server that cannot", away(`{"code": "ServiceUnavailable", "message": "the disk of the database is full"}`), []string{"group", "list"}, exitAway,
			[]string{"the disk of the database is full", "the server is there, but cannot do this now", "/status"}},
		{"nobody behind the proxy", away("<html>"), []string{"group", "list"}, exitAway, []string{"503", "is the server running at TASKCLUSTER_ROOT_URL"}},
		{"an empty definition", nil, []string{"task", "create", "--file", "/dev/null"}, 1, []string{"/dev/null: is empty", "payload"}},
		{"two for standard output", nil, []string{"artifact", "get", "fN1SbArXTPSVFNUvaOlinQ", "public/x", "-o", "-", "--json"}, 1, []string{"give a file"}},
		{"nothing to make", nil, []string{"task", "create"}, 1, []string{"--file FILE, or --queue"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			_, errs, code := treeline(t, c.args...)
			if code != int(c.code) {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errs)
			}
			for _, want := range c.want {
				if !strings.Contains(errs, want) {
					t.Errorf("%q lacks %q", errs, want)
				}
			}
		})
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}
