package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func attributes(s Spec) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Ptrace: s.Enter != nil}
	if s.Terminal != nil { // the leader of a session leads its group as well
		attr.Setpgid, attr.Setsid, attr.Setctty = false, true, true
	}
	if s.User != nil && os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: s.User.UID, Gid: s.User.GID, Groups: s.User.Groups}
	}
	return attr
}

// await waits until the leader has ended but leaves it to be reaped by a later wait.
func (g group) await() error {
	for {
		err := unix.Waitid(unix.P_PID, int(g), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// enter calls do for a child that was started with Ptrace: the kernel holds it before the first instruction
// of its program, until it is let go. It must be called on the thread that started the child.
func enter(pid int, do func(pid int) error) error {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("wait for its beginning: %w", err)
		}
	}
	if !status.Stopped() {
		return errors.New("it ended before it began")
	}
	if err := do(pid); err != nil {
		return err
	}
	return syscall.PtraceDetach(pid)
}

// giveUpNewUsers makes this thread, and what it starts, unable to become another user by way of a program. The
// thread's own user stays: were it the task's, the task could kill the worker.
func giveUpNewUsers() error {
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// mayLimit says whether this process may set the limits of other users' processes. In containers root often
// cannot.
func mayLimit() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if bits, ok := strings.CutPrefix(line, "CapEff:"); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(bits), 16, 64)
			return err == nil && n&(1<<unix.CAP_SYS_RESOURCE) != 0
		}
	}
	return false
}

// limit sets the limits of one process, which its children inherit.
func limit(pid, resource int, value uint64) error {
	return unix.Prlimit(pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil)
}

const (
	limitProcesses = unix.RLIMIT_NPROC
	limitFileSize  = unix.RLIMIT_FSIZE
	limitFiles     = unix.RLIMIT_NOFILE
	limitCore      = unix.RLIMIT_CORE
)

// Seal keeps other processes of this process's own user from reading its memory, its environment and its open
// files, as debuggers do.
func Seal() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("process: %w", err)
	}
	return nil
}
