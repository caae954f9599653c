package jobs

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/page"
)

// TestReadingTakesTheSameStatements counts what the list of pushes asks of the database, with few pushes and with many.
func TestReadingTakesTheSameStatements(t *testing.T) {
	pool, err := pg.Open(t.Context(), pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	e := queuetest.On(t, pool)
	log := push.New(pool, func() {}, slog.New(slog.DiscardHandler))
	if err := log.Register(t.Context(), push.Repository{Name: "r", Kind: "git-local", URL: "http://localhost/r", Level: 1, DefaultBranch: "main"}); err != nil {
		t.Fatal(err)
	}
	head := ""
	for i := range 20 {
		p, _, err := log.Record(t.Context(), push.Push{Repository: "r", Revision: fmt.Sprintf("%040d", i), Base: head, Branch: "main", Author: "a", Email: "a@example.com", Message: "m"}, head)
		if err != nil {
			t.Fatal(err)
		}
		head = p.Revision
		group := slug.New()
		for _, state := range []task.State{task.Completed, task.Failed, task.Exception, task.Running} {
			e.Task(t, state, queuetest.In(group))
		}
		if err := log.SetOutcome(t.Context(), "r", p.ID, push.Outcome{State: push.Decided, TaskGroupID: group}); err != nil {
			t.Fatal(err)
		}
	}
	ps := &Pages{Queue: e.Queue, Push: log, Triage: triage.New(pool, func() {})}
	// Each statement takes a connection of the pool once.
	statements := func(query string) int64 {
		t.Helper()
		ps.shelf = &cell.Shelf{Queue: e.Queue}
		before := pool.Stat().AcquireCount()
		v := &page.Visit{R: httptest.NewRequest("GET", "/ui/api/jobs?repo=r"+query, nil), Have: scope.NewSet([]string{"*"})}
		data, _, err := ps.readJobs(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range data.Pushes {
			want := map[string]int{"passed": 1, "failed": 1, "cancelled": 1, "running": 1}
			if p.Counts["exception"] == 0 {
				delete(p.Counts, "exception")
			}
			if diff := cmp.Diff(want, p.Counts); diff != "" {
				t.Errorf("%s, push %d: %s", query, p.ID, diff)
			}
		}
		return pool.Stat().AcquireCount() - before
	}
	few, many, bare := statements("&count=2"), statements("&count=20"), statements("&count=20&cells=0")
	if few != many || many > 10 || bare > few {
		t.Errorf("2 pushes take %d statements, 20 take %d, counts alone take %d", few, many, bare)
	}
}
