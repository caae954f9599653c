package bench

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a number of processes have used.
type usage struct {
	processor time.Duration // since they began, that of their ended children included
	memory    int64         // bytes now, of all but PostgreSQL; what several share is counted once
	database  int64         // bytes now, of PostgreSQL
}

// tick is the unit of processor time in /proc, the same on all machines that Go runs on.
const tick = time.Second / 100

// processes sums up the machine's processes: those whose command line names its directory, and all
// below them.
func (m *machine) processes() usage {
	type process struct {
		parent    int
		processor time.Duration
		ours      bool
		database  bool
	}
	all := map[int]*process{}
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is good
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it has ended
		}
		name, rest, _ := bytes.Cut(stat, []byte(") ")) // the name may have anything in it
		f := strings.Fields(string(rest))
		if len(f) < 15 {
			continue
		}
		command, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		p := &process{ours: err == nil && bytes.Contains(command, []byte(m.data)), database: bytes.HasSuffix(name, []byte("(postgres"))}
		p.parent, _ = strconv.Atoi(f[1]) // the kernel writes numbers
		for _, text := range f[11:15] {
			n, _ := strconv.Atoi(text) // likewise
			p.processor += time.Duration(n) * tick
		}
		all[pid] = p
	}
	var sum usage
	for pid, p := range all {
		for up := p; up != nil && !p.ours; up = all[up.parent] {
			p.ours = up.ours
		}
		if p.ours {
			sum.processor += p.processor
			if p.database {
				sum.database += memoryOf(pid)
			} else {
				sum.memory += memoryOf(pid)
			}
		}
	}
	return sum
}

// memoryOf is a process's share of memory, 0 when it has ended or may not be asked.
func memoryOf(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "Pss:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
