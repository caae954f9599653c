package pools_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/pools/estimate"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/static"
	"github.com/treeline-ci/treeline/task"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), pools.Statements()...) }

// cloud is a place where workers come from, in memory, with the faults that real ones have. Its configs are
// those of local pools.
type cloud struct {
	mu        sync.Mutex
	instances map[string]*machine // by launch key
	made      int
	calls     int
	fail      func(call int) error // before anything is made
	lose      func(call int) error // after it was made
}

type machine struct {
	provider.Instance
	health  provider.Health
	created time.Time
}

func (c *cloud) Type() string                { return "local" }
func (c *cloud) Check(json.RawMessage) error { return nil }

func (c *cloud) Verify(_ context.Context, i provider.Instance, p provider.Proof) error {
	return provider.VerifyToken([]byte("k"), i.Key, p.Content)
}

func (c *cloud) Launch(_ context.Context, l provider.Launch) (provider.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.fail != nil {
		if err := c.fail(c.calls); err != nil {
			return provider.Instance{}, err
		}
	}
	m := c.instances[l.Key]
	if m == nil {
		c.made++
		m = &machine{provider.Instance{Group: "here", ID: fmt.Sprintf("i-%d", c.made), Key: l.Key}, provider.Running, time.Now()}
		c.instances[l.Key] = m
	}
	if c.lose != nil {
		if err := c.lose(c.calls); err != nil {
			return provider.Instance{}, err
		}
	}
	return m.Instance, nil
}

func (c *cloud) Look(_ context.Context, list []provider.Instance) ([]provider.Health, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]provider.Health, len(list))
	for i, x := range list {
		if m := c.instances[x.Key]; m != nil {
			out[i] = m.health
		}
	}
	return out, nil
}

func (c *cloud) Stop(_ context.Context, i provider.Instance) error {
	c.set(i.Key, provider.Gone)
	return nil
}

func (c *cloud) set(key string, h provider.Health) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.instances[key]; m != nil {
		m.health = h
	}
}

func (c *cloud) List(context.Context, []json.RawMessage) ([]provider.Found, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []provider.Found
	for _, m := range c.instances {
		if m.health != provider.Gone {
			out = append(out, provider.Found{Instance: m.Instance, Created: m.created})
		}
	}
	return out, nil
}

func (c *cloud) running() (list []provider.Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.instances {
		if m.health != provider.Gone {
			list = append(list, m.Instance)
		}
	}
	return list
}

// fixture is pools on a database, a cloud, and what the queue has to do.
type fixture struct {
	*pools.Pools
	t     *testing.T
	db    *pgxpool.Pool
	cloud *cloud
	deps  pools.Deps

	mu    sync.Mutex
	load  estimate.Load
	seen  map[pools.Key]pools.Seen
	gone  []string
	mails []string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	fx := &fixture{t: t, db: pgtest.DB(t), cloud: &cloud{instances: map[string]*machine{}}, seen: map[pools.Key]pools.Seen{}}
	r := rand.New(rand.NewPCG(1, 1))
	var random sync.Mutex
	fx.deps = pools.Deps{
		Pool: fx.db, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), RootURL: "https://tc.example.com",
		Issuer:    hawk.Credentials{ClientID: "static/taskcluster/worker-manager", AccessToken: "a-token-of-some-length-that-is-enough"},
		Providers: map[string]provider.Provider{"static": static.Provider{}, "cloud": fx.cloud, "other": &cloud{instances: map[string]*machine{}}},
		Counts: func(context.Context, string) (estimate.Load, error) {
			fx.mu.Lock()
			defer fx.mu.Unlock()
			return fx.load, nil
		},
		Seen: func(_ context.Context, id string) (list []pools.Seen, err error) {
			fx.mu.Lock()
			defer fx.mu.Unlock()
			for k, s := range fx.seen {
				if k.WorkerPoolID == id {
					list = append(list, s)
				}
			}
			return list, nil
		},
		SeenOne: func(_ context.Context, k pools.Key) (pools.Seen, bool, error) {
			fx.mu.Lock()
			defer fx.mu.Unlock()
			s, ok := fx.seen[k]
			return s, ok, nil
		},
		WorkerGone: func(_ context.Context, k pools.Key) error {
			fx.mu.Lock()
			defer fx.mu.Unlock()
			fx.gone = append(fx.gone, k.String())
			return nil
		},
		Failed: func(_ context.Context, p pools.Pool, e pools.Error) {
			fx.mu.Lock()
			defer fx.mu.Unlock()
			fx.mails = append(fx.mails, p.Owner+" "+e.Kind)
		},
		Random: func() float64 { random.Lock(); defer random.Unlock(); return r.Float64() },
	}
	fx.Pools = fx.open()
	return fx
}

