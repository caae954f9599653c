package uitest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestTenThousandTasks looks at a push of 10,000 tasks. Times are printed, not judged.
func TestTenThousandTasks(t *testing.T) {
	s := uitest.New(t)
	group := uitest.Large(t, s, 10_000)
	tab := s.Tab(t)
	started := time.Now()
	tab.Go(t, "/jobs?repo=large")
	tab.Wait(t, `document.querySelectorAll("b.c.failed").length > 300`)
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

// TestHugeLog looks at a log of a million lines.
func TestHugeLog(t *testing.T) {
	s := uitest.New(t)
	id := s.Task(t, task.Running, uitest.Named("test"))
	log := s.Log(t, id)
	line := 0
	for range 50 {
		piece := make([]byte, 0, 2<<20)
		for range 20_000 {
			line++
			piece = fmt.Appendf(piece, "\x1b[2m[12:00:00]\x1b[0m line %d of a log that does not end soon\n", line)
		}
		log.Write(t, string(piece))
	}
	log.Finish(t, task.Completed)
	tab := s.Tab(t)
	started := time.Now()
	tab.Go(t, "/tasks/"+id+"/runs/0/logs/public/logs/live.log#L500000")
	tab.Wait(t, `document.querySelector(".ln.in a")?.textContent === "500000"`)
	t.Logf("line 500,000 is in view after %v", time.Since(started).Round(time.Millisecond))
	tab.Wait(t, `document.querySelector(".log-size").innerText.startsWith("1,000,000 lines")`)
	t.Logf("all is there after %v", time.Since(started).Round(time.Millisecond))
	if got := tab.Count(t, ".ln"); got > 500 {
		t.Errorf("%d lines are in the page", got)
	}
	t.Run("the last line can be reached, though the whole is higher than a browser can be", func(t *testing.T) {
		tab.Keys(t, "G")
		tab.Wait(t, `[...document.querySelectorAll(".ln a")].at(-1).textContent === "1000000"`)
		visible := `(() => { const r = [...document.querySelectorAll(".ln")].at(-1).getBoundingClientRect(), b = document.querySelector(".log").getBoundingClientRect(); return r.top > b.top && r.bottom <= b.bottom + 1 })()`
		tab.Wait(t, visible)
		tab.Shot(t, "log-huge")
	})
	t.Run("search counts exactly", func(t *testing.T) {
		started := time.Now()
		tab.Keys(t, "/99999")
		tab.Wait(t, `document.querySelector(".hits").innerText === "1 of 19"`)
		t.Logf("19 hits in a million lines after %v", time.Since(started).Round(time.Millisecond))
	})
}
