package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkFromCommitToRunning measures the time from the moment somebody starts git commit to the
// moment a worker starts the first task of its graph, decision included, and reports the median and
// the 95th percentile in milliseconds.
func BenchmarkFromCommitToRunning(b *testing.B) {
	m := shared(b)
	git(b, m.repo(), "checkout", "-q", "-f", "main")
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		head := m.feedHead()
		began := time.Now()
		b.StartTimer()
		revision := commit(b, m.repo(), "Measure", map[string]string{"README.md": fmt.Sprintf("# Pebble, measured %d times\n", i)})
		m.readFeed(fmt.Sprintf("kinds=task-running&after=%d", head), func(e feedEvent) bool {
			if e.TaskID == e.TaskGroupID {
				return true
			}
			took = append(took, e.Time.Sub(began))
			return false
		})
		b.StopTimer()
		m.green(revision, time.Minute)
		b.StartTimer()
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[int(share*float64(len(took)-1))].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.95), "p95-ms")
}
