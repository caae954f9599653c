package runtask

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// runner runs programs with their output marked by section and time.
type runner struct {
	mu  sync.Mutex
	out io.Writer
	env environment
	now func() time.Time
}

func (r *runner) say(section, format string, args ...any) {
	for text := range strings.SplitSeq(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n") {
		r.line(section, text)
	}
}

func (r *runner) line(section, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "[%s %s] %s\n", section, r.now().UTC().Format("2006-01-02T15:04:05.000Z"), text)
}

// lines returns a writer whose lines belong to a section; several goroutines may write.
func (r *runner) lines(section string) *lineWriter {
	return &lineWriter{emit: func(text string) { r.line(section, text) }}
}

// run runs a program in dir, with variables besides the task's own, and passes its output on. When ctx ends
// the program is asked to end.
func (r *runner) run(ctx context.Context, section, dir string, argv []string, extra ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(r.env.list(), extra...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	lines := r.lines(section)
	cmd.Stdout, cmd.Stderr = lines, lines // one writer: exec then uses one pipe, and order is kept
	err := cmd.Run()
	lines.Flush()
	if err != nil {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}

func (r *runner) output(ctx context.Context, dir string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(r.env.list(), "HGPLAIN=1")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// maxLine is the longest piece of output held back for the end of its line, in bytes.
const maxLine = 64 << 10

// lineWriter cuts what is written into lines.
type lineWriter struct {
	mu   sync.Mutex
	rest []byte
	emit func(string)
}

// Write passes whole lines on.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
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

// Flush passes on a last line without an end.
func (w *lineWriter) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
}

func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.emit(string(w.rest))
		w.rest = nil
	}
}
