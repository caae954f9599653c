package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// watching is a command that runs with --watch.
type watching struct {
	t            *testing.T
	stdout, errs <-chan string // lines
	stop         func() int
}

func startWatching(t *testing.T, args ...string) *watching {
	t.Helper()
	outR, outW := io.Pipe()
	errR, errW := io.Pipe()
	root := newRootCommand()
	root.SetOut(outW)
	root.SetErr(errW)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		code := execute(ctx, root, args)
		outW.Close()
		errW.Close()
		ended <- code
	}()
	stop := func() int { cancel(); return <-ended }
	t.Cleanup(func() { cancel() })
	return &watching{t: t, stdout: lineChannel(outR), errs: lineChannel(errR), stop: stop}
}

func lineChannel(r io.Reader) <-chan string {
	out := make(chan string, 10_000)
	go func() {
		defer close(out)
		for s := bufio.NewScanner(r); s.Scan(); {
			out <- s.Text()
		}
	}()
	return out
}

// wait reads lines until one holds want.
func (w *watching) wait(lines <-chan string, want string) {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	var seen []string
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				w.t.Fatalf("it ended before saying %q: %q", want, seen)
			}
			if seen = append(seen, line); strings.Contains(line, want) {
				return
			}
		case <-deadline:
			w.t.Fatalf("nobody said %q, only %q", want, seen)
		}
	}
}

func edit(t *testing.T, name, from, to string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), from, to, 1)
	if text == string(b) {
		t.Fatalf("%s has no %q", name, from)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWatchTellsWhatEachChangeDoes(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(ownTree)))
	w := startWatching(t, "taskgraph", "full", "--watch", "-p", "one.yml")
	w.wait(w.stdout, "k-a")
	w.wait(w.errs, "note: watching")
	const kind = "taskcluster/kinds/k/kind.yml"
	edit(t, kind, "    a: {", "    b: {worker-type: succeed}\n    a: {priority: low, ")
	w.wait(w.errs, kind)
	w.wait(w.stdout, "+ k-b")
	edit(t, "one.yml", "project: one", "project: another")
	w.wait(w.stdout, "~ k-a: description")
	w.wait(w.stdout, "~ k-b: description")
	edit(t, "taskcluster/own.star", "return task", "return tsk")
	w.wait(w.errs, "treeline: taskcluster/own.star:")
	edit(t, "taskcluster/own.star", "return tsk", "return task")
	w.wait(w.stdout, "no task changed")
	edit(t, kind, "    b: {worker-type: succeed}\n", "")
	w.wait(w.stdout, "- k-b")
	if code := w.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestWatchWritesTheFileAgain(t *testing.T) {
	enterTree(t, txtar.Parse([]byte(ownTree)))
	t.Setenv("FORCE_COLOR", "1")
	w := startWatching(t, "taskgraph", "full", "-J", "--watch", "-o", "taskcluster/out.json")
	w.wait(w.errs, "watching")
	edit(t, "taskcluster/kinds/k/kind.yml", "    a: {", "    c: {")
	w.wait(w.stdout, "\x1b[32m+ k-c\x1b[0m")
	w.wait(w.stdout, "\x1b[31m- k-a\x1b[0m")
	b, err := os.ReadFile("taskcluster/out.json")
	if err != nil || !strings.Contains(string(b), `"k-c"`) {
		t.Errorf("%s, %v", b, err)
	}
	if code := w.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
