package workers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/workers/engine/process"
	"github.com/treeline-ci/treeline/workers/feature/image"
	"github.com/treeline-ci/treeline/workers/feature/mounts"
	"github.com/treeline-ci/treeline/workers/feature/proxy"
	"github.com/treeline-ci/treeline/workers/feature/trust"
	"github.com/treeline-ci/treeline/workers/payload"
)

const (
	idlePause  = time.Second      // at least so long between two claims that gave nothing
	errorPause = 10 * time.Second // after a claim that the server refused
)

// worker is a running agent.
type worker struct {
	Config
	task     *process.User // whom commands run as, nil for our own user
	path     string        // where commands are looked for
	userName string        // USER of the commands
	parser   *payload.Parser
	caches   *mounts.Caches
	images   *image.Cache // nil: the engine has none
	proxy    *proxy.Server
	disk     *disk
	users    chan *process.User // that runs have to themselves; nil: all run as the same
	taskDir  string

	started  int         // runs begun
	apart    atomic.Bool // the server does not know how to make artifacts together with the report
	free     chan struct{}
	active   sync.WaitGroup
	shutdown context.Context // ends when runs must be given back
	stopWork context.CancelCauseFunc
}

// Run works until ctx ends. Then it claims nothing more, lets runs finish for the grace time,
// gives back those that did not (worker-shutdown) and returns nil. When Drain closes it claims nothing more
// either, and returns when all runs have ended by themselves. It returns an error when it
// cannot begin: the directory is in use, or the server refuses the very first claim.
func Run(ctx context.Context, cfg Config) error {
	w, err := newWorker(ctx, cfg)
	if err != nil {
		return err
	}
	release, err := w.occupy()
	if err != nil {
		return err
	}
	defer release()
	if err := w.Engine.Clear(ctx); err != nil {
		w.Log.Error("what an earlier worker left running remains", "error", err)
	}
	w.clearLeftovers(ctx)
	if w.proxy, err = proxy.Start(w.Log); err != nil {
		return fmt.Errorf("workers: %w", err)
	}
	defer w.proxy.Close()
	if w.SignTasks {
		w.proxy.SignTasks(func(taskID string, definition []byte) ([]byte, error) {
			return trust.SignTask(w.SigningKey, taskID, definition)
		})
	}
	guarding, endGuard := context.WithCancel(w.shutdown)
	defer endGuard()
	go w.disk.keep(guarding)
	w.Log.Info("worker is ready", "queue", w.TaskQueueID, "capacity", w.Capacity, "engine", w.Engine.Name(), "dir", w.Dir)
	claiming, stop := context.WithCancel(ctx)
	defer stop()
	defer w.on(w.Drain, func() { w.Log.Info("draining: nothing more is claimed", "runs", w.Capacity-len(w.free)); stop() })()
	defer w.on(w.Hurry, func() { stop(); w.stopWork(errShutdown) })()
	err = w.claimLoop(claiming)
	w.wind(ctx)
	return err
}

// on calls do when the channel closes, unless the returned function was called before.
func (w *worker) on(closed <-chan struct{}, do func()) (forget func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-closed:
			do()
		case <-over:
		}
	}()
	return func() { close(over) }
}

