package bench

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
)

// bigGroup makes a group in which all tasks wait for one, releases them, and lists them.
func (q *queueRun) bigGroup(ctx context.Context) error {
	if err := q.singles(ctx); err != nil || !q.Batches {
		return err
	}
	q.taskQueue += "-batch"
	root, batch := q.fan()
	err := q.once(fmt.Sprintf("group of %d in one batch", q.Group), 1, q.Group, func() error {
		_, err := q.Client.CreateTasks(ctx, batch)
		return err
	})
	if err != nil {
		return err
	}
	if err := q.release(ctx, root); err != nil {
		return err
	}
	return q.list(ctx, root)
}

// fan returns a root and a group of tasks that wait for it.
func (q *queueRun) fan() (root string, tasks []client.NewTask) {
	root = q.group()
	tasks = []client.NewTask{{TaskID: root, Task: q.definition(root)}}
	waiting := q.definition(root, root)
	for range q.Group - 1 {
		tasks = append(tasks, client.NewTask{TaskID: slug.Nice(), Task: waiting})
	}
	return root, tasks
}

const singleConnections = 8

// singles makes a fan by single calls.
func (q *queueRun) singles(ctx context.Context) error {
	root, tasks := q.fan()
	err := q.once(fmt.Sprintf("group of %d by single calls", q.Group), singleConnections, q.Group, func() error {
		if _, err := q.Client.CreateTask(ctx, root, tasks[0].Task); err != nil {
			return err
		}
		calls, ctx := errgroup.WithContext(ctx)
		calls.SetLimit(singleConnections)
		for _, t := range tasks[1:] {
			calls.Go(func() error {
				_, err := q.Client.CreateTask(ctx, t.TaskID, t.Task)
				return err
			})
		}
		return calls.Wait()
	})
	if err != nil || q.Batches {
		return err
	}
	if err := q.release(ctx, root); err != nil {
		return err
	}
	return q.list(ctx, root)
}

// release completes the root of a fan and waits until all others are pending.
func (q *queueRun) release(ctx context.Context, root string) error {
	claims, err := q.claim(ctx, 0, 1)
	if err != nil {
		return fmt.Errorf("bench: claim the root: %w", err)
	}
	if len(claims) != 1 || claims[0].Status.TaskID != root {
		return fmt.Errorf("bench: the root of the group is not the one task to claim")
	}
	return q.once(fmt.Sprintf("root completed, %d dependents pending", q.Group-1), 1, q.Group-1, func() error {
		if err := q.complete(ctx, claims[0]); err != nil {
			return err
		}
		for {
			pending, err := q.pending(ctx)
			if err != nil || pending >= q.Group-1 {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
}

// pending is what the API says of the task queue.
func (q *queueRun) pending(ctx context.Context) (int, error) {
	var out struct {
		Pending int `json:"pendingTasks"`
	}
	err := q.Client.Call(ctx, "queue", "GET", "/pending/"+url.PathEscape(q.taskQueue), nil, nil, &out)
	return out.Pending, err
}

const pageSize = 1000

// list reads a whole group, page by page.
func (q *queueRun) list(ctx context.Context, group string) error {
	return q.once(fmt.Sprintf("listTaskGroup of %d, pages of %d", q.Group, pageSize), 1, q.Group, func() error {
		count, token := 0, ""
		for {
			var page struct {
				Tasks []struct{} `json:"tasks"`
				Next  string     `json:"continuationToken"`
			}
			query := url.Values{"limit": {strconv.Itoa(pageSize)}}
			if token != "" {
				query.Set("continuationToken", token)
			}
			if err := q.Client.Call(ctx, "queue", "GET", client.Path("task-group", group, "list"), query, nil, &page); err != nil {
				return err
			}
			count += len(page.Tasks)
			if token = page.Next; token == "" {
				break
			}
		}
		if count != q.Group {
			return fmt.Errorf("the list has %d tasks of %d", count, q.Group)
		}
		return nil
	})
}
