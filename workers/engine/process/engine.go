package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/creack/pty"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/engine/cgroup"
)

// Engine runs commands as processes of this machine.
type Engine struct {
	groups  *cgroup.Root // nil: the machine has none for us
	log     *slog.Logger
	setuid  bool
	prlimit string // the program that sets limits where we may not; "" where we may
}

// Options of an Engine.
type Options struct {
	Groups      *cgroup.Root // where tasks get control groups; nil: none, /proc is searched for their processes
	AllowSetuid bool         // tasks that run as another user may change to a third one by sudo and its like
	Log         *slog.Logger // nil: none
}

// New makes an engine.
func New(o Options) *Engine {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{groups: o.Groups, log: o.Log, setuid: o.AllowSetuid}
	if os.Geteuid() == 0 && !mayLimit() {
		for _, place := range []string{"/usr/bin/prlimit", "/bin/prlimit"} {
			if executable(place) == nil {
				e.prlimit = place
				return e
			}
		}
		e.log.Warn("limits of single processes (size and number of files) are not kept: root may not set them here (CAP_SYS_RESOURCE), and there is no program prlimit")
		e.prlimit = noProgram
	}
	return e
}

// noProgram stands for a program that is not there.
const noProgram = "-"

// Name is "process".
func (e *Engine) Name() string { return "process" }

// Images is nil: there are none.
func (e *Engine) Images() engine.Images { return nil }

// Groups says whether tasks get control groups, without which limits of memory and processors are not kept.
func (e *Engine) Groups() bool { return e.groups != nil }

// Clear removes the groups of an earlier agent, with what runs in them.
func (e *Engine) Clear(context.Context) error {
	if e.groups == nil {
		return nil
	}
	return e.groups.Clear()
}

// Close removes the engine's own group.
func (e *Engine) Close() error {
	if e.groups == nil {
		return nil
	}
	return e.groups.Close()
}

// sandbox is a task's group and directory.
type sandbox struct {
	e     *Engine
	o     engine.Order
	group *cgroup.Group

	mu    sync.Mutex
	ended bool
	usage engine.Usage
}

// Open makes the task's control group.
func (e *Engine) Open(_ context.Context, o engine.Order) (engine.Sandbox, error) {
	switch {
	case o.Image != "" || o.Bare:
		return nil, fault.New(fault.Invalid, "this worker has no containers: images are not to be had")
	case len(o.Binds) > 0:
		return nil, fault.New(fault.Invalid, "this worker has no containers: nothing can be put at places of its own choice")
	case o.Grants.Any():
		return nil, fault.New(fault.Invalid, "this worker has no containers: their capabilities are not to be had")
	}
	s := &sandbox{e: e, o: o}
	if e.groups == nil {
		return s, nil
	}
	var err error
	s.group, err = e.groups.Make(o.ID, cgroup.Limits{Memory: o.Limits.Memory, PIDs: o.Limits.PIDs, CPUs: o.Limits.CPUs})
	if err != nil {
		return nil, fmt.Errorf("process: %w", err)
	}
	return s, nil
}

// Work is the task's directory.
func (s *sandbox) Work() string { return s.o.Work }

// Gateway is the loopback address.
func (s *sandbox) Gateway() string { return "127.0.0.1" }

// Env is what every command has.
func (s *sandbox) Env() []string {
	name := "task"
	if s.o.User != nil {
		name = s.o.User.Name
	}
	return append([]string{"PATH=" + s.o.Path, "HOME=" + s.o.Work, "TMPDIR=" + s.o.Temp, "USER=" + name, "LANG=C.UTF-8"}, systemEnv(s.o.Work, s.o.Temp)...)
}

func (s *sandbox) spec(c engine.Command) Spec {
	return Spec{
		Argv: c.Argv, Dir: s.o.Work, Env: append(slices.Clone(c.Env), WorkdirVariable+"="+s.o.Work), User: s.o.User, Output: c.Output, Grace: c.Grace,
		Enter: s.enter, NoNewUser: s.o.User != nil && !s.e.setuid, Before: s.before(),
	}
}

// each are the limits of single processes, by their names for prlimit.
func (s *sandbox) each() map[string]int64 {
	out := map[string]int64{"core": 0}
	if l := s.o.Limits; s.group == nil && s.o.User != nil && s.o.User.Alone && l.PIDs > 0 { // the kernel counts by user
		out["nproc"] = int64(l.PIDs)
	}
	if s.o.Limits.FileSize > 0 {
		out["fsize"] = s.o.Limits.FileSize
	}
	if s.o.Limits.Files > 0 {
		out["nofile"] = int64(s.o.Limits.Files)
	}
	return out
}

