package metrics

import (
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// databases are the pools of connections.
type databases struct {
	mu    sync.Mutex
	pools []namedPool
}

type namedPool struct {
	name string
	pool *pgxpool.Pool
}

// Connections shows how a pool's connections are used, under a name.
func (m *Metrics) Connections(name string, pool *pgxpool.Pool) {
	m.databases.mu.Lock()
	defer m.databases.mu.Unlock()
	m.databases.pools = append(m.databases.pools, namedPool{name, pool})
}

var poolDescs = struct{ conns, most, acquires, waits, waited *prometheus.Desc }{
	poolConns.desc(), poolMax.desc(), poolAcquires.desc(), poolWaits.desc(), poolWaited.desc(),
}

// Describe implements prometheus.Collector.
func (d *databases) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{poolDescs.conns, poolDescs.most, poolDescs.acquires, poolDescs.waits, poolDescs.waited} {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (d *databases) Collect(out chan<- prometheus.Metric) {
	d.mu.Lock()
	pools := d.pools
	d.mu.Unlock()
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, kind, v, labels...)
	}
	for _, p := range pools {
		s := p.pool.Stat()
		send(poolDescs.conns, prometheus.GaugeValue, float64(s.AcquiredConns()), p.name, "used")
		send(poolDescs.conns, prometheus.GaugeValue, float64(s.IdleConns()), p.name, "idle")
		send(poolDescs.conns, prometheus.GaugeValue, float64(s.ConstructingConns()), p.name, "opening")
		send(poolDescs.most, prometheus.GaugeValue, float64(s.MaxConns()), p.name)
		send(poolDescs.acquires, prometheus.CounterValue, float64(s.AcquireCount()), p.name)
		send(poolDescs.waits, prometheus.CounterValue, float64(s.EmptyAcquireCount()), p.name)
		send(poolDescs.waited, prometheus.CounterValue, s.EmptyAcquireWaitTime().Seconds(), p.name)
	}
}
