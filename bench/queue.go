package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// QueueOptions say how to measure a queue.
type QueueOptions struct {
	RootURL     string           // of the server to measure
	Credentials hawk.Credentials // must hold the scope *
	Each        time.Duration    // how long each load lasts
	Group       int              // tasks of the big group
	Batches     bool             // the server takes createTasks; otherwise the big group is made by single calls
	Parts       []string         // of PartNames, to do only these; none means all
	Old         int              // afterwards, make so many tasks, resolve them, and measure all again
	Log         func(format string, args ...any)
}

// queueRun is one measurement of a queue. Its tasks have a task queue and groups of their own.
type queueRun struct {
	QueueOptions
	client    *client.Client // for what is not measured by the call
	signature signature
	wires     []*wire // by number of the connection
	report    *Report
	base      string // of the task queues' names
	taskQueue string
	groups    []string // to be canceled in the end
	probe     func() usage
}

// PartNames are the parts of a measurement of a queue, in their order.
func PartNames() []string {
	return []string{"reads", "creates", "claims", "lifecycles", "idle", "group"}
}

// Queue measures the queue of a server through its public API, one load after the other, and
// cancels in the end what it has made. Times are those of whole calls, signature and transport
// included; the load's own work competes for the same processors when the server is on this machine.
func Queue(ctx context.Context, o QueueOptions) (*Report, error) {
	q, err := newQueueRun(o, nil)
	if err != nil {
		return nil, err
	}
	defer q.close()
	return q.report, errors.Join(q.all(ctx), q.cancel(ctx))
}

// connections is the most that any part needs.
const connections = 32

func newQueueRun(o QueueOptions, probe func() usage) (*queueRun, error) {
	root, err := url.Parse(strings.TrimRight(o.RootURL, "/"))
	if err != nil || root.Scheme != "http" && root.Scheme != "https" || root.Host == "" {
		return nil, fault.New(fault.Invalid, "%q is no root URL such as https://ci.example.org", o.RootURL)
	}
	c, err := client.New(client.Config{RootURL: o.RootURL, Patience: -1, Credentials: o.Credentials})
	if err != nil {
		return nil, err
	}
	s, err := newSignature(o.Credentials)
	if err != nil {
		return nil, fmt.Errorf("bench: credentials: %w", err)
	}
	q := &queueRun{
		QueueOptions: o, client: c, signature: s, probe: probe,
		report: newReport("queue"), base: "bench/" + workerType(slug.Nice()[:12]),
	}
	q.report.peer = peerFigures
	for range connections {
		q.wires = append(q.wires, &wire{root: root})
	}
	return q, nil
}

func (q *queueRun) close() {
	for _, w := range q.wires {
		w.close()
	}
}

// workerType is an id in the letters that the second half of a task queue's name may have.
func workerType(id string) string { return strings.ReplaceAll(strings.ToLower(id), "_", "-") }

// all measures with the database as it is, and again when it has old tasks.
func (q *queueRun) all(ctx context.Context) error {
	if err := q.parts(ctx, 0); err != nil || q.Old == 0 {
		return err
	}
	if err := q.age(ctx); err != nil {
		return err
	}
	return q.parts(ctx, q.Old)
}

func (q *queueRun) parts(ctx context.Context, old int) error {
	do := map[string]func(context.Context) error{
		"reads": q.reads, "creates": q.creates, "claims": q.claims, "lifecycles": q.lifecycles, "idle": q.idle, "group": q.bigGroup,
	}
	q.close() // servers close connections that have been idle, as while old tasks were made
	begin := len(q.report.Lines)
	for i, name := range PartNames() {
		if len(q.Parts) > 0 && !slices.Contains(q.Parts, name) {
			continue
		}
		q.taskQueue = fmt.Sprintf("%s-%d-%d", q.base, old, i) // what a part leaves pending is not in the next one's way
		if err := do[name](ctx); err != nil {
			return err
		}
	}
	for i := range q.report.Lines[begin:] {
		q.report.Lines[begin+i].Old = old
	}
	return nil
}

// do runs a load and adds its line.
func (q *queueRun) do(ctx context.Context, l load) error {
	before := q.used()
	o := l.run(ctx, q.Each)
	line := l.line(o)
	if used := q.used() - before; used > 0 && line.Count > 0 {
		line.Processor = millis(used) / float64(line.Count)
	}
	q.report.Lines = append(q.report.Lines, line)
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
		_, err := q.client.SealGroup(ctx, g)
		if err == nil {
			_, err = q.client.CancelGroup(ctx, g)
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
	return q.definitionIn(q.taskQueue, group, dependencies...)
}

func (q *queueRun) definitionIn(taskQueue, group string, dependencies ...string) json.RawMessage {
	now := time.Now().UTC()
	text, err := json.Marshal(map[string]any{
		"taskQueueId": taskQueue, "schedulerId": "bench", "taskGroupId": group, "dependencies": append([]string{}, dependencies...),
		"created": task.Time{Time: now}, "deadline": task.Time{Time: now.Add(2 * time.Hour)}, "expires": task.Time{Time: now.Add(3 * time.Hour)},
		"payload": map[string]any{"command": []string{"/bin/bash", "-c", strings.Repeat("make the thing && ", 18)}, "maxRunTime": 3600},
		"metadata": map[string]string{
			"name": "bench", "description": "A task of a benchmark, which nobody runs.", "owner": "bench@localhost", "source": q.RootURL,
		},
		"extra": map[string]any{}, "tags": map[string]string{"kind": "bench", "worker-implementation": "none"},
	})
	if err != nil {
		return nil // of strings and times alone: it cannot fail
	}
	return text
}
