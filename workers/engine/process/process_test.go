package process_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/workers/engine/process"
)

// output is a buffer that may be read while a command writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func shell(t *testing.T, out *output, script string) process.Spec {
	t.Helper()
	dir := t.TempDir()
	return process.Spec{
		Argv: []string{"sh", "-c", script}, Dir: dir, Output: out, Grace: 300 * time.Millisecond,
		Env: []string{"PATH=/usr/bin:/bin", "TASK_WORKDIR=" + dir},
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, script, output string
		code                 int
		signal               string
	}{
		{"output and error come in order", "echo one; echo two >&2; echo three", "one\ntwo\nthree\n", 0, ""},
		{"exit status is kept", "exit 7", "", 7, ""},
		{"a signal is told as a shell tells it", "kill -SEGV $$", "", 139, "segmentation fault"},
		{"standard input is empty", "cat; echo end", "end\n", 0, ""},
		{"colours pass", `printf '\033[31mred\033[0m\n'`, "\x1b[31mred\x1b[0m\n", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out output
			exit, err := process.Run(t.Context(), shell(t, &out, c.script))
			if err != nil {
				t.Fatal(err)
			}
			if exit.Code != c.code || exit.Signal != c.signal || exit.Stopped {
				t.Errorf("exit = %+v", exit)
			}
			if out.String() != c.output {
				t.Errorf("output = %q, want %q", out.String(), c.output)
			}
		})
	}
}

func TestRunCannotStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plain"), []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{"no-such-program-anywhere"}, {"./absent"}, {"./plain"}, {"/"}, {}} {
		_, err := process.Run(t.Context(), process.Spec{Argv: append(argv, ""), Dir: dir, Env: []string{"PATH=/usr/bin"}, Output: &output{}})
		if _, ok := errors.AsType[*process.StartError](err); !ok {
			t.Errorf("%q: %v is no StartError", argv, err)
		}
	}
}

func TestRunStops(t *testing.T) {
	t.Run("a command that heeds TERM ends by itself", func(t *testing.T) {
		var out output
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		spec := shell(t, &out, "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done")
		spec.Grace = 10 * time.Second
		go func() {
			waitFor(t, "the command to be ready", func() bool { return strings.Contains(out.String(), "ready") })
			cancel()
		}()
		exit, err := process.Run(ctx, spec)
		if err != nil || !exit.Stopped || exit.Code != 3 || !strings.Contains(out.String(), "bye") {
			t.Errorf("exit = %+v, %v, output %q", exit, err, out.String())
		}
	})
	t.Run("a group that ignores TERM is killed as a whole", func(t *testing.T) {
		var out output
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		spec := shell(t, &out, "trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 0.05; done' & echo child $!; while :; do sleep 0.05; done")
		go func() {
			waitFor(t, "the child", func() bool { return strings.Contains(out.String(), "child ") })
			cancel()
		}()
		exit, err := process.Run(ctx, spec)
		if err != nil || !exit.Stopped || exit.Signal != "killed" {
			t.Errorf("exit = %+v, %v", exit, err)
		}
		child, _ := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(out.String(), "child ")))
		waitFor(t, "the child to be gone", func() bool { return !alive(child) })
	})
	t.Run("what a command leaves in its group does not outlive it", func(t *testing.T) {
		var out output
		if _, err := process.Run(t.Context(), shell(t, &out, "sleep 300 & echo $!")); err != nil {
			t.Fatal(err)
		}
		child, err := strconv.Atoi(strings.TrimSpace(out.String()))
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the background process to be gone", func() bool { return !alive(child) })
	})
}

func TestSweep(t *testing.T) {
	var out output
	spec := shell(t, &out, "setsid sh -c 'echo $$; exec sleep 300 >/dev/null 2>&1' & while [ ! -s pid ]; do sleep 0.02; break; done; sleep 0.3")
	if _, err := process.Run(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	if !alive(pid) {
		t.Fatal("a process in a session of its own should have left the group")
	}
	n, err := process.Sweep(spec.Dir)
	if err != nil || n != 1 {
		t.Errorf("Sweep = %d, %v", n, err)
	}
	waitFor(t, "the daemon to be gone", func() bool { return !alive(pid) })
}

func TestUser(t *testing.T) {
	if _, err := process.LookupUser("no-such-user-here"); err == nil {
		t.Error("a user that does not exist was found")
	}
	if _, err := process.LookupUser("x:y"); err == nil {
		t.Error("letters were taken for numbers")
	}
	u, err := process.LookupUser(strconv.Itoa(os.Geteuid()) + ":" + strconv.Itoa(os.Getegid()))
	if os.Geteuid() == 0 {
		u, err = process.LookupUser("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	var out output
	spec := shell(t, &out, "id -u")
	spec.User, spec.Dir = u, "/"
	if _, err := process.Run(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(out.String()) != strconv.Itoa(int(u.UID)) {
		t.Errorf("ran as %s, not %d", out.String(), u.UID)
	}
}

// TestKilledWorker kills the process that runs a command and sees the command die with it.
func TestKilledWorker(t *testing.T) {
	if os.Getenv("PROCESS_TEST_WORKER") != "" {
		spec := process.Spec{Argv: []string{"sh", "-c", "echo $$; exec sleep 300"}, Dir: "/", Env: os.Environ(), Output: os.Stdout}
		_, err := process.Run(t.Context(), spec)
		t.Log(err)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out output
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		waitFor(t, "the command to start", func() bool { return strings.Contains(out.String(), "\n") })
		cancel() // no grace: the worker is killed
	}()
	exit, err := process.Run(ctx, process.Spec{
		Argv: []string{self, "-test.run=^TestKilledWorker$"}, Dir: "/", Output: &out,
		Env: append(os.Environ(), "PROCESS_TEST_WORKER=1"),
	})
	if err != nil || exit.Signal != syscall.SIGKILL.String() {
		t.Fatalf("exit = %+v, %v", exit, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the command to die with its worker", func() bool { return !alive(pid) })
}
