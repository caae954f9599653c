package payload_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/workers/payload"
)

func parser(t testing.TB) *payload.Parser {
	t.Helper()
	p, err := payload.NewParser()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGeneric(t *testing.T) {
	raw := `{
		"command": [["echo", "a b"], ["true"]], "env": {"A": "1"}, "maxRunTime": 60.0,
		"artifacts": [{"type": "file", "path": "out/./x"}, {"type": "directory", "path": "dist", "name": "public/dist", "optional": true}],
		"features": {"taskclusterProxy": true, "chainOfTrust": true}, "onExitStatus": {"retry": [4], "purgeCaches": [0]},
		"mounts": [{"cacheName": "c", "directory": "checkouts"}, {"file": "f", "content": {"raw": "text"}}]}`
	got, err := parser(t).Parse(json.RawMessage(raw), payload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text := "text"
	want := &payload.Payload{
		Commands: [][]string{{"echo", "a b"}, {"true"}}, Env: map[string]string{"A": "1"}, MaxRunTime: time.Minute,
		Artifacts: []payload.Artifact{{Name: "out/x", Path: "out/./x"}, {Name: "public/dist", Path: "dist", Directory: true, Optional: true}},
		Mounts:    []payload.Mount{{CacheName: "c", Directory: "checkouts"}, {File: "f", Content: &payload.Content{Raw: &text}}},
		RetryOn:   []int{4}, PurgeOn: []int{0}, Proxy: true, Live: true, Backing: true,
		LiveName: payload.LiveLog, BackingName: payload.BackingLog,
		Trust: true, Monitor: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFlatCommandLines(t *testing.T) {
	got, err := parser(t).Parse(json.RawMessage(`{"command": ["echo one && false", "echo two"], "maxRunTime": 5}`), payload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"/bin/sh", "-c", "echo one && false"}, {"/bin/sh", "-c", "echo two"}}
	if diff := cmp.Diff(want, got.Commands); diff != "" {
		t.Error(diff)
	}
}

func TestDocker(t *testing.T) {
	raw := `{"image": "debian:12", "command": ["bash", "-c", "make"], "maxRunTime": 60, "cache": {"level-1": "/builds"},
		"artifacts": {"public/build": {"type": "directory", "path": "/builds/out", "expires": "2030-01-01T00:00:00Z"}}, "log": "public/logs/here.log"}`
	got, err := parser(t).Parse(json.RawMessage(raw), payload.Options{AcceptImages: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"bash", "-c", "make"}}, got.Commands); diff != "" {
		t.Error(diff)
	}
	if got.Image != "debian:12" || len(got.Notes) != 1 || got.BackingName != "public/logs/here_backing.log" || got.LiveName != "public/logs/here.log" {
		t.Errorf("%+v", got)
	}
	if a := got.Artifacts[0]; a.Name != "public/build" || !a.Directory || a.Expires == nil || a.Path != "builds/out" {
		t.Errorf("%+v", a)
	}
}

func TestDockerOnTheMachineItself(t *testing.T) {
	raw := `{"image": "x", "command": ["/usr/local/bin/run-task", "--p-checkout=/builds/worker/checkouts/vcs/", "--", "bash", "-cx", "ls /builds/worker /builds/workers /x/builds/worker:/builds/worker/a"],
		"maxRunTime": 60, "cache": {"c2": "/builds/worker/checkouts", "c1": "/var/cache/x"}, "env": {"TASKCLUSTER_CACHES": "/builds/worker/checkouts;/var/cache/x", "TASKCLUSTER_VOLUMES": "/data"},
		"artifacts": {"public": {"type": "directory", "path": "/builds/worker/artifacts", "expires": "2030-01-01T00:00:00Z"}}}`
	got, err := parser(t).Parse(json.RawMessage(raw), payload.Options{AcceptImages: true})
	if err != nil {
		t.Fatal(err)
	}
	got.Rebase("/t/work")
	want := [][]string{{"run-task", "--p-checkout=/t/work/checkouts/vcs/", "--", "bash", "-cx", "ls /t/work /builds/workers /x/builds/worker:/t/work/a"}}
	if diff := cmp.Diff(want, got.Commands); diff != "" {
		t.Error(diff)
	}
	mounts := []payload.Mount{{Directory: "checkouts", CacheName: "c2", Scope: "docker-worker:cache:c2"}, {Directory: "var/cache/x", CacheName: "c1", Scope: "docker-worker:cache:c1"}}
	if diff := cmp.Diff(mounts, got.Mounts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"TASKCLUSTER_CACHES": "/t/work/checkouts;/t/work/var/cache/x", "TASKCLUSTER_VOLUMES": "/t/work/data"}, got.Env); diff != "" {
		t.Error(diff)
	}
	if got.Artifacts[0].Path != "artifacts" {
		t.Errorf("%+v", got.Artifacts)
	}
	if got, err = parser(t).Parse(json.RawMessage(`{"image": "x", "maxRunTime": 60}`), payload.Options{Containers: true}); err != nil || len(got.Notes) > 0 || got.Commands[0] != nil {
		t.Errorf("in a container: %+v %v", got, err)
	}
}

func TestProblems(t *testing.T) {
	p := parser(t)
	for _, c := range []struct{ name, raw, want string }{
		{"not an object", `[1]`, "(payload): is no JSON object"},
		{"command is missing", `{"maxRunTime": 1}`, "(payload): missing property 'command'"},
		{"a key that does not exist", `{"command": [["x"]], "maxRunTime": 1, "comand": 1}`, "additional properties 'comand' not allowed"},
		{"null in env", `{"command": [["x"]], "maxRunTime": 1, "env": {"A": null}}`, "/env/A: got null, want string"},
		{"maxRunTime below one", `{"command": [["x"]], "maxRunTime": 0}`, "/maxRunTime: minimum: got 0, want 1"},
		{"maxRunTime above a day", `{"command": [["x"]], "maxRunTime": 1e300}`, "/maxRunTime: 1e300 seconds are more than"},
		{"maxRunTime above the worker's limit", `{"command": [["x"]], "maxRunTime": 4000}`, "longer than the 1h0m0s that this worker allows"},
		{"an argument list written flat", `{"command": ["bash", "-c", "x"], "maxRunTime": 1}`, `write [["program", "argument"]]`},
		{"an artifact outside", `{"command": [["x"]], "maxRunTime": 1, "artifacts": [{"type": "file", "path": "../../etc/shadow"}]}`, "/artifacts/0/path"},
		{"an image without containers", `{"image": "x", "command": ["x"], "maxRunTime": 1}`, "/image: this worker has no containers"},
		{"no command and no image's own", `{"artifacts": {}, "maxRunTime": 1}`, "/command: is needed"},
		{"a cache over everything", `{"artifacts": {}, "command": ["x"], "cache": {"c": "/builds/worker/"}, "maxRunTime": 1}`, "cannot be a cache"},
		{"the same cache twice", `{"command": [["x"]], "maxRunTime": 1, "mounts": [{"cacheName": "a", "directory": "b"}, {"cacheName": "a", "directory": "c"}]}`, "mounted twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := p.Parse(json.RawMessage(c.raw), payload.Options{MaxRunTime: time.Hour})
			if _, ok := errors.AsType[*payload.Error](err); !ok || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nlacks %q", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"command": [["x"]], "maxRunTime": 1}`, `{"command": ["x"], "maxRunTime": 1, "mounts": [{"file": "a", "content": {"raw": ""}}]}`,
		`{"image": {"type": "task-image"}, "command": [""], "maxRunTime": 1}`, `{"command": [[]], "maxRunTime": 1}`,
	} {
		f.Add(seed)
	}
	p := parser(f)
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := p.Parse(json.RawMessage(raw), payload.Options{AcceptImages: true})
		if err != nil {
			if _, ok := errors.AsType[*payload.Error](err); !ok {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if len(got.Commands) == 0 || len(got.Commands[0]) == 0 || got.Commands[0][0] == "" || got.MaxRunTime <= 0 {
			t.Fatalf("%s gave %+v", raw, got)
		}
	})
}
