// The fourth page of the newcomer's reading list: a worker takes pending runs. Before it comes
// create.go; after it comes workers/work.go.

package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/drain"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/combine"
	"github.com/treeline-ci/treeline/queue/holder"
	"github.com/treeline-ci/treeline/queue/line"
	"github.com/treeline-ci/treeline/task"
)

// ClaimRequest asks for work.
type ClaimRequest struct {
	TaskQueueID string
	WorkerGroup string
	WorkerID    string
	Tasks       int           // at most so many, 1 to MaxClaim; 0 means 1
	Wait        time.Duration // how long to wait for the first task; more than MaxWait means MaxWait
}

// Claim is a run that a worker may work on until TakenUntil, with the run's own credentials.
type Claim struct {
	Status      task.Status     `json:"status"`
	RunID       int             `json:"runId"`
	WorkerGroup string          `json:"workerGroup"`
	WorkerID    string          `json:"workerId"`
	TakenUntil  task.Time       `json:"takenUntil"`
	Task        task.Definition `json:"task"`
	Credentials Credentials     `json:"credentials"`
}

// Claim hands out pending tasks of a task queue: higher priority first, and
// inside one priority by the turns of the task groups (docs/explanation/fairness.md). It waits for the
// first task, not for as many as asked for, and returns none when there was none in time or ctx
// ended (taskcluster-map 5.7). Every claim must be reported or reclaimed before TakenUntil.
func (q *Queue) Claim(ctx context.Context, req ClaimRequest) ([]Claim, error) {
	if req.Tasks = max(req.Tasks, 1); req.Tasks > MaxClaim {
		return nil, fault.New(fault.Invalid, "claim at most %d tasks at once, not %d", MaxClaim, req.Tasks)
	}
	worker := req.worker()
	if err := q.sight(ctx, req); err != nil {
		return []Claim{}, waitOver(ctx, err)
	}
	asked, timeout := time.Now(), time.NewTimer(min(req.Wait, MaxWait))
	defer timeout.Stop()
	// In line before the first look: what becomes pending after the look wakes.
	w := q.waiters.Join(req.TaskQueueID)
	defer q.waiters.Leave(req.TaskQueueID, w)
	for {
		if held, err := q.roster.Quarantined(ctx, worker); err != nil || held {
			return []Claim{}, q.standAside(ctx, req.TaskQueueID, w, timeout, err)
		}
		claims, err := q.claimNow(ctx, req)
		if len(claims) > 0 {
			for _, k := range claims {
				q.roster.Took(worker, k.Status.TaskID, k.RunID)
				q.deps.Observe.Both(k.Status.LastRun(), asked)
			}
			return claims, nil
		}
		if err != nil {
			return []Claim{}, waitOver(ctx, err)
		}
		select {
		case <-w.Woken:
		case <-timeout.C:
			return []Claim{}, nil
		case <-drain.Begun(ctx): // another server may have work
			return []Claim{}, nil
		case <-ctx.Done():
			return []Claim{}, nil
		}
	}
}

