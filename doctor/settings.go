package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Setting is a setting of the database that a promise depends on, as the server's role has it.
type Setting struct {
	Name string `json:"name"`
	Is   string `json:"is"`
	Want string `json:"want"` // in words
	OK   bool   `json:"ok"`
	Why  string `json:"why"`
	Code string `json:"code"` // of the finding
}

// rule is what a setting has to be.
type rule struct {
	name, want, code string
	ok               func(value string, number int64) bool // number is in the setting's own unit
}

func oneOf(values ...string) func(string, int64) bool {
	return func(v string, _ int64) bool { return slices.Contains(values, v) }
}

// rules are about settings that pg_settings has, in its units.
func rules() []rule {
	return []rule{
		{"fsync", "on", "db-fsync", oneOf("on")},
		{"synchronous_commit", "on, or stronger", "db-synchronous-commit", oneOf("on", "remote_apply")},
		{"full_page_writes", "on", "db-full-page-writes", oneOf("on")},
		{"autovacuum", "on", "db-autovacuum", oneOf("on")},
		{"track_counts", "on", "db-autovacuum", oneOf("on")},
		{"default_transaction_isolation", "read committed", "db-isolation", oneOf("read committed")},
		{"default_transaction_read_only", "off", "db-read-only", oneOf("off")},
		{"wal_level", "replica or logical", "db-wal-level", oneOf("replica", "logical")},
		{"archive_mode", "on or always", "db-archive", oneOf("on", "always")},
		{"statement_timeout", "0, or a minute at least", "db-statement-timeout", func(_ string, ms int64) bool { return ms == 0 || ms >= 60_000 }},
		{"idle_in_transaction_session_timeout", "more than 0, such as 5min", "db-idle-timeout", func(_ string, ms int64) bool { return ms > 0 }},
		{"max_wal_size", "2GB or more", "db-checkpoints", func(_ string, mb int64) bool { return mb >= 2048 }},
		{"server_version_num", "150000 or more", "db-version", func(_ string, n int64) bool { return n >= 150_000 }},
	}
}

// Settings reads the settings of the database that promises depend on.
func Settings(ctx context.Context, pool *pgxpool.Pool) ([]Setting, error) {
	list := rules()
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = r.name
	}
	rows, err := pool.Query(ctx, settingsSQL.Text, names)
	if err != nil {
		return nil, fmt.Errorf("doctor: settings: %w", pg.Classify(err))
	}
	raw, shown := map[string]string{}, map[string]string{}
	var name, value, text string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value, &text}, func() error {
		raw[name], shown[name] = value, text
		return nil
	}); err != nil {
		return nil, fmt.Errorf("doctor: settings: %w", pg.Classify(err))
	}
	out := make([]Setting, 0, len(list))
	for _, r := range list {
		n, err := strconv.ParseInt(raw[r.name], 10, 64)
		if err != nil {
			n = -1 // it is a word
		}
		out = append(out, Setting{Name: r.name, Is: shown[r.name], Want: r.want, OK: r.ok(raw[r.name], n), Why: Catalogue[r.code].Why, Code: r.code})
	}
	return out, nil
}

// wrong makes findings of what is not as it has to be.
func wrong(list []Setting) []Finding {
	var found []Finding
	for _, s := range list {
		if !s.OK {
			found = append(found, Found(s.Code, "%s is %s, and has to be %s", s.Name, s.Is, s.Want))
		}
	}
	return found
}

var settingsSQL = pg.Statement{Name: "doctor.settings", Text: `
SELECT name, setting, current_setting(name) FROM pg_settings WHERE name = ANY ($1)`}
