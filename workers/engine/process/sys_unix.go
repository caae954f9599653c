//go:build unix && !linux

package process

import (
	"os"
	"syscall"
	"time"
)

func attributes(s Spec) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if s.Terminal != nil { // the leader of a session leads its group as well
		attr.Setpgid, attr.Setsid, attr.Setctty = false, true, true
	}
	if s.User != nil && os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: s.User.UID, Gid: s.User.GID, Groups: s.User.Groups}
	}
	return attr
}

// await waits until the leader has ended but leaves it to be reaped by a later wait. Without
// Linux's waitid an ended leader is told by its group, which has no living member left.
func (g group) await() error {
	for syscall.Kill(-int(g), 0) == nil {
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// Sweep finds processes by Linux's /proc; elsewhere the process group has to do.
func Sweep(string) (int, error) { return 0, nil }

// SweepUser kills all processes of a user by Linux's /proc; elsewhere the process group has to do.
func SweepUser(uint32) (int, error) { return 0, nil }

func enter(pid int, do func(pid int) error) error { return do(pid) }

func giveUpNewUsers() error { return nil }

func mayLimit() bool { return true }

// limit can only be set from outside on Linux.
func limit(int, int, uint64) error { return nil }

const (
	limitProcesses = iota
	limitFileSize
	limitFiles
	limitCore
)

// Seal keeps other processes of this process's own user from reading its memory, on Linux.
func Seal() error { return nil }
