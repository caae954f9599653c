package pgtest

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/treeline-ci/treeline/internal/sys"
)

// memory is Linux's directory in memory, plenty what must be free there, and of the machine's memory, for the server to use it.
const (
	memory = "/dev/shm"
	plenty = 8 << 30 // bytes; the databases of all tests at once, and the log before them, have about 2
)

// home is the directory of the server: in memory, where there is plenty of it. Each test makes and removes a database, which
// is three hundred files, and with those a file system on a disk can be busier than all else together. TMPDIR has the last word.
func home() string {
	dir := os.TempDir()
	if free, err := sys.Free(memory); os.Getenv("TMPDIR") == "" && err == nil && min(free, available()) >= plenty {
		dir = memory
	}
	return filepath.Join(dir, fmt.Sprintf("treeline-pgtest-%d", os.Geteuid()))
}

// available is how many bytes of the machine's memory programs can still have; 0 where Linux does not say it.
func available() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for {
		var name, unit string
		var n int64
		if _, err := fmt.Fscanln(f, &name, &n, &unit); err != nil {
			return 0
		}
		if name == "MemAvailable:" {
			return n << 10
		}
	}
}
