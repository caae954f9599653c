package pools_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/pools/provider"
)

const patience = 40 * time.Second

// until waits for a condition.
func (fx *fixture) until(what string, ok func() bool) {
	fx.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			fx.t.Fatalf("waited %s for %s: %v, %d instances", patience, what, fx.states(), len(fx.cloud.running()))
		}
		<-time.After(5 * time.Millisecond)
	}
}

// TestReplicasThatCrashNeitherLoseNorDoubleWorkers runs three replicas over a cloud that fails before and
// after it did what it was asked, and kills a replica now and then in the midst of a call.
func TestReplicasThatCrashNeitherLoseNorDoubleWorkers(t *testing.T) {
	fx := newFixture(t)
	fx.create("cloud", `{"minCapacity": 0, "maxCapacity": 60, "launchConfigs": [{"env": {"A": "1"}}, {"env": {"A": "2"}}]}`)
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(3, 4))
	chance := func(part float64) bool {
		mu.Lock()
		defer mu.Unlock()
		return r.Float64() < part
	}
	stops := make([]context.CancelFunc, 3)
	var all sync.WaitGroup
	replica := func(n int) {
		ctx, cancel := context.WithCancel(t.Context())
		mu.Lock()
		stops[n] = cancel
		mu.Unlock()
		fx.deps.Every = 40 * time.Millisecond
		p := fx.open()
		p.Start(ctx)
		all.Go(func() { <-ctx.Done(); p.Stop() })
	}
	fx.cloud.fail = func(int) error {
		if chance(0.1) {
			return errors.New("the cloud does not answer")
		}
		if chance(0.1) {
			return errors.Join(provider.ErrRefused, errors.New("no room"))
		}
		return nil
	}
	fx.cloud.lose = func(int) error {
		if chance(0.1) {
			mu.Lock()
			stops[r.IntN(3)]()
			mu.Unlock()
		}
		if chance(0.2) {
			return errors.New("the answer is lost")
		}
		return nil
	}
	for n := range stops {
		replica(n)
	}
	impatient := func() { // pauses and leases are of minutes
		fx.sql(`UPDATE worker_launches SET next_try = now() WHERE next_try > now() + interval '300 ms'`)
		fx.sql(`UPDATE worker_providers SET launch_after = now()`)
		fx.sql(`UPDATE worker_pool_errors SET reported = reported - interval '2 hours' WHERE reported > now() - interval '1 hour'`)
		for n := range stops {
			if chance(0.05) {
				mu.Lock()
				stop := stops[n]
				mu.Unlock()
				stop()
				replica(n)
			}
		}
	}
	fx.want(40, 0)
	fx.until("40 workers", func() bool { impatient(); return fx.states()[pools.Requested] == 40 })
	fx.want(0, 0)
	fx.until("no launches", func() bool {
		impatient()
		var n int
		fx.must(fx.db.QueryRow(t.Context(), `SELECT count(*) FROM worker_launches`).Scan(&n))
		return n == 0
	})
	for _, stop := range stops {
		stop()
	}
	all.Wait()
	// Each instance is known, but those whose launch was given up for lost too often; those the reaper stops.
	fx.cloud.fail, fx.cloud.lose = nil, nil
	if _, err := fx.Reap(t.Context(), "cloud", fx.cloud, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	list, err := fx.Workers(t.Context(), poolName, pools.WorkerFilter{}, 1000)
	fx.must(err)
	known, there := map[string]bool{}, map[string]bool{}
	for _, w := range list {
		known[w.WorkerID] = true
	}
	for _, i := range fx.cloud.running() {
		there[i.ID] = true
	}
	if diff := cmp.Diff(known, there); diff != "" || len(known) < 40 || len(known) > 60 {
		t.Errorf("%d workers: %s", len(known), diff)
	}
}

func TestTheReaperStopsWhatNobodyKnows(t *testing.T) {
	fx := newFixture(t)
	fx.create("cloud", one)
	fx.want(2, 0)
	fx.round()
	stray, err := fx.cloud.Launch(t.Context(), provider.Launch{Key: "stray"})
	fx.must(err)
	if n, err := fx.Reap(t.Context(), "cloud", fx.cloud, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("%d too young ones are stopped, %v", n, err)
	}
	if n, err := fx.Reap(t.Context(), "cloud", fx.cloud, time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("%d are stopped, %v", n, err)
	}
	for _, i := range fx.cloud.running() {
		if i.ID == stray.ID {
			t.Error("the stray one runs")
		}
	}
	if n := len(fx.cloud.running()); n != 2 {
		t.Errorf("%d are left", n)
	}
}

// dead is a cloud that never answers.
type dead struct{ *cloud }

func (dead) Launch(ctx context.Context, _ provider.Launch) (provider.Instance, error) {
	<-ctx.Done()
	return provider.Instance{}, ctx.Err()
}

