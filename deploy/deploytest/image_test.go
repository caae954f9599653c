//go:build deploy

package deploytest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/build"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/podmantest"
	"github.com/treeline-ci/treeline/internal/slug"
)

// podman is a private one, without a registry.
type podman struct {
	t   *testing.T
	dir string
}

func newPodman(t *testing.T) podman {
	return podman{t, filepath.Dir(strings.TrimPrefix(podmantest.Start(t), "unix://"))}
}

func (p podman) options() []string {
	return []string{"--root=" + filepath.Join(p.dir, "root"), "--runroot=" + filepath.Join(p.dir, "run"), "--tmpdir=" + filepath.Join(p.dir, "tmp")}
}

func (p podman) env() []string {
	return append(os.Environ(), "CONTAINERS_CONF="+filepath.Join(p.dir, "containers.conf"), "TMPDIR="+p.dir, "DOCKER_HOST=")
}

// run runs a command of podman and returns what it printed.
func (p podman) run(args ...string) string {
	p.t.Helper()
	out, err := p.try(args...)
	if err != nil {
		p.t.Fatalf("podman %v: %v\n%s", args, err, out)
	}
	return out
}

func (p podman) try(args ...string) (string, error) {
	cmd := exec.Command("podman", append(p.options(), args...)...)
	cmd.Env = p.env()
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return string(out) + problems.String(), err
	}
	return strings.TrimSpace(string(out)), nil
}

// said is what a container wrote, to either stream; it may be gone.
func (p podman) said(name string, options ...string) string {
	cmd := exec.Command("podman", append(append(p.options(), "logs"), append(options, name)...)...)
	cmd.Env = p.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s: %v\n%s", name, err, out)
	}
	return name + ":\n" + string(out)
}

// released makes the program and the image of the checkout, and returns the image's name and number.
func released(p podman, out string, anew bool) (name, id string) {
	p.t.Helper()
	tool := func(args ...string) string {
		cmd := exec.Command("go", append([]string{"run", "./tools/release"}, append(args, "--out", out, "--platforms", "linux/amd64")...)...)
		cmd.Dir, cmd.Env = "../..", p.env()
		said, err := cmd.CombinedOutput()
		if err != nil {
			p.t.Fatalf("release %v: %v\n%s", args, err, said)
		}
		p.t.Logf("%s", said)
		return string(said)
	}
	if anew {
		tool("build")
	}
	args := []string{"image"}
	for _, o := range p.options() {
		args = append(args, "--podman-arg="+o)
	}
	lines := strings.Split(strings.TrimSpace(tool(args...)), "\n")
	name, id, ok := strings.Cut(lines[len(lines)-1], " ")
	if !ok {
		p.t.Fatalf("no number of the image: %q", lines)
	}
	return name, id
}

func TestTheImageRuns(t *testing.T) {
	p := newPodman(t)
	out := filepath.Join(t.TempDir(), "dist")
	image, id := released(p, out, true)
	t.Run("it has the same number when it is built again", func(t *testing.T) {
		again := p
		again.t = t
		if _, other := released(again, out, false); other != id {
			t.Errorf("%s, then %s", id, other)
		}
	})
	t.Run("it says what it is", func(t *testing.T) {
		var info build.Info
		if err := json.Unmarshal([]byte(p.run("run", "--rm", "--read-only", "--cap-drop=all", image, "version", "--json")), &info); err != nil || info.OS != "linux" || !strings.Contains(image, info.Version) {
			t.Errorf("%+v of %s, %v", info, image, err)
		}
		var inspected []struct {
			Config struct {
				User   string
				Labels map[string]string
			}
			Size int64
		}
		if err := json.Unmarshal([]byte(p.run("image", "inspect", image)), &inspected); err != nil || len(inspected) != 1 {
			t.Fatal(err)
		}
		if c := inspected[0].Config; c.User != "65532:65532" || c.Labels["org.opencontainers.image.version"] != info.Version || c.Labels["org.opencontainers.image.licenses"] != "Apache-2.0" {
			t.Errorf("%+v", c)
		}
		t.Logf("%s: %.1f MB", image, float64(inspected[0].Size)/1e6)
	})
	t.Run("it serves, and a worker's image runs a task", func(t *testing.T) {
		inner := p
		inner.t = t
		served(inner, image)
	})
	t.Run("it runs as the compose file says", func(t *testing.T) {
		inner := p
		inner.t = t
		composed(inner, image)
	})
	t.Run("it runs as the chart says", func(t *testing.T) {
		inner := p
		inner.t = t
		charted(inner, image)
	})
}