// open is another replica.
func (fx *fixture) open() *pools.Pools {
	fx.t.Helper()
	p, err := pools.New(fx.deps)
	fx.must(err)
	return p
}

func (fx *fixture) must(err error) {
	fx.t.Helper()
	if err != nil {
		fx.t.Fatal(err)
	}
}

func (fx *fixture) prune() {
	fx.t.Helper()
	_, err := fx.Prune(fx.t.Context(), 7*24*time.Hour)
	fx.must(err)
}

// saw notes that a worker asked for work.
func (fx *fixture) saw(k pools.Key, s pools.Seen) {
	fx.mu.Lock()
	defer fx.mu.Unlock()
	s.WorkerGroup, s.WorkerID = k.WorkerGroup, k.WorkerID
	fx.seen[k] = s
}

func (fx *fixture) want(pending, claimed int) {
	fx.mu.Lock()
	defer fx.mu.Unlock()
	fx.load = estimate.Load{Pending: pending, Claimed: claimed}
}

const poolName = "p/work"

func definition(providerID, config string) pools.Definition {
	return pools.Definition{ProviderID: providerID, Description: "d", Owner: "ada@example.com", EmailOnError: true, Config: json.RawMessage(config)}
}

func (fx *fixture) create(providerID, config string) pools.Pool {
	fx.t.Helper()
	pool, err := fx.Create(fx.t.Context(), "ada", poolName, definition(providerID, config))
	fx.must(err)
	return pool
}

// round gives the pool a turn, and lets the provider do what is due.
func (fx *fixture) round() {
	fx.t.Helper()
	fx.must(fx.Provision(fx.t.Context(), poolName))
	fx.launch()
}

func (fx *fixture) launch() {
	fx.t.Helper()
	_, err := fx.Launch(fx.t.Context(), "cloud", fx.cloud)
	fx.must(err)
}

// check looks after all workers now.
func (fx *fixture) check() {
	fx.t.Helper()
	fx.sql(`UPDATE pool_workers SET next_check = now()`)
	_, err := fx.Look(fx.t.Context(), "cloud", fx.cloud)
	fx.must(err)
}

func (fx *fixture) sql(text string) {
	fx.t.Helper()
	_, err := fx.db.Exec(fx.t.Context(), text)
	fx.must(err)
}

func (fx *fixture) states() map[pools.State]int {
	fx.t.Helper()
	list, err := fx.Workers(fx.t.Context(), poolName, pools.WorkerFilter{}, 1000)
	fx.must(err)
	out := map[pools.State]int{}
	for _, w := range list {
		out[w.State]++
	}
	return out
}

// register registers every worker that was asked for.
func (fx *fixture) register() []pools.Registered {
	fx.t.Helper()
	list, err := fx.Workers(fx.t.Context(), poolName, pools.WorkerFilter{State: pools.Requested}, 1000)
	fx.must(err)
	var out []pools.Registered
	for _, w := range list {
		r, err := fx.Register(fx.t.Context(), pools.Registration{Key: w.Key(), ProviderID: "cloud", Proof: fx.proof(w)})
		fx.must(err)
		out = append(out, r)
	}
	return out
}

