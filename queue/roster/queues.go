package roster

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/paging"
	"github.com/treeline-ci/treeline/task"
)

// About is what is known alike of a task queue and of a provisioner, which stands for all task queues
// whose names begin with it.
type About struct {
	Description    string    `json:"description"`
	Stability      string    `json:"stability"`
	LastDateActive task.Time `json:"lastDateActive"` // about when a worker asked, or a task waited, last
	Expires        task.Time `json:"expires"`
}

// TaskQueue is a task queue that was used lately.
type TaskQueue struct {
	TaskQueueID string `json:"taskQueueId"`
	About
}

// ProvisionerID is the first half of the name.
func (q TaskQueue) ProvisionerID() string {
	id, _, _ := strings.Cut(q.TaskQueueID, "/")
	return id
}

// WorkerType is the second half of the name.
func (q TaskQueue) WorkerType() string {
	_, id, _ := strings.Cut(q.TaskQueueID, "/")
	return id
}

// Provisioner stands for the task queues whose names begin with its id.
type Provisioner struct {
	ProvisionerID string `json:"provisionerId"`
	About
}

// TaskQueues lists the task queues, those of one provisioner or, with "", all, sorted by id; next is
// "" on the last page.
func (r *Roster) TaskQueues(ctx context.Context, provisionerID string, limit int, token string) (list []TaskQueue, next string, err error) {
	var after string
	if err := paging.Read(token, &after); err != nil {
		return nil, "", err
	}
	limit = paging.Size(limit)
	list, err = collect(ctx, r, queuesSQL, func(row pgx.CollectableRow) (q TaskQueue, err error) {
		return q, row.Scan(append([]any{&q.TaskQueueID}, q.into()...)...)
	}, provisionerID, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	return paging.Cut(list, limit, func(q TaskQueue) []any { return []any{q.TaskQueueID} })
}

// TaskQueue returns a task queue; one not used for five days is fault.NotFound.
func (r *Roster) TaskQueue(ctx context.Context, id string) (TaskQueue, error) {
	list, err := collect(ctx, r, queueSQL, func(row pgx.CollectableRow) (q TaskQueue, err error) {
		return q, row.Scan(append([]any{&q.TaskQueueID}, q.into()...)...)
	}, id)
	return one(list, err, "Task queue %s is not known: no worker asked for its tasks, and none waited, for days.", id)
}

// Provisioners lists the provisioners, sorted by id; it pages like TaskQueues.
func (r *Roster) Provisioners(ctx context.Context, limit int, token string) (list []Provisioner, next string, err error) {
	var after string
	if err := paging.Read(token, &after); err != nil {
		return nil, "", err
	}
	limit = paging.Size(limit)
	list, err = collect(ctx, r, provisionersSQL, scanProvisioner, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	return paging.Cut(list, limit, func(p Provisioner) []any { return []any{p.ProvisionerID} })
}

// Provisioner returns a provisioner; one without a task queue is fault.NotFound.
func (r *Roster) Provisioner(ctx context.Context, id string) (Provisioner, error) {
	list, err := collect(ctx, r, provisionerSQL, scanProvisioner, id)
	return one(list, err, "Provisioner %s is not known: none of its task queues was used for days.", id)
}

func scanProvisioner(row pgx.CollectableRow) (p Provisioner, err error) {
	return p, row.Scan(append([]any{&p.ProvisionerID}, p.into()...)...)
}

func (a *About) into() []any {
	return []any{&a.Description, &a.Stability, &a.LastDateActive.Time, &a.Expires.Time}
}

func (a *About) round() {
	a.LastDateActive, a.Expires = task.At(a.LastDateActive.Time), task.At(a.Expires.Time)
}

// collect writes what was noted, so that a caller finds what it did before, and reads a listing.
func collect[T any, P interface {
	*T
	round()
}](ctx context.Context, r *Roster, s pg.Statement, scan pgx.RowToFunc[T], args ...any) ([]T, error) {
	if err := r.Flush(ctx); err != nil {
		return nil, err
	}
	list, err := rows(ctx, r, s, scan, args...)
	if err != nil {
		return nil, err
	}
	for i := range list {
		P(&list[i]).round()
	}
	return list, nil
}

func one[T any](list []T, err error, missing, id string) (T, error) {
	var none T
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, missing, id)
	}
	if err != nil {
		return none, err
	}
	return list[0], nil
}

const queueColumns = `description, stability, last_active, expires`

var (
	queuesSQL = pg.Statement{Name: "queue.task-queues", Text: `
SELECT task_queue_id, ` + queueColumns + ` FROM task_queues
WHERE task_queue_id > $2 AND ($1 = '' OR task_queue_id > $1 || '/' AND task_queue_id < $1 || '0') AND expires > now()
ORDER BY task_queue_id LIMIT $3`}

	queueSQL = pg.Statement{Name: "queue.task-queue", Text: `
SELECT task_queue_id, ` + queueColumns + ` FROM task_queues WHERE task_queue_id = $1 AND expires > now()`}

	provisionersSQL = pg.Statement{Name: "queue.provisioners", Text: `
SELECT split_part(task_queue_id, '/', 1) AS id, '', 'experimental', max(last_active), max(expires) FROM task_queues
WHERE split_part(task_queue_id, '/', 1) > $1 AND expires > now()
GROUP BY id ORDER BY id LIMIT $2`}

	provisionerSQL = pg.Statement{Name: "queue.provisioner", Text: `
SELECT $1::text, '', 'experimental', max(last_active), max(expires) FROM task_queues
WHERE task_queue_id > $1 || '/' AND task_queue_id < $1 || '0' AND expires > now()
HAVING count(*) > 0`}
)
