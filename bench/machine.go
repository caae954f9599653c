package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/sys"
)

// machine is a treeline dev that runs for a benchmark, with the sample repository.
type machine struct {
	data        string
	client      *client.Client
	rootURL     string
	credentials hawk.Credentials
	cmd         *exec.Cmd
	said        *saying
	ended       chan struct{} // closed when the program has ended
	err         error         // how; only after ended
}

// saying keeps what a program printed.
type saying struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *saying) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *saying) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(s.buf.String())
}

const startPatience = time.Minute

// startMachine runs the program's dev command in the directory data and returns when it answers.
func startMachine(ctx context.Context, program, data string, workers int) (*machine, error) {
	m := &machine{data: data, said: &saying{}, ended: make(chan struct{})}
	m.cmd = exec.Command(program, "dev", "--data", data, "--port", "0", "--workers", strconv.Itoa(workers))
	m.cmd.Stdout, m.cmd.Stderr = m.said, m.said
	// Of its own group: Ctrl-C is for us, and we end it politely.
	m.cmd.SysProcAttr = sys.Bound(syscall.SIGTERM, true)
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: start treeline dev: %w", err)
	}
	go func() {
		m.err = m.cmd.Wait()
		close(m.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		err := m.connect(ctx)
		if err == nil {
			return m, nil
		}
		select {
		case <-m.ended:
			return nil, fmt.Errorf("bench: treeline dev ended: %w\n%s", m.err, m.said)
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("bench: treeline dev does not answer: %w\n%s", err, m.said), m.stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// connect makes a client from the file of variables that treeline dev writes.
func (m *machine) connect(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(m.data, "env"))
	if err != nil {
		return err
	}
	env := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			env[name] = value
		}
	}
	m.rootURL = env["TASKCLUSTER_ROOT_URL"]
	m.credentials = hawk.Credentials{ClientID: env["TASKCLUSTER_CLIENT_ID"], AccessToken: env["TASKCLUSTER_ACCESS_TOKEN"]}
	m.client, err = client.New(client.Config{RootURL: m.rootURL, Patience: -1, Credentials: m.credentials})
	if err != nil {
		return err
	}
	return m.client.Call(ctx, "queue", "GET", "/ping", nil, nil, nil)
}

// stop ends treeline dev as Ctrl-C would.
func (m *machine) stop() error {
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("bench: stop treeline dev: %w", err)
	}
	select {
	case <-m.ended:
	case <-time.After(startPatience):
		return errors.Join(errors.New("bench: treeline dev does not end"), m.cmd.Process.Kill())
	}
	if m.err != nil {
		return fmt.Errorf("bench: treeline dev: %w\n%s", m.err, m.said)
	}
	return nil
}

// git runs git in the sample repository.
func (m *machine) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = m.repo()
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("bench: git %s: %w: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (m *machine) repo() string { return filepath.Join(m.data, "pebble") }
