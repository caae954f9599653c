package queuetest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
)

// Groups makes n groups of the given number of tasks on 60 platforms, of which every 25th has failed, every 25th is
// pending and the others have passed. Going through the queue would take a benchmark's time for nothing: the first group
// is created, and the others are copies of its rows.
func (e *Env) Groups(t testing.TB, n, tasks int) []string {
	t.Helper()
	groups := []string{slug.New()}
	batch := make([]queue.NewTask, tasks)
	for i := range batch {
		d := Define(In(groups[0]))
		d.Metadata.Name = fmt.Sprintf("test-platform%d-suite%d-%d", i%60, i%5, i/300)
		d.Tags = map[string]string{"kind": "test", "os": "linux", "label": d.Metadata.Name}
		d.Extra = json.RawMessage(fmt.Sprintf(
			`{"treeherder": {"symbol": "%d", "groupSymbol": "S%d", "groupName": "Tests of S%d", "tier": 1, "machine": {"platform": "platform%d"}, "collection": {"opt": true}}, "parent": "%s"}`,
			i/300, i%5, i%5, i%60, groups[0]))
		batch[i] = queue.NewTask{ID: slug.New(), Definition: d}
	}
	if _, err := e.Queue.CreateBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	exec := func(sql string, args ...any) {
		if _, err := e.Pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range stirSQL {
		exec(sql)
	}
	for i := 1; i < n; i++ {
		groups = append(groups, slug.New())
		for _, sql := range copySQL {
			exec(sql, groups[0], groups[i])
		}
	}
	exec(`ANALYZE`)
	return groups
}

const copied = `left(translate(encode(sha256((task_id || $2::text)::bytea), 'base64'), '+/', '-_'), 22)`

var (
	stirSQL = []string{
		`UPDATE runs SET state = 'completed', reason_resolved = 'completed', started = scheduled, resolved = scheduled + interval '5 minutes' WHERE abs(hashtext(task_id)) % 25 > 1`,
		`UPDATE runs SET state = 'failed', reason_resolved = 'failed', started = scheduled, resolved = scheduled + interval '1 minute' WHERE abs(hashtext(task_id)) % 25 = 0`,
		`UPDATE tasks SET state = CASE WHEN abs(hashtext(task_id)) % 25 = 0 THEN 'failed' ELSE 'completed' END, ever_resolved = true WHERE abs(hashtext(task_id)) % 25 <> 1`,
		`DELETE FROM pending USING tasks t WHERE t.task_id = pending.task_id AND t.state <> 'pending'`,
		`DELETE FROM deadlines USING tasks t WHERE t.task_id = deadlines.task_id AND t.ever_resolved`,
	}
	copySQL = []string{
		`INSERT INTO task_groups SELECT $2::text, scheduler_id, created, expires, sealed FROM task_groups WHERE task_group_id = $1`,
		`INSERT INTO definitions SELECT ` + copied + `, created, dependencies, requires, routes, scopes, payload, metadata, tags, extra
			FROM definitions WHERE task_id IN (SELECT task_id FROM tasks WHERE task_group_id = $1)`,
		`INSERT INTO runs SELECT ` + copied + `, run_id, state, reason_created, reason_resolved, worker_group, worker_id, taken_until, scheduled, started, resolved
			FROM runs WHERE task_id IN (SELECT task_id FROM tasks WHERE task_group_id = $1)`,
		`INSERT INTO tasks SELECT ` + copied + `, task_queue_id, scheduler_id, project_id, $2::text, priority, retries, retries_left, state, ever_resolved, deadline, expires
			FROM tasks WHERE task_group_id = $1`,
	}
)
