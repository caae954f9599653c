package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// whole is a length that reaches beyond the end of every file.
const whole = ^uint32(0)

// Lock takes a lock of a file against other processes and other openings of it in this one; it ends when
// the file is closed, or with the process. It covers one byte beyond the end of any file, since a lock of
// Windows keeps others from reading and writing what it covers.
func Lock(f *os.File, how How) error {
	flags := map[How]uint32{Exclusive: windows.LOCKFILE_EXCLUSIVE_LOCK, Now: windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY}[how]
	beyond := &windows.Overlapped{Offset: whole, OffsetHigh: whole >> 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, beyond)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

// SyncData writes what a file holds to the disk.
func SyncData(f *os.File) error { return f.Sync() }

// Owner is unknown: Windows has no numbers of users.
func Owner(fs.FileInfo) (uid, gid uint32, ok bool) { return 0, 0, false }

// Taken is how many bytes a file has.
func Taken(info fs.FileInfo) int64 { return info.Size() }

// Free is how many bytes this user may still write to the volume of dir.
func Free(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, 1<<62)), nil
}

// stillActive is the exit code of a process that has not ended.
const stillActive = 259

// Kill ends a process, whatever the signal: Windows has none. -pid is the process too, since a worker's
// tasks end with it. Signal 0 asks whether it is there.
func Kill(pid int, sig syscall.Signal) error {
	h, err := windows.OpenProcess(windows.PROCESS_TERMINATE|windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(max(pid, -pid)))
	if err != nil {
		if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
			return syscall.ESRCH
		}
		return err
	}
	defer func() { _ = windows.CloseHandle(h) }() // it was for asking
	var code uint32
	if err := windows.GetExitCodeProcess(h, &code); err != nil {
		return err
	}
	if code != stillActive {
		return syscall.ESRCH
	}
	if sig == 0 {
		return nil
	}
	return windows.TerminateProcess(h, 128+uint32(sig))
}

// Session starts a process in a group of its own, which Ctrl-C does not reach.
func Session() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// SessionOf is Session: another user cannot be had on Windows.
func SessionOf(_, _ uint32) *syscall.SysProcAttr { return Session() }

// Bound starts a process, in a group of its own if it is not to hear Ctrl-C. That it ends with its parent
// only Linux knows.
func Bound(_ syscall.Signal, group bool) *syscall.SysProcAttr {
	if group {
		return Session()
	}
	return &syscall.SysProcAttr{}
}

// Become cannot be on Windows, where a process stays the program it is.
func Become(program string, _, _ []string) error {
	return fmt.Errorf("become %s: Windows cannot replace a running program; end this process and start the new one", program)
}

// Resized tells nothing: Windows has no signal for it.
func Resized() (changes <-chan os.Signal, stop func()) { return nil, func() {} }

// Peak is not known of ended processes.
func Peak(*os.ProcessState) (int64, bool) { return 0, false }

// Hurry and Upgrade stand for signals that Windows never sends.
const (
	Hurry   = syscall.Signal(0x100)
	Upgrade = syscall.Signal(0x101)
)
