// Package dev is the whole product on one machine, for one person: a private PostgreSQL, the
// server, workers, and a repository to watch, as one group of processes. `treeline dev` and
// `make run` are this package.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/pools/provider/setup"
	"github.com/treeline-ci/treeline/trace/export"
)

// TaskQueue is the task queue that the local workers serve.
const TaskQueue = "local/work"

// claimTimeout is short: a local worker that was killed is missed after a minute.
const claimTimeout = time.Minute

// Config says what to run. Only Data is needed.
type Config struct {
	Repo         string       // a git repository to watch; the sample project when empty
	Data         string       // directory for everything that is kept
	Port         int          // of the server, on loopback; 0 takes a free one
	Workers      int          // worker processes, one task each at a time
	AcceptImages bool         // tasks that name a container image are done without it
	Program      string       // the treeline program, to run workers with
	Login        login.Config // how people sign in besides with credentials
	Notify       app.Notify   // how mail and messages get out
	// Traces says where traces are sent; nowhere when empty.
	Traces       export.Config
	Remote       []app.Repository
	Pools        setup.Config // which providers worker pools have, besides the workers that are always there
	GitHubDouble bool         // a double of GitHub beside the server, which is an App of it

	Out io.Writer // what a person should read
	Log *slog.Logger
}

// Run runs all until ctx ends, and then stops it politely: tasks at work are given up to be run
// again, nothing is lost. It returns an error when it cannot start, with the remedy.
func Run(ctx context.Context, c Config) (err error) {
	if c.Workers < 0 || c.Port < 0 || c.Port > 65535 {
		return fault.New(fault.Invalid, "--port must be a number from 0 to 65535 and --workers 0 or more, not %d and %d", c.Port, c.Workers)
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	if err := os.MkdirAll(data, 0o755); err != nil {
		return fmt.Errorf("dev: data directory: %w", err)
	}
	unlock, err := lock(data)
	if err != nil {
		return err
	}
	defer unlock()
	started := time.Now()
	secrets, err := app.LoadSecrets(filepath.Join(data, "secrets.json"))
	if err != nil {
		return err
	}
	if _, err := secrets.LoadKeys(ctx); err != nil {
		return err
	}
	repo, err := c.repository(ctx, data)
	if err != nil {
		return err
	}
	listener, err := c.listen(data)
	if err != nil {
		return err
	}
	defer listener.Close()
	rootURL := "http://" + listener.Addr().String()
	// Before the first answer, so that who finds the server up finds the file; the listener is open
	// already, so that who finds the file finds a server, if one that takes a moment.
	if err := writeEnv(data, rootURL, secrets); err != nil {
		return err
	}

	cluster, err := pg.StartCluster(ctx, filepath.Join(data, "pg"), c.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(ctx, cluster.Stop)) }()

	config := app.Config{
		RootURL: rootURL, Listener: listener,
		DatabaseURL: cluster.URL(pg.DatabaseName), DataDir: filepath.Join(data, "objects"),
		Secrets: secrets, Repositories: []app.LocalRepository{repo}, ClaimTimeout: claimTimeout,
		StaticClients: workerClient(secrets), Anonymous: anonymous(), LocalNames: true, Login: c.Login, Notify: c.Notify, Traces: c.Traces, Remote: c.Remote, Pools: c.Pools, Log: c.Log,
	}
	var gh *double
	if c.GitHubDouble {
		if gh, err = startDouble(c, rootURL, listener.Addr().(*net.TCPAddr).Port); err != nil { //nolint:forcetypeassert // of a TCP listener
			return err
		}
		defer func() { err = errors.Join(err, stop(ctx, gh.stop)) }()
		gh.configure(&config)
	}
	server, err := app.Start(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(ctx, server.Stop)) }()

	workers, err := startWorkers(ctx, c, data, rootURL, secrets)
	if err != nil {
		return err
	}
	defer workers.stop()

	c.banner(data, rootURL, repo, secrets, time.Since(started))
	if gh != nil {
		gh.install()
		fmt.Fprintf(c.Out, "    GitHub        %s\n                  a double: open a pull request there, and press the buttons of its checks\n\n", gh.site())
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(c.Out, "\nStopping; tasks at work will run again at the next start.")
		return nil
	case err := <-server.Failed():
		return err
	}
}

