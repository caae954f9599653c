package pg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Online is how far the online part of a version is: what is done to a large table piece by piece, while
// everybody works with it. It can be interrupted at any moment, also by the death of the process or of the
// database, and goes on where it was.
type Online struct {
	Direction string     `json:"direction"` // up or down
	Rows      int64      `json:"rows"`      // looked at
	Total     int64      `json:"total"`     // as estimated when it began
	Started   time.Time  `json:"started"`
	Updated   time.Time  `json:"updated"`
	Finished  *time.Time `json:"finished,omitempty"` // nil: there is more to do
	Seconds   float64    `json:"seconds"`            // that somebody was at it, with the rests
}

// Left estimates how long somebody has to be at it still; it is unknown (-1) before the first piece is done.
func (o Online) Left() time.Duration {
	switch {
	case o.Finished != nil:
		return 0
	case o.Rows == 0 || o.Seconds == 0:
		return -1
	}
	return time.Duration(float64(max(0, o.Total-o.Rows)) * o.Seconds / float64(o.Rows) * float64(time.Second))
}

// How changes what Upgrade and Downgrade do.
type How func(*manner)

type manner struct {
	later bool
	busy  int
	tell  func(Version)
}

// Later leaves the online parts to Finish, except those that a later version builds on.
func Later() How { return func(m *manner) { m.later = true } }

// Busy is the share of the time, in percent, that is spent on pieces; the rest of it is left to others. It is
// 50 when not given.
func Busy(percent int) How { return func(m *manner) { m.busy = min(100, max(1, percent)) } }

// Tell has f called after each piece, with the version's Online set.
func Tell(f func(Version)) How { return func(m *manner) { m.tell = f } }

func mannerOf(how []How) manner {
	m := manner{busy: 50, tell: func(Version) {}}
	for _, h := range how {
		h(&m)
	}
	return m
}

// Finish does what is left of the online parts of versions that are applied. Any number of processes may do it
// at once; they take turns.
func Finish(ctx context.Context, pool *pgxpool.Pool, how ...How) error {
	return finish(ctx, pool, versionFiles, 0, mannerOf(how))
}

// finish does it for one version, or for all when the number is 0.
func finish(ctx context.Context, pool *pgxpool.Pool, files fs.FS, number int, m manner) error {
	versions, err := versionsOf(ctx, pool, files)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Online == nil || v.Online.Finished != nil || v.Online.Direction != "up" || !v.Known || number != 0 && v.Number != number {
			continue
		}
		if err := finishOne(ctx, pool, v, m); err != nil {
			return fmt.Errorf("pg: upgrade to %04d_%s, online: %w", v.Number, v.Name, err)
		}
	}
	return nil
}

// finishOne makes the indexes last: they would only be in the way of the pieces.
func finishOne(ctx context.Context, pool *pgxpool.Pool, v Version, m manner) error {
	if err := pieces(ctx, pool, v, "up", m); err != nil {
		return err
	}
	for _, statement := range v.indexes {
		if err := makeIndex(ctx, pool, statement); err != nil {
			return err
		}
	}
	var o Online
	err := scanOnline(pool.QueryRow(ctx, finishedSQL.Text, v.Number), &o)
	if errors.Is(err, pgx.ErrNoRows) {
		return errTurned
	}
	if err == nil {
		v.Online = &o
		m.tell(v)
	}
	return Classify(err)
}

// How large pieces are, and how long they are to take. A piece locks the rows that it changes.
const (
	firstPiece   = 500
	largestPiece = 20_000
	pieceTakes   = 100 * time.Millisecond
	pieceTries   = 600 // in a row, of waiting a second each for rows that somebody has locked
)

// errTurned says that somebody has begun to go the other way.
var errTurned = fault.New(fault.Conflict, "another process takes the version the other way; it has the word")

