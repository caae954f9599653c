// Package enginetest holds engines to what package engine says of them.
package enginetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/engine"
)

// Bench is an engine on trial.
type Bench struct {
	// New makes the engine as an agent does that has just started; twice in a row it is the same agent's.
	New func(t *testing.T) engine.Engine
	// User is whom tasks run as, nil for the tester.
	User *engine.User
	// Path is PATH where the engine has no images.
	Path string
	// Image, with sh in it, for engines that have images.
	Image string
	// Limits says that those of memory and processes are kept here.
	Limits bool
	// Hides says that a process can hide here: the engine has neither groups nor a user of the task's own to know
	// it by when it has left its group, session, directory and environment.
	Hides bool
	// Detached says that processes outlive the command that started them, until the sandbox is killed.
	Detached bool
}

// long is a wait that only a broken engine uses up.
const long = 60 * time.Second

// Run tries everything.
func Run(t *testing.T, b Bench) {
	e := b.New(t)
	if e.Name() == "" {
		t.Error("the engine has no name")
	}
	b.commands(t, e)
	b.ends(t, e)
	b.limits(t, e)
	b.shells(t, e)
	b.refusals(t, e)
	if e.Images() != nil {
		b.bare(t, e)
	}
	b.leftovers(t, e)
}

// Output is a buffer that may be read while a command writes.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to it.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is what was written until now.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Await waits until the output has a text.
func (o *Output) Await(t *testing.T, text string) {
	t.Helper()
	if !o.wait(text) {
		t.Fatalf("waited in vain for %q in %q", text, o)
	}
}

func (o *Output) wait(text string) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(long)
	for !strings.Contains(o.String(), text) {
		select {
		case <-deadline:
			return false
		case <-tick.C:
		}
	}
	return true
}

// order is a task with fresh directories.
func (b Bench) order(t *testing.T, id string) engine.Order {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine-") //nolint:usetesting // the user of tasks must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	o := engine.Order{ID: id, Work: filepath.Join(dir, "work"), Temp: filepath.Join(dir, "tmp"), User: b.User, Path: b.Path, Image: b.Image}
	problems := []error{os.Chmod(dir, 0o711)}
	for _, d := range []string{o.Work, o.Temp} {
		problems = append(problems, os.Mkdir(d, 0o700))
		if b.User != nil {
			problems = append(problems, os.Chown(d, int(b.User.UID), int(b.User.GID)))
		}
	}
	if err := errors.Join(problems...); err != nil {
		t.Fatal(err)
	}
	return o
}

