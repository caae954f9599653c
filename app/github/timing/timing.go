// Package timing reads when GitHub told of something, and when GitHub was told what became of it: what traces are made of.
package timing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Build is when GitHub told of what a task group was made for, and when GitHub was told what became of it.
type Build struct {
	GUID, Event, Action string // of the delivery; "" when it is forgotten
	Received, Built     time.Time
	Organization, SHA   string
	EventType           string
	Pull                int
	Change              intake.Change
	Checks              []Check
}

// Check is when a check run or a commit status was wanted and sent. Sent is zero while GitHub does not have its
// newest state.
type Check struct {
	ID           int64
	Name, Kind   string
	TaskID       string
	Attempt      int
	Wanted, Sent time.Time
}

// Read returns the timing of a build; false for a task group that is none.
func Read(ctx context.Context, pool *pgxpool.Pool, group string) (Build, bool, error) {
	var (
		t      Build
		found  bool
		change []byte
		batch  pgx.Batch
	)
	batch.Queue(buildTimingSQL.Text, group).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&t.GUID, &t.Event, &t.Action, &t.Received, &t.Built, &t.Organization, &t.SHA, &t.EventType, &t.Pull, &change)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		found = err == nil
		return err
	})
	batch.Queue(checkTimingSQL.Text, group).Query(func(rows pgx.Rows) (err error) {
		t.Checks, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Check])
		return err
	})
	if err := pool.SendBatch(ctx, &batch).Close(); err != nil {
		return t, false, fmt.Errorf("github: timing of %s: %w", group, pg.Classify(err))
	}
	if !found {
		return t, false, nil
	}
	if err := json.Unmarshal(change, &t.Change); err != nil {
		return t, false, fmt.Errorf("github: change of %s: %w", group, err)
	}
	return t, true, nil
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{buildTimingSQL, checkTimingSQL}

var (
	buildTimingSQL = pg.Statement{Name: "github.build-timing", Text: `
		SELECT coalesce(d.guid, ''), coalesce(d.event, ''), coalesce(d.action, ''), coalesce(d.received, b.created), b.created, b.organization, b.sha, b.event_type, b.pull_number, b.change
		FROM github_builds b LEFT JOIN github_deliveries d ON d.seq = b.delivery WHERE b.task_group_id = $1`}

	// Those of a revision go by an index. What GitHub is told no more is no report.
	checkTimingSQL = pg.Statement{Name: "github.check-timing", Text: `
		SELECT c.id, c.name, c.kind, c.task_id, c.attempt, c.updated, CASE WHEN c.sent >= c.wanted THEN c.sent_at ELSE '0001-01-01 00:00:00Z' END
		FROM github_builds b JOIN github_checks c ON lower(c.repository) = lower(b.organization || '/' || b.repository) AND c.sha = b.sha
		WHERE b.task_group_id = $1 AND c.task_group_id = $1 AND c.latest AND c.ended = '' ORDER BY c.id`}
)
