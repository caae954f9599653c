package uitest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/pools/estimate"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/static"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/queue/roster"
)

// addPools makes worker pools and the gauge, as a server joins them with the queue.
func (s *Site) addPools(t testing.TB) {
	t.Helper()
	var err error
	s.Pools, err = pools.New(pools.Deps{
		Pool: s.Pool, Log: s.log, RootURL: s.URL, Wake: s.Feed.Wake, Issuer: hawk.Credentials{ClientID: Admin, AccessToken: AdminToken},
		Providers: map[string]provider.Provider{"static": static.Provider{}, "cloud": &cloud{machines: map[string]provider.Instance{}}},
		Counts: func(ctx context.Context, id string) (estimate.Load, error) {
			c, err := s.Queue.PendingCounts(ctx, id)
			return estimate.Load{Pending: c.PendingTasks, Claimed: c.ClaimedTasks}, err
		},
		Seen:    func(context.Context, string) ([]pools.Seen, error) { return nil, nil },
		SeenOne: func(context.Context, pools.Key) (pools.Seen, bool, error) { return pools.Seen{}, false, nil },
		WorkerGone: func(ctx context.Context, k pools.Key) error {
			_, err := s.Queue.WorkerGone(ctx, k.WorkerPoolID, k.WorkerGroup, k.WorkerID)
			return err
		},
		Audit: func(ctx context.Context, tx pgx.Tx, d pools.Deed) error {
			r := auth.Record{EntityType: "worker-pool", EntityID: d.Pool, ClientID: d.Actor, Action: d.Action, After: d.After}
			if d.Before != nil {
				r.Before = d.Before
			}
			return auth.Audit(ctx, tx, r)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Gauge = &gauge.Gauge{Pool: s.Pool, Log: s.log, Age: -1, Standings: func(ctx context.Context) (map[string]gauge.Standing, error) {
		all, err := s.Pools.Standings(ctx)
		out := map[string]gauge.Standing{}
		for id, x := range all {
			out[id] = gauge.Standing{Capacity: x.Running, Hourly: x.Hourly}
		}
		return out, err
	}}
}

// WorkerPool makes a pool of the provider "cloud", or with "static" one whose workers are set up by hand; config is JSON.
func (s *Site) WorkerPool(t testing.TB, id, providerID, config string) pools.Pool {
	t.Helper()
	p, err := s.Pools.Create(t.Context(), Admin, id, pools.Definition{ProviderID: providerID, Description: "Of a **test**.", Owner: "ada@example.com", Config: json.RawMessage(config)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Provision gives a pool a turn, so that it has as many workers as it should.
func (s *Site) Provision(t testing.TB, id string) {
	t.Helper()
	if err := s.Pools.Provision(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	scaler, ok := s.Pools.Providers["cloud"].(provider.Scaler)
	if !ok {
		t.Fatal("the provider makes no workers")
	}
	if _, err := s.Pools.Launch(t.Context(), "cloud", scaler); err != nil {
		t.Fatal(err)
	}
}

func auditQuarantine(ctx context.Context, tx pgx.Tx, o roster.Order) error {
	return auth.Audit(ctx, tx, auth.Record{
		EntityType: "worker", EntityID: o.Worker.TaskQueueID + "/" + o.Worker.WorkerGroup + "/" + o.Worker.WorkerID, ClientID: o.ClientID,
		Action: "quarantined", After: map[string]any{"until": o.QuarantineUntil, "info": o.QuarantineInfo},
	})
}

// cloud is a place in memory where workers come from; its configs are those of local pools.
type cloud struct {
	mu       sync.Mutex
	machines map[string]provider.Instance
}

func (c *cloud) Type() string                { return "local" }
func (c *cloud) Check(json.RawMessage) error { return nil }
func (c *cloud) Verify(context.Context, provider.Instance, provider.Proof) error {
	return provider.ErrRefused
}

func (c *cloud) Launch(_ context.Context, l provider.Launch) (provider.Instance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.machines[l.Key]
	if !ok {
		i = provider.Instance{Group: "cloud-1", ID: fmt.Sprintf("i-%d", len(c.machines)+1), Key: l.Key}
		c.machines[l.Key] = i
	}
	return i, nil
}

func (c *cloud) Look(_ context.Context, list []provider.Instance) ([]provider.Health, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]provider.Health, len(list))
	for i, x := range list {
		if _, ok := c.machines[x.Key]; ok {
			out[i] = provider.Running
		}
	}
	return out, nil
}

func (c *cloud) Stop(_ context.Context, i provider.Instance) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.machines, i.Key)
	return nil
}

func (c *cloud) List(context.Context, []json.RawMessage) ([]provider.Found, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []provider.Found
	for _, i := range c.machines {
		out = append(out, provider.Found{Instance: i})
	}
	return out, nil
}
