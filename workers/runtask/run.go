package runtask

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Exit statuses of run-task itself.
const (
	exitUsage    = 2
	exitCheckout = 1
)

// Run does what the arguments say, writes everything to out line by line, and returns the exit
// status: the command's own, or one of run-task's with the reason in out.
func Run(ctx context.Context, args, environ []string, out io.Writer) int {
	workdir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(out, "run-task:", err)
		return exitCheckout
	}
	r := &runner{out: out, now: time.Now}
	p, err := parse(args, environ, workdir)
	if err != nil {
		r.say("setup", "%s", fault.Message(err))
		return exitUsage
	}
	r.env = p.env
	for _, c := range p.checkouts {
		rev, err := r.checkOut(ctx, c)
		if err != nil {
			r.say("vcs", "%v", err)
			return exitCheckout
		}
		p.env[c.prefix+"_HEAD_REV"] = rev
		r.say("vcs", "Checked out %s", rev)
	}
	if err := r.fetchAll(ctx, p.env, workdir); err != nil {
		r.say("fetches", "%v", err)
		return exitCheckout
	}
	cwd := p.cwd
	if cwd == "" {
		cwd = workdir
	}
	return r.command(ctx, cwd, p.command)
}

// runner runs programs with their output marked by section and time.
type runner struct {
	mu  sync.Mutex
	out io.Writer
	env environment
	now func() time.Time
}

func (r *runner) say(section, format string, args ...any) {
	r.line(section, fmt.Sprintf(format, args...))
}

func (r *runner) line(section, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "[%s %s] %s\n", section, r.now().UTC().Format("2006-01-02T15:04:05.000Z"), text)
}

// command runs the task's own command and returns its exit status.
func (r *runner) command(ctx context.Context, dir string, argv []string) int {
	r.say("setup", "Running %s in %s", strings.Join(argv, " "), dir)
	err := r.run(ctx, "task", dir, argv)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return exit.ExitCode()
	}
	if err != nil {
		r.say("setup", "%v", err)
		return 127
	}
	return 0
}

// run runs a program in dir and passes its output on. When ctx ends the program is asked to end.
func (r *runner) run(ctx context.Context, section, dir string, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, r.env.list()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	lines := &lineWriter{emit: func(text string) { r.line(section, text) }}
	cmd.Stdout, cmd.Stderr = lines, lines // one writer: exec then uses one pipe, and order is kept
	err := cmd.Run()
	lines.flush()
	if err != nil {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}

func (r *runner) output(ctx context.Context, dir string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, r.env.list()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run-task: %s: %w", strings.Join(argv, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// maxLine is the longest piece of output held back for the end of its line, in bytes.
const maxLine = 64 << 10

// lineWriter cuts what is written into lines.
type lineWriter struct {
	rest []byte
	emit func(string)
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			break
		}
		w.emit(strings.TrimSuffix(string(w.rest[:i]), "\r"))
		w.rest = w.rest[i+1:]
	}
	if len(w.rest) > maxLine {
		w.flush()
	}
	return len(p), nil
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.emit(string(w.rest))
		w.rest = nil
	}
}
