// Package event is the ordered feed of everything that happened.
//
// A room calls Append in the transaction of its state change, so that there is an event if and only
// if the change happened. A sequencer, which runs in every replica and works in one at a time, gives
// each committed event its position: 1, 2, 3, … without gaps. Readers, consumers and live streams
// follow the positions; whoever saw position N has seen all before it.
//
// Order: events of one task come in the order in which its changes were made, because a change holds
// the task's row locked while it appends. Events of unrelated transactions come as they become
// visible; an open transaction holds up nobody else's events, and its own come when it commits.
//
// Readers next: feed.go, sequence.go.
package event

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// Event is one thing that happened.
type Event struct {
	ID          string          `json:"id"`       // unique; Append makes one when it is empty
	Position    int64           `json:"position"` // in the feed, from 1; given by the sequencer
	Kind        string          `json:"kind"`     // such as "task-completed", "push-created"
	Time        time.Time       `json:"time"`     // of Append, by the database's clock
	TaskID      string          `json:"taskId,omitempty"`
	TaskGroupID string          `json:"taskGroupId,omitempty"`
	RunID       *int            `json:"runId,omitempty"`
	Routes      []string        `json:"routes,omitempty"`  // of the task, for listeners that bind to them
	Topic       string          `json:"topic,omitempty"`   // a subject besides tasks, such as a repository's name
	Payload     json.RawMessage `json:"payload,omitempty"` // JSON for consumers; may be nil
}

// maxPayload is the most bytes of a payload; events point at things, they do not carry them.
const maxPayload = 1 << 20

// Append records events in the transaction of the change that they tell of. They appear in the feed,
// in the order given, some milliseconds after the commit (see Feed.Wake). Position and Time are not
// taken from the caller. Thousands at once are fine: they go in one statement.
func Append(ctx context.Context, tx pgx.Tx, events ...Event) error {
	var batch pgx.Batch
	if err := AppendLater(&batch, events...); err != nil || len(events) == 0 {
		return err
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("event: append: %w", pg.Classify(err))
	}
	return nil
}

// AppendLater is Append for who sends further statements to the database on the same way: it adds what
// appends the events to the batch. Without events it adds nothing.
func AppendLater(batch *pgx.Batch, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	n := len(events)
	ids, kinds := make([]string, n), make([]string, n)
	tasks, groups, topics := make([]*string, n), make([]*string, n), make([]*string, n)
	runs := make([]*int, n)
	routes, payloads := make([]*string, n), make([]*string, n)
	for i := range events {
		e := &events[i]
		if e.Kind == "" {
			return fault.New(fault.Internal, "event: append: an event has no kind")
		}
		if len(e.Payload) > maxPayload {
			return fault.New(fault.TooLarge, "event: append: the payload of a %s has %d bytes, more than %d", e.Kind, len(e.Payload), maxPayload)
		}
		ids[i], kinds[i], runs[i] = e.ID, e.Kind, e.RunID
		if e.ID == "" {
			ids[i] = slug.New()
		}
		tasks[i], groups[i], topics[i] = optional(e.TaskID), optional(e.TaskGroupID), optional(e.Topic)
		payloads[i] = optional(string(e.Payload))
		if len(e.Routes) > 0 {
			text, err := json.Marshal(e.Routes)
			if err != nil {
				return fmt.Errorf("event: append: %w", err)
			}
			routes[i] = optional(string(text))
		}
	}
	batch.Queue(appendSQL.Text, ids, kinds, tasks, groups, runs, routes, topics, payloads).Exec(func(pgconn.CommandTag) error { return nil })
	return nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// scanEvent reads a row of eventColumns.
func scanEvent(row pgx.CollectableRow) (Event, error) {
	var e Event
	s := scanned{Event: &e}
	if err := row.Scan(s.into()...); err != nil {
		return e, err
	}
	return e, s.fill()
}

// scanned has the columns of an event that may be null.
type scanned struct {
	*Event
	task, group, topic *string
	routes, payload    []byte
}

func (s *scanned) into() []any {
	return []any{&s.Position, &s.ID, &s.Kind, &s.Time, &s.task, &s.group, &s.RunID, &s.routes, &s.topic, &s.payload}
}

// fill gives the event what its columns had.
func (s *scanned) fill() (err error) {
	for _, c := range [...]struct{ from, to *string }{{s.task, &s.TaskID}, {s.group, &s.TaskGroupID}, {s.topic, &s.Topic}} {
		if c.from != nil {
			*c.to = *c.from
		}
	}
	s.Payload = s.payload
	if s.routes != nil {
		err = json.Unmarshal(s.routes, &s.Routes)
	}
	return err
}

// The transaction gets its id before the first row gets its seq: the sequencer relies on it when it
// decides that a missing seq will never come (see ledger.expire).
var appendSQL = pg.Statement{Name: "event.append", Text: `
WITH own AS MATERIALIZED (SELECT pg_current_xact_id() AS id)
INSERT INTO events (id, kind, task_id, task_group_id, run_id, routes, topic, payload)
SELECT e.id, e.kind, e.task_id, e.task_group_id, e.run_id, e.routes::json, e.topic, e.payload::json
FROM own, unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[])
     WITH ORDINALITY AS e (id, kind, task_id, task_group_id, run_id, routes, topic, payload, n)
WHERE own.id IS NOT NULL
ORDER BY e.n`}
