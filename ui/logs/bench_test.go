package logs_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// hugeLog makes a log of a million lines and 100 MB, with colours; 12,345 lines have a needle.
func hugeLog(t testing.TB, s *uitest.Site) (id string) {
	t.Helper()
	id = s.Task(t, task.Running, uitest.Named("test"))
	log := s.Log(t, id)
	for part := range 50 {
		piece := make([]byte, 0, 2200<<10)
		for i := range 20_000 {
			n := part*20_000 + i + 1
			word := "nothing"
			if n%81 == 0 && n/81 <= 12_345 {
				word = "needle!"
			}
			piece = fmt.Appendf(piece, "\x1b[2m[12:00:00]\x1b[0m line %7d of a log that does not end soon, \x1b[32m%s\x1b[0m, and so it goes on %s\n", n, word, "for a while...")
		}
		log.Write(t, string(piece))
	}
	log.Finish(t, task.Completed)
	return id
}

// frames runs a script's steps, one a frame, and returns how long frames took, sorted, in milliseconds.
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

func p95(sorted []float64) float64 { return sorted[len(sorted)*95/100] }

// BenchmarkHugeLog measures checks L1, L2 and L3 on a log of 100 MB.
func BenchmarkHugeLog(b *testing.B) {
	s := uitest.New(b)
	id := hugeLog(b, s)
	tab := s.Tab(b)
	for b.Loop() {
		started := time.Now()
		tab.Go(b, "/tasks/"+id+viewer+"#L500000")
		tab.Wait(b, `document.querySelector(".ln.in > a")?.textContent === "500000" && document.querySelector(".ln.in > span").textContent.includes("500000")`)
		b.ReportMetric(float64(time.Since(started).Milliseconds()), "L1-first-ms")
		tab.Wait(b, `document.querySelector(".log-size").innerText.startsWith("1,000,000 lines")`)
		started = time.Now()
		tab.Go(b, "/tasks/"+id+viewer+"?again#L500000")
		tab.Wait(b, `document.querySelector(".ln.in > a")?.textContent === "500000" && document.querySelector(".ln.in > span").textContent.includes("500000")`)
		b.ReportMetric(float64(time.Since(started).Milliseconds()), "L1-ms")
		b.ReportMetric(uitest.Eval[float64](b, tab, `performance.getEntriesByType("resource").reduce((n, e) => n + e.transferSize, 0) / 1000`), "L1-KB")
		b.ReportMetric(float64(tab.Count(b, ".ln")), "L1-lines")
		drag := frames(b, tab, 60, `const e = document.querySelector(".log-scroll"); e.scrollTop = (e.scrollHeight - e.clientHeight) * i / 59`)
		b.ReportMetric(p95(drag), "L2-p95-ms")
		b.ReportMetric(drag[len(drag)-1], "L2-max-ms")
		started = time.Now()
		tab.Wait(b, `[...document.querySelectorAll(".ln > span")].every(e => e.textContent !== "")`)
		b.ReportMetric(float64(time.Since(started).Milliseconds()), "L2-blank-ms")
		uitest.Eval[bool](b, tab, `(() => { const e = document.querySelector(".log-tools [data-find]"); window.asked = performance.now(); window.first = window.whole = 0;
			const look = () => { const h = document.querySelector(".hits").innerText; if (!first && h.startsWith("1 of")) first = performance.now() - asked; if (h === "1 of 12,345") { whole = performance.now() - asked; return } requestAnimationFrame(look) };
			look(); e.value = "NEEDLE"; return e.dispatchEvent(new Event("input", {bubbles: true})) })()`)
		tab.Wait(b, `window.whole > 0`)
		b.ReportMetric(uitest.Eval[float64](b, tab, `first`), "L3-first-ms")
		b.ReportMetric(uitest.Eval[float64](b, tab, `whole`), "L3-count-ms")
	}
}

// BenchmarkLiveLog measures check L5: 5,000 lines a second for ten seconds.
func BenchmarkLiveLog(b *testing.B) {
	s := uitest.New(b)
	tab := s.Tab(b)
	for b.Loop() {
		id := s.Task(b, task.Running, uitest.Named("test"))
		log := s.Log(b, id)
		log.Write(b, "begin\n")
		tab.Go(b, "/tasks/"+id+viewer)
		tab.Wait(b, `document.querySelectorAll(".ln").length === 1`)
		var writing sync.WaitGroup
		writing.Go(func() {
			ticks := time.NewTicker(100 * time.Millisecond)
			defer ticks.Stop()
			for range 100 {
				<-ticks.C
				log.Write(b, strings.Repeat("\x1b[32ma line\x1b[0m of a log that is written very fast\n", 500))
			}
		})
		times := frames(b, tab, 500, "")
		writing.Wait()
		log.Write(b, "the last line\n")
		written := time.Now()
		tab.Wait(b, texts+`.at(-1) === "the last line"`)
		b.ReportMetric(float64(time.Since(written).Milliseconds()), "L5-last-ms")
		b.ReportMetric(p95(times), "L5-p95-ms")
		b.ReportMetric(times[len(times)-1], "L5-max-ms")
		log.Finish(b, task.Completed)
	}
}