func (fx *fixture) proof(w pools.Worker) json.RawMessage {
	for _, i := range fx.cloud.running() {
		if i.ID == w.WorkerID {
			return provider.TokenProof([]byte("k"), i.Key)
		}
	}
	fx.t.Fatalf("worker %s has no instance", w.WorkerID)
	return nil
}

// kinds are the events so far.
func (fx *fixture) kinds() map[string]int {
	fx.t.Helper()
	rows, err := fx.db.Query(fx.t.Context(), `SELECT kind, count(*) FROM events GROUP BY kind`)
	fx.must(err)
	out := map[string]int{}
	for rows.Next() {
		var kind string
		var n int
		fx.must(rows.Scan(&kind, &n))
		out[kind] = n
	}
	fx.must(rows.Err())
	return out
}

const one = `{"minCapacity": 0, "maxCapacity": 10, "launchConfigs": [{"workerConfig": {"a": 1}}]}`

func TestFromNothingToManyAndBack(t *testing.T) {
	fx := newFixture(t)
	fx.create("cloud", one)
	fx.round()
	if n := len(fx.cloud.running()); n != 0 {
		t.Fatalf("%d workers without work", n)
	}
	fx.want(4, 0)
	fx.round()
	fx.round() // what was asked for is not asked for again
	if n := len(fx.cloud.running()); n != 4 {
		t.Fatalf("%d workers for 4 tasks", n)
	}
	got := fx.register()
	if diff := cmp.Diff(`{"a":1}`, string(got[0].Config)); diff != "" {
		t.Error(diff)
	}
	fx.want(0, 2)
	fx.round()
	over := 0
	list, err := fx.Workers(t.Context(), poolName, pools.WorkerFilter{}, 10)
	fx.must(err)
	for _, w := range list {
		terminate, reason, err := fx.Verdict(t.Context(), w.Key())
		fx.must(err)
		if terminate {
			over++
			if reason != estimate.OverNeed {
				t.Errorf("reason %q", reason)
			}
			fx.must(fx.RemoveWorker(t.Context(), w.Key(), "no work"))
		}
	}
	if over != 2 {
		t.Errorf("%d workers are to go, want 2", over)
	}
	fx.check() // stops them
	fx.check() // finds them gone
	if diff := cmp.Diff(map[pools.State]int{pools.Running: 2, pools.Stopped: 2}, fx.states()); diff != "" {
		t.Error(diff)
	}
	if len(fx.gone) != 2 {
		t.Errorf("the queue heard of %v", fx.gone)
	}
	if diff := cmp.Diff(map[string]int{"worker-pool-created": 1, "launch-config-created": 1, "worker-requested": 4, "worker-running": 4, "worker-removed": 2, "worker-stopped": 2}, fx.kinds()); diff != "" {
		t.Error(diff)
	}
	pool, err := fx.Get(t.Context(), poolName)
	fx.must(err)
	want := pools.Stats{CurrentCapacity: 2, RunningCount: 2, RunningCapacity: 2, StoppedCount: 2, StoppedCapacity: 2}
	if diff := cmp.Diff(want, pool.Stats); diff != "" {
		t.Error(diff)
	}
}

func TestAWorkerThatItsProviderLostGivesItsTasksBack(t *testing.T) {
	fx := newFixture(t)
	fx.create("cloud", one)
	fx.want(1, 0)
	fx.round()
	fx.register()
	fx.cloud.set(fx.cloud.running()[0].Key, provider.Gone)
	fx.check()
	if diff := cmp.Diff([]string{"p/work/here/i-1"}, fx.gone); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[pools.State]int{pools.Stopped: 1}, fx.states()); diff != "" {
		t.Error(diff)
	}
	fx.round()
	if n := len(fx.cloud.running()); n != 1 {
		t.Errorf("%d workers took its place", n)
	}
}

