package soaktest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// Door is the queue as a client calls it: the queue itself, or its HTTP door.
type Door interface {
	CreateBatch(ctx context.Context, tasks []queue.NewTask) ([]task.Status, error)
	Claim(ctx context.Context, req queue.ClaimRequest) ([]queue.Claim, error)
	Reclaim(ctx context.Context, id string, run int) (queue.Reclaimed, error)
	ReportCompleted(ctx context.Context, id string, run int) (task.Status, error)
	ReportFailed(ctx context.Context, id string, run int) (task.Status, error)
	ReportException(ctx context.Context, id string, run int, reason task.ReasonResolved) (task.Status, error)
	Schedule(ctx context.Context, id string) (task.Status, error)
	Rerun(ctx context.Context, id string) (task.Status, error)
	Cancel(ctx context.Context, id string) (task.Status, error)
	SealGroup(ctx context.Context, id string) (queue.Group, error)
	CancelGroup(ctx context.Context, id string) (queue.Canceled, error)
	CreateArtifact(ctx context.Context, id string, run int, name string, a queue.NewArtifact) (queue.Upload, error)
	Status(ctx context.Context, id string) (task.Status, error)
	Items(ctx context.Context, ids []string) ([]queue.Item, error)
	ListGroup(ctx context.Context, id string, limit int, token string) (queue.GroupPage, error)
}

// Options are what a round is made of.
type Options struct {
	Seed       uint64
	Operations int
	Clients    int
	Lockstep   bool // one client acts at a time, and the same seed gives the same history
	Faultless  bool // nothing is disturbed but time
	// Behind puts something between the clients and a replica, such as its HTTP door.
	Behind func(testing.TB, *queue.Queue) Door
	// Lacks says which scopes a client's door denies it; nil: none.
	Lacks func(client int, scope string) bool
	// Progress counts what happens while it happens; nil for none.
	Progress *Tally
}

// round is one database and all that acts on it.
type round struct {
	Options
	begin    time.Time
	skew     time.Duration // of the database's clock against ours
	url      string
	clean    *pgxpool.Pool // nothing disturbs it
	wire     *Wire
	replicas []*replica
	known    *known
	clients  []*client
	feed     *reader
	evidence *Evidence
	tally    *Tally

	mu         sync.Mutex
	violations []Violation
}

// replica is a queue and a feed on a pool of their own.
type replica struct {
	pool  *pgxpool.Pool
	queue *queue.Queue
	feed  *event.Feed
	door  Door
}

// Run plays one round and returns what it shows. A failure to set it up fails the test.
func Run(t testing.TB, o Options) *Evidence {
	t.Helper()
	r := &round{Options: o, begin: time.Now(), wire: &Wire{}, known: newKnown(), tally: o.Progress}
	if r.tally == nil {
		r.tally = NewTally()
	}
	chance := rand.New(rand.NewPCG(o.Seed, 1<<32))
	// The database's clock is that of somebody else; ours is right, or ten minutes off.
	r.skew = []time.Duration{0, 10 * time.Minute, -10 * time.Minute}[chance.IntN(3)]
	r.evidence = &Evidence{Seed: o.Seed, Bodies: r.known.bodies, Skew: r.skew, Began: r.begin, Lacks: o.Lacks}
	r.prepare(t)
	for i := range o.Clients {
		r.clients = append(r.clients, newClient(r, i))
	}
	if err := r.play(t.Context()); err != nil {
		t.Fatalf("soak: seed %d: %v", o.Seed, err)
	}
	if err := r.end(t); err != nil {
		t.Fatalf("soak: seed %d: the end: %v", o.Seed, err)
	}
	r.evidence.Violations = append(r.violations, Check(r.evidence)...)
	r.tally.round(r.evidence, r.wire.Cuts())
	return r.evidence
}

