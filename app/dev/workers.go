package dev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/sys"
)

const workerClientID = "static/treeline/worker"

// workerClient may claim, ask which caches to drop, and nothing else: what a task may do comes with the task.
func workerClient(s app.Secrets) []auth.StaticClient {
	return []auth.StaticClient{{
		ClientID: workerClientID, AccessToken: s.WorkerToken, Description: "The workers that treeline dev runs.",
		Scopes: []string{"queue:claim-work:" + TaskQueue, "queue:worker-id:local/*", "purge-cache:purge-requests::" + TaskQueue},
	}}
}

// anonymous is what everybody on this machine may do without signing in: read.
func anonymous() []string {
	return append(auth.AnonymousScopes(), "events:read", "localgit:fetch:*")
}

// restartDelay keeps a worker that dies at once from spinning.
const restartDelay = time.Second

// When Treeline stops, tasks may end by themselves for taskGrace; then the worker gives them back,
// for which it has until stopGrace.
const (
	taskGrace = 5 * time.Second
	stopGrace = 15 * time.Second
)

// passedOn names variables of ours that tasks see too: how this machine reaches the outside.
var passedOn = []string{
	"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "npm_config_registry", "PIP_INDEX_URL",
}

// group is the running worker processes.
type group struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// startWorkers keeps c.Workers worker processes running until stop.
func startWorkers(ctx context.Context, c Config, data, rootURL string, s app.Secrets) (*group, error) {
	if err := removeOrphans(elsewhere); err != nil {
		c.Log.Warn("something in "+elsewhere+" cannot be removed", "err", err)
	}
	dir, runAs, err := workersDir(elsewhere, data)
	if err != nil {
		return nil, err
	}
	if c.Workers > 0 {
		if err := makeKey(ctx, c.Program, filepath.Join(dir, keyFile)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	g := &group{cancel: cancel}
	for i := range c.Workers {
		id := "dev-" + strconv.Itoa(i+1)
		g.wg.Go(func() {
			// The kernel sends the death signal of runWorker when the starting thread ends, so
			// this goroutine keeps its thread.
			runtime.LockOSThread()
			for ctx.Err() == nil {
				err := runWorker(ctx, c, id, filepath.Join(dir, id), runAs, rootURL, s)
				if ctx.Err() != nil {
					return
				}
				c.Log.Warn("a worker ended and is started again", "worker", id, "err", err)
				select {
				case <-ctx.Done():
				case <-time.After(restartDelay):
				}
			}
		})
	}
	return g, nil
}

// keyFile is what dev's workers sign certificates with. The public half is not kept: it can be made of the file.
const keyFile = "signing.key"

// makeKey makes the workers' key at their first start, as fetched files are certified.
func makeKey(ctx context.Context, program, file string) error {
	if _, err := os.Stat(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("dev: workers' directory: %w", err)
	}
	ctx = context.WithoutCancel(ctx) // it takes no time, and who stops now stops what is started
	if out, err := exec.CommandContext(ctx, program, "cot", "new-key", file).CombinedOutput(); err != nil {
		return fmt.Errorf("dev: a key for the workers: %w: %s", err, out)
	}
	return nil
}

func (g *group) stop() {
	g.cancel()
	g.wg.Wait()
}

func runWorker(ctx context.Context, c Config, id, dir, runAs, rootURL string, s app.Secrets) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("dev: worker directory: %w", err)
	}
	log, err := openLog(filepath.Join(dir, "worker.log"), logLimit)
	if err != nil {
		return err
	}
	defer func() {
		if err := log.Close(); err != nil {
			c.Log.Warn("log of a worker", "worker", id, "err", err)
		}
	}()
	args := []string{
		"worker", "run", "--task-queue", TaskQueue, "--worker-group", "local", "--worker-id", id,
		"--dir", dir, "--run-as", runAs, "--grace", taskGrace.String(),
		"--signing-key", filepath.Join(filepath.Dir(dir), keyFile),
	}
	if c.AcceptImages {
		args = append(args, "--accept-images")
	}
	for _, name := range passedOn {
		args = append(args, "--pass-env", name)
	}
	cmd := exec.CommandContext(ctx, c.Program, args...)
	cmd.Env = append(os.Environ(),
		"TASKCLUSTER_ROOT_URL="+rootURL, "TASKCLUSTER_CLIENT_ID="+workerClientID,
		"TASKCLUSTER_ACCESS_TOKEN="+s.WorkerToken, "TASKCLUSTER_CERTIFICATE=")
	cmd.Stdout, cmd.Stderr = log, log
	// A worker must not outlive a killed server: the next start runs one of the same name.
	cmd.SysProcAttr = sys.Bound(syscall.SIGKILL, false)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	c.Log.Log(ctx, slog.LevelDebug, "worker starts", "worker", id)
	return cmd.Run()
}
