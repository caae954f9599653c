//go:build uilong

package pools_test

import (
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	ui "github.com/treeline-ci/treeline/ui/pools"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestTenThousandWorkers: check W3 with workers that each did twenty runs, in a pool of a provider.
func TestTenThousandWorkers(t *testing.T) {
	s := uitest.New(t)
	s.Gauge.Age = 0 // as servers have it
	s.WorkerPool(t, "p/huge", "cloud", `{"minCapacity": 0, "maxCapacity": 20000, "launchConfigs": [{"workerManager": {"launchConfigId": "only"}}]}`)
	exec(t, s, `INSERT INTO task_queues (task_queue_id) VALUES ('p/huge')`)
	exec(t, s, `INSERT INTO queue_workers (task_queue_id, worker_group, worker_id) SELECT 'p/huge', 'zone-' || i % 20, 'i-' || md5(i::text) FROM generate_series(1, 10000) i`)
	exec(t, s, `INSERT INTO pool_workers (worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, state, capacity, expires, registered)
		SELECT task_queue_id, worker_group, worker_id, 'cloud', 'only', 'running', 1, now() + interval '1 day', now() - interval '2 hours' FROM queue_workers`)
	group := slug.New()
	exec(t, s, `INSERT INTO task_groups (task_group_id, scheduler_id, expires) VALUES ($1, '-', now() + interval '30 days')`, group)
	exec(t, s, `CREATE TABLE did AS SELECT rpad(md5(w.worker_id || n), 22, 'x') AS task_id, w.worker_group, w.worker_id, n, CASE WHEN random() < 0.05 THEN 'failed' ELSE 'completed' END AS state
		FROM queue_workers w, generate_series(1, 20) n`)
	exec(t, s, `INSERT INTO tasks SELECT task_id, 'p/huge', '-', 'none', $1, 3, 5, 5, state, true, now(), now() + interval '1 day' FROM did`, group)
	exec(t, s, `INSERT INTO definitions SELECT task_id, now(), '{}', 'all-completed', '{}', '{}', '{}', json_build_object('name', 'test-linux1804-64/opt-mochitest-' || n), '{}', '{}' FROM did`)
	exec(t, s, `INSERT INTO runs (task_id, run_id, state, reason_created, reason_resolved, worker_group, worker_id, scheduled, started, resolved)
		SELECT task_id, 0, state, 'scheduled', state, worker_group, worker_id, now() - interval '5 minutes' - n * interval '1 minute', now() - interval '5 minutes', now() FROM did`)
	exec(t, s, `INSERT INTO worker_details (task_queue_id, worker_group, worker_id, recent) SELECT 'p/huge', worker_group, worker_id, array_agg(task_id || '/0' ORDER BY n DESC) FROM did GROUP BY worker_group, worker_id`)
	exec(t, s, `ANALYZE`)
	tab := s.Tab(t)
	tab.Go(t, "/worker-manager")
	best := time.Hour
	for range 3 {
		began := time.Now()
		tab.Go(t, ui.Path("p/huge"))
		tab.Wait(t, `document.querySelector("#workers-count").textContent.startsWith("10,000") && document.querySelectorAll(".v-row").length > 5`)
		took := time.Since(began)
		t.Logf("10,000 workers with 200,000 runs are there after %v; the page itself took %v ms, the data %v ms", took.Round(time.Millisecond),
			uitest.Eval[float64](t, tab, `Math.round(performance.getEntriesByType("navigation")[0].responseEnd)`),
			uitest.Eval[float64](t, tab, `Math.round(performance.getEntriesByName(location.origin + "/ui/api/pools/workers?pool=p%2Fhuge&first=1")[0].duration)`))
		best = min(best, took)
	}
	if best > 2*time.Second { // a second, doubled for machines that do other things too
		t.Errorf("it took %v", best)
	}
	// What takes longer to read comes then: the last tasks of those below, what all did, and how long runs waited.
	tab.Wait(t, `(() => { const b = document.querySelector("#workers .v-body"); b.scrollTop = b.scrollHeight;
		const last = [...document.querySelectorAll(".v-row")].at(-1); return last.querySelector("a[href^='/tasks/']") !== null && last.innerText.includes(" of 20"); })()`)
	tab.Wait(t, `document.querySelector("#waits").innerText.includes("200000 runs")`)
	for _, column := range []string{"failures", "task", "worker", "uptime"} {
		tab.Click(t, `[data-key=`+column+`] button`)
		tab.Wait(t, `document.querySelector("[data-key=`+column+`]").getAttribute("aria-sort") === "ascending"`)
		took := uitest.Eval[int](t, tab, `Number(document.querySelector("#workers").dataset.drawn)`)
		t.Logf("sorted by %s in %d ms", column, took)
		if took > 300 {
			t.Errorf("sorted by %s in %d ms", column, took)
		}
	}
	tab.Shot(t, "pool-huge")
}