func (dead) List(ctx context.Context, _ []json.RawMessage) ([]provider.Found, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestADeadCloudHoldsUpNoOther(t *testing.T) {
	fx := newFixture(t)
	fx.deps.Providers["dead"] = dead{&cloud{instances: map[string]*machine{}}}
	fx.deps.Every = 20 * time.Millisecond
	p := fx.open()
	fx.Pools = p
	_, err := p.Create(t.Context(), "ada", "p/dead", definition("dead", `{"minCapacity": 3, "maxCapacity": 3, "launchConfigs": [{}]}`))
	fx.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	p.Start(ctx)
	defer p.Stop()
	defer cancel()
	fx.until("the dead cloud to be asked", func() bool {
		var n int
		fx.must(fx.db.QueryRow(t.Context(), `SELECT count(*) FROM worker_launches WHERE tries > 0`).Scan(&n))
		return n == 3
	})
	fx.want(5, 0)
	fx.create("cloud", one)
	fx.until("workers of the living one", func() bool { return len(fx.cloud.running()) == 5 })
}

func TestErrorsAreToldAndSlowDown(t *testing.T) {
	fx := newFixture(t)
	fx.create("cloud", `{"minCapacity": 0, "maxCapacity": 10, "launchConfigs": [{"workerManager": {"launchConfigId": "a"}}, {"workerManager": {"launchConfigId": "b", "initialWeight": 0}}]}`)
	fx.cloud.fail = func(int) error { return errors.Join(provider.ErrRefused, errors.New("no room in here")) }
	fx.want(1, 0)
	for range 5 {
		fx.round()
	}
	if fx.cloud.calls != 1 {
		t.Errorf("the cloud was asked %d times although it refuses", fx.cloud.calls)
	}
	list, err := fx.Errors(t.Context(), poolName, pools.ErrorFilter{LaunchConfigID: "a"}, 10)
	fx.must(err)
	if len(list) != 1 || list[0].Kind != "creation-error" || list[0].Title != "Worker Creation Error" {
		t.Errorf("%+v", list)
	}
	fx.sql(`UPDATE worker_pool_errors SET reported = reported - interval '20 seconds'`)
	fx.round()
	if fx.cloud.calls != 2 {
		t.Errorf("after a pause it was asked %d times", fx.cloud.calls)
	}
	if diff := cmp.Diff([]string{"ada@example.com creation-error"}, fx.mails); diff != "" {
		t.Error(diff)
	}
	stats, err := fx.ErrorStats(t.Context(), poolName)
	fx.must(err)
	day, hour := 0, 0
	for _, n := range stats.Daily {
		day += n
	}
	for _, n := range stats.Hourly {
		hour += n
	}
	if stats.Total != 2 || day != 2 || hour != 2 || stats.LaunchConfig["a"] != 2 || len(stats.Daily) != 7 || len(stats.Hourly) != 24 {
		t.Errorf("%+v", stats)
	}
	if n := fx.kinds()["worker-pool-error"]; n != 2 {
		t.Errorf("%d messages", n)
	}
	fx.sql(`UPDATE worker_pool_errors SET reported = now() - interval '8 days'`)
	fx.prune()
	if stats, err := fx.ErrorStats(t.Context(), ""); err != nil || stats.Total != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func TestALostAnswerIsAskedForAgainWithTheSameKey(t *testing.T) {
	fx := newFixture(t)
	fx.create("cloud", one)
	fx.cloud.lose = func(call int) error {
		if call < 3 {
			return errors.New("connection reset")
		}
		return nil
	}
	fx.want(1, 0)
	fx.round()
	for range 2 {
		fx.launch() // not yet due
		fx.sql(`UPDATE worker_launches SET next_try = now()`)
		fx.launch()
	}
	if n := len(fx.cloud.running()); n != 1 || fx.cloud.calls != 3 || fx.states()[pools.Requested] != 1 {
		t.Errorf("%d instances after %d calls, workers %v", n, fx.cloud.calls, fx.states())
	}
}

func TestPoolsChangeTheirProviderAndGo(t *testing.T) {
	fx := newFixture(t)
	fx.create("cloud", one)
	fx.want(1, 0)
	fx.round()
	fx.register()
	fx.want(0, 0)
	pool, err := fx.Update(t.Context(), "ada", poolName, definition("other", `{"minCapacity": 0, "maxCapacity": 1, "launchConfigs": [{"env": {"B": "1"}}]}`))
	fx.must(err)
	if pool.ProviderID != "other" {
		t.Errorf("%+v", pool)
	}
	fx.must(fx.Provision(t.Context(), poolName))
	w := pools.Key{WorkerPoolID: poolName, WorkerGroup: "here", WorkerID: "i-1"}
	if terminate, reason, err := fx.Verdict(t.Context(), w); !terminate || reason != "launch config archived" || err != nil {
		t.Errorf("%v %s %v", terminate, reason, err)
	}
	if _, err := fx.Delete(t.Context(), "ada", poolName); err != nil {
		t.Fatal(err)
	}
	fx.prune()
	if pool, err := fx.Get(t.Context(), poolName); err != nil || pool.ProviderID != pools.NullProvider {
		t.Errorf("it is gone before its worker: %v", err)
	}
	fx.must(fx.RemoveWorker(t.Context(), w, "over"))
	fx.check()
	fx.check()
	fx.prune()
	if _, err := fx.Get(t.Context(), poolName); err == nil {
		t.Error("it is there still")
	}
}