// waitOver takes the end of the caller's patience for an empty answer.
func waitOver(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// contended is how often, and how long apart, a claimer looks again when the tasks at the head of
// the line are all locked by somebody for the moment.
const (
	contendedTries = 10
	contendedPause = 3 * time.Millisecond
)

// claimNow claims what is pending, without waiting for more.
func (q *Queue) claimNow(ctx context.Context, req ClaimRequest) ([]Claim, error) {
	if _, err := q.marks.Refresh(ctx, q.deps.Pool, req.TaskQueueID, line.MarkAge); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		claims, contended, err := q.tryClaim(ctx, req)
		if err != nil || len(claims) > 0 || try == contendedTries {
			return claims, err
		}
		if !contended {
			// A mark that is too high for a moment must not hide work. Who waits is woken for it, within
			// a tenth of a second; for who does not, the marks are looked up anew.
			if req.Wait <= 0 {
				q.marks.Drop(req.TaskQueueID)
			}
			if found, err := q.marks.Refresh(ctx, q.deps.Pool, req.TaskQueueID, line.EmptyAge); err != nil || !found {
				return nil, err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(contendedPause):
		}
	}
}

// offer is what one look at the line had for a caller.
type offer struct {
	claims    []Claim
	contended bool // there was none, but tasks that somebody else had locked
}

func (q *Queue) tryClaim(ctx context.Context, req ClaimRequest) ([]Claim, bool, error) {
	o, err := q.together.claims.Do(ctx, req)
	return o.claims, o.contended, err
}

// claimTogether claims for several callers of one task queue, in one transaction. Who came first is
// served first; who has left gets nothing.
func (q *Queue) claimTogether(ctx context.Context, calls []combine.Call[ClaimRequest]) ([]combine.Answer[offer], error) {
	var (
		queue   = calls[0].Item.TaskQueueID
		answers []combine.Answer[offer]
		now     time.Time
	)
	err := q.change(ctx, func(ctx context.Context, c *change) error {
		answers = make([]combine.Answer[offer], len(calls))
		wanted := 0
		for _, call := range calls {
			wanted += call.Item.Tasks
		}
		free, picked, err := c.pick(ctx, queue, wanted)
		if err != nil {
			return err
		}
		claimed, contended := make([]*record, 0, len(free)), picked > len(free)
		for i, call := range calls {
			n := min(call.Item.Tasks, len(free))
			if call.Left() {
				n = 0
			}
			for _, t := range free[:n] {
				now = t.now
				t.claim(call.Item.WorkerGroup, call.Item.WorkerID, takenUntil(now, q.deps.ClaimTimeout))
				claimed = append(claimed, t.record)
				answers[i].Value.claims = append(answers[i].Value.claims, t.handed(t.definition))
			}
			free = free[n:]
			answers[i].Value.contended = n == 0 && contended
		}
		slices.SortFunc(claimed, func(a, b *record) int { return strings.Compare(a.TaskID, b.TaskID) })
		return c.save(ctx, claimed)
	})
	if err != nil {
		return nil, fmt.Errorf("queue: claim for %d from %s: %w", len(calls), queue, err)
	}
	for i := range answers {
		a := &answers[i]
		for n := range a.Value.claims {
			k := &a.Value.claims[n]
			if k.Credentials, a.Err = q.runCredentials(k.Status.TaskID, k.Task.Scopes, k.Status.LastRun(), now); a.Err != nil {
				a.Value = offer{}
				break
			}
		}
	}
	return answers, nil
}

// handed is the claim of the record's last run, without credentials.
func (r *record) handed(d task.Definition) Claim {
	run := r.LastRun()
	return Claim{
		Status: r.Status, RunID: run.RunID, WorkerGroup: run.WorkerGroup, WorkerID: run.WorkerID, TakenUntil: *run.TakenUntil, Task: d,
	}
}

// takenUntil is rounded up to whole seconds, as the peer does.
func takenUntil(now time.Time, timeout time.Duration) time.Time {
	return now.Add(timeout + time.Second - 1).Truncate(time.Second)
}

// pick locks the first rows of the line that nobody else has locked, and their tasks, and returns
// the tasks in the order of the line; picked also counts those whose task was locked.
//
// Its statement's snapshot is older than its locks. That is no harm: whose row in pending it could lock
// was pending with the same runs all the while, since nothing changes these without that row.
func (c *change) pick(ctx context.Context, queue string, n int) (free []item, picked int, err error) {
	var (
		batch            pgx.Batch
		first, last      []line.Place
		p                line.Place
		priorities, lows = c.q.marks.Get(queue)
	)
	batch.Queue(pickSQL.Text, queue, priorities, lows, n).Query(func(rows pgx.Rows) (err error) {
		free, err = scanItems(pickSQL, rows, []any{&p.Priority, &p.Seq}, func() {
			if len(first) == 0 || first[len(first)-1].Priority != p.Priority {
				first, last = append(first, p), append(last, p)
			}
			last[len(last)-1] = p
			picked++
		})
		return err
	})
	if err := c.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, 0, fmt.Errorf("queue: %s: %w", pickSQL.Name, err)
	}
	c.q.marks.Raise(queue, first)
	c.q.turns.Served(queue, last)
	return free, picked, nil
}

// Credentials are what a run, or an upload, acts with. The wire wants the certificate always.
type Credentials struct {
	ClientID    string `json:"clientId"`
	AccessToken string `json:"accessToken"`
	Certificate string `json:"certificate"`
}

// runCredentials mints the temporary credentials of a claimed run (taskcluster-map 5.7).
func (q *Queue) runCredentials(id string, scopes []string, run *task.Run, now time.Time) (Credentials, error) {
	until := run.TakenUntil.Time
	own := fmt.Sprintf("%s/%d", id, run.RunID)
	return q.mint(hawk.TempOptions{
		ClientID: fmt.Sprint(holder.ClientID(id, run.RunID, run.WorkerGroup, run.WorkerID), until.Unix()),
		Scopes:   append([]string{"queue:reclaim-task:" + own, "queue:resolve-task:" + own, "queue:create-artifact:" + own}, scopes...),
		Start:    now, Expiry: until,
	})
}

func (q *Queue) mint(o hawk.TempOptions) (Credentials, error) {
	creds, err := hawk.CreateTemporary(q.deps.Issuer, o)
	if err != nil {
		return Credentials{}, fmt.Errorf("queue: credentials for %s: %w", o.ClientID, err)
	}
	return Credentials{ClientID: creds.ClientID, AccessToken: creds.AccessToken, Certificate: creds.Certificate}, nil
}

// The line is walked one priority after the other, each from its mark on, so that what is dead at
// its head is not seen again and again.
var pickSQL = pg.Statement{Name: "queue.pick", Text: `
WITH picked AS MATERIALIZED (
    SELECT l.task_id, l.priority, l.seq
    FROM unnest($2::smallint[], $3::bigint[]) AS m (priority, low),
    LATERAL (
        SELECT p.task_id, p.priority, p.seq FROM pending p
        WHERE p.task_queue_id = $1 AND p.priority = m.priority AND p.seq >= m.low
        ORDER BY p.seq LIMIT $4 FOR UPDATE SKIP LOCKED) AS l
    LIMIT $4
)
SELECT p.priority, p.seq, ` + recordColumns + `, ` + definitionColumns + `
FROM picked p
LEFT JOIN LATERAL (SELECT * FROM tasks WHERE tasks.task_id = p.task_id FOR NO KEY UPDATE SKIP LOCKED) t ON true
LEFT JOIN definitions d ON d.task_id = t.task_id
` + runTables + `
ORDER BY p.priority DESC, p.seq, p.task_id, r.run_id`} // two may have one turn