// served runs the server and a worker as containers.
func served(p podman, image string) {
	t := p.t
	port := freePort(t)
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	data := filepath.Join(t.TempDir(), "data")
	if err := errors.Join(os.Mkdir(data, 0o700), os.Chown(data, 65532, 65532)); err != nil {
		t.Fatal(err)
	}
	name := "treeline-" + strings.ToLower(slug.New())
	p.run("run", "--detach", "--name", name, "--network=host", "--read-only", "--cap-drop=all", "--tmpfs=/tmp",
		"--volume", data+":/var/lib/treeline", "--env", "DATABASE_URL="+tcpDatabase(t), "--env", "TREELINE_ROOT_URL="+address,
		"--env", "TREELINE_HEALTH_URL="+address+"/__heartbeat__", image, "serve", "--listen", fmt.Sprintf("127.0.0.1:%d", port))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.said(name))
		}
	})
	answers(t, address+"/__heartbeat__")
	p.run("exec", name, "/usr/bin/treeline", "health")
	var secrets struct{ RootAccessToken string }
	if err := json.Unmarshal([]byte(text(t, filepath.Join(data, "secrets.json"))), &secrets); err != nil {
		t.Fatal(err)
	}
	root, err := client.New(client.Config{RootURL: address, Credentials: hawk.Credentials{ClientID: "static/taskcluster/root", AccessToken: secrets.RootAccessToken}})
	if err != nil {
		t.Fatal(err)
	}
	p.run("build", "--quiet", "--format=docker", "--build-arg", "BASE="+podmantest.Image, "--build-arg", "TREELINE="+image, "--tag", "localhost/treeline-worker:test", "--file", "../image/worker.Containerfile", "../image")
	worker := name + "-worker"
	p.run("run", "--detach", "--name", worker, "--network=host", "--env", "TASKCLUSTER_ROOT_URL="+address, "--env", "TASKCLUSTER_CLIENT_ID=static/taskcluster/root",
		"--env", "TASKCLUSTER_ACCESS_TOKEN="+secrets.RootAccessToken, "localhost/treeline-worker:test", "worker", "run", "--task-queue=test/image", "--dir=/var/lib/treeline-worker", "--max-tasks=1", "--log-json")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.said(worker))
		}
	})
	task := slug.Nice()
	if _, err := root.CreateTask(t.Context(), task, definition("test/image", map[string]any{"command": [][]string{{"sh", "-c", "echo in a container; id -u"}}, "maxRunTime": 60})); err != nil {
		t.Fatal(err)
	}
	await(t, "the worker in a container runs the task", func() error {
		var status struct{ Status struct{ State string } }
		err := root.Call(t.Context(), "queue", http.MethodGet, "/task/"+task+"/status", nil, nil, &status)
		if err == nil && status.Status.State != "completed" {
			err = errors.New(status.Status.State)
		}
		return err
	})
	p.run("stop", "--time=30", name)
	if code := p.run("inspect", "--format", "{{.State.ExitCode}}", name); code != "0" {
		t.Errorf("the server ended with %s when it was stopped", code)
	}
}

// tcpDatabase is the URL of a new database by TCP: containers cannot use the private directory of its socket.
func tcpDatabase(t *testing.T) string {
	t.Helper()
	return tcpDatabaseAt(t, "127.0.0.1", "127.0.0.1")
}

// tcpDatabaseAt is one that listens at an address, under the name that its clients have for it.
func tcpDatabaseAt(t *testing.T, listen, name string) string {
	t.Helper()
	u, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	socket := filepath.Join(q.Get("host"), ".s.PGSQL.5432")
	l, err := net.Listen("tcp", listen+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // it ends the loop below
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go forward(conn, socket)
		}
	}()
	return fmt.Sprintf("postgres://%s@%s:%d%s?sslmode=disable", q.Get("user"), name, l.Addr().(*net.TCPAddr).Port, u.Path)
}

func forward(conn net.Conn, socket string) {
	defer conn.Close()
	to, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer to.Close()
	done := make(chan struct{}, 2)
	pipe := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src) // one end has closed
		done <- struct{}{}
	}
	go pipe(to, conn)
	go pipe(conn, to)
	<-done
}
