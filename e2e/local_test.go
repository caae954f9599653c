package e2e_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// run runs the program in the watched repository, with the server in its environment, and returns all that it
// printed and its exit status.
func (m *machine) run(args ...string) (out string, code int) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = m.repo()
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(m.data, "cache"))
	if m.runs() {
		for key, value := range m.env() {
			cmd.Env = append(cmd.Env, key+"="+value)
		}
	}
	text, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(text), exit.ExitCode()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text), 0
}

var goModule = map[string]string{
	"go.mod":      "module example.com/mine\n\ngo 1.22\n",
	"two.go":      "// Package mine is a test.\npackage mine\n\n// Two is 2.\nfunc Two() int { return 2 }\n",
	"two_test.go": "package mine\n\nimport \"testing\"\n\nfunc TestTwo(t *testing.T) {\n\tif Two() != 2 {\n\t\tt.Fatal(\"not two\")\n\t}\n}\n",
}

var makeProject = map[string]string{
	"Makefile": "out: in\n\tcp in out\n\ncheck: out\n\tcmp in out && echo the same\n", "in": "content\n", "go.mod": remove, "two.go": remove, "two_test.go": remove,
}

var nodePackage = map[string]string{
	"package.json": `{"name": "mine", "scripts": {"test": "node --test", "build": "node -e 'console.log(1 + 1)'"}}`,
	"one.test.js":  "const test = require('node:test');\ntest('one', () => {});\n", "go.mod": remove, "two.go": remove, "two_test.go": remove,
}

