//go:build uilong

package traces_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestLargeTrace opens pushes of 1,000 and of 10,000 tasks, each as one waterfall. The bounds are for a busy machine.
func TestLargeTrace(t *testing.T) {
	for tasks, most := range map[int]time.Duration{1000: 5 * time.Second, 10_000: 12 * time.Second} {
		t.Run(fmt.Sprint(tasks), func(t *testing.T) {
			s := uitest.New(t)
			group := uitest.Large(t, s, tasks)
			// As if 200 workers had done it.
			for _, sql := range []string{
				`UPDATE runs r SET worker_group = 'g', worker_id = 'w' || n.n % 200, scheduled = now() - interval '2 hours' + n.n * interval '300 milliseconds', started = now() - interval '2 hours' + n.n * interval '300 milliseconds' + (n.n % 40) * interval '1 second',
					resolved = now() - interval '2 hours' + n.n * interval '300 milliseconds' + (n.n % 40 + 5 + n.n % 90) * interval '1 second', state = CASE WHEN r.state = 'failed' THEN 'failed' ELSE 'completed' END, reason_resolved = CASE WHEN r.state = 'failed' THEN 'failed' ELSE 'completed' END
				FROM (SELECT task_id, row_number() OVER (ORDER BY task_id) n FROM tasks WHERE task_group_id = $1) n WHERE r.task_id = n.task_id`,
				`UPDATE tasks SET state = CASE WHEN state = 'failed' THEN 'failed' ELSE 'completed' END, ever_resolved = true WHERE task_group_id = $1`,
			} {
				if _, err := s.Pool.Exec(t.Context(), sql, group); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Pool.Exec(t.Context(), `UPDATE pushes SET pushed = now() - interval '2 hours 1 minute'`); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			tr, err := s.Traces().Group(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d tasks: %d spans made in %v", tasks, len(tr.Spans), time.Since(began).Round(time.Millisecond))
			tab := s.Tab(t)
			began = time.Now()
			tab.Go(t, "/tasks/groups/"+group+"/trace")
			tab.Wait(t, `document.querySelectorAll(".wf-lines [role=option]").length > 10`)
			took := time.Since(began)
			kb := uitest.Eval[float64](t, tab, `performance.getEntriesByType("navigation")[0].encodedBodySize / 1000`)
			t.Logf("its page is drawn after %v, %.0f KB packed, the server's part %.0f ms", took.Round(time.Millisecond), kb, uitest.Eval[float64](t, tab, `performance.getEntriesByType("navigation")[0].responseEnd`))
			if took > most {
				t.Errorf("the page took %v", took)
			}
			if n := tab.Count(t, ".wf-lines [role=option]"); n > 100 {
				t.Errorf("%d lines are in the page", n)
			}
			if got := uitest.Eval[string](t, tab, `document.querySelector(".wf-lines").dataset.drawn`); got != fmt.Sprint(tasks+1) {
				t.Errorf("the waterfall has %s lines", got)
			}
			uitest.Eval[bool](t, tab, `(document.querySelector(".wf-lines").focus(), document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "End", bubbles: true, cancelable: true})))`)
			tab.Wait(t, `[...document.querySelectorAll(".wf-lines [role=option]")].at(-1).matches("[aria-selected=true]")`)
			began = time.Now()
			tab.Type(t, "[data-find]", "suite3")
			tab.Wait(t, `document.querySelector(".wf-lines").dataset.drawn !== "`+fmt.Sprint(tasks+1)+`"`)
			t.Logf("it is searched in %v", time.Since(began).Round(time.Millisecond))
			tab.Shot(t, fmt.Sprintf("trace-%d", tasks))
			tab.Dark(t, true)
			tab.Go(t, "/tasks/groups/"+group+"/trace?by=kind")
			tab.Wait(t, `document.querySelectorAll(".wf-lines .kind").length > 0`)
			tab.Shot(t, fmt.Sprintf("trace-%d-dark", tasks))
		})
	}
}
