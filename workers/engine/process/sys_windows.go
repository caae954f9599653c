package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is a command's processes: all that it starts belong to one job, which ends when the last handle
// of it is closed, as the system does when the worker ends in whatever way.
type group struct{ job, leader windows.Handle }

// adopt puts a process that has just been started into a job of its own.
func adopt(p *os.Process) (group, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return group{}, fmt.Errorf("make a job: %w", err)
	}
	g := group{job: job}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err == nil {
		g.leader, err = windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE|windows.SYNCHRONIZE, false, uint32(p.Pid))
	}
	if err == nil {
		err = windows.AssignProcessToJobObject(job, g.leader)
	}
	if err != nil {
		g.close()
		return group{}, fmt.Errorf("put the process into a job: %w", err)
	}
	return g, nil
}

// await waits until the leader has ended.
func (g group) await() error {
	_, err := windows.WaitForSingleObject(g.leader, windows.INFINITE)
	return err
}

// kill ends all of them, whatever the signal: Windows has none.
func (g group) kill(sig syscall.Signal) {
	// They may be gone already, which is what we want.
	_ = windows.TerminateJobObject(g.job, 128+uint32(sig))
}

func (g group) close() {
	for _, h := range []windows.Handle{g.leader, g.job} {
		if h != 0 {
			_ = windows.CloseHandle(h) // nothing can be done about it
		}
	}
}

func attributes(Spec) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}

func enter(pid int, do func(pid int) error) error { return do(pid) }

// Sweep has nothing to find: a job holds all that a command started.
func Sweep(string) (int, error) { return 0, nil }

// SweepUser finds nothing: tasks have no users of their own on Windows.
func SweepUser(uint32) (int, error) { return 0, nil }

func giveUpNewUsers() error {
	return errors.New("commands cannot run as another user on Windows: run the worker as the user that tasks are to be")
}

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

// separators are what stands between the parts of a path.
const separators = `/\`

// endings are those of programs that need not be written.
var endings = [...]string{".exe", ".com", ".bat", ".cmd"}

// mayRun goes by the name: files have no such mark on Windows.
func mayRun(info fs.FileInfo) bool {
	ending := strings.ToLower(filepath.Ext(info.Name()))
	for _, e := range endings {
		if ending == e {
			return true
		}
	}
	return false
}

// systemEnv is what programs of Windows expect: without some of it they do not start.
func systemEnv(work, temp string) []string {
	env := []string{"TEMP=" + temp, "TMP=" + temp, "USERPROFILE=" + work}
	for _, name := range []string{"SystemRoot", "SystemDrive", "windir", "ComSpec", "PATHEXT", "ProgramData", "ProgramFiles", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "OS"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
