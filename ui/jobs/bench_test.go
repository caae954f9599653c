package jobs_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// BenchmarkList reads the list of 20 pushes with 10,000 tasks each, packed, as a browser does.
func BenchmarkList(b *testing.B) {
	s := uitest.New(b)
	s.Repository(b, "twenty")
	for _, group := range s.Groups(b, 20, 10_000) {
		p := s.Record(b, push.Push{Repository: "twenty"})
		if err := s.Push.SetOutcome(b.Context(), "twenty", p.ID, push.Outcome{State: push.Decided, TaskGroupID: group}); err != nil {
			b.Fatal(err)
		}
	}
	read := func(query string) (took time.Duration, size int64) {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL+"/ui/api/jobs?repo=twenty&count=20"+query, nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", "gzip")
		started := time.Now()
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		defer response.Body.Close()
		if size, err = io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			b.Fatal(response.Status, err)
		}
		return time.Since(started), size
	}
	for b.Loop() {
		first, size := read("")
		var again []time.Duration
		for range 9 {
			took, _ := read("")
			again = append(again, took)
		}
		slices.Sort(again)
		counts, _ := read("&cells=0")
		b.ReportMetric(ms(first), "ms-first")
		b.ReportMetric(ms(again[4]), "ms-median")
		b.ReportMetric(ms(again[8]), "ms-slowest")
		b.ReportMetric(ms(counts), "ms-counts")
		b.ReportMetric(float64(size)/1000, "KB")
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkGrid opens a push of 10,000 tasks, and scrolls through it while tasks change.
func BenchmarkGrid(b *testing.B) {
	for _, tasks := range []int{1000, 10_000, 30_000} {
		b.Run(fmt.Sprintf("%d tasks", tasks), func(b *testing.B) {
			s := uitest.New(b)
			group := uitest.Large(b, s, tasks)
			tab := s.Tab(b)
			for b.Loop() {
				tab.Go(b, "/jobs?repo=large")
				tab.Wait(b, `performance.getEntriesByName("treeline-cells").length > 0`)
				b.ReportMetric(uitest.Eval[float64](b, tab, `performance.getEntriesByName("treeline-cells")[0].startTime`), "ms-cells")
				b.ReportMetric(uitest.Eval[float64](b, tab, `performance.getEntriesByType("navigation")[0].responseEnd`), "ms-answered")
				b.ReportMetric(float64(tab.Count(b, "b.c")), "cells")
				b.ReportMetric(uitest.Eval[float64](b, tab, `performance.memory.usedJSHeapSize / 1e6`), "MB-heap")
				tab.Go(b, "/jobs?repo=large&group_state=expanded")
				tab.Wait(b, `document.querySelector("#live").dataset.live === "live"`)
				ctx, stop := context.WithCancel(b.Context())
				changed := change(b, ctx, s, group)
				frames := uitest.Eval[[]float64](b, tab, scroll)
				stop()
				slices.Sort(frames)
				b.ReportMetric(frames[len(frames)/2], "ms-frame-p50")
				b.ReportMetric(frames[len(frames)*95/100], "ms-frame-p95")
				b.ReportMetric(frames[len(frames)-1], "ms-frame-max")
				b.ReportMetric(uitest.Eval[float64](b, tab, `window.most`), "cells-most")
				b.ReportMetric(changed(), "changes/s")
			}
		})
	}
}

// scroll goes from the top to the end in 120 steps, one a frame, and answers with how long each took.
const scroll = `(async () => {
	const frame = () => new Promise(r => requestAnimationFrame(r)), end = document.documentElement.scrollHeight - innerHeight, times = [];
	window.most = 0;
	let last = await frame();
	for (let i = 1; i <= 120; i++) {
		scrollTo({top: end * i / 120, behavior: "instant"});
		const now = await frame();
		times.push(now - last);
		last = now;
		window.most = Math.max(window.most, document.querySelectorAll("b.c").length);
	}
	return times;
})()`

// change cancels pending tasks as fast as the queue does, at most 500 a second, until ctx ends; what it returns says how
// many a second.
func change(b testing.TB, ctx context.Context, s *uitest.Site, group string) func() float64 {
	var ids []string
	err := s.Queue.Cells(b.Context(), cells.Look{Groups: []string{group}, States: []task.State{task.Pending}, Bare: true}, func(c *cells.Cell) { ids = append(ids, c.TaskID) })
	if err != nil {
		b.Fatal(err)
	}
	var (
		wg      sync.WaitGroup
		started = time.Now()
		done    int
	)
	wg.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for _, id := range ids {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, err := s.Queue.Cancel(ctx, id); err == nil {
				done++
			}
		}
	})
	return func() float64 {
		wg.Wait()
		return float64(done) / time.Since(started).Seconds()
	}
}