// pieces does a version's batches in a direction until there is none left.
func pieces(ctx context.Context, pool *pgxpool.Pool, v Version, direction string, m manner) error {
	size, tries, spent := firstPiece, 0, 0.0
	text := v.upBatch
	if direction == "down" {
		text = v.downBatch
	}
	for {
		began := time.Now()
		o, done, err := piece(ctx, pool, v.Number, direction, text, size, spent)
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "55P03" && tries < pieceTries {
			tries, size, spent = tries+1, max(1, size/2), time.Since(began).Seconds()
			continue
		}
		if err != nil {
			return err
		}
		v.Online = &o
		m.tell(v)
		if done {
			return nil
		}
		took := time.Since(began)
		tries, size = 0, min(largestPiece, max(10, int(float64(size)*min(2, float64(pieceTakes)/float64(took)))))
		if rest := took * time.Duration(100-m.busy) / time.Duration(m.busy); rest > 0 {
			select {
			case <-ctx.Done():
				return Classify(ctx.Err())
			case <-time.After(rest):
			}
		}
		spent = time.Since(began).Seconds()
	}
}

// piece does one batch in a transaction that also moves the bookmark: both happen, or none.
func piece(ctx context.Context, pool *pgxpool.Pool, number int, direction, text string, size int, spent float64) (o Online, done bool, err error) {
	err = Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, tableWaitSQL.Text, tableWait); err != nil {
			return err
		}
		var bookmark *string
		if err := tx.QueryRow(ctx, bookmarkSQL.Text, number).Scan(&o.Direction, &bookmark); err != nil {
			return err
		}
		if o.Direction != direction {
			return errTurned
		}
		var rows int64
		var next *string
		if done = text == "" || bookmark != nil && *bookmark == throughAll; !done {
			if err := tx.QueryRow(ctx, text, bookmark, size).Scan(&rows, &next); err != nil {
				return located(err, text)
			}
			done = next == nil
		}
		if done {
			next = new(throughAll)
		}
		return scanOnline(tx.QueryRow(ctx, moveOnlineSQL.Text, number, next, rows, spent), &o)
	})
	return o, done, err
}

// throughAll is the bookmark behind the last row.
const throughAll = "null"

func scanOnline(row pgx.Row, o *Online) error {
	return row.Scan(&o.Direction, &o.Rows, &o.Total, &o.Started, &o.Updated, &o.Finished, &o.Seconds)
}

// aim says in the transaction of a schema change which way a version goes now; going the other way begins anew.
func aim(ctx context.Context, tx pgx.Tx, v Version, direction string) error {
	if !v.online() {
		return nil
	}
	var total int64
	if m := onTable.FindStringSubmatch(v.upBatch + "\n" + v.downBatch); m != nil {
		if err := tx.QueryRow(ctx, estimateSQL.Text, m[1]).Scan(&total); err != nil {
			return err
		}
		if total < 100_000 { // also where nobody has looked yet
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{m[1]}.Sanitize()).Scan(&total); err != nil {
				return err
			}
		}
	}
	_, err := tx.Exec(ctx, aimSQL.Text, v.Number, direction, total)
	return err
}

func (v *Version) online() bool { return v.upBatch != "" || v.downBatch != "" || len(v.indexes) > 0 }

// onTable says in a batch file which table's rows it goes through.
var onTable = regexp.MustCompile(`(?m)^-- table: (\w+)$`)

// indexed finds the name of the index that a statement makes, and of the table.
var indexed = regexp.MustCompile(`(?s)^\s*CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+)\s+ON\s+(\w+)`)

// makeIndex makes an index while everybody goes on writing. It begins anew when an earlier try broke off,
// and waits when somebody else is at it.
func makeIndex(ctx context.Context, pool *pgxpool.Pool, statement string) error {
	name := indexed.FindStringSubmatch(statement)[1]
	for {
		var state string
		if err := pool.QueryRow(ctx, indexStateSQL.Text, name).Scan(&state); err != nil {
			return Classify(err)
		}
		var err error
		switch state {
		case "there":
			return nil
		case "broken":
			_, err = pool.Exec(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+pgx.Identifier{name}.Sanitize())
		case "missing":
			_, err = pool.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol)
		}
		if err == nil && state != "under way" {
			continue
		}
		if e, ok := errors.AsType[*pgconn.PgError](err); ok && slices.Contains([]string{"42P07", "23505", "55P03", "40P01", "42704"}, e.Code) {
			err = nil // somebody else was faster, or in the way
		}
		if err != nil {
			return fmt.Errorf("index %s: %w", name, Classify(err))
		}
		select {
		case <-ctx.Done():
			return Classify(ctx.Err())
		case <-time.After(tablePause / 5):
		}
	}
}

