package groups_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// frames runs a script's step once a frame and returns how long frames took, sorted, in milliseconds.
func frames(t testing.TB, tab *uitest.Tab, steps int, step string) []float64 {
	t.Helper()
	uitest.Eval[bool](t, tab, fmt.Sprintf(`(window.frameTimes = null, (async () => { const times = []; let last = performance.now();
		for (let i = 0; i < %d; i++) { %s; await new Promise(requestAnimationFrame); const now = performance.now(); times.push(now - last); last = now }
		window.frameTimes = times })(), true)`, steps, step))
	tab.Wait(t, `window.frameTimes !== null`)
	times := uitest.Eval[[]float64](t, tab, `window.frameTimes`)
	slices.Sort(times)
	return times
}

// spreadOut gives the tasks of a group times of their own, as if 200 workers had run them.
func spreadOut(t testing.TB, s *uitest.Site, group string) {
	t.Helper()
	for _, sql := range []string{
		`UPDATE runs r SET scheduled = now() - interval '2 hours' + n.n * interval '300 milliseconds', started = now() - interval '2 hours' + n.n * interval '300 milliseconds' + (n.n % 40) * interval '1 second',
			resolved = now() - interval '2 hours' + n.n * interval '300 milliseconds' + (n.n % 40 + 5 + n.n % 90) * interval '1 second', state = CASE WHEN r.state = 'failed' THEN 'failed' ELSE 'completed' END, reason_resolved = CASE WHEN r.state = 'failed' THEN 'failed' ELSE 'completed' END
		FROM (SELECT task_id, row_number() OVER (ORDER BY task_id) n FROM tasks WHERE task_group_id = $1) n WHERE r.task_id = n.task_id`,
		`UPDATE tasks SET state = CASE WHEN state = 'failed' THEN 'failed' ELSE 'completed' END, ever_resolved = true WHERE task_group_id = $1`,
	} {
		if _, err := s.Pool.Exec(t.Context(), sql, group); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkGroup measures checks GR1 and GR2.
func BenchmarkGroup(b *testing.B) {
	for _, tasks := range []int{1000, 10_000, 30_000} {
		b.Run(fmt.Sprintf("tasks=%d", tasks), func(b *testing.B) {
			s := uitest.New(b)
			group := uitest.Large(b, s, tasks)
			spreadOut(b, s, group)
			tab := s.Tab(b)
			for b.Loop() {
				started := time.Now()
				tab.Go(b, "/tasks/groups/"+group)
				tab.Wait(b, `document.querySelectorAll(".v-row").length > 10`)
				b.ReportMetric(float64(time.Since(started).Milliseconds()), "GR1-ms")
				b.ReportMetric(uitest.Eval[float64](b, tab, `performance.getEntriesByType("navigation")[0].responseEnd`), "GR1-server-ms")
				b.ReportMetric(uitest.Eval[float64](b, tab, `performance.getEntriesByType("navigation")[0].encodedBodySize / 1000`), "GR1-KB")
				b.ReportMetric(float64(tab.Count(b, ".v-row")), "GR1-rows")
				started = time.Now()
				tab.Keys(b, "v")
				tab.Wait(b, `Number(document.querySelector("canvas")?.dataset.drawn) > 0`)
				b.ReportMetric(float64(time.Since(started).Milliseconds()), "GR2-first-ms")
				pan := frames(b, tab, 120, `document.querySelector("canvas").dispatchEvent(new WheelEvent("wheel", {deltaX: i < 60 ? 9 : -9, deltaY: i % 20 < 10 ? 12 : -12, bubbles: true, cancelable: true}))`)
				b.ReportMetric(pan[len(pan)*95/100], "GR2-pan-p95-ms")
				started = time.Now()
				tab.Go(b, "/tasks/groups/"+group+"?view=stats")
				tab.Wait(b, `document.querySelector(".critical-list a") !== null`)
				b.ReportMetric(float64(time.Since(started).Milliseconds()), "critical-path-ms")
			}
		})
	}
}

// BenchmarkTwoGroups is the second half of GR1: two groups open at once in one browser, while as many as 500 of their tasks a
// second change for ten seconds. The main threads' share is of one processor, both pages together.
func BenchmarkTwoGroups(b *testing.B) {
	for _, tasks := range []int{3000, 10_000} {
		b.Run(fmt.Sprintf("tasks=%d", tasks), func(b *testing.B) { twoGroups(b, tasks) })
	}
}

func twoGroups(b *testing.B, tasks int) {
	const long = 10 * time.Second
	s := uitest.New(b)
	groups := []string{uitest.Large(b, s, tasks), uitest.Large(b, s, tasks)}
	tab := s.Tab(b)
	tabs := []*uitest.Tab{tab, tab.Beside(b)}
	for b.Loop() {
		for i, x := range tabs {
			x.Go(b, "/tasks/groups/"+groups[i])
			x.Wait(b, `document.querySelectorAll(".v-row").length > 10 && document.querySelector("#live").dataset.live === "live"`)
			x.Rest(b)
		}
		before, began := tabs[0].Busy(b)+tabs[1].Busy(b), time.Now()
		rate := change(b, s, groups, long)
		share := (tabs[0].Busy(b) + tabs[1].Busy(b) - before).Seconds() / time.Since(began).Seconds()
		b.ReportMetric(100*share, "GR1-main-thread-%")
		b.ReportMetric(rate, "changes/s")
	}
}

// change cancels tasks of groups by turns, at most 500 a second, for a time, and returns how many a second it were.
func change(b *testing.B, s *uitest.Site, groups []string, long time.Duration) float64 {
	ids := make([][]string, len(groups))
	for i, group := range groups {
		look := cells.Look{Groups: []string{group}, States: []task.State{task.Pending}, Bare: true}
		if err := s.Queue.Cells(b.Context(), look, func(c *cells.Cell) { ids[i] = append(ids[i], c.TaskID) }); err != nil {
			b.Fatal(err)
		}
	}
	over, tick := time.After(long), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	done := 0
	for n := 0; ; n++ {
		select {
		case <-over:
			return float64(done) / long.Seconds()
		case <-tick.C:
		}
		if of := ids[n%len(ids)]; n/len(ids) < len(of) {
			if _, err := s.Queue.Cancel(b.Context(), of[n/len(ids)]); err != nil {
				b.Fatal(err)
			}
			done++
		}
	}
}