// prepare makes the database, whose clock is skewed, and the replicas.
func (r *round) prepare(t testing.TB) {
	t.Helper()
	r.url = skewedDatabase(t, r.skew)
	r.clean = r.open(t, "checker", 6)
	if !r.Faultless {
		if _, err := r.clean.Exec(t.Context(), fmt.Sprintf(diceSQL, r.Seed%1_000_003)); err != nil {
			t.Fatalf("soak: %v", err)
		}
	}
	for range 2 {
		p := &replica{pool: r.open(t, replicaName, 8, r.wire.Option(), pg.KeepPlans())}
		p.queue, p.feed = newQueue(p.pool), event.NewFeed(p.pool, slog.New(slog.DiscardHandler))
		p.door = p.queue
		if r.Behind != nil {
			p.door = r.Behind(t, p.queue)
		}
		r.replicas = append(r.replicas, p)
	}
}

const replicaName = "replica"

func (r *round) open(t testing.TB, name string, conns int32, opts ...pg.Option) *pgxpool.Pool {
	t.Helper()
	named := func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = name }
	pool, err := pg.Open(t.Context(), r.url, append(opts, pg.MaxConns(conns), named)...)
	if err != nil {
		t.Fatalf("soak: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func newQueue(pool *pgxpool.Pool) *queue.Queue {
	issuer := hawk.Credentials{ClientID: "static/taskcluster/queue", AccessToken: "soak-token-that-is-long-enough-00000000000"}
	return queue.New(queue.Deps{Pool: pool, Log: slog.New(slog.DiscardHandler), Issuer: issuer})
}

// skewedDatabase returns the URL of a database whose now() and clock_timestamp() are off against this
// process: its own functions of these names come before PostgreSQL's.
func skewedDatabase(t testing.TB, skew time.Duration) string {
	t.Helper()
	if skew == 0 {
		return pgtest.URL(t)
	}
	pool := pgtest.Empty(t)
	var url string
	for _, sql := range []string{
		fmt.Sprintf(`CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT pg_catalog.now() + interval '%d seconds' $$`, int(skew.Seconds())),
		fmt.Sprintf(`CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT pg_catalog.clock_timestamp() + interval '%d seconds' $$`, int(skew.Seconds())),
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("soak: %v", err)
		}
	}
	pool.Reset() // the setting is for new connections
	url = pool.Config().ConnString()
	if err := pg.Upgrade(t.Context(), pool, 0); err != nil {
		t.Fatalf("soak: %v", err)
	}
	return url
}

// play lets the clients do their operations.
func (r *round) play(ctx context.Context) error {
	if r.Lockstep {
		return r.playInTurns(ctx)
	}
	ctx, done := context.WithCancel(ctx)
	var around sync.WaitGroup
	for _, p := range r.replicas {
		p.feed.Start(ctx)
		p.queue.Start(ctx)
	}
	r.feed = newReader(r.replicas[0].feed, r.replicas[1].feed)
	around.Go(func() { r.feed.run(ctx) })
	around.Go(func() { r.snapshots(ctx) })
	if !r.Faultless {
		r.wire.Plan(randomCuts(r.Seed))
		around.Go(func() { r.disturb(ctx) })
	}
	var working sync.WaitGroup
	for _, c := range r.clients {
		working.Go(func() {
			for range r.Operations / len(r.clients) {
				if ctx.Err() == nil {
					c.step(ctx)
				}
			}
		})
	}
	working.Wait()
	err := context.Cause(ctx)
	r.wire.Plan(nil)
	done()
	around.Wait()
	for _, p := range r.replicas {
		p.queue.Stop()
		p.feed.Stop()
	}
	return err
}

// playInTurns lets one client at a time do one operation, in an order and with faults that the seed
// gives.
func (r *round) playInTurns(ctx context.Context) error {
	turns := rand.New(rand.NewPCG(r.Seed, 1<<33))
	for range r.Operations {
		if !r.Faultless {
			r.wire.Plan(r.plannedCut(turns))
		}
		r.clients[turns.IntN(len(r.clients))].step(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	r.wire.Plan(nil)
	return nil
}

// violate notes what is wrong while the round goes on.
func (r *round) violate(invariant, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, Violation{Invariant: invariant, Text: fmt.Sprintf(format, args...)})
}

func (r *round) clock() int64 { return int64(time.Since(r.begin)) }
