//go:build unix

package process

import (
	"io/fs"
	"os"
	"syscall"
)

// group is a command's group of processes, by its leader's number.
type group int

func adopt(p *os.Process) (group, error) { return group(p.Pid), nil }

// kill sends all of them a signal.
func (g group) kill(sig syscall.Signal) {
	// The group may be gone already, which is what we want.
	_ = syscall.Kill(-int(g), sig)
}

func (g group) close() {}

// separators are what stands between the parts of a path.
const separators = "/"

// endings of programs' names; they have none here.
var endings = [...]string{}

func mayRun(info fs.FileInfo) bool { return info.Mode()&0o111 != 0 }

// systemEnv is what programs of this system expect besides the usual.
func systemEnv(_, _ string) []string { return nil }
