package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// QueueOptions say how to measure a queue.
type QueueOptions struct {
	Client  *client.Client // of the server to measure; its credentials must hold the scope *
	Each    time.Duration  // how long each load lasts
	Group   int            // tasks of the big group
	Batches bool           // the server takes createTasks; otherwise the big group is made by single calls
	Parts   []string       // of PartNames, to do only these; none means all
	Log     func(format string, args ...any)
}

// queueRun is one measurement of a queue. Its tasks have a task queue and groups of their own.
type queueRun struct {
	QueueOptions
	report    *Report
	base      string // of the task queues' names
	taskQueue string
	created   []string // ids of tasks to ask about
	groups    []string // to be canceled in the end
	probe     func() usage
}

// PartNames are the parts of a measurement of a queue, in their order.
func PartNames() []string { return []string{"reads", "creates", "claims", "lifecycles", "group"} }

// Queue measures the queue of a server through its public API, one load after the other, and
// cancels in the end what it has made. Times are those of whole calls, signature and transport
// included; the load's own work competes for the same processors when the server is on this machine.
func Queue(ctx context.Context, o QueueOptions) (*Report, error) {
	q := newQueueRun(o, nil)
	return q.report, errors.Join(q.all(ctx), q.cancel(ctx))
}

func newQueueRun(o QueueOptions, probe func() usage) *queueRun {
	return &queueRun{QueueOptions: o, report: newReport("queue"), base: "bench/" + workerType(slug.Nice()[:12]), probe: probe}
}

// workerType is an id in the letters that the second half of a task queue's name may have.
func workerType(id string) string { return strings.ReplaceAll(strings.ToLower(id), "_", "-") }

func (q *queueRun) all(ctx context.Context) error {
	do := map[string]func(context.Context) error{
		"reads": q.reads, "creates": q.creates, "claims": q.claims, "lifecycles": q.lifecycles, "group": q.bigGroup,
	}
	for i, name := range PartNames() {
		if len(q.Parts) > 0 && !slices.Contains(q.Parts, name) {
			continue
		}
		q.taskQueue = fmt.Sprintf("%s-%d", q.base, i) // what a part leaves pending is not in the next one's way
		if err := do[name](ctx); err != nil {
			return err
		}
	}
	return nil
}

// do runs a load and adds its line.
func (q *queueRun) do(ctx context.Context, l load) error {
	before := q.used()
	o := l.run(ctx, q.Each)
	line := l.line(o)
	q.report.Lines = append(q.report.Lines, line)
	if used := q.used() - before; used > 0 && line.Count > 0 {
		q.report.note("%s, %d connections: %.2f ms of processor time of all the server's processes each", l.name, l.connections, millis(used)/float64(line.Count))
	}
	if o.first != nil {
		q.report.note("%s: the first error: %v", l.name, o.first)
	}
	q.Log("%s, %d connections: %.0f/s", l.name, l.connections, line.PerSecond)
	if len(o.took) == 0 {
		return fmt.Errorf("bench: %s: no call succeeded: %w", l.name, errors.Join(o.first, ctx.Err()))
	}
	return nil
}

func (q *queueRun) used() time.Duration {
	if q.probe == nil {
		return 0
	}
	return q.probe().processor
}

// once measures something that is done a single time.
func (q *queueRun) once(name string, connections, things int, do func() error) error {
	began := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("bench: %s: %w", name, err)
	}
	took := time.Since(began)
	line := Line{Name: name, Connections: connections, Count: things, PerSecond: float64(things) / took.Seconds()}.timed(Sample{took})
	q.report.Lines = append(q.report.Lines, line)
	q.Log("%s: %v", name, took.Round(time.Millisecond))
	return nil
}

// cancel ends what is left of the run's tasks, so that the server is as it was.
func (q *queueRun) cancel(ctx context.Context) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer stop()
	var errs []error
	for _, g := range q.groups {
		_, err := q.Client.SealGroup(ctx, g)
		if err == nil {
			_, err = q.Client.CancelGroup(ctx, g)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("bench: cancel group %s: %w", g, err))
		}
	}
	return errors.Join(errs...)
}

// group begins a new group.
func (q *queueRun) group() string {
	id := slug.Nice()
	q.groups = append(q.groups, id)
	return id
}

// definition is a task of about 0.9 KB, as the figures to compare with were taken with.
func (q *queueRun) definition(group string, dependencies ...string) json.RawMessage {
	now := time.Now().UTC()
	text, err := json.Marshal(map[string]any{
		"taskQueueId": q.taskQueue, "schedulerId": "bench", "taskGroupId": group, "dependencies": append([]string{}, dependencies...),
		"created": task.Time{Time: now}, "deadline": task.Time{Time: now.Add(2 * time.Hour)}, "expires": task.Time{Time: now.Add(3 * time.Hour)},
		"payload": map[string]any{"command": []string{"/bin/bash", "-c", strings.Repeat("make the thing && ", 18)}, "maxRunTime": 3600},
		"metadata": map[string]string{
			"name": "bench", "description": "A task of a benchmark, which nobody runs.", "owner": "bench@localhost", "source": q.Client.RootURL(),
		},
		"extra": map[string]any{}, "tags": map[string]string{"kind": "bench", "worker-implementation": "none"},
	})
	if err != nil {
		return nil // of strings and times alone: it cannot fail
	}
	return text
}
