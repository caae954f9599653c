package gauge

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Start takes a sample at every whole minute, until Stop. Of several replicas one takes each minute's.
func (g *Gauge) Start(ctx context.Context) {
	ctx, g.cancel = context.WithCancel(ctx)
	g.loop.Go(func() {
		for ctx.Err() == nil {
			if err := g.Sample(ctx); err != nil && ctx.Err() == nil {
				g.Log.WarnContext(ctx, "how the task queues stand cannot be written down, trying again in a minute", "error", err)
			}
			now := time.Now()
			timer := time.NewTimer(now.Truncate(time.Minute).Add(time.Minute).Sub(now))
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
	})
}

// Stop ends what Start began and waits for it.
func (g *Gauge) Stop() {
	if g.cancel != nil {
		g.cancel()
	}
	g.loop.Wait()
}

// Sample writes down how the task queues stand now, unless somebody has this minute.
func (g *Gauge) Sample(ctx context.Context) error {
	err := pg.Tx(ctx, g.Pool, func(ctx context.Context, tx pgx.Tx) error {
		list, err := tx.Query(ctx, roundSQL.Text)
		if err != nil {
			return failed(roundSQL, err)
		}
		mine, err := pgx.CollectRows(list, pgx.RowTo[time.Time])
		if err != nil || len(mine) == 0 {
			return err
		}
		s, err := g.sample(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, samplesSQL.Text, mine[0], s.queues, s.pending, s.running, s.capacity, s.waits, s.p50, s.p95, s.hourly); err != nil {
			return failed(samplesSQL, err)
		}
		return nil
	})
	return err
}

// Thin takes the older samples out that are closer together than their age asks for, and those older than
// keep, in small steps. It returns how many that were.
func (g *Gauge) Thin(ctx context.Context, keep time.Duration) (int64, error) {
	n, err := pg.Prune(ctx, g.Pool, thinSQL, 2000, keep.Seconds())
	if err != nil {
		return n, fmt.Errorf("queue: %w", err)
	}
	return n, nil
}

// columns are samples to be written.
type columns struct {
	queues                            []string
	pending, running, capacity, waits []int
	p50, p95, hourly                  []*float64
}

func (g *Gauge) sample(ctx context.Context) (c columns, err error) {
	lines, _, err := g.look(ctx, func(ctx context.Context) (map[string]Waits, bool, error) {
		of, err := g.renewWaits(ctx) // those of now, and pages have them too
		return of, false, err
	})
	if err != nil {
		return c, err
	}
	var standings map[string]Standing
	if g.Standings != nil {
		if standings, err = g.Standings(ctx); err != nil {
			return c, err
		}
	}
	seen := map[string]bool{}
	add := func(l Line) {
		s, has := standings[l.TaskQueueID]
		if !has {
			s.Capacity = max(l.Workers-l.Quarantined, l.Running) // of workers that nobody tells of, one task each
		}
		seen[l.TaskQueueID] = true
		if l.Pending+l.Running+s.Capacity+l.Waits.N == 0 {
			return
		}
		c.queues, c.pending, c.running = append(c.queues, l.TaskQueueID), append(c.pending, l.Pending), append(c.running, l.Running)
		c.capacity, c.waits, c.hourly = append(c.capacity, s.Capacity), append(c.waits, l.Waits.N), append(c.hourly, s.Hourly)
		var p50, p95 *float64
		if l.Waits.N > 0 {
			a, b := l.Waits.P50.Seconds(), l.Waits.P95.Seconds()
			p50, p95 = &a, &b
		}
		c.p50, c.p95 = append(c.p50, p50), append(c.p95, p95)
	}
	for _, l := range lines {
		add(l)
	}
	for id := range standings {
		if !seen[id] {
			add(Line{TaskQueueID: id})
		}
	}
	return c, nil
}

// Point is how a task queue stood over a while.
type Point struct {
	At                         time.Time // its middle
	Pending, Running, Capacity float64   // on average
	P95                        time.Duration
	Waits                      bool     // P95 tells something: the highest that was measured
	Hourly                     *float64 // on average, where a price was set
}

// History tells how task queues stood since so long ago, in steps; a step without a sample is missing, one without
// anything to tell of a queue is all zero. span is cut to whole steps.
func (g *Gauge) History(ctx context.Context, taskQueueIDs []string, span, step time.Duration) (map[string][]Point, error) {
	type piece struct {
		queue  string
		bucket int64
		n      int
		sums   [3]float64
		p95    *float64
		hourly *float64
	}
	width := step.Seconds()
	list, err := rows(ctx, g, historySQL, func(row pgx.CollectableRow) (p piece, err error) {
		return p, row.Scan(&p.queue, &p.bucket, &p.n, &p.sums[0], &p.sums[1], &p.sums[2], &p.p95, &p.hourly)
	}, append([]string{""}, taskQueueIDs...), span, width)
	if err != nil {
		return nil, err
	}
	rounds, of := map[int64]int{}, map[string]map[int64]piece{}
	var order []int64
	for _, p := range list { // the rounds come first
		if p.queue == "" {
			rounds[p.bucket] = p.n
			order = append(order, p.bucket)
			continue
		}
		if of[p.queue] == nil {
			of[p.queue] = map[int64]piece{}
		}
		of[p.queue][p.bucket] = p
	}
	out := make(map[string][]Point, len(taskQueueIDs))
	for _, id := range taskQueueIDs {
		for _, b := range order {
			p, n := of[id][b], float64(rounds[b])
			point := Point{At: time.Unix(0, 0).Add(seconds((float64(b) + 0.5) * width)), Pending: p.sums[0] / n, Running: p.sums[1] / n, Capacity: p.sums[2] / n}
			if p.p95 != nil {
				point.P95, point.Waits = seconds(*p.p95), true
			}
			if p.hourly != nil {
				hourly := *p.hourly / n
				point.Hourly = &hourly
			}
			out[id] = append(out[id], point)
		}
	}
	return out, nil
}

var (
	roundSQL = pg.Statement{Name: "queue.gauge-round", Text: `
INSERT INTO queue_samples (task_queue_id, at, pending, running, capacity, waits) VALUES ('', date_trunc('minute', now()), 0, 0, 0, 0)
ON CONFLICT DO NOTHING RETURNING at`}

	samplesSQL = pg.Statement{Name: "queue.gauge-samples", Text: `
INSERT INTO queue_samples (at, task_queue_id, pending, running, capacity, waits, wait_p50, wait_p95, hourly)
SELECT $1, * FROM unnest($2::text[], $3::int[], $4::int[], $5::int[], $6::int[], $7::float8[], $8::float8[], $9::float8[])`}

	thinSQL = pg.Statement{Name: "queue.gauge-thin", Text: `
DELETE FROM queue_samples WHERE ctid = ANY(ARRAY(
	SELECT ctid FROM queue_samples
	WHERE at < now() - interval '26 hours' AND extract(minute FROM at)::int % 10 <> 0
	   OR at < now() - interval '8 days' AND extract(minute FROM at) <> 0
	   OR at < now() - make_interval(secs => $2)
	LIMIT $1 FOR UPDATE SKIP LOCKED))`}

	// $3 is the width of a step in seconds.
	historySQL = pg.Statement{Name: "queue.gauge-history", Text: `
SELECT task_queue_id, floor(extract(epoch FROM at) / $3::float8)::bigint AS bucket, count(*)::int,
    sum(pending)::float8, sum(running)::float8, sum(capacity)::float8, max(wait_p95), sum(hourly)
FROM queue_samples WHERE task_queue_id = ANY($1::text[]) AND at > now() - $2::interval
GROUP BY task_queue_id, bucket ORDER BY task_queue_id COLLATE "C", bucket`}
)
