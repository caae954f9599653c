package sys

import (
	"os"
	"syscall"
)

// SyncData writes what a file holds to the disk, and of what is known about it only what reading needs.
func SyncData(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }

// Bound starts a process that gets a signal when the thread that started it is no more; in a group of its
// own if it is not to hear Ctrl-C.
func Bound(sig syscall.Signal, group bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: sig, Setpgid: group}
}
