package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
)

// instance is one treeline dev on this machine, in a directory of its own.
type instance struct {
	data    string
	watched string // "" for the sample
	workers int
	options []string // of treeline dev, besides the usual
	port    int      // the same at every start, so that clients find it again
	out     *output
	cmd     *exec.Cmd
	exited  chan error
	first   string // the first revision it saw, where a test set it
}

// machine is an instance in the hands of a test.
type machine struct {
	*instance
	t      testing.TB
	client *client.Client
}

func newInstance(data, watched string, workers int) *instance {
	return &instance{data: data, watched: watched, workers: workers, out: &output{}}
}

// in gives the instance to a test; when that fails, what the instance said meanwhile is shown.
func (i *instance) in(t testing.TB) *machine {
	m := &machine{instance: i, t: t}
	from := i.out.len()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		t.Logf("treeline dev said:\n%s", tail(i.out.from(from), 6000))
		logs, _ := filepath.Glob(filepath.Join(i.data, "workers", "*", "worker.log")) // the pattern is good
		for _, name := range logs {
			if text, err := os.ReadFile(name); err == nil {
				t.Logf("%s:\n%s", filepath.Base(filepath.Dir(name)), tail(string(text), 1500))
			}
		}
	})
	if i.runs() {
		m.connect()
	}
	return m
}

// repo is the work tree that the instance watches.
func (i *instance) repo() string {
	if i.watched != "" {
		return i.watched
	}
	return filepath.Join(i.data, "pebble")
}

func (i *instance) repoName() string { return filepath.Base(i.repo()) }

func (i *instance) runs() bool { return i.cmd != nil }

// output collects what several goroutines write and read.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Len()
}

func (o *output) from(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf.Bytes()[n:])
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start runs treeline dev and returns when it answers.
func (m *machine) start() {
	m.t.Helper()
	if m.port == 0 {
		m.port = freePort(m.t)
	}
	args := []string{"dev", "-v", "--data", m.data, "--port", fmt.Sprint(m.port), "--workers", fmt.Sprint(m.workers)}
	if m.watched != "" {
		args = append(args, "--repo", m.watched)
	}
	args = append(args, m.options...)
	m.cmd = exec.Command(program, args...)
	m.cmd.Stdout, m.cmd.Stderr = m.out, m.out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A worker that outlives a killed treeline dev by a moment still holds its output.
	m.cmd.WaitDelay = 5 * time.Second
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan error) { exited <- cmd.Wait() }(m.cmd, m.exited)
	m.eventually(time.Minute, "the server answers", func(ctx context.Context) error {
		select {
		case err := <-m.exited:
			m.cmd = nil
			m.t.Fatalf("treeline dev ended: %v\n%s", err, tail(m.out.from(0), 4000))
		default:
		}
		_, err := m.get(ctx, "/api/queue/v1/ping")
		return err
	})
	m.connect()
}

// stop ends treeline dev politely and waits for it.
func (i *instance) stop() error {
	if !i.runs() {
		return nil
	}
	defer func() { i.cmd = nil }()
	if err := i.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-i.exited:
		return err
	case <-time.After(time.Minute):
		return errors.Join(errors.New("treeline dev does not end"), i.cmd.Process.Kill(), <-i.exited)
	}
}

// kill ends treeline dev as a crash would.
func (m *machine) kill() {
	m.t.Helper()
	if err := m.cmd.Process.Kill(); err != nil {
		m.t.Fatal(err)
	}
	<-m.exited
	m.cmd = nil
}

// processes returns the ids of the instance's processes whose command line holds text.
func (m *machine) processes(text string) []int {
	var found []int
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good
	for _, dir := range dirs {
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue // it has ended
		}
		line := strings.ReplaceAll(string(cmdline), "\x00", " ")
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && strings.Contains(line, text) && strings.Contains(line, m.data) {
			found = append(found, pid)
		}
	}
	return found
}

// checkNothingRuns makes sure that a stopped instance left no process behind.
func (m *machine) checkNothingRuns() {
	m.t.Helper()
	if left := m.processes(""); len(left) > 0 {
		m.t.Errorf("processes %v of %s still run", left, m.data)
	}
}

// env returns the four variables that treeline dev wrote.
func (m *machine) env() map[string]string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.data, "env"))
	if err != nil {
		m.t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			env[key] = value
		}
	}
	return env
}

func (m *machine) connect() {
	m.t.Helper()
	env := m.env()
	var err error
	m.client, err = client.New(client.Config{
		RootURL:     env["TASKCLUSTER_ROOT_URL"],
		Credentials: hawk.Credentials{ClientID: env["TASKCLUSTER_CLIENT_ID"], AccessToken: env["TASKCLUSTER_ACCESS_TOKEN"]},
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// cli runs the program's command line against the server and returns what it printed.
func (m *machine) cli(args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), program, args...)
	cmd.Env = os.Environ()
	for key, value := range m.env() {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("treeline %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func (m *machine) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", m.port, path) }

// get fetches a page as anybody may, without credentials.
func (m *machine) get(ctx context.Context, path string) (body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url(path), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, resp.Status, tail(string(data), 300))
	}
	return string(data), err
}

// errFinal marks what cannot get better by waiting.
var errFinal = errors.New("and that is final")

// eventually tries until try succeeds, and fails the test when it has not within patience.
func (m *machine) eventually(patience time.Duration, what string, try func(context.Context) error) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		if errors.Is(err, errFinal) {
			m.t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-ctx.Done():
			m.t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-tick.C:
		}
	}
}
