package sys

import (
	"os"
	"syscall"
)

// SyncData writes what a file holds to the disk.
func SyncData(f *os.File) error { return f.Sync() }

// Bound starts a process, in a group of its own if it is not to hear Ctrl-C. That it ends with its parent
// only Linux knows.
func Bound(_ syscall.Signal, group bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: group}
}
