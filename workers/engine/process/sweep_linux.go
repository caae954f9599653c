package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const sweepRounds = 50

// Sweep kills every process that belongs to the task whose work directory is dir: one that has
// it in its environment as TASK_WORKDIR, or stands in it. It repeats until none is left and
// returns how many it killed. It must be called only when nothing of the task is wanted any more.
func Sweep(dir string) (int, error) {
	return sweep(func(proc string) bool { return belongs(proc, dir) })
}

// SweepUser kills every process of a user, who must be no one's but one task's.
func SweepUser(uid uint32) (int, error) {
	if uid == 0 || int(uid) == os.Geteuid() {
		return 0, errors.New("process: sweep: this user has processes that are no task's")
	}
	return sweep(func(proc string) bool {
		status, err := os.ReadFile(filepath.Join(proc, "status"))
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(status)) {
			if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
				return slices.Contains(strings.Fields(ids), strconv.FormatUint(uint64(uid), 10)) && !strings.Contains(string(status), "\nState:\tZ")
			}
		}
		return false
	})
}

func sweep(ours func(proc string) bool) (int, error) {
	killed := map[int]bool{}
	for round := range sweepRounds {
		found, err := processesThat(ours)
		if err != nil {
			return len(killed), fmt.Errorf("process: sweep: %w", err)
		}
		if len(found) == 0 {
			return len(killed), nil
		}
		for _, pid := range found {
			killed[pid] = true
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone, or be found again next round
		}
		time.Sleep(time.Duration(min(round+1, 10)) * time.Millisecond)
	}
	return len(killed), errors.New("process: sweep: processes remain that cannot be killed")
}

func processesThat(ours func(proc string) bool) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []int
	self := os.Getpid()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == 1 || pid == self {
			continue
		}
		if ours(filepath.Join("/proc", e.Name())) {
			found = append(found, pid)
		}
	}
	return found, nil
}

// belongs reads what the system lets us read; a process that ends meanwhile, or is somebody
// else's, does not belong.
func belongs(proc, dir string) bool {
	if cwd, err := os.Readlink(filepath.Join(proc, "cwd")); err == nil {
		if cwd == dir || strings.HasPrefix(cwd, dir+"/") {
			return true
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		return false // a zombie has neither directory nor environment
	}
	environ, err := os.ReadFile(filepath.Join(proc, "environ"))
	if err != nil {
		return false
	}
	marker := []byte(WorkdirVariable + "=" + dir + "\x00")
	return bytes.HasPrefix(environ, marker) || bytes.Contains(environ, append([]byte{0}, marker...))
}
