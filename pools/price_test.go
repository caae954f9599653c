package pools_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/pools"
)

const twoConfigs = `{"minCapacity": 4, "maxCapacity": 8, "currency": "EUR", "pricePerHour": 0.5, "launchConfigs": [
	{"workerManager": {"launchConfigId": "dear", "pricePerHour": 2.25, "initialWeight": 0.8}},
	{"workerManager": {"launchConfigId": "cheap", "maxCapacity": 4}}]}`

func TestPricesAddUp(t *testing.T) {
	fx := newFixture(t)
	fx.create("cloud", twoConfigs)
	fx.round()
	states, err := fx.ConfigStates(t.Context(), poolName)
	fx.must(err)
	if len(states) != 2 || states[0].LaunchConfigID != "cheap" || states[0].Max != 4 || states[1].Initial != 0.8 {
		t.Fatalf("launch configs: %+v", states)
	}
	dear, cheap := float64(states[1].RequestedCount), float64(states[0].RequestedCount)
	if dear+cheap != 4 {
		t.Fatalf("workers: %v and %v", dear, cheap)
	}
	all, err := fx.Standings(t.Context())
	fx.must(err)
	if s := all[poolName]; s.Hourly == nil || *s.Hourly != 2.25*dear+0.5*cheap || s.Currency != "EUR" || s.Running != 0 {
		t.Errorf("standing: %+v, hourly %v", s, s.Hourly)
	}
	prices, err := fx.Prices(t.Context(), poolName)
	fx.must(err)
	if prices.Of("dear") != 2.25 || prices.Of("cheap") != 0.5 || prices.Of("gone") != 0.5 || !prices.Set() {
		t.Errorf("prices: %+v", prices)
	}
	t.Run("without a price there is no cost", func(t *testing.T) {
		_, err := fx.Update(t.Context(), "ada", poolName, definition("cloud", `{"minCapacity": 0, "maxCapacity": 1, "launchConfigs": [{}]}`))
		fx.must(err)
		_, err = fx.db.Exec(t.Context(), `DELETE FROM launch_configs WHERE is_archived`)
		fx.must(err)
		all, err := fx.Standings(t.Context())
		fx.must(err)
		prices, err := fx.Prices(t.Context(), poolName)
		fx.must(err)
		if all[poolName].Hourly != nil || prices.Set() {
			t.Errorf("standing %+v, prices %+v", all[poolName], prices)
		}
	})
}

func TestAPoolIsChangedAsItWasSeen(t *testing.T) {
	fx := newFixture(t)
	pool := fx.create("cloud", twoConfigs)
	d := pool.Definition
	d.Description = "mine"
	_, err := fx.Update(t.Context(), "bob", poolName, definition("cloud", twoConfigs))
	fx.must(err)
	if _, err := fx.UpdateSeen(t.Context(), "ada", poolName, pool.LastModified, d); fault.KindOf(err) != fault.Conflict {
		t.Errorf("changed meanwhile: %v", err)
	}
	pool, err = fx.Get(t.Context(), poolName)
	fx.must(err)
	pool, err = fx.UpdateSeen(t.Context(), "ada", poolName, pool.LastModified, d)
	if err != nil || pool.Description != "mine" {
		t.Errorf("as it was seen: %v, %q", err, pool.Description)
	}
	t.Run("a launch config is archived", func(t *testing.T) {
		pool, err := fx.Archive(t.Context(), "ada", poolName, "dear")
		fx.must(err)
		if strings.Contains(string(pool.Config), "dear") || !json.Valid(pool.Config) {
			t.Errorf("config: %s", pool.Config)
		}
		states, err := fx.ConfigStates(t.Context(), poolName)
		fx.must(err)
		if len(states) != 2 || states[0].IsArchived || !states[1].IsArchived || states[1].Weight != 0 || states[0].Weight != 1 {
			t.Errorf("states: %+v", states)
		}
		if _, err := fx.Archive(t.Context(), "ada", poolName, "dear"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("archived twice: %v", err)
		}
	})
	t.Run("workers end together, each with its result", func(t *testing.T) {
		fx.round()
		list, err := fx.Workers(t.Context(), poolName, pools.WorkerFilter{}, 10)
		fx.must(err)
		out := fx.RemoveWorkers(t.Context(), []pools.Key{list[0].Key(), {WorkerPoolID: poolName, WorkerGroup: "no", WorkerID: "such"}}, "of a test")
		if out[0].Err != nil || fault.KindOf(out[1].Err) != fault.NotFound || fx.states()[pools.Stopping] != 1 {
			t.Errorf("results: %+v, %v", out, fx.states())
		}
	})
	t.Run("errors are counted by worker and by pool", func(t *testing.T) {
		list, err := fx.Workers(t.Context(), poolName, pools.WorkerFilter{}, 10)
		fx.must(err)
		for range 2 {
			_, err = fx.ReportWorkerError(t.Context(), list[1].Key(), pools.Error{Kind: "worker-error", Title: "disk", Extra: json.RawMessage(`{}`)})
			fx.must(err)
		}
		by, err := fx.WorkerErrors(t.Context(), poolName)
		fx.must(err)
		all, err := fx.ErrorsSince(t.Context(), 24)
		fx.must(err)
		if by[list[1].WorkerGroup+"/"+list[1].WorkerID] != 2 || all[poolName] != 2 {
			t.Errorf("by worker %v, by pool %v", by, all)
		}
	})
}
