//go:build unix

package sys

import (
	"os"
	"runtime"
	"syscall"
)

// Peak is the most memory that an ended process had, in bytes.
func Peak(state *os.ProcessState) (int64, bool) {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, false
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss, true // bytes there
	}
	return usage.Maxrss << 10, true
}
