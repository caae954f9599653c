package index

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// MostCounted is where Browse ends to count; one more stands for "more than that".
const MostCounted = 1000

// Child is a namespace in another, with how much is directly in it.
type Child struct {
	Namespace         // the whole path, the last word, the end
	Namespaces, Tasks int
}

// Browse lists up to limit namespaces directly in a namespace ("" is the root) whose names begin with prefix, by name, of
// names after the given.
func (ix *Index) Browse(ctx context.Context, namespace, prefix, after string, limit int) ([]Child, error) {
	if err := checkNamespace(namespace); err != nil {
		return nil, err
	}
	rows, err := ix.pool.Query(ctx, browseSQL.Text, namespace, prefix, after, limit, MostCounted+1)
	if err != nil {
		return nil, failed("browse "+namespace, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Child, error) {
		var c Child
		err := row.Scan(&c.Name, &c.Expires, &c.Namespaces, &c.Tasks)
		c.Namespace.Namespace, c.Expires = join(namespace, c.Name), c.Expires.UTC()
		return c, err
	})
	if err != nil {
		return nil, failed("browse "+namespace, err)
	}
	return list, nil
}

// BrowseTasks lists entries in the manner of Browse.
func (ix *Index) BrowseTasks(ctx context.Context, namespace, prefix, after string, limit int) ([]Entry, error) {
	if err := checkNamespace(namespace); err != nil {
		return nil, err
	}
	entries, err := collect(ix.pool.Query(ctx, browseTasksSQL.Text, namespace, prefix, after, limit))
	if err != nil {
		return nil, failed("browse tasks of "+namespace, err)
	}
	return entries, nil
}

// Former is a task that stood at a path before another replaced it.
type Former struct {
	TaskID   string    `json:"taskId"`
	Rank     float64   `json:"rank"`
	Indexed  time.Time `json:"indexed"`
	Replaced time.Time `json:"replaced"`
}

// History tells since when the present task stands at a path, and which stood there before, the newest first, as far
// as is remembered: the last twenty. It is a fault.NotFound where nothing stands.
func (ix *Index) History(ctx context.Context, path string) (indexed time.Time, former []Former, err error) {
	if err := CheckPath(path); err != nil {
		return indexed, nil, err
	}
	namespace, name := cut(path)
	var text []byte
	err = ix.pool.QueryRow(ctx, historySQL.Text, namespace, name).Scan(&indexed, &text)
	if errors.Is(err, pgx.ErrNoRows) {
		return indexed, nil, fault.New(fault.NotFound, "No task is indexed at %s.", path)
	}
	if err == nil {
		err = json.Unmarshal(text, &former)
	}
	if err != nil {
		return indexed, nil, failed("history of "+path, err)
	}
	return indexed.UTC(), former, nil
}

var (
	// Names are ASCII, so chr(127) ends those that begin with a prefix. What is counted is read in order, so that it is read
	// from the index: where most of all stands in one namespace, the planner takes the others to be as full.
	browseSQL = pg.Statement{Name: "index.browse", Text: `
		SELECT n.name, n.expires,
			(SELECT count(*) FROM (SELECT FROM index_namespaces c WHERE c.parent = whole.path AND c.expires > now() ORDER BY c.name LIMIT $5) AS few),
			(SELECT count(*) FROM (SELECT FROM indexed_tasks t WHERE t.namespace = whole.path AND t.expires > now() ORDER BY t.name LIMIT $5) AS few)
		FROM (
			SELECT name, expires FROM index_namespaces
			WHERE parent = $1 AND name >= $2 AND name < $2::text || chr(127) AND name > $3 AND expires > now()
			ORDER BY name LIMIT $4) n,
		LATERAL (SELECT CASE WHEN $1 = '' THEN n.name ELSE $1 || '.' || n.name END AS path) whole
		ORDER BY n.name`}

	browseTasksSQL = pg.Statement{Name: "index.browse_tasks", Text: `
		SELECT namespace, name, task_id, rank, data, expires FROM indexed_tasks
		WHERE namespace = $1 AND name >= $2 AND name < $2::text || chr(127) AND name > $3 AND expires > now()
		ORDER BY name LIMIT $4`}

	historySQL = pg.Statement{Name: "index.history", Text: `
		SELECT indexed, former FROM indexed_tasks WHERE namespace = $1 AND name = $2 AND expires > now()`}
)