// The commands of "treeline taskgraph init" make a configuration whose first commit turns green.
func TestAStarterConfigurationTurnsGreen(t *testing.T) {
	repo := filepath.Join(home, "starter", "mine")
	if err := os.MkdirAll(repo, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, repo, "init", "-q", "-b", "trunk")
	i := newInstance(filepath.Join(home, "starter", "data"), repo, 2)
	i.options = []string{"--accept-images"}
	m := i.in(t)
	commit(t, repo, "A Go module", goModule)
	initialize(m)
	revision := commit(t, repo, "Continuous integration", nil)
	m.start()
	defer func() {
		if err := m.stop(); err != nil {
			t.Error(err)
		}
	}()
	m.first = revision
	if diff := cmp.Diff([]string{"build-go", "lint-go", "test-go"}, m.green(revision, 4*time.Minute)); diff != "" {
		t.Errorf("Go: %s", diff)
	}
	for _, c := range []struct {
		branch string
		files  map[string]string
		want   []string
	}{
		{"make", makeProject, []string{"build-make", "test-make"}},
		{"node", nodePackage, []string{"build-node", "test-node"}},
	} {
		git(t, repo, "checkout", "-q", "-f", "--detach", m.first)
		git(t, repo, "rm", "-q", "-r", "taskcluster", ".taskcluster.yml")
		for name, content := range c.files {
			if content != remove {
				if err := os.WriteFile(filepath.Join(repo, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if err := os.Remove(filepath.Join(repo, name)); err != nil {
				t.Fatal(err)
			}
		}
		initialize(m)
		revision := commit(t, repo, "Now it is "+c.branch, nil)
		git(t, repo, "branch", c.branch, revision)
		if diff := cmp.Diff(c.want, m.green(revision, 2*time.Minute)); diff != "" {
			t.Errorf("%s: %s", c.branch, diff)
		}
	}
	importWorkflows(t, m)
	fetchToolchainBuild(t, m)
}

func initialize(m *machine) {
	m.t.Helper()
	if out, code := m.run("taskgraph", "init"); code != 0 {
		m.t.Fatalf("exit status %d:\n%s", code, out)
	}
}

// chain is a tree in which a file of the web becomes a tool, and the tool builds something.
var chain = map[string]string{
	"taskcluster/config.yml": `trust-domain: mine
task-priority: low
taskgraph:
  repositories:
    mine: {name: Mine}
  run: {use-caches: [checkout]}
workers:
  aliases:
    (small|images): {provisioner: local, implementation: docker-worker, os: linux, worker-type: work}
`,
	"taskcluster/kinds/fetch/kind.yml": `loader: taskgraph.loader.transform:loader
transforms: [taskgraph.transforms.fetch:transforms, taskgraph.transforms.run:transforms, taskgraph.transforms.task:transforms]
tasks:
  greeting:
    description: A file of the web.
    docker-image: debian:12
    fetch: {type: static-url, url: "@URL@/hello.txt", sha256: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03, size: 6}
`,
	"taskcluster/kinds/toolchain/kind.yml": `loader: taskgraph.loader.transform:loader
kind-dependencies: [fetch]
transforms: [taskgraph.transforms.run:transforms, taskgraph.transforms.cached_tasks:transforms, taskgraph.transforms.task:transforms]
tasks:
  greeter:
    description: Makes a tool of it.
    worker-type: small
    worker: {docker-image: "debian:12", max-run-time: 600}
    fetches: {fetch: [greeting]}
    run: {using: toolchain-script, script: greeter.sh, toolchain-artifact: public/build/greeter.tar.zst}
`,
	"taskcluster/scripts/toolchain/greeter.sh": `#!/bin/sh
set -e
mkdir -p greeter "$UPLOAD_DIR"
{ echo '#!/bin/sh'; echo "echo made of $(cat "$MOZ_FETCHES_DIR/hello.txt")"; } >greeter/greet
chmod 755 greeter/greet
tar c greeter | zstd -q >"$UPLOAD_DIR/greeter.tar.zst"
`,
	"taskcluster/kinds/build/kind.yml": `loader: taskgraph.loader.transform:loader
kind-dependencies: [toolchain]
transforms: [taskgraph.transforms.run:transforms, taskgraph.transforms.task:transforms]
tasks:
  app:
    description: Uses the tool.
    worker-type: small
    worker:
      docker-image: "debian:12"
      max-run-time: 600
      artifacts: [{type: directory, name: public/build, path: /builds/worker/artifacts}]
    fetches: {toolchain: [greeter]}
    run:
      using: run-task
      cwd: "{checkout}"
      command: mkdir -p /builds/worker/artifacts && $MOZ_FETCHES_DIR/greeter/greet | tee /builds/worker/artifacts/app.txt
`,
}

func fetchToolchainBuild(t *testing.T, m *machine) {
	requests := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		_, _ = w.Write([]byte("hello\n"))
	}))
	defer web.Close()
	repo := m.repo()
	git(t, repo, "checkout", "-q", "-f", "--detach", m.first)
	git(t, repo, "rm", "-q", "-r", "taskcluster")
	files := maps.Clone(chain)
	for name, text := range files {
		files[name] = strings.ReplaceAll(text, "@URL@", web.URL)
	}
	commit(t, repo, "A file of the web", files)
	git(t, repo, "update-index", "--chmod=+x", "taskcluster/scripts/toolchain/greeter.sh")
	git(t, repo, "commit", "-q", "--amend", "-m", "A file of the web becomes a tool")
	revision := git(t, repo, "rev-parse", "HEAD")
	git(t, repo, "branch", "chain", revision)
	if diff := cmp.Diff([]string{"build-app", "fetch-greeting", "toolchain-greeter"}, m.green(revision, 2*time.Minute)); diff != "" {
		t.Error(diff)
	}
	build := ""
	for _, task := range m.resolved(revision, time.Minute) {
		if task.Task.Metadata.Name == "build-app" {
			build = task.Status.TaskID
		}
	}
	if made := m.artifact(build, "public/build/app.txt"); made != "made of hello\n" || requests != 1 {
		t.Errorf("%q after %d requests", made, requests)
	}

	t.Run("the next push finds what is made in the index", func(t *testing.T) {
		m := m.in(t)
		git(t, repo, "checkout", "-q", "chain")
		revision := commit(t, repo, "Something else", map[string]string{"other": "x"})
		if diff := cmp.Diff([]string{"build-app"}, m.green(revision, 2*time.Minute)); diff != "" || requests != 1 {
			t.Errorf("%d requests: %s", requests, diff)
		}
	})
	t.Run("the task runs here: by its id, and by its label with what the index has", func(t *testing.T) {
		m := m.in(t)
		for _, what := range []string{build, "build-app"} {
			out, code := m.run("taskgraph", "load-task", what, "--engine", "process")
			for _, want := range []string{"] made of hello\n", "the task succeeded", "is not used: this worker runs commands on the machine itself"} {
				if code != 0 || !strings.Contains(out, want) {
					t.Errorf("%s: exit status %d, and the output lacks %q:\n%s", what, code, want, out)
				}
			}
		}
		if out, code := m.run("taskgraph", "load-task", "fN1SbArXTPSVFNUvaOlinQ"); code == 0 || !strings.Contains(out, "fN1SbArXTPSVFNUvaOlinQ") {
			t.Errorf("a task that does not exist: %d\n%s", code, out)
		}
	})
}
