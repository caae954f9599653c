package push

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// List returns up to limit pushes of a repository, newest first, with ids below before (0: from
// the newest on).
func (l *Log) List(ctx context.Context, repository string, before int64, limit int) ([]Push, error) {
	return l.query(ctx, "list", listSQL, repository, before, limit)
}

// Get returns one push, or a fault.NotFound.
func (l *Log) Get(ctx context.Context, repository string, id int64) (Push, error) {
	return l.one(ctx, "get", getSQL, repository, id)
}

// ByRevision returns the newest push of a repository whose revision starts with the given hex
// digits, or a fault.NotFound.
func (l *Log) ByRevision(ctx context.Context, repository, revision string) (Push, error) {
	return l.one(ctx, "by revision", byRevisionSQL, repository, revision)
}

// AtRevision returns the newest push that brought a branch to a revision, or a fault.NotFound.
func (l *Log) AtRevision(ctx context.Context, repository, branch, revision string) (Push, error) {
	return l.one(ctx, "at revision", atRevisionSQL, repository, branch, revision)
}

// ByTaskGroup returns the push whose decision task or group is given, or a fault.NotFound.
func (l *Log) ByTaskGroup(ctx context.Context, taskGroupID string) (Push, error) {
	return l.one(ctx, "by task group", byTaskGroupSQL, taskGroupID)
}

// ByTaskGroupIn is ByTaskGroup for who holds a transaction: it asks in it, since who waits for a second connection while
// holding one may wait for those who do the same.
func (l *Log) ByTaskGroupIn(ctx context.Context, tx pgx.Tx, taskGroupID string) (Push, error) {
	return one(ctx, tx, "by task group", byTaskGroupSQL, taskGroupID)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (l *Log) query(ctx context.Context, what string, s pg.Statement, args ...any) ([]Push, error) {
	return query(ctx, l.pool, what, s, args...)
}

func (l *Log) one(ctx context.Context, what string, s pg.Statement, args ...any) (Push, error) {
	return one(ctx, l.pool, what, s, args...)
}

func query(ctx context.Context, db querier, what string, s pg.Statement, args ...any) ([]Push, error) {
	rows, err := db.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, fmt.Errorf("push: %s: %w", what, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Push])
	if err != nil {
		return nil, fmt.Errorf("push: %s: %w", what, pg.Classify(err))
	}
	return list, nil
}

func one(ctx context.Context, db querier, what string, s pg.Statement, args ...any) (Push, error) {
	list, err := query(ctx, db, what, s, args...)
	if err != nil {
		return Push{}, err
	}
	if len(list) == 0 {
		return Push{}, fmt.Errorf("push: %s %v: %w", what, args, pg.Classify(pgx.ErrNoRows))
	}
	return list[0], nil
}

const columns = `repository, id, revision, base, branch, author, email, message, commits, files_changed,
	coalesce(dated, pushed) AS pushed, state, task_group_id, error, decision_millis, pushlog_id, coalesce(forge_key, '') AS forge_key, attempts`

var (
	listSQL = pg.Statement{Name: "push.list", Text: `
		SELECT ` + columns + ` FROM pushes WHERE repository = $1 AND ($2::bigint = 0 OR id < $2) ORDER BY id DESC LIMIT $3`}

	getSQL = pg.Statement{Name: "push.get", Text: `
		SELECT ` + columns + ` FROM pushes WHERE repository = $1 AND id = $2`}

	byRevisionSQL = pg.Statement{Name: "push.by-revision", Text: `
		SELECT ` + columns + ` FROM pushes WHERE repository = $1 AND starts_with(revision, $2::text) ORDER BY id DESC LIMIT 1`}

	atRevisionSQL = pg.Statement{Name: "push.at-revision", Text: `
		SELECT ` + columns + ` FROM pushes WHERE repository = $1 AND branch = $2 AND revision = $3 ORDER BY id DESC LIMIT 1`}

	byTaskGroupSQL = pg.Statement{Name: "push.by-task-group", Text: `
		SELECT ` + columns + ` FROM pushes WHERE task_group_id = $1 AND $1 <> '' LIMIT 1`}
)