func newWorker(ctx context.Context, cfg Config) (*worker, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	w := &worker{Config: cfg, taskDir: filepath.Join(cfg.Dir, "tasks"), free: make(chan struct{}, cfg.Capacity)}
	w.Log = w.Log.With("worker", w.WorkerGroup+"/"+w.WorkerID)
	w.shutdown, w.stopWork = context.WithCancelCause(context.WithoutCancel(ctx))
	var err error
	if w.task, err = cfg.user(); err != nil {
		return nil, err
	}
	if w.parser, err = payload.NewParser(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(w.taskDir, 0o711); err != nil {
		return nil, fmt.Errorf("workers: directory: %w", err)
	}
	if w.caches, err = mounts.OpenCaches(filepath.Join(w.Dir, "caches"), w.task, w.CacheBudget); err != nil {
		return nil, err
	}
	if images := w.Engine.Images(); images != nil {
		w.images, err = image.Open(images, image.Options{Dir: filepath.Join(w.Dir, "images"), Budget: w.ImageBudget, Digests: w.ImageDigests})
		if err != nil {
			return nil, err
		}
	}
	w.disk = &disk{dir: w.Dir, minFree: w.MinFree, caches: w.caches, log: w.Log, runs: map[string]context.CancelCauseFunc{}}
	if w.TaskUsers != 0 {
		w.users = make(chan *process.User, w.Capacity)
	}
	for i := range w.Capacity {
		w.free <- struct{}{}
		if w.users != nil {
			w.users <- process.Numbered(w.TaskUsers + uint32(i))
		}
	}
	return w, w.prepareUser(ctx)
}

// claimLoop asks for work whenever a slot is free, until ctx ends or the worker has done its due.
func (w *worker) claimLoop(ctx context.Context) error {
	idleSince := time.Now()
	for first := true; ; first = false {
		slots := w.waitForSlots(ctx)
		if slots == 0 {
			return nil
		}
		asked := time.Now()
		claims, err := w.claim(ctx, slots, idleSince)
		for range slots - len(claims) {
			w.free <- struct{}{}
		}
		for _, claim := range claims {
			w.begin(claim)
		}
		if ctx.Err() != nil || w.MaxTasks > 0 && w.started >= w.MaxTasks {
			return nil
		}
		if first && refusal(err) {
			return fmt.Errorf("workers: claim from %s: %w", w.TaskQueueID, err)
		}
		if len(claims) > 0 || len(w.free) < w.Capacity {
			idleSince = time.Now()
		}
		switch {
		case w.MaxIdle == 0 || time.Since(idleSince) < w.MaxIdle:
		case w.MayEnd != nil && !w.MayEnd(ctx):
			idleSince = time.Now()
		default:
			w.Log.Info("worker ends: no work", "for", w.MaxIdle)
			return nil
		}
		w.pause(ctx, err, len(claims), asked)
	}
}

// claim asks for up to slots runs. A worker that is to end when it finds no work waits no longer than that
// for the answer; what the server gives to one that has hung up, it takes back.
func (w *worker) claim(ctx context.Context, slots int, idleSince time.Time) ([]client.Claim, error) {
	if w.MaxIdle > 0 && slots+len(w.free) == w.Capacity {
		limited, cancel := context.WithDeadline(ctx, idleSince.Add(w.MaxIdle))
		defer cancel()
		claims, err := w.Client.ClaimWork(limited, w.TaskQueueID, client.ClaimRequest{WorkerGroup: w.WorkerGroup, WorkerID: w.WorkerID, Tasks: slots})
		if err != nil && limited.Err() != nil && ctx.Err() == nil {
			return nil, nil // no work, for long enough
		}
		return claims, err
	}
	return w.Client.ClaimWork(ctx, w.TaskQueueID, client.ClaimRequest{WorkerGroup: w.WorkerGroup, WorkerID: w.WorkerID, Tasks: slots})
}

// waitForSlots takes all slots that are free, at least one; 0 when ctx ended first.
func (w *worker) waitForSlots(ctx context.Context) int {
	select {
	case <-ctx.Done():
		return 0
	case <-w.free:
	}
	most := maxPerClaim
	if w.MaxTasks > 0 {
		most = min(most, w.MaxTasks-w.started)
	}
	slots := 1
	for slots < most {
		select {
		case <-w.free:
			slots++
			continue
		default:
		}
		break
	}
	return slots
}

// pause keeps a claim loop that gets nothing from spinning.
func (w *worker) pause(ctx context.Context, err error, claimed int, asked time.Time) {
	d := idlePause - time.Since(asked)
	switch {
	case err != nil && errors.Is(err, fault.Unavailable):
		w.Log.Warn("the server is away, trying again", "error", err)
		d = idlePause
	case err != nil && ctx.Err() == nil:
		w.Log.Error("the server refuses claims, trying again", "error", err)
		d = errorPause
	case claimed > 0:
		return
	}
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// refusal says that the server answered and does not want this worker.
func refusal(err error) bool {
	return errors.Is(err, fault.Forbidden) || errors.Is(err, fault.Unauthenticated) ||
		errors.Is(err, fault.BadArguments) || errors.Is(err, fault.BadInput)
}

func (w *worker) begin(claim client.Claim) {
	w.started++
	w.active.Go(func() {
		defer func() { w.free <- struct{}{} }()
		w.work(claim)
	})
}

// wind lets runs end; once ctx has ended they have the grace time to do so.
func (w *worker) wind(ctx context.Context) {
	done := make(chan struct{})
	go func() { w.active.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	timer := time.NewTimer(w.Grace)
	defer timer.Stop()
	select {
	case <-done:
	case <-w.shutdown.Done():
		<-done
	case <-timer.C:
		w.Log.Warn("grace time is over, giving runs back", "grace", w.Grace)
		w.stopWork(errShutdown)
		<-done
	}
	w.stopWork(errShutdown)
	w.Log.Info("worker has ended", "runs", w.started, "capacity", w.Capacity)
}
