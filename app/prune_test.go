package app

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// still is a server's rooms on a database of their own; nothing runs by itself.
func still(t *testing.T) *App {
	t.Helper()
	dir := t.TempDir()
	secrets, err := LoadSecrets(filepath.Join(dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a := &App{config: Config{
		RootURL: "http://treeline.invalid", DatabaseURL: pgtest.URL(t), DataDir: filepath.Join(dir, "objects"), Secrets: secrets, Log: slog.New(slog.DiscardHandler),
		GitHub: github.Config{AppID: 1, Key: pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), Secrets: []string{"a secret of webhooks"}},
	}}
	a.makeMetrics()
	t.Cleanup(func() {
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if err := a.openDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.makeRooms(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// row is a row of a table, by its columns' expressions, of which the first says which row it is. Columns that are not
// given, and must be there, have something that fits.
type row struct {
	table string
	is    string // column = expression
	with  string // column = expression; column = expression
}

// pruned is what a job finds, and what of it is to go.
type pruned struct {
	before string // what else has to be there
	goes   []row
	stays  []row
}

const (
	longAgo = "now() - interval '9 years'"
	lately  = "now() - interval '10 minutes'"
	soon    = "now() + interval '1 day'"
)

func TestEachJobRemovesWhatIsOldAndKeepsWhatIsYoung(t *testing.T) {
	a := still(t)
	jobs := map[string]bool{}
	for _, job := range a.retentionJobs() {
		jobs[job.Name] = true
		t.Run(job.Name, func(t *testing.T) {
			c, ok := prunes[job.Name]
			if !ok {
				t.Fatal("there is no case of this job")
			}
			if c.before != "" {
				if _, err := a.pool.Exec(t.Context(), c.before, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Fatal(err)
				}
			}
			gone, stayed := map[string]bool{}, map[string]bool{}
			for _, r := range c.goes {
				r.insert(t, a.pool)
				gone[r.table] = true
			}
			for _, r := range c.stays {
				r.insert(t, a.pool)
				stayed[r.table] = true
			}
			for _, table := range job.Tables {
				if !gone[table] || !stayed[table] {
					t.Errorf("the case has no row of %s that goes, or none that stays", table)
				}
			}
			n, err := job.Remove(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				t.Error("it says that it removed nothing")
			}
			for _, r := range c.goes {
				if r.there(t, a.pool) {
					t.Errorf("%s: the row with %s is old, and is there still", r.table, r.is)
				}
			}
			for _, r := range c.stays {
				if !r.there(t, a.pool) {
					t.Errorf("%s: the row with %s has gone; it is young, or needed: %s", r.table, r.is, r.with)
				}
			}
			if n, err := job.Remove(t.Context()); n != 0 || err != nil {
				t.Errorf("a second run removes %d rows, %v", n, err)
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(prunes)) {
		if !jobs[name] {
			t.Errorf("there is no job %s", name)
		}
	}
}

func (r row) there(t *testing.T, pool *pgxpool.Pool) (there bool) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), fmt.Sprintf("SELECT EXISTS (SELECT FROM %s WHERE %s)", r.table, r.is)).Scan(&there); err != nil {
		t.Fatalf("%s: %v", r.table, err)
	}
	return there
}

// fitting are expressions for columns of which only their type matters.
var fitting = map[string]string{
	"text": "'x'", "bigint": "0", "integer": "0", "smallint": "1", "boolean": "false", "json": "'{}'", "jsonb": "'{}'", "bytea": `'\x00'`,
	"text[]": "'{}'", "timestamp with time zone": "now()", "double precision": "0", "real": "0",
}

func (r row) insert(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	given := map[string]string{}
	for pair := range strings.SplitSeq(r.is+"; "+r.with, ";") {
		if column, expression, ok := strings.Cut(pair, " = "); ok {
			given[strings.TrimSpace(column)] = strings.TrimSpace(expression)
		}
	}
	rows, err := pool.Query(t.Context(), `
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attnotnull AND NOT atthasdef AND attidentity = ''`, r.table)
	if err != nil {
		t.Fatal(err)
	}
	var column, kind string
	if _, err := pgx.ForEachRow(rows, []any{&column, &kind}, func() error {
		if _, ok := given[column]; !ok {
			given[column] = fitting[kind]
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	columns := slices.Sorted(maps.Keys(given))
	var values []string
	for _, c := range columns {
		values = append(values, given[c])
	}
	sql := fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s)", r.table, strings.Join(columns, ", "), strings.Join(values, ", "))
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if !r.there(t, pool) {
		t.Fatalf("%s: %s does not find the row", r.table, r.is)
	}
}
