// Package treeherder tells Treeherder of pushes and of the runs of their tasks (vcs-integration 3). What it
// makes are events, which package event/pulse publishes in the order of the feed:
//
//	treeherder-push   a push, in the form of exchange/hgpushes/v1; Pushes makes it
//	treeherder-job    a run of a task, in the form of Treeherder's job schema, version 1; Run makes it
//
// Treeherder must know a push before it can take a job of it. It does: the event of a push is written in the
// transaction that records the push, before its tasks are made. Of one run the messages come as its states
// do: pending, running, completed; a run that is tried again is told so before the next is pending.
//
// Treeherder as it runs today reads tasks from the exchanges of the queue and makes such jobs itself; it
// needs the pushes alone. The jobs are for those who do without that half of it.
package treeherder

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/message"
	"github.com/treeline-ci/treeline/task"
)

// Kinds of the events that are made here; package event/pulse knows where they go.
const (
	KindPush = pulse.TreeherderPush
	KindJob  = pulse.TreeherderJob
)

// consumer is the name among the consumers of the feed.
const consumer = "treeherder"

// Deps are what the room joins.
type Deps struct {
	Queue   *queue.Queue
	Feed    *event.Feed
	RootURL string // of this server
	Log     *slog.Logger
}

// Treeherder makes the messages. It is safe for concurrent use.
type Treeherder struct{ Deps }

// New returns the room.
func New(d Deps) *Treeherder { return &Treeherder{d} }

// followed is what of the feed is looked at.
func followed() event.Interest {
	return event.Interest{Kinds: []string{"task-pending", "task-running", "task-completed", "task-failed", "task-exception"}, Route: Destination + ".", Fresh: true}
}

// Run follows the feed until ctx ends; its error is ctx's. Of all replicas one is at work at a time. Each
// message is made once: it stands in the feed if and only if the event it follows from is passed.
func (t *Treeherder) Run(ctx context.Context) error {
	return t.Feed.Consume(ctx, consumer, followed(), func(ctx context.Context, tx pgx.Tx, events []event.Event) error {
		made, err := t.make(ctx, tx, events)
		if err != nil {
			return err
		}
		return event.Append(ctx, tx, made...)
	})
}

// make gives the messages about events, in their order.
func (t *Treeherder) make(ctx context.Context, tx pgx.Tx, events []event.Event) ([]event.Event, error) {
	definitions, err := t.definitions(ctx, tx, events)
	if err != nil {
		return nil, err
	}
	var out []event.Event
	for _, e := range events {
		if d, ok := definitions[e.TaskID]; ok {
			m, err := t.job(d, e)
			if err != nil { // of the task's own making: the others go on
				t.Log.InfoContext(ctx, "a task cannot be told to Treeherder", "task", e.TaskID, "err", err)
			}
			out = append(out, m...)
		}
	}
	return out, nil
}

// definitions are those of the tasks of events that have a route to Treeherder, in one query.
func (t *Treeherder) definitions(ctx context.Context, tx pgx.Tx, events []event.Event) (map[string]task.Definition, error) {
	ids := map[string]bool{}
	var list []string
	for _, e := range events {
		if _, ok := originOf(e.Routes); ok && !ids[e.TaskID] {
			ids[e.TaskID] = true
			list = append(list, e.TaskID)
		}
	}
	out := make(map[string]task.Definition, len(list))
	if len(list) == 0 {
		return out, nil
	}
	items, err := t.Queue.ItemsIn(ctx, tx, list)
	for _, i := range items { // what has expired since is left out
		out[i.Status.TaskID] = i.Task
	}
	return out, err
}

// job is the message about an event of a task, none for a run that Treeherder does not show. A run that is
// tried again has an event of its own before that of the next run.
func (t *Treeherder) job(d task.Definition, e event.Event) ([]event.Event, error) {
	var body message.Task
	if err := json.Unmarshal(e.Payload, &body); err != nil || body.Status == nil || body.RunID == nil {
		return nil, fault.New(fault.Invalid, "event %s has no run", e.Kind)
	}
	j, err := jobOf(t.RootURL, d, *body.Status, *body.RunID)
	if err != nil || j == nil {
		return nil, err
	}
	payload, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	project := j.Origin.Project
	if j.Origin.Owner != "" {
		project = j.Origin.Owner + "/" + project
	}
	return []event.Event{{Kind: KindJob, Topic: strings.Join([]string{Destination, project, "_"}, "."), Payload: payload}}, nil
}
