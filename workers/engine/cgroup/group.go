package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/treeline-ci/treeline/internal/sys"
)

// Group is the control group of one task.
type Group struct {
	v2   bool
	dirs map[string]string
}

const (
	killRounds = 200
	period     = 100_000 // microseconds in which processor time is dealt out
)

func (r *Root) group(name string) *Group {
	g := &Group{v2: r.v2, dirs: map[string]string{}}
	for c, dir := range r.dirs {
		g.dirs[c] = filepath.Join(dir, name)
	}
	return g
}

// Make makes a group with its limits.
func (r *Root) Make(name string, l Limits) (*Group, error) {
	g := r.group(name)
	for _, dir := range g.dirs {
		err := os.Mkdir(dir, dirMode)
		if errors.Is(err, os.ErrExist) { // of an agent that was killed
			_, kerr := g.Kill()
			err = errors.Join(kerr, remove(map[string]string{"": dir}), os.Mkdir(dir, dirMode))
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cgroup: %w", err), g.Remove())
		}
	}
	if err := g.limit(l); err != nil {
		return nil, errors.Join(fmt.Errorf("cgroup: limits: %w", err), g.Remove())
	}
	return g, nil
}

func (g *Group) limit(l Limits) error {
	var problems []error
	set := func(controller, v1, v2, value string) {
		if g.v2 {
			problems = append(problems, write(g.dirs[""], v2, value))
		} else if dir := g.dirs[controller]; dir != "" {
			problems = append(problems, write(dir, v1, value))
		}
	}
	if l.Memory > 0 {
		set("memory", "memory.limit_in_bytes", "memory.max", strconv.FormatInt(l.Memory, 10))
		// Without swap of its own the limit means what it says; a machine without swap has no such file.
		if g.v2 {
			_ = write(g.dirs[""], "memory.swap.max", "0")
		} else {
			_ = write(g.dirs["memory"], "memory.memsw.limit_in_bytes", strconv.FormatInt(l.Memory, 10))
		}
	}
	if l.PIDs > 0 {
		set("pids", "pids.max", "pids.max", strconv.Itoa(l.PIDs))
	}
	if l.CPUs > 0 {
		quota := strconv.Itoa(int(l.CPUs * period))
		if g.v2 {
			problems = append(problems, write(g.dirs[""], "cpu.max", quota+" "+strconv.Itoa(period)))
		} else if dir := g.dirs["cpu"]; dir != "" {
			problems = append(problems, write(dir, "cpu.cfs_period_us", strconv.Itoa(period)), write(dir, "cpu.cfs_quota_us", quota))
		}
	}
	return errors.Join(problems...)
}

// Add moves a process into the group; its children begin there.
func (g *Group) Add(pid int) error {
	for _, dir := range g.dirs {
		if err := write(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}

// Kill kills all processes of the group until none is left and returns how many there were. Nothing can be
// started in the group any more.
func (g *Group) Kill() (int, error) {
	killed := map[int]bool{}
	for round := range killRounds {
		pids, err := g.processes()
		if err != nil || len(pids) == 0 {
			return len(killed), err
		}
		if round == 0 {
			g.closeDoor()
		}
		for _, pid := range pids {
			killed[pid] = true
			_ = sys.Kill(pid, syscall.SIGKILL) // it may be gone, or be found again next round
		}
		time.Sleep(time.Duration(min(round+1, 10)) * time.Millisecond)
	}
	return len(killed), errors.New("cgroup: processes remain that cannot be killed")
}

// closeDoor lets no process of the group make another one.
func (g *Group) closeDoor() {
	if g.v2 {
		_ = write(g.dirs[""], "pids.max", "0") // without that controller the rounds have to do
		_ = write(g.dirs[""], "cgroup.kill", "1")
		return
	}
	_ = write(g.dirs["pids"], "pids.max", "0")
}

// processes are those of the group and of groups that they may have made below.
func (g *Group) processes() ([]int, error) {
	dir := g.dirs[""]
	if !g.v2 {
		dir = g.dirs["pids"]
	}
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	var out []int
	for line := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(line); err == nil && pid > 0 {
			out = append(out, pid)
		}
	}
	return out, nil
}

// Usage reads the group's counters; what the system does not count is zero.
func (g *Group) Usage() Usage {
	if g.v2 {
		dir := g.dirs[""]
		return Usage{
			CPU:    time.Duration(keyed(dir, "cpu.stat", "usage_usec")) * time.Microsecond,
			Memory: number(dir, "memory.peak"), OOMKills: int(keyed(dir, "memory.events", "oom_kill")),
			Refused: int(keyed(dir, "pids.events", "max")),
		}
	}
	return Usage{
		CPU: time.Duration(number(g.dirs["cpuacct"], "cpuacct.usage")), Memory: number(g.dirs["memory"], "memory.max_usage_in_bytes"),
		OOMKills: int(keyed(g.dirs["memory"], "memory.oom_control", "oom_kill")), Refused: int(keyed(g.dirs["pids"], "pids.events", "max")),
	}
}

// Remove removes the group, in which no process may be any more.
func (g *Group) Remove() error { return remove(g.dirs) }

func number(dir, name string) int64 {
	if dir == "" {
		return 0
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func keyed(dir, name, key string) int64 {
	if dir == "" {
		return 0
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, key+" "); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil {
				return n
			}
		}
	}
	return 0
}
