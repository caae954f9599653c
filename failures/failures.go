// Package failures remembers how the tasks of pushes ended and what those that did not pass say of it, so that a
// page can tell new failures from known and flaky ones (docs/explanation/push-health.md). It follows the event feed:
// outcomes are counted as they happen, and the summaries of tests and logs of failed runs are read soon after. A
// failure has a signature, made of the test and the message without what changes from run to run: that is what the
// same failure is known by elsewhere.
package failures

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	// Keep is how long pushes are remembered.
	Keep = 30 * 24 * time.Hour
	// Window is how far back a failure counts as flaky.
	Window = 14 * 24 * time.Hour
	// Changed is the kind of the events that tell of news about the failures of a push; their topic is the repository,
	// their task group the push's.
	Changed = "failures-changed"
	// Consumer is the name under which the room follows the feed.
	Consumer = "failures"
)

// Push is a push as this room sees it.
type Push struct {
	Repository string
	ID         int64 // within the repository
	Branch     string
	Revision   string
	Time       time.Time
}

// Task is what is known of a task by its definition.
type Task struct{ Label, Name, Platform, Queue string }

// Deps are what the room needs of others. All must be given.
type Deps struct {
	Pool *pgxpool.Pool
	// Push finds, in a transaction, the push whose tasks a group holds; false without one.
	Push func(ctx context.Context, tx pgx.Tx, taskGroupID string) (Push, bool, error)
	// Tasks describes, in a transaction, tasks, those that there are.
	Tasks func(ctx context.Context, tx pgx.Tx, ids []string) (map[string]Task, error)
	// Open opens an artifact of a run, or gives a fault.NotFound.
	Open func(ctx context.Context, taskID string, run int, name string) (io.ReadCloser, error)
	// Wake is called after commits that wrote events; it must not block.
	Wake func()
	Log  *slog.Logger
}

// Failures is the room. It is safe for concurrent use, also by several servers.
type Failures struct {
	Deps

	cancel context.CancelFunc
	loops  sync.WaitGroup
	fresh  chan struct{} // there is something to read
}

// New makes the room.
func New(d Deps) *Failures { return &Failures{Deps: d, fresh: make(chan struct{}, 1)} }

// interest is the ends of runs.
var interest = event.Interest{Kinds: []string{"task-completed", "task-failed", "task-exception"}, Every: 250 * time.Millisecond}

// Start follows the feed and reads what failed runs left, until Stop or the end of ctx.
func (f *Failures) Start(ctx context.Context, feed *event.Feed) {
	ctx, f.cancel = context.WithCancel(ctx)
	f.loops.Go(func() {
		if err := feed.Consume(ctx, Consumer, interest, f.Record); err != nil && ctx.Err() == nil {
			f.Log.ErrorContext(ctx, "failures are no longer recorded", "err", err)
		}
	})
	f.loops.Go(func() { f.every(ctx, time.Second, f.fresh, f.ReadNext, "reading what failed runs left") })
}

// Stop ends what Start began and waits for it.
func (f *Failures) Stop() {
	if f.cancel != nil {
		f.cancel()
	}
	f.loops.Wait()
}

// every does rounds until one finds nothing to do, and again after a time or a sign.
func (f *Failures) every(ctx context.Context, pause time.Duration, sign <-chan struct{}, round func(context.Context) (int, error), what string) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		n, err := round(ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			f.Log.ErrorContext(ctx, "a round did not work", "round", what, "err", err)
		}
		if n > 0 && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-sign:
		}
	}
}

func (f *Failures) sign() {
	select {
	case f.fresh <- struct{}{}:
	default:
	}
}

const (
	forgetBatch = 10  // pushes removed at once, each with all its outcomes
	labelBatch  = 500 // labels looked at
)

// Prune removes pushes that are older than keep, with the outcomes of their tasks, and then labels that no push
// has any more. It does so in small transactions, and returns how many pushes and labels that were. Pages look as
// far back as Window.
func (f *Failures) Prune(ctx context.Context, keep time.Duration) (int64, error) {
	pushes, err := pg.Prune(ctx, f.Pool, forgetSQL, forgetBatch, keep.Seconds())
	if err != nil {
		return pushes, failed("prune", err)
	}
	labels, err := f.pruneLabels(ctx)
	return pushes + labels, failed("prune", err)
}

// pruneLabels goes through all labels once, some at a time. A label that a transaction is about to use is locked
// by that one's foreign key, or stays because it is used.
func (f *Failures) pruneLabels(ctx context.Context) (total int64, err error) {
	for after := int64(0); ; {
		var last *int64
		var n int64
		if err := f.Pool.QueryRow(ctx, forgetLabelsSQL.Text, after, labelBatch).Scan(&last, &n); err != nil || last == nil {
			return total, err
		}
		after, total = *last, total+n
	}
}

func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("failures: %s: %w", what, pg.Classify(err))
}

// Statements are the room's SQL, for the test that prepares each.
func Statements() []pg.Statement {
	return []pg.Statement{
		failingSQL, typicalSQL, forgetSQL, forgetLabelsSQL, placesSQL, enterSQL, labelsSQL, outcomesSQL, runsSQL, troubledSQL, takeSQL, linesSQL, doneSQL, againSQL,
		pushSQL, groupsSQL, lostSQL, endedSQL, pastSQL, tallySQL, recentSQL, stripSQL, jobsSQL, excerptsSQL, ofRunSQL, readingSQL, similarSQL,
		alikeSQL, lockRunSQL, beforeReportSQL, dropLineSQL, reportSQL, takeBackSQL, rereadSQL, reportsSQL, groupOfSQL,
	}
}

var forgetSQL = pg.Statement{Name: "failures.forget", Text: `
	DELETE FROM failure_pushes WHERE id IN (
		SELECT id FROM failure_pushes WHERE pushed <= now() - make_interval(secs => $2) ORDER BY pushed LIMIT $1 FOR UPDATE SKIP LOCKED)`}

var forgetLabelsSQL = pg.Statement{Name: "failures.forget-labels", Text: `
	WITH looked AS (SELECT id FROM failure_labels WHERE id > $1 ORDER BY id LIMIT $2),
	unused AS (
		SELECT l.id FROM failure_labels l JOIN looked USING (id)
		WHERE NOT EXISTS (SELECT FROM failure_outcomes o WHERE o.label = l.id)
			AND NOT EXISTS (SELECT FROM failure_runs r WHERE r.label = l.id)
			AND NOT EXISTS (SELECT FROM failure_lines n WHERE n.label = l.id)
		FOR UPDATE OF l SKIP LOCKED),
	gone AS (DELETE FROM failure_labels l USING unused WHERE l.id = unused.id RETURNING l.id)
	SELECT (SELECT max(id) FROM looked), (SELECT count(*) FROM gone)`}
