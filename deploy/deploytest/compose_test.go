//go:build deploy

package deploytest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/docs/command"
	"github.com/treeline-ci/treeline/internal/hgtest"
	"github.com/treeline-ci/treeline/internal/podmantest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// partsVariable tells the test, run again in a network of its own, where what it starts is.
const partsVariable = "COMPOSE_PARTS"

// composeHost is a name for which Caddy has no other authority than its own.
const composeHost = "ci.localhost"

// composePatience is how long something of six containers on a busy machine may take.
const composePatience = 5 * time.Minute

// TestTheComposeFileRuns starts deploy/compose.yaml, unchanged, with Docker Compose and Podman: six containers with
// networks, volumes, secrets and health checks. No registry is asked: treeline's image is made here, and images of Debian's
// packages (standin_test.go) stand in for those of PostgreSQL, RabbitMQ, versitygw and Caddy, under their names. It goes
// on in a network namespace of its own, in which ports are free and nothing of the machine's network is changed.
func TestTheComposeFileRuns(t *testing.T) {
	if inItsOwnNetwork(t, func() []string { return []string{partsVariable + "=" + composeParts(t)} }) {
		composedForReal(t, os.Getenv(partsVariable))
	}
}

// deployment is the compose file's containers.
type deployment struct {
	podman
	dir     string // a copy of deploy/, with secrets
	program string // Docker Compose
	image   string // of Treeline
	env     []string
	checks  *checker
	token   string // of the operator
	root    *client.Client
}

func composedForReal(t *testing.T, parts string) {
	t.Setenv("DISABLE_HC_SYSTEMD", "true") // the checker stands in for systemd's timers
	networks := t.TempDir()
	p := podman{t, filepath.Dir(strings.TrimPrefix(podmantest.Start(t, "[network]", `network_backend = "netavark"`, fmt.Sprintf("network_config_dir = %q", networks)), "unix://"))}
	page, image := openBook(t, "docs/operations/install.md"), standIns(p, parts)
	d := &deployment{podman: p, dir: filepath.Join(t.TempDir(), "deploy"), program: filepath.Join(parts, "docker-compose"), image: image}
	d.env = append(p.env(), "DOCKER_HOST=unix://"+filepath.Join(p.dir, "socket"), "DOCKER_CONFIG="+t.TempDir(), "TREELINE_HOST="+composeHost, "TREELINE_IMAGE="+image)
	repo := hgtest.Init(t, "meadow")
	web := repo.Serve("--address", "0.0.0.0")
	d.prepare(web.URL[strings.LastIndexByte(web.URL, ':')+1:])
	d.checks = startChecker(p)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for name := range strings.FieldsSeq(d.run("ps", "--all", "--format", "{{.Names}}")) {
			t.Log(d.said(name, "--tail=40"))
		}
	})

	var first string
	t.Run("all become healthy, one after the other", func(t *testing.T) {
		d.typed(t, page.next("cd deploy"))
		d.up(t)
		d.inOrder(t)
	})
	if t.Failed() {
		return
	}
	d.reach(t)
	t.Run("the doctor finds what it needs", func(t *testing.T) {
		said := d.compose(t, "exec", "-T", "treeline-2", "/usr/bin/treeline", "doctor", "--only", "object stores", "--only", "RabbitMQ", "--only", "schema", "--only", "environment", "--only", "files with secrets")
		if !strings.Contains(said, "5 checks: 0 errors, 0 warnings") {
			t.Error(said)
		}
	})
	t.Run("a push is decided, and its task runs", func(t *testing.T) {
		d.worker(t)
		await(t, "the repository is looked at", func() error {
			list, err := d.root.HgRepositories(t.Context())
			if err == nil && (len(list) != 1 || list[0].Looked == nil) {
				err = fmt.Errorf("%+v", list)
			}
			return err
		})
		repo.Commit("Say hello", meadow)
		first = d.done(t, "")
	})
	t.Run("down and up keep what there is", func(t *testing.T) {
		d.run("rm", "--force", "--time=30", "worker")
		d.compose(t, "down")
		if left := d.run("ps", "--all", "--quiet"); left != "" {
			t.Errorf("after down there is %s", left)
		}
		d.up(t)
		d.inOrder(t)
		d.reach(t)
		if status, err := d.root.Status(t.Context(), first); err != nil || status.State != task.Completed {
			t.Errorf("the task of before: %+v, %v", status, err)
		}
		d.hello(t, first)
		d.worker(t)
		repo.Commit("Say it again", map[string]string{"more.txt": "more\n"})
		d.done(t, first)
	})
	t.Run("the servers outlive PostgreSQL", func(t *testing.T) { d.withoutDatabase(t) })
}

