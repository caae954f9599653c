// Package cgroup puts the processes of a task into Linux control groups of their own: so that they can be
// counted, limited and killed whole, whatever they do. It works with version 2 of control groups and with
// version 1, and says so where neither can be used.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Root is the place in the hierarchies below which an agent makes its groups.
type Root struct {
	v2   bool
	dirs map[string]string // by controller; "" is version 2's only one
}

// Limits of a group; zero values set none.
type Limits struct {
	Memory int64 // bytes
	PIDs   int
	CPUs   float64
}

// Usage of a group until now.
type Usage struct {
	CPU      time.Duration
	Memory   int64 // the most at once
	OOMKills int
	Refused  int // forks
}

// controllers of version 1 that are used, each in a hierarchy of its own or together.
var controllers = []string{"memory", "pids", "cpu", "cpuacct"}

const (
	wholeMount = "/sys/fs/cgroup"
	agentGroup = "agent" // where the agent itself goes in version 2, whose inner groups hold no processes
	dirMode    = 0o755
)

// Open finds where this process may make groups and makes one called name there, which is the agent's: each
// agent on a machine has a name of its own. It is fault.Unavailable where there are no groups to use.
func Open(name string) (*Root, error) {
	own, err := own()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "control groups cannot be used: %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(wholeMount, "cgroup.controllers")); err == nil {
		return openV2(filepath.Join(wholeMount, own[""]), name, strings.Fields(string(data)))
	}
	r := &Root{dirs: map[string]string{}}
	for _, c := range controllers {
		place, ok := own[c]
		if !ok {
			continue
		}
		dir := filepath.Join(wholeMount, c, place, name)
		if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fault.Wrap(fault.Unavailable, err, "control groups cannot be used: %v", err)
		}
		r.dirs[c] = dir
	}
	if r.dirs["pids"] == "" {
		return nil, fault.New(fault.Unavailable, "control groups cannot be used: there is no controller of processes")
	}
	return r, nil
}

// own is this process's place in each hierarchy, by controller.
func own() (map[string]string, error) {
	file, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	out := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) < 3 {
			continue
		}
		for c := range strings.SplitSeq(parts[1], ",") {
			out[c] = parts[2]
		}
	}
	return out, lines.Err()
}

func openV2(base, name string, available []string) (*Root, error) {
	refuse := func(err error) (*Root, error) {
		return nil, fault.Wrap(fault.Unavailable, err, "control groups cannot be used (with systemd, give the service Delegate=yes): %v", err)
	}
	// A second agent, or a new program of the same one, already stands in the group of agents.
	if filepath.Base(base) == agentGroup {
		base = filepath.Dir(base)
	}
	r := &Root{v2: true, dirs: map[string]string{"": filepath.Join(base, name)}}
	if base != wholeMount {
		leaf := filepath.Join(base, agentGroup)
		if err := os.Mkdir(leaf, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
			return refuse(err)
		}
		if err := write(leaf, "cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
			return refuse(err)
		}
	}
	if err := os.Mkdir(r.dirs[""], dirMode); err != nil && !errors.Is(err, os.ErrExist) {
		return refuse(err)
	}
	for _, c := range []string{"memory", "pids", "cpu"} {
		if !slices.Contains(available, c) {
			continue
		}
		for _, dir := range []string{base, r.dirs[""]} {
			if err := write(dir, "cgroup.subtree_control", "+"+c); err != nil {
				return refuse(err)
			}
		}
	}
	return r, nil
}

// Clear kills and removes all groups of this root: those that a killed agent left.
func (r *Root) Clear() error {
	names := map[string]bool{}
	for _, dir := range r.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() {
				names[e.Name()] = true
			}
		}
	}
	var problems []error
	for name := range names {
		g := r.group(name)
		_, err := g.Kill()
		problems = append(problems, err, g.Remove())
	}
	return errors.Join(problems...)
}

// Close removes the root itself, which must have no groups any more.
func (r *Root) Close() error { return remove(r.dirs) }

func write(dir, name, value string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(value), 0) // the file is there
}

// remove removes groups without processes; the kernel may need a moment after the last has ended.
func remove(dirs map[string]string) error {
	var problems []error
	for _, dir := range dirs {
		for round := 0; ; round++ {
			err := syscall.Rmdir(dir)
			if err == nil || errors.Is(err, syscall.ENOENT) {
				break
			}
			if round == 100 || !errors.Is(err, syscall.EBUSY) {
				problems = append(problems, fmt.Errorf("cgroup: remove %s: %w", dir, err))
				break
			}
			time.Sleep(time.Duration(min(round+1, 20)) * time.Millisecond)
		}
	}
	return errors.Join(problems...)
}
