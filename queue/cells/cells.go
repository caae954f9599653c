// Package cells reads what grids of many tasks show of each: a narrow part of its row. It only reads.
package cells

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Cell is what grids of many tasks show of one: where it stands, and of its definition no more than where it belongs.
type Cell struct {
	TaskID      string
	TaskGroupID string
	TaskQueueID string
	State       task.State
	Name        string          // of the metadata
	Kind        string          // the tag
	Treeherder  json.RawMessage // extra.treeherder, nil without
	Last        *task.Run       // without worker and claim; nil before the first
	Before      time.Duration   // how long the runs before the last worked
}

// Look says which cells are wanted.
type Look struct {
	Groups []string
	States []task.State // empty: all
	Bare   bool         // without Name, Kind and Treeherder, which never change and are the dear part
}

// Read passes tasks to each, those of a group together, sorted by id. It reads them in one statement, however many
// there are. A cell is each's only until it returns.
func Read(ctx context.Context, pool *pgxpool.Pool, look Look, each func(*Cell)) error {
	if len(look.Groups) == 0 {
		return nil
	}
	rows, err := pool.Query(ctx, readSQL.Text, look.Groups, texts(look.States), look.Bare)
	if err != nil {
		return fmt.Errorf("queue: %s: %w", readSQL.Name, pg.Classify(err))
	}
	if err := scan(rows, each); err != nil {
		return fmt.Errorf("queue: %s: %w", readSQL.Name, pg.Classify(err))
	}
	return nil
}

func texts(states []task.State) []string {
	out := make([]string, len(states))
	for i, s := range states {
		out[i] = string(s)
	}
	return out
}

// scan joins the rows of a task's runs.
func scan(rows pgx.Rows, each func(*Cell)) error {
	defer rows.Close()
	var (
		c, next                   Cell
		metadata, tags, extra     []byte
		whole                     *bool
		runID                     *int
		state, reason             *string
		scheduled, started, ended *time.Time
		into                      = []any{&next.TaskID, &next.TaskGroupID, &next.TaskQueueID, &next.State, &whole, &metadata, &tags, &extra, &runID, &state, &reason, &scheduled, &started, &ended}
	)
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if next.TaskID != c.TaskID {
			if c.TaskID != "" {
				each(&c)
			}
			c = Cell{TaskID: next.TaskID, TaskGroupID: next.TaskGroupID, TaskQueueID: next.TaskQueueID, State: next.State}
			if whole != nil {
				c.describe(*whole, metadata, tags, extra)
			}
		}
		if runID == nil {
			continue
		}
		if l := c.Last; l != nil && l.Started != nil && l.Resolved != nil {
			c.Before += l.Resolved.Sub(l.Started.Time)
		}
		c.Last = &task.Run{
			RunID: *runID, State: task.State(*state), ReasonResolved: task.ReasonResolved(orEmpty(reason)),
			Scheduled: task.At(*scheduled), Started: instant(started), Resolved: instant(ended),
		}
	}
	if c.TaskID != "" {
		each(&c)
	}
	return rows.Err()
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func instant(t *time.Time) *task.Time {
	if t == nil {
		return nil
	}
	at := task.At(*t)
	return &at
}

// describe reads name, kind and place from the parts that the database cut out, or where it could not from the whole.
// What has another shape than usual is left out: it is the user's.
func (c *Cell) describe(whole bool, metadata, tags, extra []byte) {
	if !whole {
		_ = json.Unmarshal(metadata, &c.Name)
		_ = json.Unmarshal(tags, &c.Kind)
		if len(extra) > 0 {
			c.Treeherder = extra
		}
		return
	}
	var (
		m struct{ Name string }
		t map[string]string
		e struct{ Treeherder json.RawMessage }
	)
	_ = json.Unmarshal(metadata, &m)
	_ = json.Unmarshal(tags, &t)
	_ = json.Unmarshal(extra, &e)
	c.Name, c.Kind, c.Treeherder = strings.TrimSpace(m.Name), t["kind"], e.Treeherder
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{readSQL, needsSQL}

// The database cuts out the few fields that are shown, which is most of what this costs. It refuses escapes that are no
// character of its own (U+0000, half a surrogate pair): a text with any escape goes out whole.
var readSQL = pg.Statement{Name: "queue.cells", Text: `
SELECT t.task_id, t.task_group_id, t.task_queue_id, t.state, d.*, r.*
FROM (SELECT * FROM tasks WHERE task_group_id = ANY($1) AND (expires > now() OR state IN ('unscheduled', 'pending', 'running')) AND (cardinality($2::text[]) = 0 OR state = ANY($2))) t LEFT JOIN LATERAL (
    SELECT w.whole,
        CASE WHEN w.whole THEN metadata ELSE metadata->'name' END,
        CASE WHEN w.whole THEN tags ELSE tags->'kind' END,
        CASE WHEN w.whole THEN extra ELSE extra->'treeherder' END
    FROM definitions d, LATERAL (SELECT strpos(metadata::text, '\u') > 0 OR strpos(tags::text, '\u') > 0 OR strpos(extra::text, '\u') > 0 AS whole) w
    WHERE d.task_id = t.task_id AND NOT $3 OFFSET 0) d ON true
LEFT JOIN LATERAL (
    SELECT run_id, state, reason_resolved, scheduled, started, resolved
    FROM runs WHERE runs.task_id = t.task_id OFFSET 0) r ON true
ORDER BY t.task_group_id, t.task_id, r.run_id`}
