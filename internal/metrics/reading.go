package metrics

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reading reads values of some families from the database.
type Reading struct {
	Name     string
	Families []string      // names
	Every    time.Duration // at most so often; 15 s when zero
	Within   time.Duration // it is given up after so long; 3 s when zero
	Read     func(ctx context.Context, s *Sheet) error
}

const (
	defaultEvery  = 15 * time.Second
	defaultWithin = 3 * time.Second
	readAtOnce    = 4               // readings at the database at a time
	patience      = 6 * time.Second // of a scrape, with all readings: Prometheus gives up after ten by default
)

// Sheet takes what a reading finds.
type Sheet struct {
	values []value
	known  map[string]Family
	wrong  error
}

type value struct {
	family Family
	value  float64
	labels []string
}

// Set notes a value; labels are in the order of the family's.
func (s *Sheet) Set(name string, v float64, labels ...string) {
	f, ok := s.known[name]
	if !ok || len(f.Labels) != len(labels) {
		s.wrong = fmt.Errorf("metrics: %s with %d labels is not of this reading", name, len(labels))
		return
	}
	s.values = append(s.values, value{f, v, labels})
}

// Age notes how long ago something was; nothing when it never was.
func (s *Sheet) Age(name string, now, at time.Time, labels ...string) {
	if !at.IsZero() {
		s.Set(name, positive(now.Sub(at)), labels...)
	}
}

// Amount is a named thing with a weight, for Top.
type Amount struct {
	ID     string
	Weight float64
}

// Top says under which name each of many things stands: those that weigh most, Most of them, under their own, the others
// under Other.
func Top(list []Amount) map[string]string {
	names := make(map[string]string, len(list))
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Amount) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.ID, b.ID))
	})
	for i, a := range list {
		names[a.ID] = a.ID
		if i >= Most {
			names[a.ID] = Other
		}
	}
	return names
}

// readings are all of a server, and what they found last.
type readings struct {
	ctx  context.Context
	log  *slog.Logger
	mu   sync.Mutex
	list []*kept
	slot chan struct{}
}

// kept is a reading and its last result.
type kept struct {
	Reading
	mu    sync.Mutex // held while it is read
	known map[string]Family

	state  sync.Mutex
	values []value
	at     time.Time // when it was begun last
	took   time.Duration
	ok     bool
	failed bool // the log was told
}

// Read adds readings. They run under ctx when somebody scrapes; log is told when one begins to fail, and when it works
// again.
func (m *Metrics) Read(ctx context.Context, log *slog.Logger, list ...Reading) {
	rs := &m.readings
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.slot == nil {
		rs.ctx, rs.log, rs.slot = ctx, log, make(chan struct{}, readAtOnce)
	}
	for _, r := range list {
		k := &kept{Reading: r, known: map[string]Family{}}
		k.Every, k.Within = cmp.Or(r.Every, defaultEvery), cmp.Or(r.Within, defaultWithin)
		for _, f := range Families() {
			if slices.Contains(r.Families, f.Name) {
				k.known[f.Name] = f
			}
		}
		rs.list = append(rs.list, k)
	}
}

// Describe implements prometheus.Collector: nothing is promised, for readings come later.
func (rs *readings) Describe(chan<- *prometheus.Desc) {}

var readingDescs = struct{ up, took, age *prometheus.Desc }{readingUp.desc(), readingSeconds.desc(), readingAge.desc()}

// Collect implements prometheus.Collector. It waits for readings that are due as long as a scrape can wait; what is not
// there by then is left to the next scrape.
func (rs *readings) Collect(out chan<- prometheus.Metric) {
	rs.mu.Lock()
	list := slices.Clone(rs.list)
	rs.mu.Unlock()
	if len(list) == 0 {
		return
	}
	done := make(chan struct{})
	var reads sync.WaitGroup
	for _, k := range list {
		reads.Go(func() { k.refresh(rs) })
	}
	go func() { reads.Wait(); close(done) }()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
	for _, k := range list {
		k.collect(out)
	}
}

// refresh reads anew when what is kept is too old. One reads at a time; the others then find it fresh.
func (k *kept) refresh(rs *readings) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fresh() {
		return
	}
	rs.slot <- struct{}{}
	defer func() { <-rs.slot }()
	ctx, cancel := context.WithTimeout(rs.ctx, k.Within)
	defer cancel()
	sheet := &Sheet{known: k.known}
	began := time.Now()
	err := k.Reading.Read(ctx, sheet)
	err = cmp.Or(err, sheet.wrong)
	k.state.Lock()
	defer k.state.Unlock()
	k.at, k.took, k.ok, k.values = began, time.Since(began), err == nil, sheet.values
	switch {
	case err != nil && !k.failed && rs.ctx.Err() == nil:
		rs.log.WarnContext(ctx, "values for metrics cannot be read; they are left out until they can", "reading", k.Name, "err", err)
	case err == nil && k.failed:
		rs.log.InfoContext(ctx, "values for metrics can be read again", "reading", k.Name)
	}
	k.failed = err != nil
}

func (k *kept) fresh() bool {
	k.state.Lock()
	defer k.state.Unlock()
	return !k.at.IsZero() && time.Since(k.at) < k.Every
}

func (k *kept) collect(out chan<- prometheus.Metric) {
	k.state.Lock()
	defer k.state.Unlock()
	up := 0.0
	if k.ok {
		up = 1
	}
	out <- prometheus.MustNewConstMetric(readingDescs.up, prometheus.GaugeValue, up, k.Name)
	if k.at.IsZero() {
		return
	}
	out <- prometheus.MustNewConstMetric(readingDescs.took, prometheus.GaugeValue, k.took.Seconds(), k.Name)
	out <- prometheus.MustNewConstMetric(readingDescs.age, prometheus.GaugeValue, time.Since(k.at).Seconds(), k.Name)
	if !k.ok {
		return
	}
	for _, v := range k.values {
		kind := prometheus.GaugeValue
		if v.family.Kind == Counter {
			kind = prometheus.CounterValue
		}
		m, err := prometheus.NewConstMetric(v.family.desc(), kind, v.value, v.labels...)
		if err == nil { // a label that is no UTF-8 is left out, not the scrape
			out <- m
		}
	}
}
