package queuetest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// TestViolationsAreSeen spoils the tables in one way after the other, each taken back again.
func TestViolationsAreSeen(t *testing.T) {
	e := queuetest.New(t)
	done := e.Task(t, task.Completed)
	waits := e.Task(t, task.Unscheduled)
	pends := e.Task(t, task.Pending)
	runs := e.Task(t, task.Running)
	e.Check(t)
	for _, tt := range []struct{ what, sql, id, want string }{
		{"the pending row is missing", `DELETE FROM pending WHERE task_id = $1`, pends, "a task is pending exactly"},
		{"a pending row too many", `INSERT INTO pending (task_id, task_queue_id, priority, run_id) SELECT task_id, task_queue_id, priority, 0 FROM tasks WHERE task_id = $1`, runs, "a task is pending exactly"},
		{"a pending row of another priority", `UPDATE pending SET priority = 7 WHERE task_id = $1`, pends, "a task is pending exactly"},
		{"the claim's row is missing", `DELETE FROM claims WHERE task_id = $1`, runs, "a task is running exactly"},
		{"a claim of another worker", `UPDATE claims SET worker_id = 'somebody' WHERE task_id = $1`, runs, "a task is running exactly"},
		{"the deadline's row is missing", `DELETE FROM deadlines WHERE task_id = $1`, pends, "a task has a deadlines row"},
		{"a resolved task has a deadline's row", `INSERT INTO deadlines SELECT task_id, deadline FROM tasks WHERE task_id = $1`, done, "a task has a deadlines row"},
		{"the state is not that of the last run", `UPDATE tasks SET state = 'failed' WHERE task_id = $1`, done, "a task's state is"},
		{"an earlier run is running", `INSERT INTO runs SELECT task_id, 1, 'pending', 'rerun', NULL, NULL, NULL, NULL, now(), NULL, NULL FROM tasks WHERE task_id = $1`, runs, "only the last run"},
		{"a run is missing", `UPDATE runs SET run_id = 1 WHERE task_id = $1`, done, "runs are numbered"},
		{"a resolved run without a reason", `UPDATE runs SET reason_resolved = NULL WHERE task_id = $1`, done, "a run has the columns"},
		{"nothing is waited for", `UPDATE dependencies SET satisfied = true WHERE task_id = $1`, waits, "a task that waits for nothing"},
		{"a dependency is not marked", `UPDATE dependencies SET required_id = (SELECT task_id FROM tasks WHERE state = 'completed' LIMIT 1) WHERE task_id = $1`, waits, "a dependency is satisfied"},
		{"a resolved task was never resolved", `UPDATE tasks SET ever_resolved = false WHERE task_id = $1`, done, "a resolved task"},
		{"a task without definition", `DELETE FROM definitions WHERE task_id = $1`, done, "a task has a definition"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			undo := errors.New("undo")
			err := pgx.BeginFunc(t.Context(), e.Pool, func(tx pgx.Tx) error {
				if tag, err := tx.Exec(t.Context(), tt.sql, tt.id); err != nil || tag.RowsAffected() == 0 {
					t.Fatalf("%v, %d rows", err, tag.RowsAffected())
				}
				found, err := queuetest.Violations(t.Context(), tx)
				if err != nil {
					return err
				}
				if !slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, tt.want) }) {
					t.Errorf("found %v, want %q", found, tt.want)
				}
				return undo
			})
			if !errors.Is(err, undo) {
				t.Error(err)
			}
		})
	}
	e.Check(t)
}
