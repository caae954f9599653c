package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
)

// startLimit is how long a server may take to answer, crash recovery included.
const startLimit = 2 * time.Minute

// logLimit is the size in bytes at which the server's log is started anew.
const logLimit = 16 << 20

// postmaster is one run of the server.
type postmaster struct {
	pid    int
	exited chan struct{} // closed when the process is gone
}

// command prepares a server program as the cluster's owner, in a session of its own, so that
// signals to Treeline's group do not reach it. The data directory is passed as an open descriptor
// when the owner cannot pass the directories above it. closer ends what the command needed to start.
func (c *Cluster) command(ctx context.Context, program, data string, args ...string) (cmd *exec.Cmd, closer func(), err error) {
	closer = func() {}
	cmd = exec.CommandContext(ctx, filepath.Join(c.bin.dir, program))
	if !c.owner.reaches(data) {
		f, err := os.Open(data)
		if err != nil {
			return nil, nil, err
		}
		closer = func() { _ = f.Close() } // opened for reading only
		cmd.ExtraFiles = []*os.File{f}
		data = "/proc/self/fd/3"
	}
	cmd.Args = append([]string{program, "-D", data}, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	// A server process gives the memory of each statement back to the system, and asks for it again at the
	// next, unless glibc is told to keep some.
	cmd.Env = append(cmd.Env, "MALLOC_TOP_PAD_=4194304", "MALLOC_TRIM_THRESHOLD_=67108864")
	cmd.SysProcAttr = c.owner.session()
	return cmd, closer, nil
}

// run takes over the server that runs for this directory, or starts one, and waits until it answers.
func (c *Cluster) run(ctx context.Context) (*postmaster, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if pid, socket := c.running(); pid != 0 {
		m := &postmaster{pid: pid, exited: make(chan struct{})}
		go c.watch(m)
		c.socket = socket
		if err := c.answers(ctx, m); err == nil {
			c.log.Info("took over a running PostgreSQL", "pid", pid)
			c.pid.Store(int64(pid))
			return m, nil
		}
		// It was on its way out; when it is gone a new one can be started.
		if err := m.kill(ctx, syscall.SIGQUIT); err != nil {
			return nil, err
		}
	}
	if err := c.clear(ctx); err != nil {
		return nil, err
	}
	m, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.answers(ctx, m); err != nil {
		_ = m.kill(context.WithoutCancel(ctx), syscall.SIGQUIT) // the first error says more
		return nil, fault.Wrap(fault.Unavailable, err, "PostgreSQL does not start; the end of its log:\n%s", c.logTail())
	}
	c.pid.Store(int64(m.pid))
	return m, nil
}

// start runs the server program. Its output goes straight to a file, so that it does not depend on
// this process.
func (c *Cluster) start(ctx context.Context) (*postmaster, error) {
	name := filepath.Join(c.dir, "postgres.log")
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if info, err := os.Stat(name); err == nil && info.Size() > logLimit {
		flags |= os.O_TRUNC
	}
	out, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the server has its own copy
	// After each checkpoint the first change of a page writes the whole page. Ids are random, so that in a
	// large database nearly every change is the first of some page.
	args := append([]string{"-k", c.socket,
		"-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "max_connections=300",
		"-c", "timezone=UTC", "-c", "log_timezone=UTC", "-c", "log_checkpoints=off", "-c", "update_process_title=off",
		"-c", "jit=off", "-c", "max_wal_size=4GB", "-c", "checkpoint_timeout=15min",
	}, c.settings...)
	// The server's life is not that of the caller's context.
	cmd, closer, err := c.command(context.WithoutCancel(ctx), "postgres", c.data(), args...)
	if err != nil {
		return nil, err
	}
	defer closer()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := &postmaster{pid: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended stands in its log; the supervisor acts on the end itself
		close(m.exited)
	}()
	return m, nil
}

// supervise starts the server again whenever it ends, until the cluster is stopped.
func (c *Cluster) supervise(ctx context.Context, m *postmaster) {
	defer close(c.done)
	starting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.stopping:
			cancel()
		case <-starting.Done():
		}
	}()
	for {
		select {
		case <-c.stopping:
			if !c.leave.Load() {
				_ = m.kill(ctx, syscall.SIGINT) // fails only when ctx ends, and it does not
			}
			return
		case <-m.exited:
			c.log.Warn("PostgreSQL ended by itself; starting it again", "pid", m.pid)
		}
		for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
			next, err := c.run(starting)
			if err == nil {
				m = next
				c.log.Info("PostgreSQL runs again", "pid", m.pid)
				break
			}
			if starting.Err() != nil {
				return
			}
			c.log.Error("PostgreSQL cannot be started", "err", err)
			select {
			case <-c.stopping:
				return
			case <-time.After(wait):
			}
		}
	}
}

