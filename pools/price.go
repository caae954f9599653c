package pools

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Prices is what the workers of a pool cost an hour, as its config says.
type Prices struct {
	Currency string // as in ISO 4217
	Worker   *float64
	Configs  map[string]float64 // by launch config, where it says
}

// DefaultCurrency is that of prices whose config names none.
const DefaultCurrency = "USD"

// Set reports whether there is any price.
func (p Prices) Set() bool { return p.Worker != nil || len(p.Configs) > 0 }

// Of is the price of a worker of a launch config, "" for one that is not known: that of the launch config, else the pool's,
// else the highest of its launch configs, so that nothing seems to be cheaper than it is.
func (p Prices) Of(launchConfigID string) float64 {
	if price, ok := p.Configs[launchConfigID]; ok {
		return price
	}
	if p.Worker != nil {
		return *p.Worker
	}
	most := 0.0
	for _, price := range p.Configs {
		most = max(most, price)
	}
	return most
}

// priced are the parts of configs that name prices.
type priced struct {
	Price    *float64 `json:"pricePerHour"`
	Currency string   `json:"currency"`
	Manager  struct {
		Price *float64 `json:"pricePerHour"`
	} `json:"workerManager"`
}

// Prices reads what a pool's workers cost, archived launch configs' too.
func (p *Pools) Prices(ctx context.Context, poolID string) (Prices, error) {
	all, err := p.prices(ctx, poolID)
	if out, ok := all[poolID]; ok || err != nil {
		return out, err
	}
	return Prices{Currency: DefaultCurrency}, nil
}

// prices are those of the pools that name any; poolID "" is all pools.
func (p *Pools) prices(ctx context.Context, poolID string) (map[string]Prices, error) {
	rows, err := p.Pool.Query(ctx, pricesSQL.Text, poolID)
	if err != nil {
		return nil, failed("prices", err)
	}
	out := map[string]Prices{}
	var id, config string
	var content json.RawMessage
	_, err = pgx.ForEachRow(rows, []any{&id, &config, &content}, func() error {
		var x priced
		if err := json.Unmarshal(content, &x); err != nil {
			return nil // the schema does not let such in: it has no price
		}
		prices, known := out[id]
		if !known {
			prices = Prices{Currency: DefaultCurrency, Configs: map[string]float64{}}
		}
		switch {
		case config == "":
			prices.Worker = x.Price
			if x.Currency != "" {
				prices.Currency = x.Currency
			}
		case x.Manager.Price != nil:
			prices.Configs[config] = *x.Manager.Price
		}
		out[id] = prices
		return nil
	})
	return out, failed("prices", err)
}

// Standing is what workers a pool has that are not stopped.
type Standing struct {
	Running  int      // capacity of those that run
	Hourly   *float64 // what all of them cost an hour; nil: the pool has no prices
	Currency string
}

// Standings tells of all pools.
func (p *Pools) Standings(ctx context.Context) (map[string]Standing, error) {
	prices, err := p.prices(ctx, "")
	if err != nil {
		return nil, err
	}
	rows, err := p.Pool.Query(ctx, standingsSQL.Text)
	if err != nil {
		return nil, failed("standings", err)
	}
	out := map[string]Standing{}
	var (
		id, config     string
		running, count int
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &config, &running, &count}, func() error {
		s := out[id]
		s.Running += running
		if price := prices[id]; price.Set() {
			sum := float64(count) * price.Of(config)
			if s.Hourly != nil {
				sum += *s.Hourly
			}
			s.Hourly, s.Currency = &sum, price.Currency
		}
		out[id] = s
		return nil
	})
	return out, failed("standings", err)
}

var (
	// A pool's own config stands with its launch configs, whose id is then "".
	pricesSQL = pg.Statement{Name: "pools.prices", Text: `
SELECT worker_pool_id, '', config FROM worker_pools WHERE ($1 = '' OR worker_pool_id = $1) AND config::text LIKE '%"pricePerHour"%'
UNION ALL
SELECT worker_pool_id, launch_config_id, configuration FROM launch_configs
WHERE ($1 = '' OR worker_pool_id = $1) AND configuration::text LIKE '%"pricePerHour"%'`}

	standingsSQL = pg.Statement{Name: "pools.standings", Text: `
SELECT p.worker_pool_id, coalesce(w.launch_config_id, ''), coalesce(sum(w.capacity) FILTER (WHERE w.state = 'running'), 0)::int, count(w.worker_id)::int
FROM worker_pools p LEFT JOIN pool_workers w ON w.worker_pool_id = p.worker_pool_id AND w.state <> 'stopped'
GROUP BY 1, 2`}
)
