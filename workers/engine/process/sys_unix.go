//go:build unix && !linux

package process

import (
	"os"
	"syscall"
	"time"
)

func attributes(u *User) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if u != nil && os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	return attr
}

// awaitExit waits until a child has ended but leaves it to be reaped by a later wait. Without
// Linux's waitid an ended child is told by its group, which has no living member left.
func awaitExit(pid int) error {
	for syscall.Kill(-pid, 0) == nil {
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// Sweep finds processes by Linux's /proc; elsewhere the process group has to do.
func Sweep(string) (int, error) { return 0, nil }
