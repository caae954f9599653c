package gauge

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Line is how a task queue stands.
type Line struct {
	TaskQueueID string
	Pending     int
	Running     int
	Oldest      time.Time // since when the one waits that waits longest; zero: none does
	Workers     int       // asked for work within SeenWithin
	Quarantined int       // may not have any, however long they have not asked
	Active      time.Time // when it was used last; zero: before it was forgotten
	Waits       Waits
}

// Waits says how long runs waited that became pending within WaitsOf and have begun.
type Waits struct {
	N        int
	P50, P95 time.Duration // of those, the shortest that is as long as half, or 95 %, of them
	Late     bool          // they are being read: nothing is known yet
}

const (
	// WaitsOf is the time that Waits tell of.
	WaitsOf = time.Hour
	// SeenWithin is how lately a worker has asked for work that counts.
	SeenWithin = 10 * time.Minute

	defaultAge = time.Second

	// Waits are read from all runs of an hour, which may be hundreds of thousands. They are kept for so many times as long as
	// reading them took; older ones are better than none while new ones are read.
	waitsRest  = 20
	waitsKnown = 5 * time.Minute
	// waitsWithin is how long who has nothing to show waits for them.
	waitsWithin = 200 * time.Millisecond
)

// Lines lists the task queues that are known or hold work, by id. It asks the database at most once in g.Age, whoever
// calls; the list must not be changed.
func (g *Gauge) Lines(ctx context.Context) ([]Line, error) {
	age := g.Age
	if age == 0 {
		age = defaultAge
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.looked) < age {
		return g.lines, nil
	}
	asked := time.Now()
	list, late, err := g.look(ctx, g.waits)
	if err != nil {
		return nil, err
	}
	if g.lines, g.looked = list, asked; late {
		g.looked = time.Time{} // whoever asks next has them
	}
	return list, nil
}

// Line returns one of Lines; ok is false where nobody knows the queue.
func (g *Gauge) Line(ctx context.Context, taskQueueID string) (l Line, ok bool, err error) {
	list, err := g.Lines(ctx)
	if err != nil {
		return Line{}, false, err
	}
	i, ok := slices.BinarySearchFunc(list, taskQueueID, func(l Line, id string) int { return strings.Compare(l.TaskQueueID, id) })
	if !ok {
		return Line{TaskQueueID: taskQueueID}, false, nil
	}
	return list[i], true, nil
}

func (g *Gauge) look(ctx context.Context, read func(context.Context) (map[string]Waits, bool, error)) (list []Line, late bool, err error) {
	list, err = rows(ctx, g, linesSQL, func(row pgx.CollectableRow) (l Line, err error) {
		var oldest, active *time.Time
		err = row.Scan(&l.TaskQueueID, &l.Pending, &oldest, &l.Running, &l.Workers, &l.Quarantined, &active)
		if oldest != nil {
			l.Oldest = *oldest
		}
		if active != nil {
			l.Active = *active
		}
		return l, err
	}, SeenWithin)
	if err != nil {
		return nil, false, err
	}
	waits, late, err := read(ctx)
	for i := range list {
		list[i].Waits = waits[list[i].TaskQueueID]
		list[i].Waits.Late = late
	}
	return list, late, err
}

// waited are the waits that were read last.
type waited struct {
	mu   sync.Mutex
	of   map[string]Waits
	at   time.Time
	took time.Duration
}

// last returns them, nil when they are too old to be shown; fresh tells that nobody needs to read them again.
func (w *waited) last() (of map[string]Waits, fresh bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	age := time.Since(w.at)
	if age > waitsKnown {
		return nil, false
	}
	return w.of, age < waitsRest*w.took
}

// waits returns what is known of the waits, and has them read when that is old; late tells that nothing is known yet.
func (g *Gauge) waits(ctx context.Context) (of map[string]Waits, late bool, err error) {
	if g.Age < 0 {
		of, err = g.readWaits(ctx)
		return of, false, err
	}
	of, fresh := g.waited.last()
	if fresh {
		return of, false, nil
	}
	read := g.reads.DoChan("", func() (any, error) { return g.renewWaits(context.WithoutCancel(ctx)) }) // no task queue has that name
	if of != nil {
		return of, false, nil
	}
	patience := time.NewTimer(waitsWithin)
	defer patience.Stop()
	select {
	case got := <-read:
		of, _ = got.Val.(map[string]Waits)
		return of, false, got.Err
	case <-patience.C:
		return nil, true, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// renewWaits reads and keeps them.
func (g *Gauge) renewWaits(ctx context.Context) (map[string]Waits, error) {
	began := time.Now()
	of, err := g.readWaits(ctx)
	if err != nil {
		g.Log.WarnContext(ctx, "how long runs waited cannot be read", "err", err) // nobody may be there to hear it
		return nil, err
	}
	g.waited.mu.Lock()
	defer g.waited.mu.Unlock()
	g.waited.of, g.waited.at, g.waited.took = of, began, time.Since(began)
	return of, nil
}

func (g *Gauge) readWaits(ctx context.Context) (map[string]Waits, error) {
	out := map[string]Waits{}
	found, err := g.Pool.Query(ctx, waitsSQL.Text, WaitsOf)
	if err != nil {
		return nil, failed(waitsSQL, err)
	}
	var (
		id       string
		n        int
		p50, p95 float64
	)
	_, err = pgx.ForEachRow(found, []any{&id, &n, &p50, &p95}, func() error {
		out[id] = Waits{N: n, P50: seconds(p50), P95: seconds(p95)}
		return nil
	})
	if err != nil {
		return nil, failed(waitsSQL, err)
	}
	return out, nil
}

var (
	linesSQL = pg.Statement{Name: "queue.gauge-lines", Text: `
WITH p AS (SELECT task_queue_id, count(*)::int AS n, min(inserted) AS oldest FROM pending GROUP BY task_queue_id),
    c AS (SELECT task_queue_id, count(*)::int AS n FROM claims GROUP BY task_queue_id),
    w AS (
        SELECT task_queue_id, count(*) FILTER (WHERE w.last_active > now() - $1::interval)::int AS seen,
            count(*) FILTER (WHERE d.quarantine_until > now())::int AS held
        FROM queue_workers w LEFT JOIN worker_details d USING (task_queue_id, worker_group, worker_id)
        WHERE greatest(w.last_active + interval '1 day', d.expires) > now()
        GROUP BY task_queue_id),
    q AS (SELECT task_queue_id, last_active FROM task_queues WHERE expires > now())
SELECT task_queue_id, coalesce(p.n, 0), p.oldest, coalesce(c.n, 0), coalesce(w.seen, 0), coalesce(w.held, 0), q.last_active
FROM p FULL JOIN c USING (task_queue_id) FULL JOIN w USING (task_queue_id) FULL JOIN q USING (task_queue_id)
ORDER BY task_queue_id COLLATE "C"`}

	waitsSQL = pg.Statement{Name: "queue.gauge-waits", Text: `
SELECT task_queue_id, n, p[1], p[2]
FROM (
    SELECT t.task_queue_id, count(*)::int AS n,
        percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM r.started - r.scheduled)::float8) AS p
    FROM runs r JOIN tasks t USING (task_id)
    WHERE r.scheduled > now() - $1::interval AND r.started IS NOT NULL
    GROUP BY t.task_queue_id) w`}
)
