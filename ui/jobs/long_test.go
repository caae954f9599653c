//go:build uilong

package jobs_test

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestTenThousandJobs goes through a push of 10,000 tasks from end to end while tasks change. Times are printed, not
// judged: make bench-ui measures them.
func TestTenThousandJobs(t *testing.T) {
	s := uitest.New(t)
	group := uitest.Large(t, s, 10_000)
	tab := s.Tab(t)
	tab.Go(t, "/jobs?repo=large&group_state=expanded")
	tab.Wait(t, `performance.getEntriesByName("treeline-cells").length > 0`)
	t.Logf("J1: the first cells are painted after %.0f ms", uitest.Eval[float64](t, tab, `performance.getEntriesByName("treeline-cells")[0].startTime`))
	ctx, stop := context.WithCancel(t.Context())
	changed := change(t, ctx, s, group)
	frames := uitest.Eval[[]float64](t, tab, scroll)
	stop()
	slices.Sort(frames)
	t.Logf("J2: frames of %.0f ms (the middle one), %.0f (95 of 100), %.0f (the longest), with %.0f changes a second", frames[len(frames)/2], frames[len(frames)*95/100], frames[len(frames)-1], changed())
	if got := uitest.Eval[int](t, tab, `window.most`); got > 3000 {
		t.Errorf("%d cells were in the page", got)
	}
	if got := uitest.Eval[float64](t, tab, `performance.memory.usedJSHeapSize / 1e6`); got > 60 {
		t.Errorf("the page takes %.0f MB", got)
	}
	// In the end the page shows what the queue has.
	states := map[string]int{}
	if err := s.Queue.Cells(t.Context(), cells.Look{Groups: []string{group}, Bare: true}, func(c *cells.Cell) { states[string(c.State)]++ }); err != nil {
		t.Fatal(err)
	}
	tab.Wait(t, `[...document.querySelectorAll(".counts .st-pending .num")].some(e => Number(e.innerText.replaceAll(/\D/g, "")) === `+strconv.Itoa(states["pending"])+`)`)
	tab.Wait(t, `[...document.querySelectorAll(".counts .st-cancelled .num")].some(e => Number(e.innerText.replaceAll(/\D/g, "")) === `+strconv.Itoa(states["exception"])+`)`)
}