// meadow is a tree whose pushes are decided in the server, and run one task.
var meadow = map[string]string{
	".taskcluster.yml": `version: 1
tasks:
  - $if: tasks_for == "hg-push"
    then:
      taskId: ${ownTaskId}
      taskGroupId: ${ownTaskId}
      schedulerId: meadow-level-${repository.level}
      taskQueueId: built-in/decision
      created: {$fromNow: ""}
      deadline: {$fromNow: 1 day}
      metadata: {name: Decision, description: "${push.comment}", owner: ada@example.com, source: "${repository.url}"}
      scopes: ["assume:${repository.role}:branch:${push.branch}"]
      payload: {root: taskcluster}
`,
	"taskcluster/config.yml": `trust-domain: meadow
task-priority: low
taskgraph:
    repositories:
        meadow: {name: Meadow}
workers:
    aliases:
        linux: {provisioner: "meadow-{level}", worker-type: linux, implementation: generic-worker, os: linux}
`,
	"taskcluster/kinds/hello/kind.yml": `loader: taskgraph.loader.transform:loader
transforms:
    - taskgraph.transforms.task
tasks:
    world:
        description: Says hello.
        worker-type: linux
        worker: {max-run-time: 600, command: [[sh, -c, "echo hello from a container"]]}
`,
}

// prepare adds a repository as docs/operations/install.md says: by a second file, which Compose reads
// beside compose.yaml. The port is that of the repository's server, which containers find at their network's gateway.
func (d *deployment) prepare(port string) {
	d.t.Helper()
	err := os.CopyFS(d.dir, os.DirFS(".."))
	for name, text := range map[string]string{
		"repositories.yml": "repositories:\n  - {name: meadow, kind: hg, url: \"http://172.30.0.1:" + port + "/\", level: 1, trust-domain: meadow, poll: 5s}\n",
		"compose.override.yaml": `services:
  treeline-1: &more
    environment: {TREELINE_REPOSITORIES: /etc/treeline/repositories.yml}
    configs: [{source: repositories, target: /etc/treeline/repositories.yml}]
  treeline-2: *more
  proxy:
    networks: {default: {aliases: [` + composeHost + `]}}
configs:
  repositories: {file: ./repositories.yml}
`,
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644))
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// typed types what the page says, for the host and the image that there are here; Compose is no plugin of Docker's here.
func (d *deployment) typed(t *testing.T, b command.Block) {
	t.Helper()
	s := newShell(t, filepath.Dir(d.dir), d.env...)
	s.program("docker", `[ "$1" = compose ] || exit 1; shift; exec '`+d.program+`' "$@"`)
	for i, line := range b.Lines {
		b.Lines[i] = strings.NewReplacer("ci.example.com", composeHost, "localhost/treeline:v1.2.3-amd64", d.image).Replace(line)
	}
	began := time.Now()
	s.types(b)
	t.Logf("%s:%d took %s", b.Page, b.Line, time.Since(began).Round(time.Second))
}

