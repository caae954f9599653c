package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
)

// reads asks what needs no change.
func (q *queueRun) reads(ctx context.Context) error {
	group := q.group()
	definition := q.definition(group)
	for range 100 {
		id := slug.Nice()
		if _, err := q.Client.CreateTask(ctx, id, definition); err != nil {
			return fmt.Errorf("bench: create: %w", err)
		}
		q.created = append(q.created, id)
	}
	err := q.do(ctx, load{name: "ping", connections: 8, do: func(ctx context.Context, _, _ int) error {
		return q.Client.Call(ctx, "queue", "GET", "/ping", nil, nil, nil)
	}})
	if err != nil {
		return err
	}
	return q.do(ctx, load{name: "task status", connections: 8, do: func(ctx context.Context, connection, n int) error {
		_, err := q.Client.Status(ctx, q.created[(connection+n)%len(q.created)])
		return err
	}})
}

// definitions are one for each connection, each in a group of its own, as pushes have.
func (q *queueRun) definitions(connections int) []json.RawMessage {
	list := make([]json.RawMessage, connections)
	for i := range list {
		list[i] = q.definition(q.group())
	}
	return list
}

func (q *queueRun) creates(ctx context.Context) error {
	for _, connections := range []int{1, 8, 32} {
		definitions := q.definitions(connections)
		err := q.do(ctx, load{name: "createTask", connections: connections, do: func(ctx context.Context, connection, _ int) error {
			_, err := q.Client.CreateTask(ctx, slug.Nice(), definitions[connection])
			return err
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// claims takes pending tasks, which are made before each load.
func (q *queueRun) claims(ctx context.Context) error {
	for _, way := range []struct{ connections, tasks int }{{8, 1}, {32, 1}, {8, 32}} {
		if err := q.fill(ctx, way.tasks); err != nil {
			return err
		}
		name := fmt.Sprintf("claimWork, %d a call", way.tasks)
		err := q.do(ctx, load{name: name, connections: way.connections, things: way.tasks, do: func(ctx context.Context, connection, _ int) error {
			claims, err := q.claim(ctx, connection, way.tasks)
			if err == nil && len(claims) < way.tasks {
				return errDone
			}
			return err
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// More tasks than a server here hands out in a second, by 1 or by 32.
const (
	onesPerSecond = 2500
	manyPerSecond = 8000
)

// fill makes as many tasks as a load may claim, so that it does not wait for work.
func (q *queueRun) fill(ctx context.Context, perCall int) error {
	if !q.Batches {
		return q.fillSlowly(ctx)
	}
	n := int(q.Each.Seconds() * onesPerSecond)
	if perCall > 1 {
		n = int(q.Each.Seconds() * manyPerSecond)
	}
	definition := q.definition(q.group())
	for n > 0 {
		batch := make([]client.NewTask, min(n, 5000))
		for i := range batch {
			batch[i] = client.NewTask{TaskID: slug.Nice(), Task: definition}
		}
		if _, err := q.Client.CreateTasks(ctx, batch); err != nil {
			return fmt.Errorf("bench: fill the queue: %w", err)
		}
		n -= len(batch)
	}
	return nil
}

// fillSlowly does it by single calls, for as long as two loads last.
func (q *queueRun) fillSlowly(ctx context.Context) error {
	definition := q.definition(q.group())
	o := load{connections: 8, do: func(ctx context.Context, _, _ int) error {
		_, err := q.Client.CreateTask(ctx, slug.Nice(), definition)
		return err
	}}.run(ctx, 2*q.Each)
	return o.first
}

func (q *queueRun) claim(ctx context.Context, connection, tasks int) ([]client.Claim, error) {
	return q.Client.ClaimWork(ctx, q.taskQueue, client.ClaimRequest{WorkerGroup: "bench", WorkerID: "w" + strconv.Itoa(connection), Tasks: tasks})
}

// lifecycles takes tasks from their creation to their end: each connection creates one, claims one
// (whosever) and reports it completed with the claim's own credentials, as a worker does.
func (q *queueRun) lifecycles(ctx context.Context) error {
	for _, connections := range []int{1, 8, 32} {
		definitions := q.definitions(connections)
		err := q.do(ctx, load{name: "create, claim, complete", connections: connections, do: func(ctx context.Context, connection, _ int) error {
			if _, err := q.Client.CreateTask(ctx, slug.Nice(), definitions[connection]); err != nil {
				return err
			}
			claims, err := q.claim(ctx, connection, 1)
			if err != nil {
				return err
			}
			if len(claims) != 1 {
				return fmt.Errorf("no task came within the time of a long poll")
			}
			return q.complete(ctx, claims[0])
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (q *queueRun) complete(ctx context.Context, c client.Claim) error {
	_, err := q.Client.WithCredentials(c.Credentials.Hawk()).ReportCompleted(ctx, c.Status.TaskID, c.RunID)
	return err
}
