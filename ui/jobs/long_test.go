//go:build uilong

package jobs_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/trackertest"
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

// The form of a bug can be used with every theme and width, and by who may not have the server file: with the tracker's form.
func TestTheFormOfABug(t *testing.T) {
	s, _, id := bugSite(t, trackertest.Token)
	for client, token := range map[string]string{uitest.Admin: uitest.AdminToken, uitest.Dev: uitest.DevToken} {
		t.Run(client, func(t *testing.T) {
			tab := s.Tab(t)
			tab.SignIn(t, client, token)
			tab.Go(t, "/jobs?repo=sample&selectedTaskRun="+id+".0")
			tab.Wait(t, bugLine("#8", "Bake"))
			tab.Inspect(t, "jobs-bugs")
			uitest.Eval[any](t, tab, `document.querySelector("[data-file-bug]").click()`)
			tab.Wait(t, `document.querySelector("#file-bug").open`)
			tab.Inspect(t, "jobs-file-bug")
			address := uitest.Eval[string](t, tab, `document.querySelector("[data-form]").href`)
			if !strings.Contains(address, "/acme/app/issues/new?title=Intermittent+kitchen") || !strings.Contains(address, "&body=test-oven-1+failed") {
				t.Errorf("the form is at %s", address)
			}
			if client == uitest.Dev {
				tab.Wait(t, `document.querySelector("[data-file]") === null && document.querySelector("#file-bug .why").innerText.includes("triage:file-bug:sample")`)
			}
		})
	}
}

// TestThirtyThousandJobsToAdd shows the jobs of a large graph. Times are printed.
func TestThirtyThousandJobsToAdd(t *testing.T) {
	s := uitest.New(t)
	group := uitest.Large(t, s, 10_000)
	var graph strings.Builder
	for i := range 30_000 {
		sign := ","
		if i == 0 {
			sign = "{"
		}
		fmt.Fprintf(&graph, `%s"new-%d": {"kind": "test", "attributes": {"filler": %q}, "task": {"taskQueueId": "proj/tests", "extra": {"treeherder": {"symbol": "%d", "groupSymbol": "G%d", "machine": {"platform": "platform%d"}, "collection": {"opt": true}}}}}`,
			sign, i, strings.Repeat("x", 2000), i, i%300, i%60)
	}
	s.Run(t, group)
	s.Artifact(t, group, "public/full-task-graph.json", "application/json", graph.String()+"}")
	tab := s.Tab(t)
	tab.Go(t, "/jobs?repo=large")
	tab.Wait(t, `document.querySelectorAll("b.c").length > 10`)
	tab.Keys(t, "+")
	tab.Wait(t, `document.querySelector(".adding")?.innerText.includes("30,000 jobs")`)
	first := uitest.Eval[float64](t, tab, `performance.getEntriesByType("resource").find(e => e.name.includes("/runnable/")).duration`)
	drawn := uitest.Eval[float64](t, tab, `performance.getEntriesByName("treeline-overlay")[0].duration`)
	tab.Keys(t, "platform7 g127")
	tab.Wait(t, `document.querySelectorAll("b.c.ghost").length > 20 && [...document.querySelectorAll("b.c.ghost")].every(e => e.getAttribute("aria-label").endsWith("platform7 opt"))`)
	if got := tab.Count(t, "b.c"); got > 3000 {
		t.Errorf("%d cells are in the page", got)
	}
	heap, _ := tab.Heap(t)
	again := uitest.Eval[float64](t, tab, `(async () => { const t = performance.now(); await (await fetch("/ui/api/jobs/runnable/`+group+`")).arrayBuffer(); return performance.now() - t })()`)
	t.Logf("a graph of %d MB: read in %.0f ms, again in %.0f ms; 30,000 jobs put among 10,000 tasks in %.0f ms; the page takes %.0f MB", graph.Len()>>20, first, again, drawn, heap/1e6)
}
