package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/queue/artifact"
	"github.com/treeline-ci/treeline/queue/line"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/queue/told"
)

// Defaults and limits of the queue.
const (
	DefaultClaimTimeout = 20 * time.Minute
	MaxRuns             = 50    // of one task
	MaxBatch            = 50000 // tasks in one CreateBatch
	MaxClaim            = 32    // tasks in one Claim
	MaxWait             = 20 * time.Second
	MaxPage             = 1000 // items of a listing
)

// IndexEntry is what a completed task wants to be found under in the index (taskcluster-map 6).
type IndexEntry struct {
	Namespace string // the full path, without the route's "index."
	TaskID    string
	Rank      float64
	Data      []byte // a JSON object
	Expires   time.Time
}

// IndexWriter is the index, as the queue needs it: it writes entries inside the transaction that
// resolves their task.
type IndexWriter interface {
	WriteCompleted(ctx context.Context, tx pgx.Tx, entries []IndexEntry) error
}

// Deps are what a Queue stands on. Pool, Log and Issuer must be given.
type Deps struct {
	Pool    *pgxpool.Pool
	Log     *slog.Logger
	Index   IndexWriter // nil: index routes are ignored
	Uploads Uploads     // nil: artifacts of type object and s3 are refused
	// Wake is called after each commit that appended events; it must return quickly.
	Wake func()
	// Issuer signs the credentials of claims and uploads; it needs auth:create-client for
	// task-client/*, artifact-upload/* and artifact-download/*, and every scope that tasks may hold.
	Issuer hawk.Credentials
	// ClaimTimeout is how long a claim holds without a reclaim; 0 means DefaultClaimTimeout.
	ClaimTimeout time.Duration
	// Observe is told of what happened to tasks.
	Observe Observer
	// Quarantined records who put which worker in quarantine, in the transaction of the order; nil: nobody keeps a trail.
	Quarantined func(ctx context.Context, tx pgx.Tx, o roster.Order) error
}

// Queue is the task queue. Any number of Queues may work on one database. All methods can be called
// concurrently.
type Queue struct {
	deps    Deps
	log     *slog.Logger
	waiters line.Waiters
	marks   line.Marks
	turns   line.Turns
	roster  *roster.Roster
	*artifact.Shelf
	witnesses line.Witnesses
	groups    line.Groups
	together
	mu      sync.Mutex
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New returns a Queue. Claims work at once; what ends by time needs Start.
func New(deps Deps) *Queue {
	if deps.ClaimTimeout == 0 {
		deps.ClaimTimeout = DefaultClaimTimeout
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Wake == nil {
		deps.Wake = func() {}
	}
	q := &Queue{deps: deps, log: deps.Log.With("room", "queue"), roster: roster.New(deps.Pool), Shelf: artifact.NewShelf(deps.Pool, deps.Uploads)}
	q.roster.Audit, q.roster.Wake = deps.Quarantined, deps.Wake
	q.together = newTogether(q)
	return q
}

// Roster is the record of those who ask this queue for work.
func (q *Queue) Roster() *roster.Roster { return q.roster }

// Start runs, until Stop is called or ctx ends, the loops that resolve expired claims and passed
// deadlines, and that wake waiting claimers for work which another
// replica made pending. Each loop does its first round at once.
func (q *Queue) Start(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cancel != nil {
		return
	}
	ctx, q.cancel = context.WithCancel(ctx)
	for _, l := range []struct {
		name  string
		every time.Duration
		round func(context.Context) error
	}{
		{"expire claims", time.Second, told.Counted("queue.expire-claims", q.ExpireClaims)},
		{"enforce deadlines", time.Second, told.Counted("queue.enforce-deadlines", q.EnforceDeadlines)},
		{"wake claimers", 100 * time.Millisecond, func(ctx context.Context) error {
			return q.waiters.WakeForWork(ctx, q.deps.Pool, &q.marks)
		}},
		{"note workers", time.Second, q.roster.Flush},
		{"note task queues", time.Minute, q.roster.NoteLines},
	} {
		q.running.Go(func() { q.loop(ctx, l.name, l.every, l.round) })
	}
}

// Stop ends the loops and waits for their current round.
func (q *Queue) Stop() {
	q.mu.Lock()
	cancel := q.cancel
	q.cancel = nil
	q.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	q.running.Wait()
}

// loop runs round now and then every so often. A failing round is logged and tried again, later
// each time up to half a minute.
func (q *Queue) loop(ctx context.Context, name string, every time.Duration, round func(context.Context) error) {
	failed := 0
	for {
		wait := every
		if err := round(ctx); err == nil || errors.Is(err, context.Canceled) {
			failed = 0
		} else {
			failed++
			wait = min(every<<min(failed, 8), max(30*time.Second, every))
			q.log.ErrorContext(ctx, "a round of a loop failed", "loop", name, "error", err, "again in", wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
