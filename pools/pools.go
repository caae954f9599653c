// Package pools is worker-manager: it keeps worker pools, brings up as many workers for each as its task queue
// has work for, hands workers their credentials, and sends them home (taskcluster-map 12).
//
// What there is to do stands in the database, in small units that any replica takes: a pool whose turn it is,
// a launch that a provider is to be asked for, a worker that is to be looked after. A launch has its key before
// the provider hears of it, and the provider makes one worker a key: so a crash anywhere between neither loses
// a worker nor makes two. What exists all the same and stands nowhere is found and stopped.
//
// Each provider is asked by loops of its own: one that is slow or dead holds up no other.
//
// Readers next: provision.go, launch.go, check.go, register.go.
package pools

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/pools/estimate"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/schemas"
	"github.com/treeline-ci/treeline/task"
)

// NullProvider is the provider of pools that were deleted and still have workers.
const NullProvider = "null-provider"

// Key names a worker.
type Key struct{ WorkerPoolID, WorkerGroup, WorkerID string }

func (k Key) String() string { return k.WorkerPoolID + "/" + k.WorkerGroup + "/" + k.WorkerID }

// Seen is what the queue knows of a worker.
type Seen struct {
	WorkerGroup, WorkerID      string
	FirstClaim, LastDateActive time.Time
	QuarantineUntil            time.Time // zero: never was
	Details                    any       // the queue's own answer, for the wire; JSON
}

// Deps are what pools need of others. Pool, Issuer, Counts, Seen, SeenOne and WorkerGone are required.
type Deps struct {
	Pool      *pgxpool.Pool
	Log       *slog.Logger
	RootURL   string
	Issuer    hawk.Credentials // signs the workers' credentials; must have all scopes that they get
	Providers map[string]provider.Provider
	Wake      func() // called after a change, for the feed to look

	// Counts tells what a task queue has to do.
	Counts func(ctx context.Context, taskQueueID string) (estimate.Load, error)
	// Seen lists the workers that asked for a task queue's work lately.
	Seen func(ctx context.Context, taskQueueID string) ([]Seen, error)
	// SeenOne tells of one worker; ok is false when it never asked for work.
	SeenOne func(ctx context.Context, k Key) (s Seen, ok bool, err error)
	// WorkerGone gives what a worker has claimed to others.
	WorkerGone func(ctx context.Context, k Key) error
	// Audit records who did what to a pool, in the transaction of the change; its error ends that.
	Audit func(ctx context.Context, tx pgx.Tx, d Deed) error
	// Looked is told what a look at a pool found: the capacity that there should be and may be, and how long it took. nil:
	// nobody is.
	Looked func(providerID, poolID string, desired, most int, took time.Duration)
	// Registered is told how long a worker took from the request for it to its registration. nil: nobody is.
	Registered func(providerID, poolID string, took time.Duration)
	// Failed is told of errors whose pool's owner wants to hear of them. It should not take long.
	Failed func(ctx context.Context, p Pool, e Error)

	// Every is the time between two looks at a pool; 10 s when zero. Workers are looked after twice as rarely.
	Every time.Duration
	// Random gives numbers from 0 up to 1; nil: of its own making.
	Random func() float64
}

const (
	defaultEvery = 10 * time.Second
	// turnLimit is how long a unit of work may take.
	turnLimit = 2 * time.Minute
)

// Pools keeps pools and their workers. It is safe for concurrent use.
type Pools struct {
	Deps
	configs *schemas.Configs
	nudges  map[string]chan struct{} // by provider: there may be launches
	cancel  context.CancelFunc
	loops   sync.WaitGroup
}

// New returns the pools kept in a database.
func New(d Deps) (*Pools, error) {
	configs, err := schemas.Compile()
	if err != nil {
		return nil, fmt.Errorf("pools: schemas: %w", err)
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Every == 0 {
		d.Every = defaultEvery
	}
	if d.Random == nil {
		d.Random = randomNumber
	}
	p := &Pools{Deps: d, configs: configs, nudges: map[string]chan struct{}{}, cancel: func() {}}
	for id := range d.Providers {
		if !task.IsIdentifier(id) || id == NullProvider {
			return nil, fault.New(fault.Invalid, "provider id %q must be 1 to 38 letters, digits, - and _, and not %s", id, NullProvider)
		}
		p.nudges[id] = make(chan struct{}, 1)
	}
	return p, nil
}

// Start begins to look after the pools, until Stop.
func (p *Pools) Start(ctx context.Context) {
	ctx, p.cancel = context.WithCancel(ctx)
	p.loops.Go(func() { p.turns(ctx) })
	p.loops.Go(func() { p.drops(ctx) })
	for id, who := range p.Providers {
		s, ok := who.(provider.Scaler)
		if !ok {
			continue
		}
		p.loops.Go(func() { p.launches(ctx, id, s) })
		p.loops.Go(func() { p.checks(ctx, id, s) })
		p.loops.Go(func() { p.reaps(ctx, id, s) })
	}
}

// Stop ends what Start began and waits for it.
func (p *Pools) Stop() {
	p.cancel()
	p.loops.Wait()
}

// every calls f until ctx ends, with pauses; what it returns true for is done again at once.
func every(ctx context.Context, pause time.Duration, nudged <-chan struct{}, f func(context.Context) (more bool)) {
	for ctx.Err() == nil {
		if f(ctx) {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-nudged:
		}
		timer.Stop()
	}
}

func (p *Pools) nudge(providerID string) {
	select {
	case p.nudges[providerID] <- struct{}{}:
	default: // also for a provider that is not there: a nil channel is never ready
	}
}

func (p *Pools) wake() {
	if p.Wake != nil {
		p.Wake()
	}
}

func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("pools: %s: %w", what, pg.Classify(err))
}
