package bench

import (
	"context"
	"encoding/json"
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
	f := q.fan()
	batch := []client.NewTask{{TaskID: f.root, Task: f.first}}
	for _, id := range f.ids {
		batch = append(batch, client.NewTask{TaskID: id, Task: f.waiting})
	}
	err := q.once(fmt.Sprintf("group of %d in one batch", q.Group), 1, q.Group, func() error {
		_, err := q.client.CreateTasks(ctx, batch)
		return err
	})
	if err != nil {
		return err
	}
	if err := q.release(ctx, f.root); err != nil {
		return err
	}
	return q.list(ctx, f.root)
}

// fan is a group in which all tasks wait for one.
type fan struct {
	root           string // id of the one, and of the group
	first, waiting json.RawMessage
	ids            []string // of those that wait
}

func (q *queueRun) fan() fan {
	f := fan{root: q.group()}
	f.first, f.waiting = q.definition(f.root), q.definition(f.root, f.root)
	for range q.Group - 1 {
		f.ids = append(f.ids, slug.Nice())
	}
	return f
}

const singleConnections = 8

// singles makes a fan by single calls.
func (q *queueRun) singles(ctx context.Context) error {
	f := q.fan()
	err := q.once(fmt.Sprintf("group of %d by single calls", q.Group), singleConnections, q.Group, func() error {
		if err := q.create(ctx, 0, f.root, f.first); err != nil {
			return err
		}
		calls, ctx := errgroup.WithContext(ctx)
		for connection := range singleConnections {
			calls.Go(func() error {
				for i := connection; i < len(f.ids); i += singleConnections {
					if err := q.create(ctx, connection, f.ids[i], f.waiting); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return calls.Wait()
	})
	if err != nil || q.Batches {
		return err
	}
	if err := q.release(ctx, f.root); err != nil {
		return err
	}
	return q.list(ctx, f.root)
}

// release completes the root of a fan and waits until all others are pending.
func (q *queueRun) release(ctx context.Context, root string) error {
	claims, err := q.take(ctx, 0, 1)
	if err != nil {
		return fmt.Errorf("bench: claim the root: %w", err)
	}
	if len(claims) != 1 || claims[0].Status.TaskID != root {
		return fmt.Errorf("bench: the root of the group is not the one task to claim")
	}
	return q.once(fmt.Sprintf("root completed, %d dependents pending", q.Group-1), 1, q.Group-1, func() error {
		if err := q.complete(ctx, 0, claims[0]); err != nil {
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
			if err := q.call(ctx, 0, "GET", "/task-group/"+group+"/list?"+query.Encode(), nil, &page); err != nil {
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
