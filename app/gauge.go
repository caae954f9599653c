package app

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/queue/roster"
)

// makeGauge joins what the queue knows of its lines with what pools know of their workers.
func (a *App) makeGauge() {
	a.gauge = &gauge.Gauge{Pool: a.pool, Log: a.config.Log, Standings: a.standings}
}

// startGauge begins to write down how task queues stand.
func (a *App) startGauge(ctx context.Context) {
	a.gauge.Start(ctx)
	a.onStop(func(context.Context) error { a.gauge.Stop(); return nil })
}

func (a *App) standings(ctx context.Context) (map[string]gauge.Standing, error) {
	all, err := a.pools.Standings(ctx)
	out := make(map[string]gauge.Standing, len(all))
	for id, s := range all {
		out[id] = gauge.Standing{Capacity: s.Running, Hourly: s.Hourly}
	}
	return out, err
}

// auditQuarantine records who took which worker out of work, or let it work again.
func auditQuarantine(ctx context.Context, tx pgx.Tx, o roster.Order) error {
	action := "quarantined"
	if !o.QuarantineUntil.After(o.UpdatedAt.Time) {
		action = "quarantine-lifted"
	}
	type entity struct {
		Until any `json:"quarantineUntil"`
		Info  any `json:"quarantineInfo,omitempty"`
	}
	r := auth.Record{
		EntityType: "worker", EntityID: o.Worker.TaskQueueID + "/" + o.Worker.WorkerGroup + "/" + o.Worker.WorkerID, ClientID: o.ClientID,
		Action: action, After: entity{o.QuarantineUntil, o.QuarantineInfo},
	}
	if o.Before != nil {
		r.Before = entity{Until: o.Before}
	}
	return auth.Audit(ctx, tx, r)
}
