package pg

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
)

//go:embed versions/*.sql
var versionFiles embed.FS

// upgradeLock is the key of the advisory lock that lets one process at a time change the schema.
const upgradeLock = 0x7472_6565_6c69_6e65 // "treeline"

// Version is one numbered step of the schema.
type Version struct {
	Number   int        `json:"number"`
	Name     string     `json:"name"`              // room_what
	Applied  *time.Time `json:"applied,omitempty"` // nil: not applied
	Known    bool       `json:"known"`             // false: applied by another binary; this one has no file for it
	Changed  bool       `json:"changed,omitempty"` // the file differs from what was applied
	Online   *Online    `json:"online,omitempty"`  // nil: it has no online part, or is not applied
	checksum string
	up, down string

	upBatch, downBatch string   // one statement each: $1 bookmark as JSON, null at the begin; $2 rows; returns rows, bookmark (null: done)
	indexes            []string // CREATE INDEX CONCURRENTLY …
}

// Checksum identifies the whole schema that this binary makes; it changes with any version file.
func Checksum() (string, error) {
	versions, err := load(versionFiles)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, v := range versions {
		fmt.Fprintf(sum, "%d %s %s\n%s\n%q\n", v.Number, v.Name, v.checksum, v.upBatch, v.indexes)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// Newest is the number of the newest version that this binary knows.
func Newest() (int, error) {
	versions, err := load(versionFiles)
	return newest(versions), err
}

// Versions returns all versions that this binary knows or the database has, in order. It changes
// nothing.
func Versions(ctx context.Context, pool *pgxpool.Pool) ([]Version, error) {
	return versionsOf(ctx, pool, versionFiles)
}

// Upgrade applies the versions up to number to (0: all) that the database does not have yet, each
// in a transaction of its own, and then does their online parts. Any number of processes may do this at
// once. It refuses when a version was changed after it was applied.
func Upgrade(ctx context.Context, pool *pgxpool.Pool, to int, how ...How) error {
	return upgrade(ctx, pool, versionFiles, to, mannerOf(how))
}

// Downgrade takes back the versions above number to, newest first, each in a transaction of its own, before
// which comes what it does online; 0 takes back all. It refuses, before it changes anything, when the database has a version
// that this binary does not know.
func Downgrade(ctx context.Context, pool *pgxpool.Pool, to int, how ...How) error {
	return downgrade(ctx, pool, versionFiles, to, mannerOf(how))
}

func upgrade(ctx context.Context, pool *pgxpool.Pool, files fs.FS, to int, m manner) error {
	versions, err := load(files)
	if err != nil {
		return err
	}
	if to != 0 && !slices.ContainsFunc(versions, func(v Version) bool { return v.Number == to }) {
		return fault.New(fault.Invalid, "there is no version %d; the newest is %d", to, newest(versions))
	}
	if err := ensureTable(ctx, pool); err != nil {
		return err
	}
	for _, v := range versions {
		if to != 0 && v.Number > to {
			break
		}
		if err := foundation(ctx, pool, files, v, m); err != nil {
			return err
		}
		err := locked(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
			var sum string
			err := tx.QueryRow(ctx, findVersionSQL.Text, v.Number).Scan(&sum)
			if err == nil {
				if sum != v.checksum {
					return fault.New(fault.Conflict, "version %04d_%s was changed after this database got it; "+
						"downgrade with the binary that applied it, or begin with a fresh database", v.Number, v.Name)
				}
				_, err := tx.Exec(ctx, aimUpSQL.Text, v.Number)
				return err
			}
			if err := notFoundIsFine(err); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, v.up, pgx.QueryExecModeSimpleProtocol); err != nil {
				return located(err, v.up)
			}
			if _, err = tx.Exec(ctx, addVersionSQL.Text, v.Number, v.Name, v.checksum); err != nil {
				return err
			}
			return aim(ctx, tx, v, "up")
		})
		if err != nil {
			return fmt.Errorf("pg: upgrade to %04d_%s: %w", v.Number, v.Name, err)
		}
	}
	if m.later {
		return nil
	}
	return finish(ctx, pool, files, 0, m)
}

// foundation does the online parts on which a version builds that is to be applied.
func foundation(ctx context.Context, pool *pgxpool.Pool, files fs.FS, v Version, m manner) error {
	for _, match := range buildsOn.FindAllStringSubmatch(v.up, -1) {
		number, err := strconv.Atoi(match[1])
		if err != nil {
			return fmt.Errorf("pg: version %04d_%s: %w", v.Number, v.Name, err)
		}
		if err := finish(ctx, pool, files, number, m); err != nil {
			return err
		}
	}
	return nil
}