func TestWhenWorkersAreGivenUp(t *testing.T) {
	for _, c := range []struct{ name, change, want string }{
		{"did not register", `UPDATE pool_workers SET state = 'requested', register_by = now() - interval '1 s'`, "registration timeout exceeded"},
		{"did not register again", `UPDATE pool_workers SET terminate_after = now() - interval '1 s'`, "terminateAfter time exceeded"},
		{"never asked for work", `UPDATE pool_workers SET registered = now() - interval '3 hours'`, "queueInactivityTimeout exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fx := newFixture(t)
			fx.create("cloud", one)
			fx.want(1, 0)
			fx.round()
			fx.register()
			fx.check()
			if fx.states()[pools.Running] != 1 {
				t.Fatal("given up too soon")
			}
			fx.sql(c.change)
			fx.check()
			var reason string
			fx.must(fx.db.QueryRow(t.Context(), `SELECT stop_reason FROM pool_workers WHERE state = 'stopping'`).Scan(&reason))
			if reason != c.want {
				t.Errorf("given up because of %q", reason)
			}
		})
	}
	t.Run("one in quarantine is left alone", func(t *testing.T) {
		fx := newFixture(t)
		fx.create("cloud", one)
		fx.want(1, 0)
		fx.round()
		fx.register()
		fx.saw(pools.Key{WorkerPoolID: poolName, WorkerGroup: "here", WorkerID: "i-1"}, pools.Seen{QuarantineUntil: time.Now().Add(time.Hour)})
		fx.sql(`UPDATE pool_workers SET registered = now() - interval '3 hours'`)
		fx.check()
		if fx.states()[pools.Running] != 1 {
			t.Error("a worker in quarantine was stopped")
		}
		fx.round()
		if n := len(fx.cloud.running()); n != 2 {
			t.Errorf("%d workers: one in quarantine does no work", n)
		}
	})
}

