// Package metrics counts what the server does and reads how it stands, for Prometheus. There is one Metrics in a server,
// made by package app and handed to the rooms as narrow functions; there is no global registry.
//
// Counts are of this process alone. What the database knows (how long the queues are, how far consumers of the feed are
// behind) is read by readings: one cheap statement each, at most every so often whoever scrapes, within a bounded time. A
// reading that fails says so in treeline_reading_up and leaves its own metrics out; the scrape goes on.
//
// Families lists all of it; docs/reference/metrics.md is made from there. Names are those of taskcluster-map appendix G
// where the meaning is the same.
package metrics

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/treeline-ci/treeline/internal/chore"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Options are what a Metrics knows from the start.
type Options struct {
	Version, Revision string
	// Statements are all that rooms send to the database, so that round trips are counted by name.
	Statements []pg.Statement
}

// Metrics is what one server counts. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	SQL      *SQL

	requests    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	authSuccess *prometheus.CounterVec
	authFailure *prometheus.CounterVec
	secrets     prometheus.Counter
	lines       *prometheus.CounterVec
	rounds      *prometheus.HistogramVec

	queues     bounded // task queues with series of their own
	pools      bounded
	events     bounded
	completed  *prometheus.CounterVec
	failed     *prometheus.CounterVec
	exception  *prometheus.CounterVec
	defined    *prometheus.CounterVec
	wait       *prometheus.HistogramVec
	latency    prometheus.Histogram
	webhookLag *prometheus.HistogramVec
	webhooks   *prometheus.CounterVec
	desired    *prometheus.GaugeVec
	most       *prometheus.GaugeVec
	turns      *prometheus.HistogramVec
	registered *prometheus.HistogramVec

	databases databases
	refusals  refusals
	readings  readings
}

// New makes the registry with everything that is counted by this process. Readings come by Read.
func New(o Options) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), SQL: newSQL(o.Statements),
		requests: httpRequests.counters(), seconds: httpSeconds.histograms(), authSuccess: authSuccess.counters(), authFailure: authFailure.counters(),
		secrets: prometheus.NewCounter(prometheus.CounterOpts{Name: secretsRead.Name, Help: secretsRead.Help}),
		lines:   logLines.counters(), rounds: iterate.histograms(),
		completed: queueCompleted.counters(), failed: queueFailed.counters(), exception: queueException.counters(), defined: queueDefined.counters(),
		wait:       queueWait.histograms(),
		latency:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: claimLatency.Name, Help: claimLatency.Help, Buckets: claimLatency.Buckets}),
		webhookLag: webhookLag.histograms(), webhooks: webhooks.counters(),
		desired: poolDesired.gauges(), most: poolMaxCapacity.gauges(), turns: poolTurn.histograms(), registered: workerRegistered.histograms(),
	}
	build := buildInfo.gauges()
	build.WithLabelValues(o.Version, o.Revision, runtime.Version()).Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.SQL, &m.databases, &m.refusals, &m.readings, build,
		m.requests, m.seconds, m.authSuccess, m.authFailure, m.secrets, m.lines, m.rounds,
		m.completed, m.failed, m.exception, m.defined, m.wait, m.latency,
		m.webhookLag, m.webhooks, m.desired, m.most, m.turns, m.registered,
	)
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		m.lines.WithLabelValues(level.String())
	}
	return m
}

// Names returns every metric that the registry can give, those of the runtime and the process too, as a scrape names
// them: histograms with _bucket, _sum and _count.
func (m *Metrics) Names() map[string]Family {
	out := map[string]Family{}
	for _, f := range Families() {
		out[f.Name] = f
	}
	runtimeNames(func(name string) { out[name] = Family{Name: name, Room: "Runtime"} })
	return out
}

// bounded gives the first Most names a place of their own, and Other to all later ones.
type bounded struct {
	mu   sync.RWMutex
	seen map[string]bool
}

func (b *bounded) name(s string) string {
	b.mu.RLock()
	known, full := b.seen[s], len(b.seen) >= Most
	b.mu.RUnlock()
	switch {
	case known:
		return s
	case full:
		return Other
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[string]bool{}
	}
	if len(b.seen) >= Most && !b.seen[s] {
		return Other
	}
	b.seen[s] = true
	return s
}

// SecretRead counts a secret that somebody read who is no task.
func (m *Metrics) SecretRead() { m.secrets.Inc() }

// Round counts a round of what is done again and again; it is a chore.Teller.
func (m *Metrics) Round(_ context.Context, r chore.Round) {
	status := "success"
	if r.Err != nil {
		status = "failed"
	}
	m.rounds.WithLabelValues(r.Name, status).Observe(r.Took.Seconds())
}

// Lines returns a handler that counts lines by level and hands them on.
func (m *Metrics) Lines(next slog.Handler) slog.Handler { return counted{next, m} }

type counted struct {
	slog.Handler
	m *Metrics
}

func (c counted) Handle(ctx context.Context, r slog.Record) error {
	level := slog.LevelDebug
	for _, l := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if r.Level >= l {
			level = l
		}
	}
	c.m.lines.WithLabelValues(level.String()).Inc()
	return c.Handler.Handle(ctx, r)
}

func (c counted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return counted{c.Handler.WithAttrs(attrs), c.m}
}
func (c counted) WithGroup(name string) slog.Handler { return counted{c.Handler.WithGroup(name), c.m} }

// positive is a duration in seconds, never less than none: two clocks may differ.
func positive(d time.Duration) float64 { return max(0, d.Seconds()) }