func downgrade(ctx context.Context, pool *pgxpool.Pool, files fs.FS, to int, m manner) error {
	if err := ensureTable(ctx, pool); err != nil {
		return err
	}
	versions, err := versionsOf(ctx, pool, files)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Number > to && !v.Known {
			return fault.New(fault.Conflict, "pg: downgrade: the database has version %04d_%s, which this binary does not know; "+
				"downgrade with the newer binary first", v.Number, v.Name)
		}
	}
	for _, v := range slices.Backward(versions) {
		if v.Number <= to || v.Applied == nil {
			continue
		}
		if err := takeBackOnline(ctx, pool, v, m); err != nil {
			return fmt.Errorf("pg: downgrade of %04d_%s, online: %w", v.Number, v.Name, err)
		}
		err := locked(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, dropOnlineSQL.Text, v.Number); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, deleteVersionSQL.Text, v.Number)
			if err != nil || tag.RowsAffected() == 0 { // somebody else took it back meanwhile
				return err
			}
			if _, err := tx.Exec(ctx, v.down, pgx.QueryExecModeSimpleProtocol); err != nil {
				return located(err, v.down)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("pg: downgrade of %04d_%s: %w", v.Number, v.Name, err)
		}
	}
	return nil
}

// takeBackOnline does a version's batches downwards.
func takeBackOnline(ctx context.Context, pool *pgxpool.Pool, v Version, m manner) error {
	if v.downBatch == "" {
		return nil
	}
	there := true
	err := locked(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		var sum string
		err := tx.QueryRow(ctx, findVersionSQL.Text, v.Number).Scan(&sum)
		if there = err == nil; !there {
			return notFoundIsFine(err) // somebody else took it back meanwhile
		}
		return aim(ctx, tx, v, "down")
	})
	if err != nil || !there {
		return err
	}
	err = pieces(ctx, pool, v, "down", m)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // likewise
	}
	return err
}

// How long a change of the schema waits for a table, and for how long it tries. What waits for a table
// makes everybody wait behind it; so it gives way soon, and comes back.
const (
	tableWait  = "1s"
	tablePause = 500 * time.Millisecond
	tableTries = 60
)

// locked runs one step of the schema in a transaction that no other schema change runs beside. While
// somebody's transaction keeps a table from being changed, it tries again and again, for a minute or two.
func locked(ctx context.Context, pool *pgxpool.Pool, fn func(ctx context.Context, tx pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, lockVersionsSQL.Text, int64(upgradeLock)); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, tableWaitSQL.Text, tableWait); err != nil {
				return err
			}
			return fn(ctx, tx)
		})
		e, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || e.Code != "55P03" {
			return err
		}
		if try == tableTries {
			return fault.Wrap(fault.Unavailable, err, "a table stays in use: some transaction is open for long; "+
				"SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start shows it; end it and try again")
		}
		select {
		case <-ctx.Done():
			return Classify(ctx.Err())
		case <-time.After(tablePause):
		}
	}
}

func ensureTable(ctx context.Context, pool *pgxpool.Pool) error {
	err := locked(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, versionTableSQL); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, onlineTableSQL)
		return err
	})
	if err != nil {
		return fmt.Errorf("pg: make schema_versions: %w", err)
	}
	return nil
}

func versionsOf(ctx context.Context, pool *pgxpool.Pool, files fs.FS) ([]Version, error) {
	versions, err := load(files)
	if err != nil {
		return nil, err
	}
	var exists bool
	if err := pool.QueryRow(ctx, versionTableExistsSQL.Text).Scan(&exists); err != nil {
		return nil, fmt.Errorf("pg: versions: %w", Classify(err))
	}
	if !exists {
		return versions, nil
	}
	rows, err := pool.Query(ctx, listVersionsSQL.Text)
	if err != nil {
		return nil, fmt.Errorf("pg: versions: %w", Classify(err))
	}
	defer rows.Close()
	for rows.Next() {
		var v Version
		var at time.Time
		if err := rows.Scan(&v.Number, &v.Name, &v.checksum, &at); err != nil {
			return nil, fmt.Errorf("pg: versions: %w", Classify(err))
		}
		i, ok := slices.BinarySearchFunc(versions, v.Number, func(v Version, n int) int { return v.Number - n })
		if !ok {
			versions = slices.Insert(versions, i, v)
		}
		versions[i].Applied = &at
		versions[i].Changed = versions[i].checksum != v.checksum
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("pg: versions: %w", Classify(err))
	}
	return versions, onlineOf(ctx, pool, versions)
}