// before is the program that limits itself and becomes the command, where we may not limit it.
func (s *sandbox) before() []string {
	if s.e.prlimit == "" || s.e.prlimit == noProgram || s.o.User == nil {
		return nil
	}
	argv := []string{s.e.prlimit}
	each := s.each()
	for _, name := range slices.Sorted(maps.Keys(each)) {
		argv = append(argv, fmt.Sprintf("--%s=%d", name, each[name]))
	}
	return argv
}

// enter puts a process into the group and under its limits before it does anything.
func (s *sandbox) enter(pid int) error {
	var problems []error
	if s.group != nil {
		problems = append(problems, s.group.Add(pid))
	}
	if s.e.prlimit == "" || s.o.User == nil {
		resources := map[string]int{"core": limitCore, "nproc": limitProcesses, "fsize": limitFileSize, "nofile": limitFiles}
		for name, value := range s.each() {
			problems = append(problems, limit(pid, resources[name], uint64(value)))
		}
	}
	return errors.Join(problems...)
}

// Run runs a command; what its leader leaves in the group of processes is killed with it.
func (s *sandbox) Run(ctx context.Context, c engine.Command) (Exit, error) {
	if s.over() {
		return Exit{}, errors.New("process: the sandbox is closed")
	}
	exit, err := Run(ctx, s.spec(c))
	s.mu.Lock()
	s.usage.CPU += exit.CPU
	s.mu.Unlock()
	return exit, err
}

// Shell runs a command on a terminal of this machine.
func (s *sandbox) Shell(ctx context.Context, c engine.Command, t engine.Terminal) (Exit, error) {
	if s.over() {
		return Exit{}, errors.New("process: the sandbox is closed")
	}
	ours, theirs, err := pty.Open()
	if err != nil {
		return Exit{}, fmt.Errorf("process: terminal: %w", err)
	}
	defer ours.Close()
	defer theirs.Close()
	spec := s.spec(c)
	if spec.User != nil && os.Geteuid() == 0 {
		if err := theirs.Chown(int(spec.User.UID), int(spec.User.GID)); err != nil {
			return Exit{}, fmt.Errorf("process: terminal: %w", err)
		}
	}
	spec.Terminal = theirs
	over := make(chan struct{})
	defer close(over)
	go resize(ours, t.Resize, over)
	go func() { _, _ = io.Copy(ours, t.In) }() // ends with the terminal or its reader
	copied := make(chan struct{})
	go func() { _, _ = io.Copy(t.Out, ours); close(copied) }()
	exit, err := Run(ctx, spec)
	_ = theirs.Close() // the last of the terminal's: reading ends when all is read
	select {
	case <-copied:
	case <-time.After(drainTime):
	}
	return exit, err
}

func resize(terminal *os.File, sizes <-chan [2]uint, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			// A size that does not arrive spoils the picture, not the work.
			_ = pty.Setsize(terminal, &pty.Winsize{Rows: uint16(min(size[0], 1000)), Cols: uint16(min(size[1], 1000))})
		}
	}
}

func (s *sandbox) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Kill ends what the commands left behind, wherever it went.
func (s *sandbox) Kill(context.Context) (int, error) {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	if s.group != nil {
		return s.group.Kill()
	}
	n, err := Sweep(s.o.Work)
	if s.o.User != nil && s.o.User.Alone {
		more, merr := SweepUser(s.o.User.UID)
		n, err = n+more, errors.Join(err, merr)
	}
	return n, err
}

// Collect has nothing to do: the task's files are in its directory.
func (s *sandbox) Collect(context.Context, string) error { return nil }

// Usage is the group's; without one, what the commands' leaders told when they ended.
func (s *sandbox) Usage() engine.Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.group == nil || s.ended && s.usage.Memory > 0 {
		return s.usage
	}
	u := s.group.Usage()
	return engine.Usage{CPU: max(u.CPU, s.usage.CPU), Memory: u.Memory, OOMKills: u.OOMKills, Refused: u.Refused}
}

// Close ends everything, removes the group, and what the task's own user left in directories that all users
// share.
func (s *sandbox) Close(ctx context.Context) error {
	_, err := s.Kill(ctx)
	usage := s.Usage()
	s.mu.Lock()
	s.usage = usage
	s.mu.Unlock()
	if s.group != nil {
		err = errors.Join(err, s.group.Remove())
	}
	if s.o.User != nil && s.o.User.Alone {
		err = errors.Join(err, tidy(s.o.User.UID))
	}
	if err != nil {
		return fmt.Errorf("process: close %s: %w", s.o.ID, err)
	}
	return nil
}

// shared are the directories in which every user may make files.
var shared = [...]string{"/tmp", "/var/tmp", "/dev/shm"}

// tidy removes what a user has there. Nothing of theirs runs any more.
func tidy(uid uint32) error {
	var problems []error
	for _, dir := range shared {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // the machine has none
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				continue // somebody else removed it
			}
			if owner, _, ok := sys.Owner(info); ok && owner == uid {
				problems = append(problems, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	return errors.Join(problems...)
}