// compose runs Docker Compose beside compose.yaml, and returns what it says.
func (d *deployment) compose(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*composePatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.program, append([]string{"--progress=plain"}, args...)...)
	cmd.Dir, cmd.Env = d.dir, d.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("docker-compose %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (d *deployment) up(t *testing.T) {
	t.Helper()
	began := time.Now()
	d.compose(t, "up", "--detach", "--pull=never", "--wait", "--wait-timeout=580")
	t.Logf("up took %s", time.Since(began).Round(time.Second))
}

// containerState is what Podman knows of a container.
type containerState struct {
	ID    string `json:"Id"`
	State struct {
		Pid       int
		StartedAt time.Time
		Health    struct{ Status string }
	}
}

func (d *deployment) state(t *testing.T, service string) containerState {
	t.Helper()
	var out []containerState
	if err := json.Unmarshal([]byte(d.run("container", "inspect", "treeline-"+service+"-1")), &out); err != nil || len(out) != 1 {
		t.Fatalf("%s: %v", service, err)
	}
	return out[0]
}

// inOrder sees that each container is healthy and was started when what it needs was.
func (d *deployment) inOrder(t *testing.T) {
	t.Helper()
	stores := []string{"postgres", "s3", "rabbitmq"}
	needs := map[string][]string{"treeline-1": stores, "treeline-2": append(slices.Clone(stores), "treeline-1"), "proxy": {"treeline-1", "treeline-2"}}
	for _, service := range append(slices.Sorted(maps.Keys(needs)), stores...) {
		state := d.state(t, service)
		if state.State.Health.Status != "healthy" {
			t.Errorf("%s is %s", service, state.State.Health.Status)
		}
		for _, other := range needs[service] {
			if was := d.checks.healthy(d.state(t, other).ID); was.IsZero() || was.After(state.State.StartedAt) {
				t.Errorf("%s started at %s, %s was healthy at %s", service, state.State.StartedAt, other, was)
			}
		}
	}
}

