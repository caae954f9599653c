package hg

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"

	forge "github.com/treeline-ci/treeline/hg"
)

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement {
	return []pg.Statement{noteSQL, takeSQL, renewSQL, writeSQL, refsSQL, knownSQL, newestSQL, lockSQL, advanceSQL, learnSQL, forgetSQL, hintSQL, statusSQL}
}

// state is what a look begins with.
type state struct {
	Name       string `db:"name"`
	Version    int64  `db:"version"`
	Generation int    `db:"generation"`
	Pushlog    *bool  `db:"pushlog"`
	Cursor     int64  `db:"cursor"`
	Behind     int    `db:"behind"`
	ETag       string `db:"etag"`
	Hints      int64  `db:"hints"`
	Failures   int    `db:"failures"`
	Stale      bool   `db:"stale"` // the tag was relied on for long
	Told       bool   `db:"told"`  // hints come
	Quiet      bool   `db:"quiet"` // nothing moved for long
}

// note makes the rows of the repositories.
func (w *Watch) note(ctx context.Context) error {
	var names []string
	for name := range w.repos {
		names = append(names, name)
	}
	slices.Sort(names) // servers that start together lock them in one order
	if _, err := w.Pool.Exec(ctx, noteSQL.Text, names); err != nil {
		return fmt.Errorf("app/hg: note repositories: %w", pg.Classify(err))
	}
	return nil
}

// take takes those of the repositories that are due.
func (w *Watch) take(ctx context.Context, names []string) ([]state, error) {
	rows, err := w.Pool.Query(ctx, takeSQL.Text, names, lease.Seconds(), portion)
	if err != nil {
		return nil, fmt.Errorf("app/hg: take: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[state])
	if err != nil {
		return nil, fmt.Errorf("app/hg: take: %w", pg.Classify(err))
	}
	return list, nil
}

// write writes the results of looks that recorded nothing, all at once.
func (w *Watch) write(ctx context.Context) error {
	w.mu.Lock()
	list := w.results
	w.results = nil
	w.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b result) int { return int(b.Version - a.Version) })
	n := len(list)
	names, versions, hints, pauses := make([]string, n), make([]int64, n), make([]int64, n), make([]float64, n)
	read, tags, errs, behind := make([]bool, n), make([]string, n), make([]string, n), make([]int, n)
	for i, r := range list {
		names[i], versions[i], hints[i], pauses[i] = r.Name, r.Version, r.Hints, r.pause.Seconds()
		read[i], tags[i], errs[i], behind[i] = r.read, clean(r.ETag), clean(r.error), r.Behind
	}
	if _, err := w.Pool.Exec(ctx, writeSQL.Text, names, versions, hints, pauses, read, tags, errs, behind); err != nil {
		return fmt.Errorf("app/hg: write %d looks: %w", n, pg.Classify(err)) // they are made again when their lease ends
	}
	return nil
}

// refs are those of the last look.
func (w *Watch) refs(ctx context.Context, name string) (forge.Refs, error) {
	var heads, bookmarks []byte
	if err := w.Pool.QueryRow(ctx, refsSQL.Text, name).Scan(&heads, &bookmarks); err != nil {
		return forge.Refs{}, fmt.Errorf("app/hg: refs of %s: %w", name, pg.Classify(err))
	}
	var refs forge.Refs
	if err := json.Unmarshal(heads, &refs.Heads); err != nil {
		return refs, fmt.Errorf("app/hg: heads of %s: %w", name, err)
	}
	if err := json.Unmarshal(bookmarks, &refs.Bookmarks); err != nil {
		return refs, fmt.Errorf("app/hg: bookmarks of %s: %w", name, err)
	}
	return refs, nil
}

// known says which of some changesets have been seen.
func (w *Watch) known(ctx context.Context, name string, nodes []string) (map[string]bool, error) {
	list, err := w.nodes(ctx, knownSQL, name, nodes)
	known := map[string]bool{}
	for _, node := range list {
		known[node] = true
	}
	return known, err
}

// newest are the changesets that were seen last.
func (w *Watch) newest(ctx context.Context, name string) ([]string, error) {
	return w.nodes(ctx, newestSQL, name, recent)
}

func (w *Watch) nodes(ctx context.Context, s pg.Statement, args ...any) ([]string, error) {
	rows, err := w.Pool.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, fmt.Errorf("app/hg: known changesets of %v: %w", args[0], pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("app/hg: known changesets of %v: %w", args[0], pg.Classify(err))
	}
	return list, nil
}

var (
	noteSQL = pg.Statement{Name: "app/hg.note", Text: `
		INSERT INTO hg_repositories (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING`}

	takeSQL = pg.Statement{Name: "app/hg.take", Text: `
		UPDATE hg_repositories SET next_look = clock_timestamp() + make_interval(secs => $2)
		WHERE name IN (
			SELECT name FROM hg_repositories WHERE next_look <= clock_timestamp() AND name = ANY($1::text[])
			ORDER BY next_look LIMIT $3 FOR UPDATE SKIP LOCKED)
		RETURNING name, version, generation, pushlog, cursor, behind, etag, hints, failures,
			read < clock_timestamp() - interval '15 minutes' AS stale,
			hinted > clock_timestamp() - interval '1 day' AS told,
			moved < clock_timestamp() - interval '7 days' AS quiet`}

	// Not where the time has come already: another server may have it, or a hint has come.
	renewSQL = pg.Statement{Name: "app/hg.renew", Text: `
		UPDATE hg_repositories SET next_look = clock_timestamp() + make_interval(secs => $2)
		WHERE name = ANY($1::text[]) AND next_look > clock_timestamp()`}

	// A hint that came during the look may tell of what the look did not see.
	writeSQL = pg.Statement{Name: "app/hg.write", Text: `
		UPDATE hg_repositories r SET
			next_look = CASE WHEN r.hints = u.hints THEN clock_timestamp() + make_interval(secs => u.pause)
				WHEN u.error = '' THEN '-infinity' ELSE clock_timestamp() + make_interval(secs => least(u.pause, 10)) END,
			looked = CASE WHEN u.error = '' THEN clock_timestamp() ELSE r.looked END,
			read = CASE WHEN u.read THEN clock_timestamp() ELSE r.read END,
			etag = CASE WHEN u.error = '' THEN u.etag ELSE r.etag END,
			failures = CASE WHEN u.error = '' THEN 0 ELSE r.failures + 1 END,
			error = u.error, behind = u.behind
		FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::float8[], $5::bool[], $6::text[], $7::text[], $8::int[])
			AS u (name, version, hints, pause, read, etag, error, behind)
		WHERE r.name = u.name AND r.version = u.version`}

	refsSQL = pg.Statement{Name: "app/hg.refs", Text: `SELECT heads, bookmarks FROM hg_repositories WHERE name = $1`}

	knownSQL = pg.Statement{Name: "app/hg.known", Text: `
		SELECT node FROM hg_known WHERE repository = $1 AND node = ANY($2::text[])`}

	newestSQL = pg.Statement{Name: "app/hg.newest", Text: `
		SELECT node FROM hg_known WHERE repository = $1 ORDER BY seq DESC LIMIT $2`}
)
