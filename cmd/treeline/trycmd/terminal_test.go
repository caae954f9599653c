package trycmd_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/taskgraph/synth"
)

// terminal is a real terminal, tmux's, with a program in it.
type terminal struct {
	t      *testing.T
	socket string
}

// open runs a command line in a terminal of 120 by 40.
func open(t *testing.T, dir, line string, env ...string) terminal {
	t.Helper()
	x := terminal{t, filepath.Join(t.TempDir(), "tmux")}
	cmd := exec.CommandContext(t.Context(), "tmux", "-S", x.socket, "-f", os.DevNull, "new-session", "-d", "-x", "120", "-y", "40", "-c", dir, line+"; echo ended with $?; sleep 600")
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", x.socket, "kill-server").Run() }) // it ends with its program
	return x
}

func (x terminal) tmux(args ...string) string {
	x.t.Helper()
	out, err := exec.CommandContext(x.t.Context(), "tmux", append([]string{"-S", x.socket}, args...)...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// keys presses keys, by tmux's names.
func (x terminal) keys(keys ...string) {
	x.t.Helper()
	x.tmux(append([]string{"send-keys"}, keys...)...)
}

// shows waits until the screen shows all of the texts, and returns it.
func (x terminal) shows(wanted ...string) string {
	x.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(90 * time.Second)
	for {
		screen := x.tmux("capture-pane", "-p", "-J")
		if !slices.ContainsFunc(wanted, func(text string) bool { return !strings.Contains(screen, text) }) {
			return screen
		}
		select {
		case <-tick.C:
		case <-deadline:
			x.t.Fatalf("the screen does not show %q:\n%s", wanted, screen)
		}
	}
}

// tree is a repository with a build and 200 tests for each of three platforms, for a server's built-in decisions.
func tree(provisioner string) map[string]string {
	var tests strings.Builder
	for i := range 200 {
		fmt.Fprintf(&tests, "  %s-suite%d: {<<: *test, attributes: {test_platform: %[1]s}, dependencies: {build: build-%[1]s}}\n", []string{"linux", "win", "mac"}[i%3], i)
	}
	const defaults = `&test
    description: Tests something.
    run-on-projects: [all]
    run-on-tasks-for: [all]
    worker-type: small
    worker: {max-run-time: 600, command: [['true']]}
`
	return map[string]string{
		".taskcluster.yml": `version: 1
tasks:
  - taskId: ${ownTaskId}
    taskGroupId: ${ownTaskId}
    schedulerId: acme-level-${repository.level}
    taskQueueId: built-in/decision
    created: {$fromNow: ""}
    deadline: {$fromNow: 1 day}
    expires: {$fromNow: 28 days}
    metadata: {name: Decision, description: "-", owner: "${push.owner}", source: "${repository.url}"}
    scopes: ["assume:${repository.role}:branch:${push.branch}"]
    payload: {root: taskcluster}
`,
		"taskcluster/config.yml": `trust-domain: acme
task-priority: low
workers: {aliases: {small: {provisioner: '` + provisioner + `', implementation: generic-worker, os: linux, worker-type: work}}}
taskgraph: {repositories: {acme: {name: acme}}}
try: {branches: ["try/**"]}
`,
		"taskcluster/kinds/build/kind.yml": "loader: taskgraph.loader.transform:loader\ntransforms: [taskgraph.transforms.task:transforms]\ntasks:\n  linux: " + defaults +
			"  win: {<<: *test}\n  mac: {<<: *test}\n",
		"taskcluster/kinds/test/kind.yml": "loader: taskgraph.loader.transform:loader\ntransforms: [taskgraph.transforms.task:transforms]\nkind-dependencies: [build]\ntasks:\n  none: " + defaults + tests.String(),
	}
}

func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), personal()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// personal is what git and Mercurial know of a person.
func personal() []string {
	return []string{
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_SYSTEM=" + os.DevNull, "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com", "HGRCPATH=", "HGUSER=Ada <ada@example.com>",
	}
}

// gitRemote is a bare repository with the tree, and a clone of it.
func gitRemote(t *testing.T) (remote, clone string) {
	t.Helper()
	dir := t.TempDir()
	remote, clone = filepath.Join(dir, "mine.git"), filepath.Join(dir, "clone")
	run(t, dir, "git", "init", "-q", "--bare", "-b", "main", remote)
	run(t, dir, "git", "clone", "-q", remote, clone)
	for name, content := range tree("local") {
		write(t, filepath.Join(clone, name), content)
	}
	run(t, clone, "git", "add", "-A")
	run(t, clone, "git", "commit", "-q", "-m", "first")
	run(t, clone, "git", "push", "-q", "origin", "HEAD:main")
	return remote, clone
}

func write(t *testing.T, path, content string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestTasksArePickedInATerminalAndRunByAServer drives "treeline try fuzzy" in a real terminal, with a real
// server that watches a git repository on this machine and a Mercurial repository of hg serve.
func TestTasksArePickedInATerminalAndRunByAServer(t *testing.T) {
	remote, clone := gitRemote(t)
	try := hgtest.Init(t, "try")
	try.Commit("first", tree("acme-{level}"))
	web := try.Serve(hgtest.Pushable()...)
	checkout := web.Clone()
	server := apptest.Start(t, func(c *app.Config) {
		c.Repositories = []app.LocalRepository{{Name: "mine", Path: remote}}
		c.Remote = []app.Repository{{Name: "try", Kind: "hg", URL: web.URL, Level: 1, Mercurial: app.Mercurial{Poll: 5 * time.Second, TrustDomain: "acme"}}}
	})
	c, err := client.New(client.Config{RootURL: server.URL, Credentials: server.Root})
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	env := append(personal(), "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "TASKCLUSTER_ROOT_URL="+server.URL,
		"TASKCLUSTER_CLIENT_ID=", "TASKCLUSTER_ACCESS_TOKEN=", "TREELINE_CREDENTIALS="+filepath.Join(home, "none"))

	t.Run("to a try branch of git", func(t *testing.T) {
		var wins []string // what the first query finds
		for i := range 200 {
			if i%3 == 1 && strings.HasPrefix(fmt.Sprint(i), "17") {
				wins = append(wins, fmt.Sprintf("test-win-suite%d", i))
			}
		}
		write(t, filepath.Join(clone, "README"), "not committed\n")
		run(t, clone, "git", "add", "README")
		before := run(t, clone, "git", "status", "--porcelain=v2", "--branch") + run(t, clone, "git", "for-each-ref")
		x := open(t, clone, "treeline try fuzzy --wait 80s", env...)
		x.shows("204 of 204 match, 0 picked", "kind: build", " │ ", "enter: take them")
		x.keys("-l", "^test 'suite17 win")
		x.shows("> ^test 'suite17 win", fmt.Sprintf("%d of 204 match", len(wins)))
		x.keys("C-a", "C-u")
		x.keys("-l", "linux-suite0$")
		x.shows("> linux-suite0$", "1 of 204 match, ")
		x.keys("Tab")
		x.shows("* test-linux-suite0", fmt.Sprintf("1 of 204 match, %d picked", len(wins)+1))
		x.tmux("resize-window", "-x", "60", "-y", "24")
		x.shows("────────────", "kind: test, platform: linux", "needs: 1 (1 with what those need): build-linux")
		x.keys("Enter")
		revision, address := x.pushed()
		if !strings.Contains(address, server.URL+"/jobs?repo=mine&revision="+revision) {
			t.Errorf("the address is %q", address)
		}
		if after := run(t, clone, "git", "status", "--porcelain=v2", "--branch") + run(t, clone, "git", "for-each-ref"); after != before {
			t.Errorf("the clone has changed: %s", cmp.Diff(before, after))
		}
		group(t, c, "mine", revision, append(wins, "Decision", "build-linux", "build-win", "test-linux-suite0"))
	})
	t.Run("to a try repository of Mercurial", func(t *testing.T) {
		checkout.Commit("a change", map[string]string{"more": "1\n"})
		before := checkout.Run("log", "-G", "--debug") + checkout.Run("status") + checkout.Run("phase", "all()")
		x := open(t, checkout.Dir, "treeline try fuzzy --push-to default --wait 80s", env...)
		x.shows("204 of 204 match, 0 picked")
		x.keys("-l", "mac-suite2$")
		x.shows("1 of 204 match, 0 picked")
		x.keys("Enter")
		revision, _ := x.pushed()
		if after := checkout.Run("log", "-G", "--debug") + checkout.Run("status") + checkout.Run("phase", "all()"); after != before {
			t.Errorf("the clone has changed: %s", cmp.Diff(before, after))
		}
		group(t, c, "try", revision, []string{"Decision", "build-mac", "test-mac-suite2"})
	})
	t.Run("stopped", func(t *testing.T) {
		refs := run(t, remote, "git", "for-each-ref")
		x := open(t, clone, "treeline try fuzzy", env...)
		x.shows("204 of 204 match")
		x.keys("Tab", "Escape")
		x.shows("stopped: nothing was pushed", "ended with 1")
		if after := run(t, remote, "git", "for-each-ref"); after != refs {
			t.Errorf("something was pushed: %s", after)
		}
	})
}

// TestTenThousandTasksAreSearchedInATerminal opens the picker on a tree of 10,000 tasks. How long a key takes is
// measured where no terminal is between (package picker).
func TestTenThousandTasksAreSearchedInATerminal(t *testing.T) {
	files, err := synth.Files(synth.Flat(10_000))
	if err != nil {
		t.Fatal(err)
	}
	dir, home := t.TempDir(), t.TempDir()
	for name, file := range files {
		write(t, filepath.Join(dir, name), string(file.Data))
	}
	run(t, dir, "git", "init", "-q", "-b", "main")
	run(t, dir, "git", "add", "-A")
	run(t, dir, "git", "commit", "-q", "-m", "first")
	env := append(personal(), "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "TASKCLUSTER_ROOT_URL=")
	for _, again := range []bool{false, true} { // the second time the list is at hand
		x := open(t, dir, "treeline try fuzzy --full --show -v -p "+synth.Parameters, env...)
		screen := x.shows("0000 of 10000 match, 0 picked", "enter: take them")
		label := regexp.MustCompile(`(?m)^>  (\S+)`).FindStringSubmatch(screen)
		if label == nil {
			t.Fatalf("no label is shown:\n%s", screen)
		}
		x.keys("-l", "^"+label[1]+"$")
		x.shows(" 1 of 10000 match")
		x.keys("Enter")
		screen = x.shows("ended with 0", label[1])
		if made := strings.Contains(screen, "full task graph"); made == again {
			t.Errorf("again %v: the graph was made: %v\n%s", again, made, screen)
		}
	}
}

var pushedRule = regexp.MustCompile(`Pushed ([0-9a-f]{40})`)

// pushed waits for the end of a push, and reads what the terminal shows of it.
func (x terminal) pushed() (revision, address string) {
	x.t.Helper()
	screen := x.shows("ended with 0")
	m := pushedRule.FindStringSubmatch(screen)
	if m == nil {
		x.t.Fatalf("no revision is shown:\n%s", screen)
	}
	_, address, _ = strings.Cut(screen, m[0])
	return m[1], strings.ReplaceAll(address, "\n", "") // lines that are too long are broken
}

// group waits until a push is decided, and compares the tasks that it made.
func group(t *testing.T, c *client.Client, repository, revision string, want []string) {
	t.Helper()
	slices.Sort(want)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(90 * time.Second)
	for {
		var jobs struct {
			Pushes []struct {
				State   string `json:"state"`
				GroupID string `json:"groupId"`
				Error   any    `json:"error"`
			} `json:"pushes"`
		}
		get(t, c, c.RootURL()+"/ui/api/jobs?nojobs=1&repo="+url.QueryEscape(repository)+"&revision="+revision, &jobs)
		if len(jobs.Pushes) == 1 && jobs.Pushes[0].State == "failed" {
			t.Fatalf("the decision failed: %v", jobs.Pushes[0].Error)
		}
		if len(jobs.Pushes) == 1 && jobs.Pushes[0].State == "decided" {
			var got []string
			for m, err := range c.GroupTasks(t.Context(), jobs.Pushes[0].GroupID) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, m.Task.Metadata.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the tasks (-want +got):\n%s", diff)
			}
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the push is not decided: %+v", jobs)
		}
	}
}

func get(t *testing.T, c *client.Client, address string, out any) {
	t.Helper()
	reply, err := c.CallRaw(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(reply.Body, out); err != nil {
		t.Fatalf("%v: %.300s", err, reply.Body)
	}
}