// onlineOf fills in how far the online parts are.
func onlineOf(ctx context.Context, pool *pgxpool.Pool, versions []Version) error {
	var exists bool
	if err := pool.QueryRow(ctx, onlineTableExistsSQL.Text).Scan(&exists); err != nil || !exists {
		return Classify(err)
	}
	rows, err := pool.Query(ctx, listOnlineSQL.Text)
	if err != nil {
		return fmt.Errorf("pg: online parts: %w", Classify(err))
	}
	defer rows.Close()
	for rows.Next() {
		var number int
		var o Online
		if err := rows.Scan(&number, &o.Direction, &o.Rows, &o.Total, &o.Started, &o.Updated, &o.Finished, &o.Seconds); err != nil {
			return fmt.Errorf("pg: online parts: %w", Classify(err))
		}
		if i, ok := slices.BinarySearchFunc(versions, number, func(v Version, n int) int { return v.Number - n }); ok {
			versions[i].Online = &o
		}
	}
	return Classify(rows.Err())
}

func newest(versions []Version) int {
	if len(versions) == 0 {
		return 0
	}
	return versions[len(versions)-1].Number
}

var versionName = regexp.MustCompile(`^versions/(\d{4})_([a-z][a-z0-9_]*)\.(up|down|up\.batch|down\.batch|up\.index)\.sql$`)

// load reads the version files, sorted by number. Numbers may be missing, but not double, and each
// version has both directions.
func load(files fs.FS) ([]Version, error) {
	names, err := fs.Glob(files, "versions/*")
	if err != nil {
		return nil, err
	}
	byNumber := map[int]*Version{}
	for _, name := range names {
		m := versionName.FindStringSubmatch(name)
		if m == nil {
			return nil, fmt.Errorf("pg: %s: a version file is named NNNN_room_what.up.sql or .down.sql", name)
		}
		number, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, fmt.Errorf("pg: %s: %w", name, err)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		v := byNumber[number]
		if v == nil {
			v = &Version{Number: number, Name: m[2], Known: true}
			byNumber[number] = v
		}
		if v.Name != m[2] {
			return nil, fmt.Errorf("pg: %s: version %d has another name, %s", name, number, v.Name)
		}
		if m[3] == "up" {
			sum := sha256.Sum256(text)
			v.up, v.checksum = string(text), hex.EncodeToString(sum[:])
		} else if m[3] == "down" {
			v.down = string(text)
		} else if err := v.addOnline(m[3], string(text)); err != nil {
			return nil, err
		}
	}
	versions := make([]Version, 0, len(byNumber))
	for _, v := range byNumber {
		if strings.TrimSpace(v.up) == "" || strings.TrimSpace(v.down) == "" {
			return nil, fmt.Errorf("pg: version %04d_%s needs an up and a down file, both with content", v.Number, v.Name)
		}
		versions = append(versions, *v)
	}
	slices.SortFunc(versions, func(a, b Version) int { return a.Number - b.Number })
	return versions, nil
}

const versionTableSQL = `
CREATE TABLE IF NOT EXISTS schema_versions (
	number   integer PRIMARY KEY,
	name     text NOT NULL,
	checksum text NOT NULL, -- sha256 of the up file
	applied  timestamptz NOT NULL DEFAULT now()
)`

var (
	lockVersionsSQL = Statement{"pg.versions-lock", `SELECT pg_advisory_xact_lock($1)`}
	tableWaitSQL    = Statement{"pg.versions-table-wait", `SELECT set_config('lock_timeout', $1, true)`}
	// Who upgrades a version that somebody began to take back wants it whole again.
	aimUpSQL = Statement{"pg.online-aim-up", `
UPDATE schema_online SET direction = 'up', bookmark = NULL, rows = 0, seconds = 0, started = now(), updated = now(), finished = NULL
WHERE number = $1 AND direction = 'down'`}
	onlineTableExistsSQL  = Statement{"pg.online-exists", `SELECT to_regclass('schema_online') IS NOT NULL`}
	versionTableExistsSQL = Statement{"pg.versions-exist", `SELECT to_regclass('schema_versions') IS NOT NULL`}
	listVersionsSQL       = Statement{"pg.versions-list", `SELECT number, name, checksum, applied FROM schema_versions ORDER BY number`}
	findVersionSQL        = Statement{"pg.versions-find", `SELECT checksum FROM schema_versions WHERE number = $1`}
	addVersionSQL         = Statement{"pg.versions-add", `INSERT INTO schema_versions (number, name, checksum) VALUES ($1, $2, $3)`}
	deleteVersionSQL      = Statement{"pg.versions-delete", `DELETE FROM schema_versions WHERE number = $1`}
)
