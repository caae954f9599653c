//go:build unix

package sys

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
)

// Lock takes a lock of a file against other processes and other openings of it in this one; it ends when
// the file is closed, or with the process.
func Lock(f *os.File, how How) error {
	op := map[How]int{Exclusive: syscall.LOCK_EX, Shared: syscall.LOCK_SH, Now: syscall.LOCK_EX | syscall.LOCK_NB}[how]
	for {
		err := syscall.Flock(int(f.Fd()), op)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		default:
			return err
		}
	}
}

// Owner is whose a file is.
func Owner(info fs.FileInfo) (uid, gid uint32, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return st.Uid, st.Gid, true
}

// Taken is how many bytes of the disk a file takes.
func Taken(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// Free is how many bytes an unprivileged user may still write to the file system of dir.
func Free(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // their types differ between systems
}

// Kill sends a signal to a process, or to the group of processes -pid. Signal 0 asks whether it is there.
func Kill(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }

// Session starts a process in a session of its own, which signals to our group do not reach.
func Session() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// SessionOf is Session as another user, which only root may do.
func SessionOf(uid, gid uint32) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uid, Gid: gid}}
}

// Become is this process as another program; it returns only when it could not be.
func Become(program string, argv, environ []string) error {
	return syscall.Exec(program, argv, environ)
}

// Resized tells when the size of this process's terminal has changed, until stop is called.
func Resized() (changes <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	return c, func() { signal.Stop(c) }
}

// Hurry and Upgrade are the signals by which a worker is told to give its tasks back at once, and to
// become its new program.
const (
	Hurry   = syscall.SIGUSR1
	Upgrade = syscall.SIGHUP
)
