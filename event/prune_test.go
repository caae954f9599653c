package event_test

import (
	"errors"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// Who comes back to a place whose events were removed must not get the rest as if nothing were missing.
func TestASubscriberBehindThePruningBeginsAnew(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool, event.Keep(24*time.Hour))
	appendAll(t, pool, make6()...)
	take(t, f, event.Filter{}, 6)
	exec(t, pool, "UPDATE events SET time = now() - interval '25 hours' WHERE seq <= 3")
	exec(t, pool, "UPDATE event_checkpoint SET position = 6, mark = (SELECT max(seq) FROM events)")
	if n, err := f.Prune(t.Context()); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	g := startFeed(t, pool) // a replica that has nothing of it in memory
	for after, want := range map[int64]error{0: event.ErrTooFarBehind, 2: event.ErrTooFarBehind, 3: nil, 5: nil} {
		for e, err := range g.Subscribe(t.Context(), event.Filter{After: &after}) {
			if !errors.Is(err, want) || want == nil && e.Position != after+1 {
				t.Errorf("after %d: event %d, %v", after, e.Position, err)
			}
			break
		}
	}
}
