package index

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Rejected is an entry that could not be written, and why (a fault.Invalid).
type Rejected struct {
	Entry Entry
	Err   error
}

// Insert writes an entry, unless one of a higher rank stands at its path, and returns what stands there now. It gives
// a fault.Invalid for a bad path or bad data.
func (ix *Index) Insert(ctx context.Context, e Entry) (Entry, error) {
	if err := e.check(); err != nil {
		return Entry{}, err
	}
	var now Entry
	err := pg.Tx(ctx, ix.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := write(ctx, tx, []Entry{e}); err != nil {
			return err
		}
		found, err := find(ctx, tx, []string{e.Namespace}, true)
		now = found[e.Namespace]
		return err
	})
	if err != nil {
		return Entry{}, fmt.Errorf("index: insert %s: %w", e.Namespace, err)
	}
	return now, nil
}

// WriteCompleted writes the entries of completed tasks in the transaction that resolves them. Entries that break a rule
// are not written but returned: a task is done whatever its routes say, and the caller can tell its owner. The error
// is the database's.
func (ix *Index) WriteCompleted(ctx context.Context, tx pgx.Tx, entries []Entry) ([]Rejected, error) {
	var rejected []Rejected
	good := make([]Entry, 0, len(entries))
	for _, e := range entries {
		if err := e.check(); err != nil {
			rejected = append(rejected, Rejected{e, err})
			continue
		}
		good = append(good, e)
	}
	if err := write(ctx, tx, good); err != nil {
		return rejected, fmt.Errorf("index: write %d entries: %w", len(good), err)
	}
	return rejected, nil
}

// write writes good entries with two statements, whatever their number.
func write(ctx context.Context, tx pgx.Tx, entries []Entry) error {
	entries = newest(entries)
	if len(entries) == 0 {
		return nil
	}
	n := len(entries)
	namespaces, names, ids := make([]string, n), make([]string, n), make([]string, n)
	ranks, data, expires := make([]float64, n), make([]string, n), make([]time.Time, n)
	above := map[[2]string]time.Time{}
	for i, e := range entries {
		namespaces[i], names[i] = cut(e.Namespace)
		ids[i], ranks[i], data[i], expires[i] = e.TaskID, e.Rank, string(e.Data), e.Expires
		addAncestors(above, namespaces[i], e.Expires)
	}
	if _, err := tx.Exec(ctx, writeSQL.Text, namespaces, names, ids, ranks, data, expires); err != nil {
		return pg.Classify(err)
	}
	if len(above) == 0 {
		return nil
	}
	var parents, children []string
	var until []time.Time
	for key, t := range above {
		parents, children, until = append(parents, key[0]), append(children, key[1]), append(until, t)
	}
	_, err := tx.Exec(ctx, writeNamespacesSQL.Text, parents, children, until)
	return pg.Classify(err)
}

// newest keeps one entry a path, the last of the highest rank, sorted by path: one statement cannot write a row twice,
// and everybody locks rows in the same order.
func newest(entries []Entry) []Entry {
	best := make(map[string]Entry, len(entries))
	for _, e := range entries {
		if old, ok := best[e.Namespace]; !ok || old.Rank <= e.Rank {
			best[e.Namespace] = e
		}
	}
	out := make([]Entry, 0, len(best))
	for _, e := range best {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return out
}

// addAncestors notes a namespace and all above it as needed until expires, rounded up to a whole day.
func addAncestors(above map[[2]string]time.Time, namespace string, expires time.Time) {
	const day = 24 * time.Hour
	until := expires.UTC().Truncate(day).Add(day)
	for namespace != "" {
		parent, name := cut(namespace)
		if key := [2]string{parent, name}; above[key].Before(until) {
			above[key] = until
		}
		namespace = parent
	}
}

// Delete removes what stands at a path; it is no error when nothing does. Namespaces stay until they expire.
func (ix *Index) Delete(ctx context.Context, path string) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	namespace, name := cut(path)
	err := pg.Tx(ctx, ix.pool, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, deleteSQL.Text, namespace, name)
		return err
	})
	if err != nil {
		return failed("delete "+path, err)
	}
	return nil
}

var (
	// An entry that has expired gives way to any.
	writeSQL = pg.Statement{Name: "index.write", Text: `
		INSERT INTO indexed_tasks AS old (namespace, name, task_id, rank, data, expires)
		SELECT namespace, name, task_id, rank, data::jsonb, expires
		FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::text[], $6::timestamptz[])
			AS new (namespace, name, task_id, rank, data, expires)
		ORDER BY namespace COLLATE "C", name COLLATE "C"
		ON CONFLICT (namespace, name) DO UPDATE
		SET task_id = excluded.task_id, rank = excluded.rank, data = excluded.data, expires = excluded.expires,
			indexed = CASE WHEN old.task_id = excluded.task_id THEN old.indexed ELSE now() END,
			former = CASE WHEN old.task_id = excluded.task_id THEN old.former ELSE jsonb_path_query_array(jsonb_build_array(jsonb_build_object(
				'taskId', old.task_id, 'rank', old.rank, 'indexed', old.indexed, 'replaced', now())) || old.former, '$[0 to 19]') END
		WHERE old.rank <= excluded.rank OR old.expires <= now()`}

	// Namespaces that live long enough are left alone, unlocked: every task of a day shares them.
	writeNamespacesSQL = pg.Statement{Name: "index.write_namespaces", Text: `
		INSERT INTO index_namespaces AS old (parent, name, expires)
		SELECT parent, name, expires
		FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS new (parent, name, expires)
		WHERE NOT EXISTS (
			SELECT FROM index_namespaces known
			WHERE known.parent = new.parent AND known.name = new.name AND known.expires >= new.expires)
		ORDER BY parent COLLATE "C", name COLLATE "C"
		ON CONFLICT (parent, name) DO UPDATE SET expires = greatest(old.expires, excluded.expires)`}

	deleteSQL = pg.Statement{Name: "index.delete", Text: `DELETE FROM indexed_tasks WHERE namespace = $1 AND name = $2`}
)