func TestRegistration(t *testing.T) {
	fx := newFixture(t)
	fx.create("cloud", one)
	fx.want(1, 0)
	fx.round()
	k := pools.Key{WorkerPoolID: poolName, WorkerGroup: "here", WorkerID: "i-1"}
	w, err := fx.Worker(t.Context(), k)
	fx.must(err)
	good := pools.Registration{Key: k, ProviderID: "cloud", Proof: fx.proof(w)}
	for _, c := range []struct {
		name string
		edit func(*pools.Registration)
		want fault.Kind
	}{
		{"no such pool", func(r *pools.Registration) { r.WorkerPoolID = "p/none" }, fault.NotFound},
		{"no such provider", func(r *pools.Registration) { r.ProviderID = "none" }, fault.NotFound},
		{"another provider", func(r *pools.Registration) { r.ProviderID = "other" }, fault.Invalid},
		{"no such worker", func(r *pools.Registration) { r.WorkerID = "i-2" }, fault.NotFound},
		{"a wrong proof", func(r *pools.Registration) { r.Proof = json.RawMessage(`{"token": "x"}`) }, fault.Invalid},
		{"no proof", func(r *pools.Registration) { r.Proof = json.RawMessage(`7`) }, fault.Invalid},
	} {
		r := good
		c.edit(&r)
		if _, err := fx.Register(t.Context(), r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	first, err := fx.Register(t.Context(), good)
	fx.must(err)
	if d := time.Until(first.Expires); d < 95*time.Hour || d > 96*time.Hour {
		t.Errorf("credentials hold for %s", d)
	}
	var cert struct{ Scopes []string }
	fx.must(json.Unmarshal([]byte(first.Credentials.Certificate), &cert))
	if first.Credentials.ClientID != "worker/cloud/p/work/here/i-1" || len(cert.Scopes) != 10 {
		t.Errorf("credentials of %s with %v", first.Credentials.ClientID, cert.Scopes)
	}
	again, err := fx.Register(t.Context(), good)
	if err != nil || again.Secret == first.Secret {
		t.Errorf("the lost answer cannot be had again: %v", err)
	}
	fx.saw(k, pools.Seen{LastDateActive: time.Now()})
	if _, err := fx.Register(t.Context(), good); !errors.Is(err, fault.Invalid) {
		t.Errorf("registers although it works: %v", err)
	}
	if _, err := fx.Reregister(t.Context(), k, first.Secret); !errors.Is(err, fault.Invalid) {
		t.Errorf("an old secret: %v", err)
	}
	next, err := fx.Reregister(t.Context(), k, again.Secret)
	fx.must(err)
	if _, err := fx.Reregister(t.Context(), k, again.Secret); !errors.Is(err, fault.Invalid) {
		t.Errorf("a secret twice: %v", err)
	}
	fx.must(fx.RemoveWorker(t.Context(), k, "test"))
	if _, err := fx.Reregister(t.Context(), k, next.Secret); !errors.Is(err, fault.Invalid) {
		t.Errorf("a worker that is stopping: %v", err)
	}
	if n := fx.kinds()["worker-running"]; n != 1 {
		t.Errorf("%d messages that it runs", n)
	}
}

func TestStaticWorkers(t *testing.T) {
	fx := newFixture(t)
	fx.create("static", `{"workerConfig": {"x": true}, "lifecycle": {"reregistrationTimeout": 3600}}`)
	k := pools.Key{WorkerPoolID: poolName, WorkerGroup: "lab", WorkerID: "bench-1"}
	secret := "0123456789012345678901234567890123456789abcd"
	info := json.RawMessage(`{"staticSecret": "` + secret + `"}`)
	n := pools.NewWorker{Expires: task.At(time.Now().Add(time.Hour)), ProviderInfo: info}
	_, err := fx.CreateWorker(t.Context(), k, pools.NewWorker{Expires: task.At(time.Now().Add(-time.Hour)), ProviderInfo: info})
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("expired already: %v", err)
	}
	if _, err := fx.UpdateWorker(t.Context(), k, n); !errors.Is(err, fault.NotFound) {
		t.Errorf("change of none: %v", err)
	}
	_, err = fx.CreateWorker(t.Context(), k, n)
	fx.must(err)
	first, err := fx.CreateWorker(t.Context(), k, pools.NewWorker{Expires: task.At(time.Now().Add(2 * time.Hour)), ProviderInfo: info})
	if err != nil || !first.Expires.Equal(n.Expires.Time) {
		t.Errorf("again, for one whose answer was lost: it expires at %s, not %s: %v", first.Expires, n.Expires, err)
	}
	other := pools.NewWorker{Expires: n.Expires, ProviderInfo: json.RawMessage(`{"staticSecret": "` + secret[1:] + `f"}`)}
	if _, err := fx.CreateWorker(t.Context(), k, other); !errors.Is(err, fault.Conflict) {
		t.Errorf("another secret: %v", err)
	}
	if n := fx.kinds()["worker-running"]; n != 1 {
		t.Errorf("%d messages that it runs", n)
	}
	for range 2 { // it may register as often as it likes
		r, err := fx.Register(t.Context(), pools.Registration{Key: k, ProviderID: "static", Proof: info})
		fx.must(err)
		if d := time.Until(r.Expires); d > time.Hour || string(r.Config) != `{"x": true}` {
			t.Errorf("credentials for %s, config %s", d, r.Config)
		}
	}
	wrong := json.RawMessage(`{"staticSecret": "x"}`)
	if _, err := fx.Register(t.Context(), pools.Registration{Key: k, ProviderID: "static", Proof: wrong}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a wrong secret: %v", err)
	}
	w, err := fx.UpdateWorker(t.Context(), k, pools.NewWorker{Capacity: 4, Expires: task.At(time.Now().Add(2 * time.Hour))})
	if err != nil || w.Capacity != 4 {
		t.Errorf("changed to %d: %v", w.Capacity, err)
	}
	var stored string
	fx.must(fx.db.QueryRow(t.Context(), `SELECT provider_data::text FROM pool_workers`).Scan(&stored))
	if strings.Contains(stored, secret) {
		t.Errorf("stored %s", stored)
	}
	fx.must(fx.RemoveWorker(t.Context(), k, "done"))
	if _, err := fx.Worker(t.Context(), k); !errors.Is(err, fault.NotFound) {
		t.Errorf("it is remembered: %v", err)
	}
}
