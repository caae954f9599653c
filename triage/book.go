package triage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// MaxTargets is how many tasks Classify takes at once.
const MaxTargets = 500

// Kind is the kind of the events. Their topic is the repository; the payload is {"classification": …} with what
// counts now of the task, class 1 when nothing does any more.
const Kind = "task-classified"

// Book is what was said of all tasks. It is safe for concurrent use, also by several servers.
type Book struct {
	pool *pgxpool.Pool
	wake func()
}

// New returns the book; wake is called when there is something new in the feed.
func New(pool *pgxpool.Pool, wake func()) *Book { return &Book{pool: pool, wake: wake} }

// Target is a task of which something is said.
type Target struct {
	Repository  string // whose push made the task
	TaskGroupID string
	TaskID      string
	Run         int
}

// Classification is what somebody said of a task.
type Classification struct {
	ID          int64      `db:"id" json:"id"`
	Repository  string     `db:"repository" json:"repository"`
	TaskGroupID string     `db:"task_group_id" json:"taskGroupId"`
	TaskID      string     `db:"task_id" json:"taskId"`
	Run         int        `db:"run_id" json:"run"`
	Class       Class      `db:"class" json:"class"`
	Bug         string     `db:"bug" json:"bug"`
	Note        string     `db:"note" json:"note"`
	By          string     `db:"said_by" json:"by"`
	Time        time.Time  `db:"said" json:"time"`
	UndoneBy    *string    `db:"undone_by" json:"undoneBy,omitempty"`
	Undone      *time.Time `db:"undone" json:"undone,omitempty"`
}

// Classify says the same of up to MaxTargets tasks, and returns what it wrote. The caller has checked that by may:
// triage:classify:<repository> of each.
func (b *Book) Classify(ctx context.Context, by string, targets []Target, s Say) (said []Classification, err error) {
	s.Bug, s.Note = strings.TrimSpace(s.Bug), strings.TrimSpace(s.Note)
	if len(targets) == 0 || len(targets) > MaxTargets {
		return nil, fault.New(fault.Invalid, "Classify 1 to %d tasks at once, not %d.", MaxTargets, len(targets))
	}
	repos, groups, tasks, runs := make([]string, len(targets)), make([]string, len(targets)), make([]string, len(targets)), make([]int, len(targets))
	for i, t := range targets {
		if err := s.Check(IsTry(t.Repository)); err != nil {
			return nil, err
		}
		repos[i], groups[i], tasks[i], runs[i] = t.Repository, t.TaskGroupID, t.TaskID, max(0, t.Run)
	}
	err = pg.Tx(ctx, b.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := lock(ctx, tx, tasks); err != nil {
			return err
		}
		if said, err = collect(ctx, tx, classifySQL, repos, groups, tasks, runs, int(s.Class), s.Bug, s.Note, by); err != nil {
			return err
		}
		return tell(ctx, tx, said)
	})
	if err == nil {
		b.wake()
	}
	return said, err
}

// Undo takes back what has these ids, and returns what counts of the tasks now: with class NotClassified and ID 0
// where nothing is left. What is taken back already stays so. allowed is asked with the repository of each.
func (b *Book) Undo(ctx context.Context, by string, ids []int64, allowed func(repository string) error) (now []Classification, err error) {
	if len(ids) == 0 || len(ids) > MaxTargets {
		return nil, fault.New(fault.Invalid, "Take back 1 to %d classifications at once, not %d.", MaxTargets, len(ids))
	}
	err = pg.Tx(ctx, b.pool, func(ctx context.Context, tx pgx.Tx) error {
		undone, err := collect(ctx, tx, undoSQL, ids, by)
		if err != nil {
			return err
		}
		tasks := make([]string, len(undone))
		for i, c := range undone {
			if err := allowed(c.Repository); err != nil {
				return err
			}
			tasks[i] = c.TaskID
		}
		if err := lock(ctx, tx, tasks); err != nil {
			return err
		}
		left, err := collect(ctx, tx, currentSQL, tasks)
		if err != nil {
			return err
		}
		now = remaining(undone, left)
		return tell(ctx, tx, now)
	})
	if err == nil {
		b.wake()
	}
	return now, err
}

