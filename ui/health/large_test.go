//go:build uilong

package health_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestTenThousandTasks is H6: 10,000 tasks of which 400 fail in 55 ways, beside a parent and 30 earlier pushes.
func TestTenThousandTasks(t *testing.T) {
	s := newSite(t)
	for n := 1; n <= 3; n++ {
		s.push(t, n)
	}
	// By hand: what the room would have written of three such pushes.
	for _, sql := range []string{
		`INSERT INTO failure_pushes (repository, push_id, branch, revision, pushed, task_group_id)
			SELECT repository, id, branch, revision, pushed, task_group_id FROM pushes WHERE repository = 'sample' ON CONFLICT DO NOTHING`,
		`INSERT INTO failure_labels (repository, label, job) SELECT 'sample', 'test-' || i, 'test' FROM generate_series(1, 10000) i`,
		`INSERT INTO failure_outcomes (push, label, passed, failed, lost, seconds, task_id)
			SELECT p.id, l.id, (l.id % 25 > 0 OR p.push_id < 3)::int, (l.id % 25 = 0 AND p.push_id = 3)::int, 0, 60, 'T' || l.id || '-' || p.push_id FROM failure_pushes p, failure_labels l`,
		`INSERT INTO failure_runs (task_id, run_id, push, label, lost, reason, name, platform, queue, ended)
			SELECT o.task_id, 0, o.push, o.label, false, 'failed', l.label, 'platform' || l.id % 60, 'q/w', now() FROM failure_outcomes o JOIN failure_labels l ON l.id = o.label WHERE o.failed > 0`,
		`INSERT INTO failure_lines (task_id, run_id, signature, push, label, place, test, message, line, excerpt)
			SELECT task_id, 0, 's' || (label / 25) % 55, push, label, 0, 'Test' || (label / 25) % 55, 'got 1, want 2', 7, repeat('a line of a log' || chr(10), 10) FROM failure_runs`,
		`INSERT INTO tasks (task_id, task_queue_id, scheduler_id, project_id, task_group_id, priority, retries, retries_left, state, ever_resolved, deadline, expires)
			SELECT 'L' || i || p.id, 'q/w', '-', 'none', p.task_group_id, 4, 0, 0, 'completed', true, now(), now() + interval '1 day' FROM generate_series(1, 10000) i, pushes p`,
		`ANALYZE`,
	} {
		if _, err := s.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	code, body := s.get(t, "/ui/api/push/sample/"+rev(3))
	t.Logf("the data of a push of 10,000 tasks with 400 failures: %v, %d bytes", time.Since(began).Round(time.Millisecond), len(body))
	if code != http.StatusOK {
		t.Fatal(body)
	}
	tab := s.Tab(t)
	began = time.Now()
	tab.Go(t, "/push/sample/"+rev(3))
	tab.Wait(t, `document.querySelectorAll(".health-row").length > 0`)
	took := time.Since(began)
	t.Logf("its page is drawn after %v", took.Round(time.Millisecond))
	rows := tab.Count(t, ".health-row")
	if rows > 60 || rows < 50 {
		t.Errorf("there are %d rows", rows)
	}
	if took > 3*time.Second { // a second on an idle machine of four cores
		t.Errorf("the page took %v", took)
	}
	if got := uitest.Eval[string](t, tab, `document.querySelector(".verdict").innerText`); got == "" {
		t.Error(fmt.Errorf("there is no verdict"))
	}
}
