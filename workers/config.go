// Package workers is the agent that does tasks' work: it claims runs from one task queue, does
// each in a fresh directory with an engine, streams its log, uploads its artifacts and
// reports. It knows the server only by its API, through package client, and goes on when the
// server is away: commands keep running, the log is kept in a file, claims are renewed and
// outcomes reported when the server is back.
//
// Reading order: run.go (the claim loop), work.go (the life of one run), commands.go,
// artifacts.go, lease.go, leftovers.go.
package workers

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/engine"
	"github.com/treeline-ci/treeline/workers/engine/process"
)

// Defaults of Config.
const (
	DefaultGrace     = 2 * time.Minute
	DefaultKillGrace = 10 * time.Second
	DefaultMaxRun    = 24 * time.Hour
	DefaultMaxLog    = 1 << 30
	DefaultMonitor   = 5 * time.Second
	DefaultPatience  = 30 * time.Minute
	maxCapacity      = 255 // taskcluster-map 16.1
	maxPerClaim      = 32
)

// Config says for whom and how a worker works.
type Config struct {
	Client      *client.Client // with the worker's credentials: queue:claim-work and queue:worker-id
	TaskQueueID string         // provisionerId/workerType
	WorkerGroup string
	WorkerID    string
	Dir         string // the worker's own directory; one worker at a time uses it
	Capacity    int    // runs at once; 0 is 1

	Program      string        // the treeline program, which tasks find on their PATH; "" for none
	RunAs        string        // user of the commands, name or uid:gid; "" is the worker's own
	AcceptImages bool          // do payloads that name an image, without the image
	Env          []string      // NAME=value, added to each task's environment; the payload may override
	Grace        time.Duration // how long runs may go on when the worker is asked to end
	KillGrace    time.Duration // between asking a command to end and killing it
	MaxRun       time.Duration // largest maxRunTime that is accepted
	MaxLog       int64         // bytes of output that are kept of one run
	LogEvery     time.Duration // how often a growing log is sent; 0: the log's own default

	Engine          engine.Engine       // what runs the commands; nil: the process engine without control groups
	TaskUsers       uint32              // the first of Capacity users, by number, of which each run has one to itself; 0: RunAs for all
	Limits          engine.Limits       // of each task
	AllowPrivileged bool                // containers may be privileged, if the task's scopes say so
	ImageDigests    bool                // images of registries must be named by digest
	MinFree         int64               // bytes of disk that are kept free: caches go, and tasks are stopped for it; 0: nobody looks
	CacheBudget     int64               // bytes of caches that are kept between tasks; 0: no limit
	ImageBudget     int64               // bytes of images made of artifacts that are kept; 0: no limit
	SigningKey      ed25519.PrivateKey  // signs certificates of artifacts; nil: tasks that want them are refused
	SignTasks       bool                // sign, with SigningKey, the definitions of tasks that tasks create through their proxy
	TaskKeys        []ed25519.PublicKey // run only tasks whose definitions one of these signed; nil: all
	Monitor         time.Duration       // runs at least so long get an artifact of what they used; 0: DefaultMonitor
	StorePatience   time.Duration       // how long an artifact waits for a store that does not answer; 0: DefaultPatience

	Forget bool            // caches are not kept
	Drain  <-chan struct{} // when it closes, nothing more is claimed and runs go on to their end; nil: never
	Hurry  <-chan struct{} // when it closes, runs are given back at once, without the grace time; nil: never

	MaxTasks int           // end after so many runs; 0: never
	MaxIdle  time.Duration // end after so long without work; 0: never
	// MayEnd is asked before the worker ends for want of work; it goes on for another MaxIdle when false. nil: it may.
	MayEnd func(ctx context.Context) bool
	Log    *slog.Logger
}

// complete checks the configuration and fills in defaults.
func (c *Config) complete() error {
	switch {
	case c.Client == nil:
		return fault.New(fault.Invalid, "a worker needs a client")
	case !task.IsIdentifier(c.WorkerGroup) || !task.IsIdentifier(c.WorkerID):
		return fault.New(fault.Invalid, "worker group %q and worker id %q must be 1 to 38 letters, digits, - and _", c.WorkerGroup, c.WorkerID)
	case !isQueue(c.TaskQueueID):
		return fault.New(fault.Invalid, "task queue %q must be of the form provisionerId/workerType", c.TaskQueueID)
	case c.Capacity < 0 || c.Capacity > maxCapacity:
		return fault.New(fault.Invalid, "capacity %d must be between 1 and %d", c.Capacity, maxCapacity)
	case c.SignTasks && c.SigningKey == nil:
		return fault.New(fault.Invalid, "to sign tasks a worker needs a key")
	case c.Dir == "":
		return fault.New(fault.Invalid, "a worker needs a directory")
	}
	for _, e := range c.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return fault.New(fault.Invalid, "environment %q must be of the form NAME=value", e)
		}
	}
	c.Capacity = cmp.Or(c.Capacity, 1)
	c.Grace = cmp.Or(c.Grace, DefaultGrace)
	c.KillGrace = cmp.Or(c.KillGrace, DefaultKillGrace)
	c.MaxRun = cmp.Or(c.MaxRun, DefaultMaxRun)
	c.Monitor = cmp.Or(c.Monitor, DefaultMonitor)
	c.StorePatience = cmp.Or(c.StorePatience, DefaultPatience)
	c.MaxLog = cmp.Or(c.MaxLog, DefaultMaxLog)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("workers: directory: %w", err)
	}
	c.Dir = dir
	if c.Engine == nil {
		c.Engine = process.New(process.Options{Log: c.Log})
	}
	if c.TaskUsers != 0 && c.RunAs != "" {
		return fault.New(fault.Invalid, "tasks run either each as a user of its own, or all as one: choose")
	}
	if c.TaskUsers != 0 && os.Geteuid() != 0 {
		return fault.New(fault.Invalid, "only root can run each task as a user of its own")
	}
	return nil
}

// isQueue is more lenient than task.IsQueueID: claims may be made of queues for which no task can be created.
func isQueue(id string) bool {
	provisioner, worker, both := strings.Cut(id, "/")
	return both && task.IsIdentifier(provisioner) && task.IsIdentifier(worker)
}

// user returns whom commands run as, nil for the worker's own user; of several, the first.
func (c *Config) user() (*process.User, error) {
	if c.TaskUsers != 0 {
		return process.Numbered(c.TaskUsers), nil
	}
	if c.RunAs == "" {
		return nil, nil
	}
	u, err := process.LookupUser(c.RunAs)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "run as")
	}
	if int(u.UID) == os.Geteuid() {
		return nil, nil
	}
	return u, nil
}
