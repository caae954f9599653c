package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
)

const api = "/api/queue/v1"

// call makes a call on one of the run's connections, with the run's credentials.
func (q *queueRun) call(ctx context.Context, connection int, method, path string, body []byte, out any) error {
	return q.wires[connection].call(ctx, q.signature, method, api+path, body, out)
}

// create creates a task.
func (q *queueRun) create(ctx context.Context, connection int, id string, definition []byte) error {
	return q.call(ctx, connection, "PUT", "/task/"+id, definition, nil)
}

// claim is what of a claim a worker needs to end it.
type claim struct {
	Status struct {
		TaskID string `json:"taskId"`
	} `json:"status"`
	RunID       int              `json:"runId"`
	Credentials hawk.Credentials `json:"credentials"`
}

// take asks for tasks as the worker of that number.
func (q *queueRun) take(ctx context.Context, connection, tasks int) ([]claim, error) {
	return q.takeFrom(ctx, connection, q.taskQueue, tasks)
}

func (q *queueRun) takeFrom(ctx context.Context, connection int, queue string, tasks int) ([]claim, error) {
	var out struct {
		Tasks []claim `json:"tasks"`
	}
	body := []byte(`{"workerGroup": "bench", "workerId": "w` + strconv.Itoa(connection) + `", "tasks": ` + strconv.Itoa(tasks) + `}`)
	err := q.call(ctx, connection, "POST", "/claim-work/"+url.PathEscape(queue), body, &out)
	return out.Tasks, err
}

// complete reports a claimed task with the claim's own credentials, as a worker does.
func (q *queueRun) complete(ctx context.Context, connection int, c claim) error {
	s, err := newSignature(c.Credentials)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("%s/task/%s/runs/%d/completed", api, c.Status.TaskID, c.RunID)
	return q.wires[connection].call(ctx, s, "POST", path, nil, nil)
}

// reads asks what needs no change.
func (q *queueRun) reads(ctx context.Context) error {
	definition, ids := q.definition(q.group()), make([]string, 100)
	for i := range ids {
		ids[i] = slug.Nice()
		if err := q.create(ctx, 0, ids[i], definition); err != nil {
			return fmt.Errorf("bench: create: %w", err)
		}
	}
	err := q.do(ctx, load{name: "ping", connections: 8, do: func(ctx context.Context, connection, _ int) error {
		return q.call(ctx, connection, "GET", "/ping", nil, nil)
	}})
	if err != nil {
		return err
	}
	return q.do(ctx, load{name: "task status", connections: 8, do: func(ctx context.Context, connection, n int) error {
		return q.call(ctx, connection, "GET", "/task/"+ids[(connection+n)%len(ids)]+"/status", nil, nil)
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
			return q.create(ctx, connection, slug.Nice(), definitions[connection])
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// claims takes pending tasks, which are made before each load, and in the end all that are left: a
// task that is pending but cannot be claim is stranded.
func (q *queueRun) claims(ctx context.Context) error {
	for _, way := range []struct{ connections, tasks int }{{8, 1}, {32, 1}, {8, 32}} {
		if err := q.fill(ctx, way.tasks); err != nil {
			return err
		}
		name := fmt.Sprintf("claimWork, %d a call", way.tasks)
		err := q.do(ctx, load{name: name, connections: way.connections, things: way.tasks, do: func(ctx context.Context, connection, _ int) error {
			claims, err := q.take(ctx, connection, way.tasks)
			if err == nil && len(claims) < way.tasks {
				return errDone
			}
			return err
		}})
		if err != nil {
			return err
		}
		if err := q.drain(ctx, way.connections); err != nil {
			return err
		}
	}
	return nil
}

// lifecycles takes tasks from their creation to their end: each connection creates one, claims one
// (whosever) and reports it completed.
func (q *queueRun) lifecycles(ctx context.Context) error {
	for _, connections := range []int{1, 8, 32} {
		definitions := q.definitions(connections)
		err := q.do(ctx, load{name: "create, claim, complete", connections: connections, do: func(ctx context.Context, connection, _ int) error {
			if err := q.create(ctx, connection, slug.Nice(), definitions[connection]); err != nil {
				return err
			}
			claims, err := q.take(ctx, connection, 1)
			if err != nil {
				return err
			}
			if len(claims) != 1 {
				return fmt.Errorf("no task came within the time of a long poll")
			}
			return q.complete(ctx, connection, claims[0])
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// More tasks than a server here hands out in a second, by 1 or by 32.
const (
	onesPerSecond = 8000
	manyPerSecond = 15000
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
	return q.batches(ctx, q.group(), n)
}

// batches makes tasks that nobody waits for.
func (q *queueRun) batches(ctx context.Context, group string, n int) error {
	definition := q.definition(group)
	for n > 0 {
		batch := make([]client.NewTask, min(n, 5000))
		for i := range batch {
			batch[i] = client.NewTask{TaskID: slug.Nice(), Task: definition}
		}
		if _, err := q.client.CreateTasks(ctx, batch); err != nil {
			return fmt.Errorf("bench: create a batch: %w", err)
		}
		n -= len(batch)
	}
	return nil
}

// fillSlowly does it by single calls, for as long as two loads last.
func (q *queueRun) fillSlowly(ctx context.Context) error {
	definition := q.definition(q.group())
	o := load{connections: 8, do: func(ctx context.Context, connection, _ int) error {
		return q.create(ctx, connection, slug.Nice(), definition)
	}}.run(ctx, 2*q.Each)
	return o.first
}