// running reads postmaster.pid and returns the live server of this directory, 0 when there is none.
func (c *Cluster) running() (pid int, socket string) {
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return 0, ""
	}
	// Lines: process id, data directory, start time, port, socket directory, …
	lines := strings.Split(string(text), "\n")
	pid, err = strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 || !c.works(pid) {
		return 0, ""
	}
	socket = c.socket
	if len(lines) > 4 && strings.HasPrefix(lines[4], "/") {
		socket = strings.TrimSpace(lines[4])
	}
	return pid, socket
}

// works reports whether a process is a server process of this directory: all of them have it as
// their working directory. Where the system does not tell, being alive must do.
func (c *Cluster) works(pid int) bool {
	if err := sys.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		return true
	}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || !strings.HasPrefix(filepath.Base(exe), "postgres") {
		return false // a zombie, or somebody's shell that stands in the directory
	}
	cwd, err1 := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	data, err2 := os.Stat(c.data())
	return err1 == nil && err2 == nil && os.SameFile(cwd, data)
}

// clear makes the way free for a new server: backends that outlived a killed postmaster (one that
// is busy with a statement does not notice) hold its shared memory, and a process that happens to
// have the dead server's id, or the zombie that nobody waits for when the first process of a
// container does not care, would be taken for it: by the lock of its files and by that of its socket.
func (c *Cluster) clear(ctx context.Context) error {
	for {
		left := 0
		procs, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			return err
		}
		for _, p := range procs {
			pid, err := strconv.Atoi(filepath.Base(p))
			if err != nil || pid == os.Getpid() || !c.works(pid) {
				continue
			}
			left++
			_ = sys.Kill(pid, syscall.SIGQUIT) // it may have ended meanwhile
		}
		if left == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d processes of the server before do not end: %w", left, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	stale, err := filepath.Glob(filepath.Join(c.socket, ".s.PGSQL.*"))
	if err != nil {
		return err
	}
	for _, name := range append(stale, filepath.Join(c.data(), "postmaster.pid")) {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// answers waits until the server accepts connections, or has ended.
func (c *Cluster) answers(ctx context.Context, m *postmaster) error {
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code != "57P03" && !strings.HasPrefix(e.Code, "53") {
			return err // it runs, but does not want us
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-m.exited:
			return errors.New("the server ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill sends a signal and waits until the process is gone.
func (m *postmaster) kill(ctx context.Context, sig syscall.Signal) error {
	if err := sys.Kill(m.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-m.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("process %d does not end: %w", m.pid, ctx.Err())
	}
}

// watch notices the end of a server that is not our child.
func (c *Cluster) watch(m *postmaster) {
	for c.works(m.pid) {
		time.Sleep(100 * time.Millisecond)
	}
	close(m.exited)
}

func (c *Cluster) logTail() string {
	f, err := os.Open(filepath.Join(c.dir, "postgres.log"))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }() // opened for reading only
	if info, err := f.Stat(); err == nil && info.Size() > 2000 {
		if _, err := f.Seek(-2000, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
