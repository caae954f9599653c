package index

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Find returns what stands at a path, or a fault.NotFound.
func (ix *Index) Find(ctx context.Context, path string) (Entry, error) {
	if err := CheckPath(path); err != nil {
		return Entry{}, err
	}
	found, err := find(ctx, ix.pool, []string{path}, false)
	if err != nil {
		return Entry{}, failed("find "+path, err)
	}
	e, ok := found[path]
	if !ok {
		return Entry{}, fault.New(fault.NotFound, "No task is indexed at %s.", path)
	}
	return e, nil
}

// FindMany returns what stands at the given paths, by path, with one query; paths with nothing are left out.
func (ix *Index) FindMany(ctx context.Context, paths []string) (map[string]Entry, error) {
	found, err := find(ctx, ix.pool, paths, false)
	if err != nil {
		return nil, failed("find many", err)
	}
	return found, nil
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// find returns the entries at paths; expired ones only when asked for.
func find(ctx context.Context, q querier, paths []string, expired bool) (map[string]Entry, error) {
	namespaces, names := make([]string, len(paths)), make([]string, len(paths))
	for i, path := range paths {
		namespaces[i], names[i] = cut(path)
	}
	entries, err := collect(q.Query(ctx, findManySQL.Text, namespaces, names, expired))
	if err != nil {
		return nil, pg.Classify(err)
	}
	found := make(map[string]Entry, len(entries))
	for _, e := range entries {
		found[e.Namespace] = e
	}
	return found, nil
}

// ListTasks returns up to limit entries directly in a namespace ("" is the root), by name, of names after the given.
func (ix *Index) ListTasks(ctx context.Context, namespace, after string, limit int) ([]Entry, error) {
	if err := checkNamespace(namespace); err != nil {
		return nil, err
	}
	entries, err := collect(ix.pool.Query(ctx, listTasksSQL.Text, namespace, after, limit))
	if err != nil {
		return nil, failed("list tasks of "+namespace, err)
	}
	return entries, nil
}

// ListNamespaces returns up to limit namespaces directly in a namespace ("" is the root), by name, of names after the
// given.
func (ix *Index) ListNamespaces(ctx context.Context, namespace, after string, limit int) ([]Namespace, error) {
	if err := checkNamespace(namespace); err != nil {
		return nil, err
	}
	rows, err := ix.pool.Query(ctx, listNamespacesSQL.Text, namespace, after, limit)
	if err != nil {
		return nil, failed("list namespaces of "+namespace, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Namespace, error) {
		var n Namespace
		err := row.Scan(&n.Name, &n.Expires)
		n.Namespace = join(namespace, n.Name)
		return n, err
	})
	if err != nil {
		return nil, failed("list namespaces of "+namespace, err)
	}
	return list, nil
}

func checkNamespace(namespace string) error {
	if namespace == "" {
		return nil
	}
	return CheckPath(namespace)
}

// collect reads entries from rows.
func collect(rows pgx.Rows, err error) ([]Entry, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Entry, error) {
		var e Entry
		var namespace, name string
		var data []byte
		var expires time.Time
		err := row.Scan(&namespace, &name, &e.TaskID, &e.Rank, &data, &expires)
		e.Namespace, e.Data, e.Expires = join(namespace, name), data, expires.UTC()
		return e, err
	})
}

var (
	findManySQL = pg.Statement{Name: "index.find_many", Text: `
		SELECT t.namespace, t.name, t.task_id, t.rank, t.data, t.expires
		FROM unnest($1::text[], $2::text[]) AS asked (namespace, name)
		JOIN indexed_tasks t ON t.namespace = asked.namespace AND t.name = asked.name
		WHERE t.expires > now() OR $3`}

	listTasksSQL = pg.Statement{Name: "index.list_tasks", Text: `
		SELECT namespace, name, task_id, rank, data, expires FROM indexed_tasks
		WHERE namespace = $1 AND name > $2 AND expires > now()
		ORDER BY name LIMIT $3`}

	listNamespacesSQL = pg.Statement{Name: "index.list_namespaces", Text: `
		SELECT name, expires FROM index_namespaces
		WHERE parent = $1 AND name > $2 AND expires > now()
		ORDER BY name LIMIT $3`}
)