// reach makes a client of the proxy's published port, which trusts the proxy's own authority.
func (d *deployment) reach(t *testing.T) {
	t.Helper()
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM([]byte(text(t, d.authority()))) {
		t.Fatal("Caddy's authority has no certificate")
	}
	dialer := &net.Dialer{}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, "127.0.0.1:443")
	}}
	t.Cleanup(transport.CloseIdleConnections)
	var secrets struct{ RootAccessToken string }
	err := json.Unmarshal([]byte(text(t, filepath.Join(d.volume("data"), "secrets.json"))), &secrets)
	d.token = secrets.RootAccessToken
	if err == nil {
		d.root, err = client.New(client.Config{RootURL: "https://" + composeHost, HTTP: &http.Client{Transport: transport},
			Credentials: hawk.Credentials{ClientID: "static/taskcluster/root", AccessToken: d.token}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// volume is where a volume of the compose file is on this machine.
func (d *deployment) volume(name string) string {
	return d.run("volume", "inspect", "--format", "{{.Mountpoint}}", "treeline_"+name)
}

// authority is the file of the certificate with which Caddy signs that of composeHost.
func (d *deployment) authority() string {
	return filepath.Join(d.volume("certificates"), "caddy/pki/authorities/local/root.crt")
}

// worker runs a worker of the image of a release and of stand-ins in the deployment's network.
func (d *deployment) worker(t *testing.T) {
	t.Helper()
	d.run("run", "--detach", "--replace", "--name", "worker", "--network", "treeline_default", "--volume", d.authority()+":/authority.crt:ro", "--env", "SSL_CERT_FILE=/authority.crt",
		"--env", "TASKCLUSTER_ROOT_URL=https://"+composeHost, "--env", "TASKCLUSTER_CLIENT_ID=static/taskcluster/root", "--env", "TASKCLUSTER_ACCESS_TOKEN="+d.token,
		workerImage, "worker", "run", "--task-queue=meadow-1/linux", "--dir=/var/lib/treeline-worker", "--log-json")
}

// done waits until the task of a push is completed, one that is not other, and returns it.
func (d *deployment) done(t *testing.T, other string) (id string) {
	t.Helper()
	awaitFor(t, composePatience, "a task of the push is completed", func() error {
		for group, err := range d.root.Groups(t.Context()) {
			if err != nil {
				return err
			}
			for task, err := range d.root.GroupTasks(t.Context(), group.TaskGroupID) {
				if err != nil {
					return err
				}
				if task.Status.TaskQueueID != "meadow-1/linux" || task.Status.TaskID == other {
					continue
				}
				if id = task.Status.TaskID; task.Status.State != "completed" {
					return fmt.Errorf("%s is %s", id, task.Status.State)
				}
				return nil
			}
		}
		return errors.New("there is none")
	})
	d.hello(t, id)
	return id
}

// hello reads the log of the task, from the S3 service.
func (d *deployment) hello(t *testing.T, id string) {
	t.Helper()
	var log bytes.Buffer
	if _, err := d.root.DownloadArtifact(t.Context(), client.Download{TaskID: id, RunID: client.LatestRun, Name: "public/logs/live_backing.log"}, &log); err != nil || !strings.Contains(log.String(), "hello from a container") {
		t.Errorf("the log of %s: %v\n%s", id, err, &log)
	}
}

// withoutDatabase kills PostgreSQL as a crash does: Podman starts its container again, and the servers go on by themselves.
func (d *deployment) withoutDatabase(t *testing.T) {
	servers := []string{"treeline-1", "treeline-2"}
	before := map[string]containerState{}
	for _, s := range append(servers, "postgres") {
		before[s] = d.state(t, s)
	}
	if err := syscall.Kill(before["postgres"].State.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	id := slug.Nice()
	awaitFor(t, composePatience, "a task is made on the new PostgreSQL", func() error {
		if d.state(t, "postgres").State.Pid == before["postgres"].State.Pid {
			return errors.New("the killed one is still there")
		}
		_, err := d.root.CreateTask(t.Context(), id, definition("meadow-1/linux", map[string]any{"command": [][]string{{"sh", "-c", "echo hello from a container"}}, "maxRunTime": 60}))
		return err
	})
	awaitFor(t, composePatience, "the task is run", func() error {
		status, err := d.root.Status(t.Context(), id)
		if err == nil && status.State != "completed" {
			err = errors.New(string(status.State))
		}
		return err
	})
	d.hello(t, id)
	for _, s := range servers {
		if now := d.state(t, s); now.State.Pid != before[s].State.Pid || now.State.Health.Status != "healthy" {
			t.Errorf("%s was process %d, is %d and %s", s, before[s].State.Pid, now.State.Pid, now.State.Health.Status)
		}
	}
}

// checker runs the health checks of containers, as the timers do that Podman gives to systemd: not every machine has it.
type checker struct {
	p     podman
	mu    sync.Mutex
	first map[string]time.Time // when a container was healthy first, by its ID
}

// checkPause is between two rounds.
const checkPause = 2 * time.Second

func startChecker(p podman) *checker {
	c := &checker{p: p, first: map[string]time.Time{}}
	ctx, stop := context.WithCancel(context.WithoutCancel(p.t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			c.round()
			select {
			case <-ctx.Done():
			case <-time.After(checkPause):
			}
		}
	}()
	p.t.Cleanup(func() {
		stop()
		<-ended
	})
	return c
}

func (c *checker) round() {
	ids, err := c.p.try("ps", "--quiet", "--no-trunc", "--filter", "label=com.docker.compose.project=treeline")
	if err != nil {
		return // it is told by what waits for health
	}
	for id := range strings.FieldsSeq(ids) {
		if _, err := c.p.try("healthcheck", "run", id); err != nil {
			continue // not healthy yet, or gone
		}
		c.mu.Lock()
		if c.first[id].IsZero() {
			c.first[id] = time.Now()
		}
		c.mu.Unlock()
	}
}

// healthy says when a container was healthy first.
func (c *checker) healthy(id string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first[id]
}
