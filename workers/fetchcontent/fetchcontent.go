// Package fetchcontent brings content to a task: what other tasks made, files of the web that must have a
// known digest, and revisions of git repositories as archives. `treeline fetch-content` is this package;
// run-task uses it for MOZ_FETCHES (taskgraph-map 21.3).
package fetchcontent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Fetcher fetches. Set what is exported before use; it may be used by several goroutines.
type Fetcher struct {
	Env func(name string) string                     // the task's environment
	Say func(format string, args ...any)             // a line of the log
	Run func(ctx context.Context, c *exec.Cmd) error // runs a program with its output in the log

	http   *http.Client
	pauses []time.Duration // between attempts
	stall  time.Duration   // a transfer that stands still for so long has failed
}

// New makes a fetcher that speaks to out.
func New(env func(string) string, out io.Writer) *Fetcher {
	f := &Fetcher{
		Env: env,
		Say: func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) },
		Run: func(_ context.Context, c *exec.Cmd) error { c.Stdout, c.Stderr = out, out; return c.Run() },
	}
	return f.complete()
}

// complete fills in what is not exported.
func (f *Fetcher) complete() *Fetcher {
	f.http = &http.Client{Transport: transport()}
	f.pauses = []time.Duration{5 * time.Second, 15 * time.Second, 45 * time.Second, time.Minute}
	f.stall = time.Minute
	return f
}

func transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.ResponseHeaderTimeout = 2 * time.Minute
	t.DisableCompression = true // digests speak of the bytes as sent
	return t
}

// final marks an error that another attempt cannot mend.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

// retry calls try until it succeeds, at most once more than there are pauses.
func (f *Fetcher) retry(ctx context.Context, what string, try func() error) error {
	for attempt := 0; ; attempt++ {
		err := try()
		if err == nil || errors.As(err, &final{}) || attempt == len(f.pauses) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		pause := f.pauses[attempt]
		f.Say("%s failed: %v; attempt %d of %d follows in %v", what, err, attempt+2, len(f.pauses)+1, pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// Usage describes the command line.
const Usage = `fetch-content static-url [--sha256 HEX] [--size BYTES] [--strip-components N] [--add-prefix TEXT]
                [-H NAME:VALUE]... [--gpg-sig-url URL --gpg-key-env VARIABLE] URL FILE
  fetch-content git-checkout-archive [--path-prefix DIR] [--include-dot-git] [--ssh-key-secret NAME] REPOSITORY COMMIT FILE
  fetch-content task-artifacts [-d DIR]`

// Run does what a command line says and returns the exit status, the reason of a failure being in out.
func Run(ctx context.Context, args, environ []string, out io.Writer) int {
	f := New(func(name string) string { return lookup(environ, name) }, out)
	err := f.command(ctx, args)
	switch {
	case err == nil:
		return 0
	case fault.KindOf(err) == fault.BadArguments:
		f.Say("fetch-content: %v\nusage: %s", err, Usage)
		return 2
	}
	f.Say("fetch-content: %v", err)
	return 1
}

func lookup(environ []string, name string) string {
	value := ""
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

func (f *Fetcher) command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fault.New(fault.BadArguments, "what to fetch is missing")
	}
	switch args[0] {
	case "static-url":
		return f.staticURLCommand(ctx, args[1:])
	case "git-checkout-archive":
		return f.gitCommand(ctx, args[1:])
	case "task-artifacts":
		return f.artifactsCommand(ctx, args[1:])
	}
	return fault.New(fault.BadArguments, "%q is no way of fetching", args[0])
}

// writeFile makes a file of what fill writes, and only of all of it: until then it has another name.
func writeFile(name string, fill func(*os.File) error) error {
	part, err := os.OpenFile(name+".part", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	err = errors.Join(fill(part), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), name)
	}
	if err != nil {
		_ = os.Remove(part.Name()) // the error is why it is not wanted
	}
	return err
}
