package app

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkGitHubWebhookToDecision measures how long a push takes from its webhook, as it is stored, to a decision task
// that can be claimed: all requests to GitHub included, which the double on this machine answers at once.
func BenchmarkGitHubWebhookToDecision(b *testing.B) {
	h := newHub(b, map[string]string{".taskcluster.yml": checkedYML("{}")})
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		h.push("main", map[string]string{"a": fmt.Sprint(n)})
		h.settle()
		h.until("the task", func() bool { return len(h.made()) == n+1 })
		build := h.build("push")
		var received time.Time
		h.must(h.server.pool.QueryRow(b.Context(), `SELECT received FROM github_deliveries WHERE guid = $1`, build.EventID).Scan(&received))
		status, err := h.server.queue.Status(b.Context(), build.TaskGroupID)
		h.must(err)
		took = append(took, status.LastRun().Scheduled.Sub(received))
	}
	slices.Sort(took)
	for name, part := range map[string]int{"p50-ms": 50, "p99-ms": 99} {
		b.ReportMetric(float64(took[len(took)*part/100].Microseconds())/1000, name)
	}
	b.ReportMetric(0, "ns/op") // a round waits for more than the task
}
