package replica_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/replica"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestServersEnterThemselvesAndLeave(t *testing.T) {
	pool := pgtest.DB(t)
	pgtest.PrepareAll(t, pool, replica.Statements...)
	log := slog.New(slog.DiscardHandler)
	before := replica.New(pool, log, replica.Replica{Host: "a", Version: "v1", Commit: "0123456789abcdef", Schema: 43})
	after := replica.New(pool, log, replica.Replica{Host: "b", Version: "v2", Commit: "fedcba9876543210", Schema: 44})
	want := func(mixed string, hosts ...string) {
		t.Helper()
		list, err := replica.List(t.Context(), pool)
		must(t, err)
		var got []string
		for _, r := range list {
			got = append(got, r.Host)
		}
		if diff := cmp.Diff(hosts, got); diff != "" {
			t.Error(diff)
		}
		if got := replica.Mixed(list); got != mixed {
			t.Errorf("mixed: %q, want %q", got, mixed)
		}
	}
	want("")
	must(t, before.Beat(t.Context()))
	must(t, before.Beat(t.Context()))
	want("", "a")
	must(t, after.Beat(t.Context()))
	want("1 of v1 0123456789ab (schema 43), 1 of v2 fedcba987654 (schema 44)", "a", "b")
	list, err := replica.List(t.Context(), pool)
	must(t, err)
	if diff := cmp.Diff(replica.Replica{Host: "b", Version: "v2", Commit: "fedcba9876543210", Schema: 44}, list[1], cmpopts.IgnoreFields(replica.Replica{}, "Started", "Seen")); diff != "" {
		t.Error(diff)
	}
	before.Stop(t.Context())
	want("", "b")

	t.Run("one that died counts for a while, and is forgotten", func(t *testing.T) {
		_, err := pool.Exec(t.Context(), "UPDATE replicas SET seen = now() - interval '46 seconds'")
		must(t, err)
		want("")
		_, err = pool.Exec(t.Context(), "UPDATE replicas SET seen = now() - interval '25 hours'")
		must(t, err)
		must(t, before.Beat(t.Context()))
		var n int
		must(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM replicas").Scan(&n))
		if n != 1 {
			t.Errorf("%d rows are left", n)
		}
	})
	t.Run("a schema of before has none", func(t *testing.T) {
		_, err := pool.Exec(t.Context(), "DROP TABLE replicas")
		must(t, err)
		want("")
		after.Stop(context.WithoutCancel(t.Context())) // it is only logged
	})
}