// remaining is what counts of each task of undone: what is left of it, or that nothing is.
func remaining(undone, left []Classification) []Classification {
	now := []Classification{}
	seen := map[string]bool{}
	for _, c := range undone {
		if seen[c.TaskID] {
			continue
		}
		seen[c.TaskID] = true
		i := slices.IndexFunc(left, func(l Classification) bool { return l.TaskID == c.TaskID })
		if i >= 0 {
			now = append(now, left[i])
		} else {
			now = append(now, Classification{Repository: c.Repository, TaskGroupID: c.TaskGroupID, TaskID: c.TaskID, Run: c.Run, Class: NotClassified})
		}
	}
	return now
}

// Of returns what counts of those of the tasks of which something does.
func (b *Book) Of(ctx context.Context, taskIDs []string) (map[string]Classification, error) {
	list, err := collect(ctx, b.pool, currentSQL, taskIDs)
	return byTask(list), err
}

// InGroups is Of for all tasks of task groups.
func (b *Book) InGroups(ctx context.Context, groups []string) (map[string]Classification, error) {
	list, err := collect(ctx, b.pool, inGroupsSQL, groups)
	return byTask(list), err
}

// History returns what was ever said of a task, the newest first, with what was taken back.
func (b *Book) History(ctx context.Context, taskID string) ([]Classification, error) {
	return collect(ctx, b.pool, historySQL, taskID)
}

func byTask(list []Classification) map[string]Classification {
	out := make(map[string]Classification, len(list))
	for _, c := range list {
		out[c.TaskID] = c
	}
	return out
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func collect(ctx context.Context, db querier, s pg.Statement, args ...any) ([]Classification, error) {
	rows, err := db.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, fmt.Errorf("triage: %s: %w", s.Name, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Classification])
	if err != nil {
		return nil, fmt.Errorf("triage: %s: %w", s.Name, pg.Classify(err))
	}
	if list == nil {
		list = []Classification{}
	}
	return list, nil
}

// lock makes the events of a task come in the order of its changes.
func lock(ctx context.Context, tx pgx.Tx, tasks []string) error {
	if _, err := tx.Exec(ctx, lockSQL.Text, tasks); err != nil {
		return fmt.Errorf("triage: %s: %w", lockSQL.Name, pg.Classify(err))
	}
	return nil
}

func tell(ctx context.Context, tx pgx.Tx, list []Classification) error {
	events := make([]event.Event, len(list))
	for i, c := range list {
		payload, err := json.Marshal(map[string]any{"classification": c})
		if err != nil {
			return fmt.Errorf("triage: %w", err)
		}
		events[i] = event.Event{Kind: Kind, TaskID: c.TaskID, TaskGroupID: c.TaskGroupID, Topic: c.Repository, Payload: payload}
	}
	return event.Append(ctx, tx, events...)
}

const columns = `id, repository, task_group_id, task_id, run_id, class, bug, note, said_by, said, undone_by, undone`

var (
	classifySQL = pg.Statement{Name: "triage.classify", Text: `
INSERT INTO classifications (repository, task_group_id, task_id, run_id, class, bug, note, said_by)
SELECT t.repository, t.task_group_id, t.task_id, t.run_id, $5, $6, $7, $8
FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[]) WITH ORDINALITY AS t (repository, task_group_id, task_id, run_id, i)
ORDER BY t.i
RETURNING ` + columns}

	currentSQL = pg.Statement{Name: "triage.current", Text: `
SELECT DISTINCT ON (task_id) ` + columns + ` FROM classifications WHERE task_id = ANY($1) AND undone IS NULL ORDER BY task_id, id DESC`}

	inGroupsSQL = pg.Statement{Name: "triage.in-groups", Text: `
SELECT DISTINCT ON (task_id) ` + columns + ` FROM classifications WHERE task_group_id = ANY($1) AND undone IS NULL ORDER BY task_id, id DESC`}

	historySQL = pg.Statement{Name: "triage.history", Text: `
SELECT ` + columns + ` FROM classifications WHERE task_id = $1 ORDER BY id DESC LIMIT 200`}

	undoSQL = pg.Statement{Name: "triage.undo", Text: `
UPDATE classifications SET undone = now(), undone_by = $2 WHERE id = ANY($1) AND undone IS NULL RETURNING ` + columns}

	// The first key tells these locks from other rooms'.
	lockSQL = pg.Statement{Name: "triage.lock", Text: `
SELECT pg_advisory_xact_lock(20487, h) FROM (SELECT DISTINCT hashtext(id) AS h FROM unnest($1::text[]) AS id ORDER BY h) AS hashes`}
)