// stop gives a part its time to end, although ctx has ended.
func stop(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return f(ctx)
}

func lock(data string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(data, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("dev: %w", err)
	}
	if err := sys.Lock(f, sys.Now); err != nil {
		f.Close()
		return nil, fault.New(fault.Conflict, "%s is in use by another Treeline: stop that one, or give this one its own directory with --data", data)
	}
	return func() { f.Close() }, nil
}

// listen opens the port asked for. For any free one it takes the one of the last start where it can:
// tasks and pages that were made then name it.
func (c Config) listen(data string) (net.Listener, error) {
	if c.Port == 0 {
		if l, err := listen(lastPort(data)); err == nil {
			return l, nil
		}
	}
	return listen(c.Port)
}

var rootURLPort = regexp.MustCompile(`(?m)^TASKCLUSTER_ROOT_URL=http://127\.0\.0\.1:([0-9]{1,5})$`)

// lastPort is the port that the file of the last start names, 0 when there is none.
func lastPort(data string) int {
	text, err := os.ReadFile(filepath.Join(data, "env"))
	if err != nil {
		return 0
	}
	port := 0
	if m := rootURLPort.FindSubmatch(text); m != nil {
		port, _ = strconv.Atoi(string(m[1])) // five digits at most
	}
	return port
}

func listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fault.New(fault.Conflict, "port %d is in use: give another with --port (or make run PORT=...), or 0 for any free one", port)
	}
	if err != nil {
		return nil, fmt.Errorf("dev: listen: %w", err)
	}
	return l, nil
}

// repository opens the repository asked for, or makes the sample.
func (c Config) repository(ctx context.Context, data string) (app.LocalRepository, error) {
	path := c.Repo
	if path == "" {
		path = filepath.Join(data, sample.Name)
		if _, err := sample.Create(ctx, path); err != nil {
			return app.LocalRepository{}, err
		}
	}
	repo, err := localgit.Open(ctx, path)
	if err != nil {
		return app.LocalRepository{}, err
	}
	return app.LocalRepository{Name: repo.Name(), Path: repo.Dir()}, nil
}

// writeEnv keeps the address and credentials for shells and scripts: four variables, as all
// Taskcluster clients read them.
func writeEnv(data, rootURL string, s app.Secrets) error {
	text := "TASKCLUSTER_ROOT_URL=" + rootURL + "\n" +
		"TASKCLUSTER_CLIENT_ID=" + app.RootClient + "\n" +
		"TASKCLUSTER_ACCESS_TOKEN=" + s.RootToken + "\n" +
		"TASKCLUSTER_CERTIFICATE=\n" +
		"export TASKCLUSTER_ROOT_URL TASKCLUSTER_CLIENT_ID TASKCLUSTER_ACCESS_TOKEN TASKCLUSTER_CERTIFICATE\n"
	return app.WriteFile(filepath.Join(data, "env"), []byte(text), 0o600)
}

func (c Config) banner(data, rootURL string, repo app.LocalRepository, s app.Secrets, took time.Duration) {
	fmt.Fprintf(c.Out, `
  Treeline is running (started in %.1f s).

    Open          %s/jobs?repo=%s
    Watching      %s
                  commit there, and see it decided and run
    Sign in       client id     %s
                  access token  %s
    Command line  . %s && %s group list

  Stop with Ctrl-C; the same command starts again where it was.

`, took.Seconds(), rootURL, repo.Name, repo.Path, app.RootClient, s.RootToken, shellWord(relative(data)+"/env"), shellWord(relative(c.Program)))
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./+:=@%,-]+$`)

// shellWord writes a path so that a shell takes it for one word.
func shellWord(path string) string {
	if plainWord.MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// relative shortens a path for reading.
func relative(path string) string {
	if wd, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(wd, path); err == nil && len(short) < len(path) {
			return short
		}
	}
	return path
}
