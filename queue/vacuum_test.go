//go:build vacuum

package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
)

// BenchmarkVacuum has tasks live their whole lives, in groups of a root and nine that wait for it, on a PostgreSQL of
// its own with autovacuum as it comes, and shows what they leave in the tables: dead rows, how many updates touched no
// index (HOT), how large tables and indexes are and how much of them is empty, how often autovacuum ran. It prints a
// table after each fourth, so that what stops to grow shows, and one when autovacuum has been through.
func BenchmarkVacuum(b *testing.B) {
	// PostgreSQL's own user has to reach it.
	dir, err := os.MkdirTemp("", "vacuum") //nolint:usetesting // b.TempDir can be entered by its owner alone
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()     // of the system's temporary directory
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		b.Fatal(err)
	}
	cluster, err := pg.StartCluster(b.Context(), dir+"/pg", slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(context.WithoutCancel(b.Context())); err != nil {
			b.Error(err)
		}
	}()
	pool, err := pg.Open(b.Context(), cluster.URL(pg.DatabaseName), pg.KeepPlans(), pg.MaxConns(12))
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	if err := pg.Upgrade(b.Context(), pool, 0); err != nil {
		b.Fatal(err)
	}
	if _, err := pool.Exec(b.Context(), "CREATE EXTENSION pgstattuple"); err != nil {
		b.Fatalf("this needs PostgreSQL's contrib package: %v", err)
	}
	e := queuetest.On(b, pool)
	began := time.Now()
	for fourth := range 4 {
		live(b, e, max(10, b.N/4))
		b.Logf("after %d tasks, %v:\n%s", (fourth+1)*max(10, b.N/4), time.Since(began).Round(time.Second), tables(b, pool))
	}
	rate(b, b.N)
	b.StopTimer()
	vacuumed(b, pool)
	b.Logf("when autovacuum has been through, %v:\n%s", time.Since(began).Round(time.Second), tables(b, pool))
}

// live has so many tasks created, claimed and completed.
func live(b *testing.B, e *queuetest.Env, tasks int) {
	var left atomic.Int64
	left.Store(int64(tasks))
	made := make(chan struct{}, 50) // groups that wait
	var working sync.WaitGroup
	working.Go(func() {
		for n := 0; n < tasks; n += 10 {
			made <- struct{}{}
			group := slug.New()
			batch := []queue.NewTask{{ID: slug.New(), Definition: queuetest.Define(queuetest.In(group))}}
			for len(batch) < min(10, tasks-n) {
				batch = append(batch, queue.NewTask{ID: slug.New(), Definition: queuetest.Define(queuetest.In(group), queuetest.After(batch[0].ID))})
			}
			if _, err := e.Queue.CreateBatch(b.Context(), batch); err != nil {
				b.Error(err)
				return
			}
		}
	})
	for range 8 {
		worker := slug.New()
		working.Go(func() {
			for left.Load() > 0 {
				claims, err := e.Queue.Claim(b.Context(), queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: worker, Tasks: 4, Wait: 100 * time.Millisecond})
				if err != nil {
					b.Error(err)
					return
				}
				for _, c := range claims {
					if _, err := e.Queue.Reclaim(b.Context(), c.Status.TaskID, c.RunID); err != nil {
						b.Error(err)
						return
					}
					if _, err := e.Queue.ReportCompleted(b.Context(), c.Status.TaskID, c.RunID); err != nil {
						b.Error(err)
						return
					}
					if left.Add(-1)%10 == 0 {
						<-made
					}
				}
			}
		})
	}
	working.Wait()
}

// tables is a report of what the tables hold.
func tables(b *testing.B, pool *pgxpool.Pool) string {
	b.Helper()
	if _, err := pool.Exec(b.Context(), "SELECT pg_stat_force_next_flush()"); err != nil {
		b.Fatal(err)
	}
	rows, err := pool.Query(b.Context(), `
SELECT s.relname, n_live_tup, n_dead_tup, n_tup_upd, round(100.0 * n_tup_hot_upd / nullif(n_tup_upd, 0), 1)::float8, n_tup_del,
	pg_table_size(s.relid), round(t.dead_tuple_percent::numeric, 1)::float8, round(t.free_percent::numeric, 1)::float8,
	pg_indexes_size(s.relid),
	(SELECT round(avg(d)::numeric, 1)::float8 FROM (SELECT nullif((pgstatindex(indexrelid)).avg_leaf_density, 'NaN') FROM pg_index JOIN pg_class c ON c.oid = indexrelid
		JOIN pg_am a ON a.oid = c.relam WHERE indrelid = s.relid AND amname = 'btree') AS x (d)),
	autovacuum_count
FROM pg_stat_user_tables s, pgstattuple(s.relid) t WHERE n_tup_ins > 50 ORDER BY 1`)
	if err != nil {
		b.Fatal(err)
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "table\trows\tdead\tupdates\tHOT %\tdeletes\tKB\tdead %\tempty %\tindexes KB\tfull %\tautovacuums\t")
	var name string
	var live, dead, updates, deletes, size, indexes, vacuums int64
	var hot, full *float64
	var deadShare, free float64
	show := func(f *float64) string {
		if f == nil {
			return ""
		}
		return fmt.Sprint(*f)
	}
	if _, err := pgx.ForEachRow(rows, []any{&name, &live, &dead, &updates, &hot, &deletes, &size, &deadShare, &free, &indexes, &full, &vacuums}, func() error {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%d\t%d\t%v\t%v\t%d\t%s\t%d\t\n", name, live, dead, updates, show(hot), deletes, size>>10, deadShare, free, indexes>>10, show(full), vacuums)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	return out.String()
}

// vacuumed waits until autovacuum has been at the hot tables since their last change, which it is within a minute or
// two, or until four minutes are over: a table with few dead rows is none that it cares for.
func vacuumed(b *testing.B, pool *pgxpool.Pool) {
	for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline); {
		var left int
		if err := pool.QueryRow(b.Context(), `
SELECT count(*) FROM pg_stat_user_tables WHERE relname IN ('pending', 'claims', 'deadlines') AND n_dead_tup > 5000`).Scan(&left); err != nil {
			b.Fatal(err)
		}
		if left == 0 {
			return
		}
		select {
		case <-b.Context().Done():
			return
		case <-time.After(time.Second):
		}
	}
}
