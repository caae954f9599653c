package pg_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), pg.PrivateStatements...) }

// sampleVersions are three versions with a number missing, the second of which moves data.
func sampleVersions() fstest.MapFS {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return fstest.MapFS{
		"versions/0001_room_people.up.sql":   file("CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL);"),
		"versions/0001_room_people.down.sql": file("DROP TABLE people;"),
		"versions/0003_room_names.up.sql": file(`ALTER TABLE people ADD first text, ADD last text;
UPDATE people SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2);
ALTER TABLE people DROP name;`),
		"versions/0003_room_names.down.sql": file(`ALTER TABLE people ADD name text;
UPDATE people SET name = first || ' ' || last;
ALTER TABLE people ALTER name SET NOT NULL, DROP first, DROP last;`),
		"versions/0004_room.up.sql":   file("CREATE TABLE rooms (id int);"),
		"versions/0004_room.down.sql": file("DROP TABLE rooms;"),
	}
}

func execSQL(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func queryRows(t *testing.T, pool *pgxpool.Pool, sql string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func appliedOf(t *testing.T, pool *pgxpool.Pool, files fstest.MapFS) []int {
	t.Helper()
	versions, err := pg.VersionsWith(t.Context(), pool, files)
	if err != nil {
		t.Fatal(err)
	}
	var numbers []int
	for _, v := range versions {
		if v.Applied != nil {
			numbers = append(numbers, v.Number)
		}
	}
	return numbers
}

func TestUpAndDownKeepTheData(t *testing.T) {
	pool, files := pgtest.Empty(t), sampleVersions()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(pg.UpgradeWith(t.Context(), pool, files, 1))
	execSQL(t, pool, "INSERT INTO people VALUES (1, 'Ada Lovelace'), (2, 'Alan Turing')")
	must(pg.UpgradeWith(t.Context(), pool, files, 0))
	if got := queryRows(t, pool, "SELECT last FROM people ORDER BY id"); !cmp.Equal(got, []string{"Lovelace", "Turing"}) {
		t.Error(got)
	}
	if got := appliedOf(t, pool, files); !cmp.Equal(got, []int{1, 3, 4}) {
		t.Error(got)
	}
	must(pg.DowngradeWith(t.Context(), pool, files, 1))
	if got := queryRows(t, pool, "SELECT name FROM people ORDER BY id"); !cmp.Equal(got, []string{"Ada Lovelace", "Alan Turing"}) {
		t.Error(got)
	}
	must(pg.DowngradeWith(t.Context(), pool, files, 0))
	if got := appliedOf(t, pool, files); len(got) != 0 {
		t.Error(got)
	}
}

func TestUpgradeRefuses(t *testing.T) {
	t.Run("a version that was changed after it was applied", func(t *testing.T) {
		pool, files := pgtest.Empty(t), sampleVersions()
		if err := pg.UpgradeWith(t.Context(), pool, files, 0); err != nil {
			t.Fatal(err)
		}
		files["versions/0001_room_people.up.sql"].Data = []byte("CREATE TABLE people (id bigint PRIMARY KEY, name text);")
		if err := pg.UpgradeWith(t.Context(), pool, files, 0); !errors.Is(err, fault.Conflict) {
			t.Error(err)
		}
		versions, err := pg.VersionsWith(t.Context(), pool, files)
		if err != nil || !versions[0].Changed || versions[1].Changed {
			t.Error(versions, err)
		}
	})
	t.Run("to take back what it does not know", func(t *testing.T) {
		pool, files := pgtest.Empty(t), sampleVersions()
		if err := pg.UpgradeWith(t.Context(), pool, files, 0); err != nil {
			t.Fatal(err)
		}
		delete(files, "versions/0004_room.up.sql")
		delete(files, "versions/0004_room.down.sql")
		if err := pg.DowngradeWith(t.Context(), pool, files, 0); !errors.Is(err, fault.Conflict) {
			t.Error(err)
		}
		if got := appliedOf(t, pool, files); !cmp.Equal(got, []int{1, 3, 4}) {
			t.Errorf("something was taken back: %v", got)
		}
		if err := pg.UpgradeWith(t.Context(), pool, files, 0); err != nil {
			t.Errorf("a database that is ahead is no obstacle: %v", err)
		}
	})
	for name, tt := range map[string]struct {
		file, text, want string
	}{
		"SQL that does not hold, with its line": {"versions/0004_room.up.sql", "CREATE TABLE rooms (id int);\n\nCREATE TABEL x ();", "line 3"},
		"a version without a way back":          {"versions/0004_room.down.sql", " ", "up and a down"},
		"a name that is none":                   {"versions/notes.txt", "x", "NNNN_room"},
		"two versions with one number":          {"versions/0004_other.up.sql", "SELECT 1", "another name"},
		"a version that breaks off half-way":    {"versions/0004_room.up.sql", "CREATE TABLE rooms (id int); SELECT 1/0;", "division by zero"},
	} {
		t.Run(name, func(t *testing.T) {
			pool, files := pgtest.Empty(t), sampleVersions()
			files[tt.file] = &fstest.MapFile{Data: []byte(tt.text)}
			if err := pg.UpgradeWith(t.Context(), pool, files, 0); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if rooms := queryRows(t, pool, "SELECT coalesce(to_regclass('rooms')::text, 'none')"); rooms[0] != "none" {
				t.Error("half a version was left")
			}
		})
	}
}

// The connection is cut in the middle of a version: nothing of it is left, and the next upgrade goes on.
func TestUpgradeKilledHalfWay(t *testing.T) {
	url := pgtest.URL(t)
	pool, admin := openPool(t, url+"&application_name=test-upgrade"), openPool(t, url)
	if err := pg.Downgrade(t.Context(), admin, 0); err != nil {
		t.Fatal(err)
	}
	files := sampleVersions()
	if err := pg.UpgradeWith(t.Context(), pool, files, 1); err != nil {
		t.Fatal(err)
	}
	execSQL(t, admin, "INSERT INTO people VALUES (1, 'Ada Lovelace')")
	for _, direction := range []struct {
		name, file string
		run        func() error
		left       []int
	}{
		{"up", "versions/0003_room_names.up.sql", func() error { return pg.UpgradeWith(t.Context(), pool, files, 0) }, []int{1}},
		{"down", "versions/0003_room_names.down.sql", func() error { return pg.DowngradeWith(t.Context(), pool, files, 1) }, []int{1, 3}},
	} {
		t.Run(direction.name, func(t *testing.T) {
			whole := files[direction.file].Data
			// The same text, but it waits before its last statement. (Taking back does not compare.)
			at := strings.LastIndex(string(whole), "\nALTER")
			files[direction.file].Data = []byte(string(whole[:at]) + "\nSELECT pg_sleep(60);" + string(whole[at:]))
			failed := make(chan error, 1)
			go func() { failed <- direction.run() }()
			eventually(t, "the version to wait", func() error {
				var cut int
				err := admin.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
					WHERE application_name = 'test-upgrade' AND wait_event = 'PgSleep' AND datname = current_database()`).Scan(&cut)
				if err == nil && cut == 0 {
					err = errors.New("it does not run yet")
				}
				return err
			})
			if err := <-failed; !errors.Is(err, fault.Unavailable) {
				t.Errorf("got %v, want fault.Unavailable", err)
			}
			files[direction.file].Data = whole
			if got := appliedOf(t, admin, files); !cmp.Equal(got, direction.left) {
				t.Errorf("versions %v are left, want %v", got, direction.left)
			}
			if err := direction.run(); err != nil {
				t.Fatal(err)
			}
		})
		if direction.name == "up" { // 0004 out of the way of "down"
			if err := pg.DowngradeWith(t.Context(), admin, files, 3); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := queryRows(t, admin, "SELECT name FROM people"); !cmp.Equal(got, []string{"Ada Lovelace"}) {
		t.Error(got)
	}
}

func TestUpgradersDoNotCollide(t *testing.T) {
	url := pgtest.URL(t)
	admin := openPool(t, url)
	if err := pg.Downgrade(t.Context(), admin, 0); err != nil {
		t.Fatal(err)
	}
	execSQL(t, admin, "DROP TABLE schema_versions")
	var upgraders sync.WaitGroup
	for range 4 {
		pool := openPool(t, url)
		upgraders.Go(func() {
			if err := pg.Upgrade(t.Context(), pool, 0); err != nil {
				t.Error(err)
			}
		})
	}
	upgraders.Wait()
	versions, err := pg.Versions(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		if v.Applied == nil {
			t.Errorf("version %d is missing", v.Number)
		}
	}
}

// Each version of the real schema takes back exactly what it made.
func TestEachVersionGoesBack(t *testing.T) {
	pool := pgtest.Empty(t)
	versions, err := pg.Versions(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	shape := func() []string { return queryRows(t, pool, schemaShapeSQL) }
	before := map[int][]string{}
	for _, v := range versions {
		before[v.Number] = shape()
		if err := pg.Upgrade(t.Context(), pool, v.Number); err != nil {
			t.Fatal(err)
		}
		if cmp.Equal(before[v.Number], shape()) {
			t.Errorf("version %04d_%s changes nothing", v.Number, v.Name)
		}
	}
	for i := len(versions) - 1; i >= 0; i-- {
		to := 0
		if i > 0 {
			to = versions[i-1].Number
		}
		if err := pg.Downgrade(t.Context(), pool, to); err != nil {
			t.Fatal(err)
		}
		got := shape()
		if i == 0 { // the lists of versions themselves stay
			got = withoutOwnTables(got)
		}
		want := before[versions[i].Number]
		if i == 0 {
			want = withoutOwnTables(want)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("after taking back %04d_%s:\n%s", versions[i].Number, versions[i].Name, d)
		}
	}
	if err := pg.Upgrade(t.Context(), pool, 0); err != nil {
		t.Errorf("up again: %v", err)
	}
}

func withoutOwnTables(shape []string) []string {
	out := []string{}
	for _, line := range shape {
		if !strings.Contains(line, "schema_versions") && !strings.Contains(line, "schema_online") {
			out = append(out, line)
		}
	}
	return out
}

// schemaShapeSQL lists everything that versions make: columns, indexes, constraints, functions, types,
// sequences and triggers.
const schemaShapeSQL = `
SELECT line FROM (
	SELECT format('column %s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) AS line
	FROM information_schema.columns WHERE table_schema = 'public'
	UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
	UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
	UNION ALL SELECT format('function %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
	UNION ALL SELECT format('type %s', typname) FROM pg_type WHERE typnamespace = 'public'::regnamespace
	UNION ALL SELECT format('sequence %s', sequencename) FROM pg_sequences WHERE schemaname = 'public'
	UNION ALL SELECT format('trigger %s %s', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT tgisinternal
) AS shape ORDER BY line`

// TestUpgradeBesideAnOpenTransaction: while somebody's transaction keeps a table from being changed, others
// go on using the table, and the upgrade comes through when that transaction ends.
func TestUpgradeBesideAnOpenTransaction(t *testing.T) {
	pool, files := pgtest.Empty(t), sampleVersions()
	if err := pg.UpgradeWith(t.Context(), pool, files, 1); err != nil {
		t.Fatal(err)
	}
	open, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Exec(t.Context(), "SELECT count(*) FROM people"); err != nil {
		t.Fatal(err)
	}
	upgraded := make(chan error, 1)
	go func() { upgraded <- pg.UpgradeWith(t.Context(), pool, files, 0) }()
	waiting := func() (n int) {
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "the upgrade waits", func() error {
		if waiting() == 0 {
			return errors.New("nobody waits")
		}
		return nil
	})
	for range 3 { // behind an upgrade that waits on, these would wait for the end of the open transaction
		if _, err := pool.Exec(t.Context(), "INSERT INTO people VALUES ((SELECT count(*) FROM people), 'Ada Lovelace')"); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-upgraded:
		t.Fatalf("the upgrade did not wait for the open transaction: %v", err)
	default:
	}
	if err := open.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-upgraded; err != nil {
		t.Fatal(err)
	}
	if got := queryRows(t, pool, "SELECT first FROM people"); len(got) != 3 || got[0] != "Ada" {
		t.Errorf("the table holds %v", got)
	}
}
