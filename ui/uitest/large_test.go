package uitest_test

import (
	"testing"
	"time"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestTenThousandTasks looks at a push of 10,000 tasks. Times are printed, not judged.
func TestTenThousandTasks(t *testing.T) {
	s := uitest.New(t)
	group := uitest.Large(t, s, 10_000)
	tab := s.Tab(t)
	started := time.Now()
	tab.Go(t, "/jobs?repo=large")
	tab.Wait(t, `document.querySelectorAll("b.c.failed").length > 20`)
	t.Logf("the pushes are drawn %v after the address was entered; the server took %v ms, the script %v ms", time.Since(started).Round(time.Millisecond),
		uitest.Eval[float64](t, tab, `Math.round(performance.getEntriesByType("navigation")[0].responseEnd)`),
		uitest.Eval[float64](t, tab, `Math.round(performance.getEntriesByType("navigation")[0].domInteractive - performance.getEntriesByType("navigation")[0].responseEnd)`))
	if got := tab.Count(t, "b.c"); got > 3000 {
		t.Errorf("%d cells are in the page", got)
	}
	started = time.Now()
	tab.Keys(t, "jjjj")
	t.Logf("four failures further: %v", time.Since(started).Round(time.Millisecond))
	started = time.Now()
	tab.Go(t, "/tasks/groups/"+group)
	tab.Wait(t, `document.querySelectorAll(".v-row").length > 10`)
	t.Logf("the group is drawn after %v", time.Since(started).Round(time.Millisecond))
	if got := tab.Count(t, ".v-row"); got > 120 {
		t.Errorf("%d rows are in the page", got)
	}
}