func open(t *testing.T, e engine.Engine, o engine.Order) engine.Sandbox {
	t.Helper()
	s, err := e.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

func sh(s engine.Sandbox, out io.Writer, script string, env ...string) engine.Command {
	return engine.Command{Argv: []string{"sh", "-c", script}, Env: append(s.Env(), env...), Output: out, Grace: 5 * time.Second}
}

func run(t *testing.T, s engine.Sandbox, script string, env ...string) (engine.Exit, string) {
	t.Helper()
	var out Output
	exit, err := s.Run(t.Context(), sh(s, &out, script, env...))
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return exit, out.String()
}

func (b Bench) commands(t *testing.T, e engine.Engine) {
	o := b.order(t, "commands.0")
	s := open(t, e, o)
	t.Run("a command has its environment and directory, and its output and status are kept", func(t *testing.T) {
		exit, out := run(t, s, `echo "$A in $(pwd)"; echo err >&2; exit 7`, "A=first", "A=b c")
		if exit.Code != 7 || exit.Stopped || exit.Signal != "" || !strings.Contains(out, "b c in "+o.Work+"\n") || !strings.Contains(out, "err\n") {
			t.Errorf("%+v %q", exit, out)
		}
	})
	t.Run("a signal is told as a shell tells it", func(t *testing.T) {
		if exit, _ := run(t, s, "sh -c 'kill -9 $$'; exit $?"); exit.Code != 137 {
			t.Errorf("%+v", exit)
		}
	})
	t.Run("commands share the task's directory, and the agent sees what they made", func(t *testing.T) {
		run(t, s, "mkdir sub; echo made >sub/file; echo temp >$TMPDIR/file")
		if _, out := run(t, s, "cat sub/file $TMPDIR/file"); out != "made\ntemp\n" {
			t.Errorf("%q", out)
		}
		if data, err := os.ReadFile(filepath.Join(o.Work, "sub", "file")); err != nil || string(data) != "made\n" {
			t.Errorf("%q %v", data, err)
		}
	})
	t.Run("a program that is not there is a StartError", func(t *testing.T) {
		_, err := s.Run(t.Context(), engine.Command{Argv: []string{"no-such-program"}, Env: s.Env(), Output: &Output{}})
		if start, ok := errors.AsType[*engine.StartError](err); !ok || !strings.Contains(start.Error(), "no-such-program") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a lot of output is whole", func(t *testing.T) {
		if _, out := run(t, s, "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done"); strings.Count(out, "\n") != 20000 || !strings.HasSuffix(out, "line-19999\n") {
			t.Errorf("%d lines", strings.Count(out, "\n"))
		}
	})
	t.Run("the agent's own environment is not there", func(t *testing.T) {
		t.Setenv("AGENT_SECRET", "of-the-agent")
		if _, out := run(t, s, "env"); strings.Contains(out, "of-the-agent") {
			t.Errorf("%s", out)
		}
	})
	t.Run("what is used is counted", func(t *testing.T) {
		run(t, s, "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 1.5")
		if u := s.Usage(); u.CPU < 50*time.Millisecond {
			t.Errorf("%+v", u)
		}
	})
}

func (b Bench) ends(t *testing.T, e engine.Engine) {
	t.Run("a command that heeds the request to end does so by itself", func(t *testing.T) {
		s := open(t, e, b.order(t, "heeds.0"))
		var out Output
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { defer cancel(); out.wait("ready") }()
		exit, err := s.Run(ctx, sh(s, &out, "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"))
		if err != nil || !exit.Stopped || exit.Code != 3 || !strings.Contains(out.String(), "bye") {
			t.Errorf("%+v %v %q", exit, err, &out)
		}
	})
	t.Run("one that does not is killed", func(t *testing.T) {
		s := open(t, e, b.order(t, "ignores.0"))
		var out Output
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { defer cancel(); out.wait("ready") }()
		c := sh(s, &out, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
		c.Grace = time.Second
		if exit, err := s.Run(ctx, c); err != nil || !exit.Stopped || exit.Signal != "killed" {
			t.Errorf("%+v %v", exit, err)
		}
	})
	t.Run("nothing of a task goes on when its sandbox is killed, and nothing more begins", func(t *testing.T) {
		o := b.order(t, "left.0")
		s := open(t, e, o)
		hide := "cd /; env -i PATH=$PATH"
		if b.Hides {
			hide = "cd /; env"
		}
		run(t, s, "("+hide+" setsid sh -c 'while :; do echo x >>"+o.Work+"/beat; sleep 0.05; done' >/dev/null 2>&1 &) ; while [ ! -s beat ]; do sleep 0.05; done")
		left, err := s.Kill(t.Context())
		if err != nil || b.Detached && left == 0 {
			t.Errorf("%d left, %v", left, err)
		}
		before := size(t, o.Work+"/beat")
		<-time.After(300 * time.Millisecond)
		if after := size(t, o.Work+"/beat"); after != before {
			t.Errorf("it goes on: %d, then %d", before, after)
		}
		if _, err := s.Run(t.Context(), sh(s, &Output{}, "true")); err == nil {
			t.Error("a command ran in a sandbox that was killed")
		}
	})
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func (b Bench) limits(t *testing.T, e engine.Engine) {
	if !b.Limits {
		return
	}
	t.Run("a fork bomb meets the limit of processes", func(t *testing.T) {
		o := b.order(t, "bomb.0")
		o.Limits.PIDs = 20
		s := open(t, e, o)
		var out Output
		// Bounded in any case: 60 children that sleep.
		_, err := s.Run(t.Context(), sh(s, &out, "i=0; while [ $i -lt 60 ]; do sleep 2 & i=$((i+1)); done; echo all"))
		if err != nil || strings.HasSuffix(out.String(), "all\n") && !strings.Contains(out.String(), "fork") {
			t.Errorf("%v %q", err, &out)
		}
	})
	t.Run("memory beyond the limit ends the process that took it", func(t *testing.T) {
		o := b.order(t, "memory.0")
		o.Limits.Memory = 48 << 20
		s := open(t, e, o)
		// dd's one block is the memory.
		exit, _ := run(t, s, "dd if=/dev/zero of=/dev/null bs=96M count=1")
		if exit.Code == 0 {
			t.Errorf("%+v", exit)
		}
	})
	t.Run("a file beyond the limit is not written", func(t *testing.T) {
		o := b.order(t, "file.0")
		o.Limits.FileSize = 1 << 20
		s := open(t, e, o)
		if exit, _ := run(t, s, "dd if=/dev/zero of=big bs=64k count=100 2>/dev/null"); exit.Code == 0 || size(t, o.Work+"/big") > 1<<20 {
			t.Errorf("%+v, %d bytes", exit, size(t, o.Work+"/big"))
		}
	})
}

func (b Bench) shells(t *testing.T, e engine.Engine) {
	t.Run("a shell has a terminal of its size, and lives beside a command", func(t *testing.T) {
		o := b.order(t, "shell.0")
		o.Keep = true
		s := open(t, e, o)
		var out, screen Output
		ended := make(chan error, 1)
		go func() {
			_, err := s.Run(t.Context(), sh(s, &out, "echo up; while [ ! -e gate ]; do sleep 0.05; done; echo through"))
			ended <- err
		}()
		out.Await(t, "up")
		keys, typed := io.Pipe()
		sizes := make(chan [2]uint, 2)
		sizes <- [2]uint{33, 111}
		over := make(chan engine.Exit, 1)
		go func() {
			exit, err := s.Shell(t.Context(), engine.Command{Argv: []string{"sh"}, Env: append(s.Env(), "PS1=> ", "TERM=xterm")}, engine.Terminal{In: keys, Out: &screen, Resize: sizes})
			if err != nil {
				t.Error(err)
			}
			over <- exit
		}()
		screen.Await(t, "> ")
		for i := 0; !strings.Contains(screen.String(), "33 111"); i++ { // the size arrives a moment later
			if i == 20 {
				t.Fatalf("%q", &screen)
			}
			if _, err := io.WriteString(typed, "stty size; sleep 0.2\n"); err != nil {
				t.Fatal(err)
			}
			<-time.After(300 * time.Millisecond)
		}
		if _, err := io.WriteString(typed, "touch gate; pwd; exit 4\n"); err != nil {
			t.Fatal(err)
		}
		out.Await(t, "through")
		if err := <-ended; err != nil {
			t.Error(err)
		}
		select {
		case exit := <-over:
			if exit.Code != 4 || !strings.Contains(screen.String(), o.Work) {
				t.Errorf("%+v %q", exit, &screen)
			}
		case <-time.After(long):
			t.Errorf("the shell does not end: %q", &screen)
		}
	})
}

func (b Bench) refusals(t *testing.T, e engine.Engine) {
	if e.Images() != nil {
		return
	}
	t.Run("what the engine does not have is refused by name", func(t *testing.T) {
		for _, change := range []func(*engine.Order){
			func(o *engine.Order) { o.Image = "debian" },
			func(o *engine.Order) { o.Grants.Privileged = true },
			func(o *engine.Order) { o.Binds = []engine.Bind{{Host: "/tmp", Place: "/x"}} },
		} {
			o := b.order(t, "refused.0")
			change(&o)
			if _, err := e.Open(t.Context(), o); !errors.Is(err, fault.Invalid) {
				t.Errorf("%v", err)
			}
		}
	})
}

func (b Bench) bare(t *testing.T, e engine.Engine) {
	t.Run("a task in an image's own directory leaves its files by Collect, binds show at their places", func(t *testing.T) {
		o := b.order(t, "bare.0")
		o.Bare = true
		cache := filepath.Join(filepath.Dir(o.Work), "cache")
		if err := errors.Join(os.Mkdir(cache, 0o777), os.Chmod(cache, 0o777)); err != nil {
			t.Fatal(err)
		}
		o.Binds = []engine.Bind{{Host: cache, Place: "/some/cache"}}
		o.Files = []engine.File{{Place: "/usr/local/bin/given", Mode: 0o755, Content: []byte("#!/bin/sh\necho given\n")}}
		s := open(t, e, o)
		_, out := run(t, s, "given; mkdir -p /out/deep; echo one >/out/deep/a; ln -s /etc/passwd /out/link; echo two >/some/cache/kept; echo three >/three")
		if out != "given\n" {
			t.Errorf("%q", out)
		}
		for _, place := range []string{"/out", "/three", "/not/there"} {
			if err := s.Collect(t.Context(), place); err != nil {
				t.Errorf("%s: %v", place, err)
			}
		}
		for file, want := range map[string]string{o.Work + "/out/deep/a": "one\n", o.Work + "/three": "three\n", cache + "/kept": "two\n"} {
			if data, err := os.ReadFile(file); err != nil || string(data) != want {
				t.Errorf("%s: %q %v", file, data, err)
			}
		}
		if target, err := os.Readlink(o.Work + "/out/link"); err != nil || target != "/etc/passwd" {
			t.Errorf("%q %v", target, err)
		}
	})
	t.Run("no more rights than the engine's usual ones, unless granted", func(t *testing.T) {
		caps := "while read name value; do [ $name = CapEff: ] && echo $value; done </proc/self/status"
		usual := open(t, e, b.order(t, "caps.0"))
		_, less := run(t, usual, caps)
		o := b.order(t, "caps.1")
		o.User, o.Grants.Privileged = nil, true
		_, more := run(t, open(t, e, o), caps)
		if less >= more || strings.TrimSpace(less) == "" {
			t.Errorf("usual %q, privileged %q", less, more)
		}
	})
}

func (b Bench) leftovers(t *testing.T, e engine.Engine) {
	if !b.Limits {
		return // without groups the agent finds leftovers by their directory
	}
	t.Run("what a killed agent left running is ended by the next", func(t *testing.T) {
		o := b.order(t, "orphan.0")
		s, err := e.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		var out Output
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = s.Run(t.Context(), sh(s, &out, "echo up; sleep 300")) // however it is told
		}()
		out.Await(t, "up")
		if err := b.New(t).Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(long):
			t.Error("it runs on")
		}
	})
}
