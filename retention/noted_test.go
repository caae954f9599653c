package retention_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/retention"
)

func TestWhatIsNotedOfJobs(t *testing.T) {
	pool := pgtest.DB(t)
	_, err := pool.Exec(t.Context(), `
INSERT INTO retention_jobs (job, started, next_run) VALUES
	('fine', now(), now() + interval '1 hour'), ('late', now(), now() - interval '2 hours'), ('gone', now(), now() - interval '9 days')`)
	must(t, err)
	_, err = pool.Exec(t.Context(), `UPDATE retention_jobs SET failures = 3, error = 'no room' WHERE job = 'fine'`)
	must(t, err)
	got, err := retention.All(t.Context(), pool)
	must(t, err)
	want := []retention.Noted{{Job: "fine", Failures: 3, Error: "no room"}, {Job: "gone"}, {Job: "late", Late: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