// addOnline reads what a version does online from its files: batches, which are one statement each, and
// indexes, which are statements with semicolons between.
func (v *Version) addOnline(kind, text string) error {
	switch kind {
	case "up.batch":
		v.upBatch = text
	case "down.batch":
		v.downBatch = text
	default:
		for statement := range strings.SplitSeq(text, ";") {
			if statement = strings.TrimSpace(statement); statement == "" {
				continue
			}
			if !indexed.MatchString(statement) {
				return fmt.Errorf("pg: version %04d_%s: an index file has only CREATE INDEX CONCURRENTLY name ON table …", v.Number, v.Name)
			}
			v.indexes = append(v.indexes, statement)
		}
	}
	return nil
}

// buildsOn finds the versions whose online parts must be done before this one.
var buildsOn = regexp.MustCompile(`(?m)^-- builds on: (\d{4})$`)

// MarshalJSON shows how long the online part takes still, too.
func (o Online) MarshalJSON() ([]byte, error) {
	type plain Online
	return json.Marshal(struct {
		plain
		SecondsLeft float64 `json:"secondsLeft"`
	}{plain(o), o.Left().Seconds()})
}

const onlineTableSQL = `
CREATE TABLE IF NOT EXISTS schema_online (
	number    integer PRIMARY KEY,
	direction text NOT NULL CHECK (direction IN ('up', 'down')),
	bookmark  jsonb,
	rows      bigint NOT NULL DEFAULT 0,
	total     bigint NOT NULL,
	seconds   double precision NOT NULL DEFAULT 0,
	started   timestamptz NOT NULL DEFAULT now(),
	updated   timestamptz NOT NULL DEFAULT now(),
	finished  timestamptz
)`

const onlineColumns = `direction, rows, total, started, updated, finished, seconds`

var (
	bookmarkSQL   = Statement{"pg.online-bookmark", `SELECT direction, bookmark::text FROM schema_online WHERE number = $1 FOR UPDATE`}
	moveOnlineSQL = Statement{"pg.online-move", `
UPDATE schema_online SET bookmark = $2::text::jsonb, rows = rows + $3, seconds = seconds + $4, updated = clock_timestamp()
WHERE number = $1 RETURNING ` + onlineColumns}
	finishedSQL = Statement{"pg.online-finished", `
UPDATE schema_online SET updated = clock_timestamp(), finished = coalesce(finished, clock_timestamp()) WHERE number = $1 AND direction = 'up' RETURNING ` + onlineColumns}
	aimSQL = Statement{"pg.online-aim", `
INSERT INTO schema_online AS o (number, direction, total) VALUES ($1, $2, $3)
ON CONFLICT (number) DO UPDATE SET direction = excluded.direction, bookmark = NULL, rows = 0, total = excluded.total, seconds = 0,
	started = now(), updated = now(), finished = NULL
WHERE o.direction <> excluded.direction`}
	dropOnlineSQL = Statement{"pg.online-drop", `DELETE FROM schema_online WHERE number = $1`}
	listOnlineSQL = Statement{"pg.online-list", `SELECT number, ` + onlineColumns + ` FROM schema_online`}
	estimateSQL   = Statement{"pg.online-estimate", `SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass($1)`}
	indexStateSQL = Statement{"pg.online-index", `
SELECT CASE WHEN i.indexrelid IS NULL THEN 'missing' WHEN i.indisvalid THEN 'there'
	WHEN EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) THEN 'under way' ELSE 'broken' END
FROM (SELECT to_regclass($1) AS oid) AS n LEFT JOIN pg_index i ON i.indexrelid = n.oid`}
)
