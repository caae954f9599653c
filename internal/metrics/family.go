package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Kind is what a family's values are.
type Kind string

// The kinds of families.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Source says where a family's values come from, and with it how those of several servers are put together.
type Source string

// The sources of values.
const (
	Process  Source = "process"  // what this server did since it began: add up the servers
	Database Source = "database" // what the database says: the same at each server; take the highest
)

// Family is a metric with all its labels. Labels have few values: never an id of a task, a push or a person, nor text that
// somebody chose; task queues and worker pools are the Most busiest, and "other" for the rest.
type Family struct {
	Name    string
	Kind    Kind
	Source  Source
	Labels  []string
	Help    string
	Buckets []float64 // of a histogram, in seconds
	Room    string    // under which the reference lists it
}

// desc is the family for the client library.
func (f Family) desc() *prometheus.Desc { return prometheus.NewDesc(f.Name, f.Help, f.Labels, nil) }

func (f Family) counters() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: f.Name, Help: f.Help}, f.Labels)
}

func (f Family) gauges() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: f.Name, Help: f.Help}, f.Labels)
}

func (f Family) histograms() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: f.Name, Help: f.Help, Buckets: f.Buckets}, f.Labels)
}

// Most is how many task queues, and how many worker pools, have series of their own.
const Most = 100

// Other stands in labels for all that have none of their own.
const Other = "other"
