package backup_test

import (
	"context"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// writers create tasks all the time, through a change of the database too, and note those that were acknowledged.
type writers struct {
	mu   sync.Mutex
	told []string
}

func (w *writers) start(t *testing.T, c *client.Client, n int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				id := slug.New()
				if _, err := c.CreateTask(ctx, id, definition(id, "test/nobody", nil)); err == nil {
					w.mu.Lock()
					w.told = append(w.told, id)
					w.mu.Unlock()
				}
			}
		})
	}
	return sync.OnceFunc(func() { cancel(); all.Wait() })
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.told)
}

// standby starts a standby of the running cluster, and has the cluster answer only what the standby has too.
func (s *site) standby(name string) (primary *site) {
	s.Helper()
	base := filepath.Join(s.dir, "base")
	s.baseBackup(base)
	was := *s
	s.Cleanup(func() { was.end(30 * time.Second) })
	u, err := url.Parse(s.cluster.URL(pg.DatabaseName))
	s.must(err)
	s.unpack(base, name, "standby.signal", "primary_conninfo = 'host="+u.Query().Get("host")+" user="+u.Query().Get("user")+"'\n")
	s.start(name)
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
		_, err := was.pool.Exec(s.Context(), sql)
		s.must(err)
	}
	s.until("the standby is synchronous", func() bool {
		var n int
		err := was.pool.QueryRow(s.Context(), "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").Scan(&n)
		return err == nil && n == 1
	})
	return &was
}

// TestASynchronousStandbyTakesOver loses the primary at once, while clients get answers: all that was answered is there,
// whoever has a claim keeps it, and the doctor says that something is to be done.
func TestASynchronousStandbyTakesOver(t *testing.T) {
	s := newSite(t)
	s.start("first")
	primary := s.standby("second")
	f := s.front()
	stopFirst := primary.serve(f, 10*time.Minute)
	s.Cleanup(stopFirst)
	root := s.client(f)
	id := s.create(root, "test/held", nil)
	held := s.claim(root, "test/held", "w")
	w := &writers{}
	stopWriters := w.start(t, root, 4)
	defer stopWriters()
	s.until("clients get answers", func() bool { return w.count() >= 100 })

	primary.end(time.Nanosecond) // a disaster
	stopFirst()
	before := w.count()
	_, err := s.pool.Exec(t.Context(), "SELECT pg_promote(true, 60)")
	s.must(err)
	s.until("the standby is promoted", s.promoted)
	s.movedIsFound()
	if _, err := app.Restored(t.Context(), s.pool, "the operator", true); err != nil {
		t.Fatal(err)
	}
	s.Cleanup(s.serve(f, 10*time.Minute))
	s.until("clients get answers again", func() bool { return w.count() >= before+50 })
	stopWriters()

	var there int
	s.must(s.pool.QueryRow(t.Context(), "SELECT count(*) FROM tasks WHERE task_id = ANY ($1)", w.told).Scan(&there))
	if there != len(w.told) {
		t.Errorf("%d tasks were acknowledged, and %d are there", len(w.told), there)
	}
	t.Logf("%d tasks were acknowledged before the primary was lost, %d in all", before, len(w.told))
	k, err := root.WithCredentials(held.Credentials.Hawk()).Reclaim(t.Context(), id, held.RunID)
	s.must(err)
	if _, err := root.WithCredentials(k.Credentials.Hawk()).ReportCompleted(t.Context(), id, k.RunID); err != nil {
		t.Errorf("the claim from before: %v", err)
	}
}
