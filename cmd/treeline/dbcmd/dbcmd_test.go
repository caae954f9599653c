package dbcmd

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// runDB runs a db command and returns what it printed.
func runDB(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := New()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func applied(t *testing.T) (numbers []int, all int) {
	t.Helper()
	out, _, err := runDB(t, "status", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var status struct{ Versions []pg.Version }
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatal(err)
	}
	for _, v := range status.Versions {
		if v.Applied != nil {
			numbers = append(numbers, v.Number)
		}
	}
	return numbers, len(status.Versions)
}

func TestDBCommand(t *testing.T) {
	t.Setenv("DATABASE_URL", pgtest.URL(t))
	numbers, all := applied(t)
	if len(numbers) != all || all < 2 {
		t.Fatalf("%d of %d versions", len(numbers), all)
	}
	t.Run("nothing to do", func(t *testing.T) {
		if _, errs, err := runDB(t, "upgrade"); err != nil || !strings.Contains(errs, "nothing to do") {
			t.Error(errs, err)
		}
	})
	t.Run("down to a version, and up again", func(t *testing.T) {
		_, errs, err := runDB(t, "downgrade", "--to", "2")
		if err != nil || !strings.Contains(errs, "took back 0003 event_feed") {
			t.Error(errs, err)
		}
		if out, _, err := runDB(t, "status"); err != nil || !strings.Contains(out, "treeline db upgrade applies it") {
			t.Error(out, err)
		}
		_, errs, err = runDB(t, "upgrade")
		if err != nil || !strings.Contains(errs, "applied 0003 event_feed") {
			t.Error(errs, err)
		}
		if numbers, _ := applied(t); len(numbers) != all {
			t.Error(numbers)
		}
	})
	t.Run("down to nothing", func(t *testing.T) {
		if _, _, err := runDB(t, "downgrade", "--to", "0"); err != nil {
			t.Fatal(err)
		}
		if numbers, _ := applied(t); len(numbers) != 0 {
			t.Error(numbers)
		}
	})
}

func TestDBCommandRefuses(t *testing.T) {
	t.Setenv("DATABASE_URL", "")
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"no database", "DATABASE_URL", []string{"status"}},
		{"two databases", "two databases", []string{"status", "--database", "postgres://x", "--data", "y"}},
		{"a directory that is none", "not the data directory", []string{"status", "--data", t.TempDir()}},
		{"a downgrade to nowhere", "to", []string{"downgrade"}},
		{"a downgrade below nothing", "--to -1", []string{"downgrade", "--to", "-1"}},
		{"a version that is not there", "no version 9999", []string{"upgrade", "--to", "9999", "--database", pgtest.URL(t)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := runDB(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
