package doctorcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/doctor"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/pools/provider/setup"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/retention"
)

// The limits beyond which a finding is made.
const (
	waitsLong    = 10 * time.Minute // a task of a queue without workers
	stuckAfter   = 10 * time.Minute
	poolErrors   = 5 // in errorHours
	errorHours   = 1
	poolsAtOnce  = 1000
	sampledNames = 3
)

// database are the checks of what stands in the database.
func (d *deployment) database(pool *pgxpool.Pool, o *options) []doctor.Check {
	base := doctor.Database{
		Pool: pool, URL: d.config.DatabaseURL, PerServer: 2 * pg.Connections(d.config.DatabaseURL), Servers: o.servers, OldTransaction: o.age, SlotKeeps: o.slot << 20,
	}
	at := func(name string, look func(context.Context, *pgxpool.Pool) ([]doctor.Finding, error)) doctor.Check {
		return doctor.Check{Name: name, Look: func(ctx context.Context) ([]doctor.Finding, error) { return look(ctx, pool) }}
	}
	keys := at("encryption keys", d.keys)
	if !d.secrets {
		keys.Skip = "there are no secrets"
	}
	return append(base.Checks(), keys, at("clients and roles", d.clients), at("task queues", d.queues), at("worker pools", d.pools), at("feed", d.feed), at("retention", d.retention))
}

func (d *deployment) keys(ctx context.Context, pool *pgxpool.Pool) (found []doctor.Finding, err error) {
	ring, err := d.config.Secrets.Ring()
	if err != nil {
		return nil, err
	}
	reports, err := reseal.Run(ctx, pool, ring, false, app.Sealed()...)
	if err != nil {
		return nil, err
	}
	uses, lost := map[string]int{}, []string{}
	for _, r := range reports {
		for id, n := range r.Keys {
			uses[id] += n
		}
		for _, key := range r.Lost {
			lost = append(lost, strings.Join(key, "/")+" in "+r.Table)
		}
	}
	if len(lost) > 0 {
		found = append(found, doctor.Found("key-lost", "%d values open with none of the keys, such as %s", len(lost), strings.Join(lost[:min(len(lost), sampledNames)], ", ")))
	}
	for _, id := range ring.IDs()[1:] {
		if uses[id] == 0 {
			found = append(found, doctor.Found("key-unused", "the retired key %s seals nothing any more", id))
		} else {
			found = append(found, doctor.Found("key-retired-used", "the retired key %s seals %d values", id, uses[id]))
		}
	}
	return found, nil
}

func (d *deployment) clients(ctx context.Context, pool *pgxpool.Pool) (found []doctor.Finding, err error) {
	list, err := auth.Widest(ctx, pool)
	for _, w := range list {
		switch {
		case w.Static: // of the program itself, or of the configuration's file
		case w.Role:
			found = append(found, doctor.Found("client-everything", "the role %s has the scope *", w.ID))
		default:
			found = append(found, doctor.Found("client-everything", "the client %s has the scope *", w.ID))
		}
	}
	return found, err
}

func (d *deployment) queues(ctx context.Context, pool *pgxpool.Pool) (found []doctor.Finding, err error) {
	lines, err := (&gauge.Gauge{Pool: pool, Log: slog.New(slog.DiscardHandler), Age: -1}).Lines(ctx)
	for _, l := range lines {
		switch waits := time.Since(l.Oldest); {
		case l.Pending == 0 || waits < waitsLong:
		case l.Workers == 0:
			found = append(found, doctor.Found("queue-no-worker", "%d tasks of %s wait, the first for %v, and no worker asks for them", l.Pending, l.TaskQueueID, waits.Round(time.Minute)))
		case l.Quarantined >= l.Workers:
			found = append(found, doctor.Found("queue-quarantined", "%d tasks of %s wait, and all its workers are in quarantine", l.Pending, l.TaskQueueID))
		}
	}
	return found, err
}

func (d *deployment) pools(ctx context.Context, pool *pgxpool.Pool) (found []doctor.Finding, err error) {
	room, err := pools.New(pools.Deps{Pool: pool})
	if err != nil {
		return nil, err
	}
	failures, err := room.ErrorsSince(ctx, errorHours)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(failures)) {
		if failures[id] >= poolErrors {
			found = append(found, doctor.Found("pool-errors", "the pool %s had %d errors in the last hour", id, failures[id]))
		}
	}
	list, err := room.List(ctx, "", poolsAtOnce)
	if err != nil {
		return found, err
	}
	for _, p := range list {
		if p.ProviderID == pools.NullProvider || p.ProviderID == setup.Static {
			continue
		}
		if _, known := d.config.Pools.Providers[p.ProviderID]; !known {
			found = append(found, doctor.Found("pool-no-provider", "the pool %s is of the provider %s, which is not configured", p.ID, p.ProviderID))
		}
		var config struct {
			MaxCapacity int `json:"maxCapacity"`
		}
		if err := json.Unmarshal(p.Config, &config); err != nil {
			return found, fmt.Errorf("the config of pool %s: %w", p.ID, err)
		}
		if config.MaxCapacity == 0 {
			found = append(found, doctor.Found("pool-no-capacity", "the maxCapacity of the pool %s is 0", p.ID))
		}
	}
	return found, nil
}

func (d *deployment) retention(ctx context.Context, pool *pgxpool.Pool) (found []doctor.Finding, err error) {
	list, err := retention.All(ctx, pool)
	for _, j := range list {
		if j.Failures > 0 {
			found = append(found, doctor.Found("retention-failing", "the job %s failed %d times in a row: %s", j.Job, j.Failures, j.Error))
		}
		if j.Late {
			found = append(found, doctor.Found("retention-late", "the job %s is due for more than an hour, and nobody does it", j.Job))
		}
	}
	return found, err
}

func (d *deployment) feed(ctx context.Context, pool *pgxpool.Pool) (found []doctor.Finding, err error) {
	list, err := event.NewFeed(pool, slog.New(slog.DiscardHandler)).Consumers(ctx)
	for _, c := range list {
		if c.Name == pulse.Consumer && d.config.Pulse.URL == "" {
			continue // nothing is published any more
		}
		if c.Lag > 0 && c.Behind > stuckAfter {
			found = append(found, doctor.Found("consumer-stuck", "the consumer %s is %d events behind, the first %v old", c.Name, c.Lag, c.Behind.Round(time.Second)))
		}
	}
	return found, err
}
