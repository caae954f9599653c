package pg_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

var (
	migrateRows = flag.Int("rows", 20_000, "rows of the table that is migrated online")
	migrateBusy = flag.Int("busy", 50, "percentage of the time that the migration takes")
)

// upgraderURL names, in the environment of a process of this test's program, the database that it changes.
const upgraderURL = "TREELINE_TEST_UPGRADER"

func TestMain(m *testing.M) {
	flag.Parse()
	if url := os.Getenv(upgraderURL); url != "" {
		if err := upgrader(context.Background(), url, flag.Arg(0), pg.Busy(*migrateBusy)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// upgrader is a process that takes the versions of testdata up or down.
func upgrader(ctx context.Context, url, direction string, how pg.How) error {
	pool, err := pg.Open(ctx, url, pg.MaxConns(2))
	if err != nil {
		return err
	}
	defer pool.Close()
	files := os.DirFS("testdata/online")
	if direction == "down" {
		return pg.DowngradeWith(ctx, pool, files, 1, how)
	}
	return pg.UpgradeWith(ctx, pool, files, 0, how)
}

// TestOnline takes a table through two versions whose first goes through all its rows, up and down, while
// others read and write it. The process that does so is killed twice each way.
func TestOnline(t *testing.T) {
	url := pgtest.URL(t)
	admin := openPool(t, url)
	if err := pg.Downgrade(t.Context(), admin, 0); err != nil {
		t.Fatal(err)
	}
	files := os.DirFS("testdata/online")
	if err := pg.UpgradeWith(t.Context(), admin, files, 1); err != nil {
		t.Fatal(err)
	}
	execSQL(t, admin, `INSERT INTO jobs (label, duration) SELECT 'job-' || n % 1000, ((n * 7919) % 3600000 / 1000.0)::numeric(20, 3) || 's' FROM generate_series(1, $1::bigint) n`, *migrateRows)
	execSQL(t, admin, `VACUUM ANALYZE jobs`)
	execSQL(t, admin, `CREATE TABLE written (id bigint PRIMARY KEY, millis bigint NOT NULL)`)
	o := &online{T: t, admin: admin, url: url}
	quiet := o.traffic(time.Second)

	if err := pg.UpgradeWith(t.Context(), admin, files, 2, pg.Later()); err != nil {
		t.Fatal(err)
	}
	o.turn("up")
	if got := o.one(`SELECT count(*) FROM jobs WHERE millis IS NULL`); got != 0 {
		t.Errorf("%d rows were left out", got)
	}
	o.written("millis")
	if err := pg.DowngradeWith(t.Context(), admin, files, 2); err != nil {
		t.Fatal(err)
	}
	o.turn("down")
	if got := o.one(`SELECT count(*) FROM jobs WHERE duration IS NULL`); got != 0 {
		t.Errorf("%d rows were left out", got)
	}
	o.written("round(rtrim(duration, 's')::numeric * 1000)")
	if got := o.one(`SELECT count(*) FROM jobs j WHERE id <= $1 AND NOT EXISTS (SELECT FROM written w WHERE w.id = j.id)
		AND duration::text <> ((id * 7919) % 3600000 / 1000.0)::numeric(20, 3) || 's'`, *migrateRows); got != 0 {
		t.Errorf("%d rows are not what they were", got)
	}
	t.Logf("writers beside nothing: %s", quiet)
}

// online is a test with its database.
type online struct {
	*testing.T
	admin *pgxpool.Pool
	url   string
}

func (o *online) one(sql string, args ...any) (n int64) {
	o.Helper()
	if err := o.admin.QueryRow(o.Context(), sql, args...).Scan(&n); err != nil {
		o.Fatal(err)
	}
	return n
}

// turn takes the versions a way; the process is killed when a third, and when two thirds of the rows are done.
func (o *online) turn(direction string) {
	o.Helper()
	began, before := time.Now(), o.one(`SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn`)
	ctx, stop := context.WithCancel(o.Context())
	defer stop()
	var writing sync.WaitGroup
	var busy latencies
	writing.Go(func() { busy = o.write(ctx) })
	var last int64
	for part := int64(1); part <= 2; part++ {
		release := o.hold(int64(*migrateRows))
		p := o.begin(direction)
		until := int64(*migrateRows) * part / 3
		for o.rows(direction) < until {
			select {
			case err := <-p.exited:
				o.Fatalf("%s ended early: %v", direction, err)
			case <-time.After(2 * time.Millisecond):
			}
		}
		if err := p.cmd.Process.Kill(); err != nil {
			o.Fatal(err)
		}
		<-p.exited
		release()
		rows := o.rows(direction)
		if rows < last {
			o.Errorf("%s began anew: %d rows after %d", direction, rows, last)
		}
		last = rows
		o.Logf("%s: killed after %d rows; %v are left of it", direction, rows, o.left().Round(time.Millisecond))
	}
	p := o.begin(direction)
	if err := <-p.exited; err != nil {
		o.Fatalf("%s: %v", direction, err)
	}
	stop()
	writing.Wait()
	took := time.Since(began)
	size, wal := o.one(`SELECT pg_table_size('jobs')`), o.one(`SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn`)-before
	o.Logf("%s: %d rows in %v, %.0f rows/s; WAL %d MB; the table has %d MB, %d dead rows; writers beside it: %s", direction, *migrateRows, took.Round(time.Millisecond),
		float64(*migrateRows)/took.Seconds(), wal>>20, size>>20, o.one(`SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'jobs'`), busy)
}

// hold locks a row, so that nobody who has to change it comes to an end.
func (o *online) hold(id int64) (release func()) {
	o.Helper()
	tx, err := o.admin.Begin(o.Context())
	if err != nil {
		o.Fatal(err)
	}
	if _, err := tx.Exec(o.Context(), `UPDATE jobs SET label = label WHERE id = $1`, id); err != nil {
		o.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(o.Context()); err != nil {
			o.Fatal(err)
		}
	}
}

type process struct {
	cmd    *exec.Cmd
	exited chan error
}

func (o *online) begin(direction string) process {
	o.Helper()
	program, err := os.Executable()
	if err != nil {
		o.Fatal(err)
	}
	p := process{cmd: exec.Command(program, "-busy", fmt.Sprint(*migrateBusy), direction), exited: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), upgraderURL+"="+o.url)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() { _ = p.cmd.Process.Kill() }) // it may have ended
	go func() { p.exited <- p.cmd.Wait() }()
	return p
}

// rows says how many rows the version's online part is through in a direction.
func (o *online) rows(direction string) int64 {
	o.Helper()
	return o.one(`SELECT coalesce((SELECT rows FROM schema_online WHERE number = 2 AND direction = $1), 0)`, direction)
}

func (o *online) left() time.Duration {
	o.Helper()
	versions, err := pg.VersionsWith(o.Context(), o.admin, os.DirFS("testdata/online"))
	if err != nil {
		o.Fatal(err)
	}
	if versions[1].Online == nil {
		o.Fatal("nothing is known of the online part")
	}
	return versions[1].Online.Left()
}

// latencies are how long calls took.
type latencies []time.Duration

func (l latencies) String() string {
	if len(l) == 0 {
		return "none"
	}
	slices.Sort(l)
	return fmt.Sprintf("%d, p50 %v, p99 %v, slowest %v", len(l), l[len(l)/2].Round(10*time.Microsecond), l[len(l)*99/100].Round(10*time.Microsecond), l[len(l)-1].Round(10*time.Microsecond))
}

// traffic writes for a while.
func (o *online) traffic(d time.Duration) latencies {
	ctx, cancel := context.WithTimeout(o.Context(), d)
	defer cancel()
	return o.write(ctx)
}

// write changes and adds rows as programs of both versions do, until ctx ends, and notes what it wrote.
func (o *online) write(ctx context.Context) (all latencies) {
	for n := 0; ctx.Err() == nil; n++ {
		id, millis := rand.Int64N(int64(*migrateRows)-1)+1, rand.Int64N(3_600_000)
		began := time.Now()
		err := o.writeOne(context.WithoutCancel(ctx), n, id, millis)
		if err != nil {
			o.Errorf("a writer: %v", err)
			return all
		}
		all = append(all, time.Since(began))
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
	return all
}

// writeOne changes a row, or adds one each tenth time. The program knows the column that is there.
func (o *online) writeOne(ctx context.Context, n int, id, millis int64) error {
	tx, err := o.admin.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // it is committed by then
	var text, number bool
	err = tx.QueryRow(ctx, `SELECT bool_or(attname = 'duration'), bool_or(attname = 'millis') FROM pg_attribute WHERE attrelid = 'jobs'::regclass AND NOT attisdropped`).Scan(&text, &number)
	if err != nil {
		return err
	}
	value, column := any(millis), "millis"
	if text && (!number || n%2 == 0) {
		value, column = fmt.Sprintf("%d.%03ds", millis/1000, millis%1000), "duration"
	}
	if n%10 == 9 {
		err = tx.QueryRow(ctx, `INSERT INTO jobs (label, `+column+`) VALUES ('new', $1) RETURNING id`, value).Scan(&id)
	} else {
		_, err = tx.Exec(ctx, `UPDATE jobs SET `+column+` = $2 WHERE id = $1`, id, value)
	}
	if column42703(err) { // the column came or went in between
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO written VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET millis = excluded.millis`, id, millis); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// written compares what writers wrote with what is there.
func (o *online) written(millis string) {
	o.Helper()
	n := o.one(`SELECT count(*) FROM written`)
	if wrong := o.one(`SELECT count(*) FROM written w LEFT JOIN jobs j USING (id) WHERE ` + qualified(millis) + ` IS DISTINCT FROM w.millis`); wrong != 0 || n == 0 {
		o.Errorf("%d of %d rows are not as they were written", wrong, n)
	}
}

// qualified makes a column's name that of the table of jobs.
func qualified(expression string) string {
	if expression == "millis" {
		return "j.millis"
	}
	return expression
}

func column42703(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "42703"
}
