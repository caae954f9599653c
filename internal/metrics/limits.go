package metrics

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// refusals are what the limits of requests have refused.
type refusals struct {
	mu   sync.Mutex
	read func() map[string]uint64
}

// Limits shows what read says: how many requests each kind of limit has refused since the start. The last call counts.
func (m *Metrics) Limits(read func() map[string]uint64) {
	m.refusals.mu.Lock()
	defer m.refusals.mu.Unlock()
	m.refusals.read = read
}

var refusedDesc = limitsRefused.desc()

// Describe implements prometheus.Collector.
func (r *refusals) Describe(out chan<- *prometheus.Desc) { out <- refusedDesc }

// Collect implements prometheus.Collector.
func (r *refusals) Collect(out chan<- prometheus.Metric) {
	r.mu.Lock()
	read := r.read
	r.mu.Unlock()
	if read == nil {
		return
	}
	counts := read()
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		out <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(counts[kind]), kind)
	}
}
