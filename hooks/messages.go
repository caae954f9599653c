package hooks

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

const (
	// Consumer is the name of hooks among the consumers of the feed.
	Consumer = "hooks"
	// maxWaiting is how many messages of a hook may wait; of more the oldest are dropped.
	maxWaiting = 50
	// gather is how long events may gather before bindings are looked at.
	gather   = 50 * time.Millisecond
	maxTries = 20 // of a message whose task cannot be created for a reason that should pass
)

// bound is a hook's binding.
type bound struct {
	group, id, pattern string
	since              time.Time
}

// bindings is a copy of the bindings of all hooks.
type bindings struct {
	version    int64
	byExchange map[string][]bound
}

// incoming is a message that fits a hook's binding.
type incoming struct {
	group, id, messageID, exchange, key string
	payload                             json.RawMessage
}

// listen takes our own messages from the feed.
func (h *Hooks) listen(ctx context.Context, feed Feed) {
	known := bindings{version: -1}
	interest := event.Interest{Kinds: h.Kinds, Every: gather, Fresh: true, Any: func(ctx context.Context) (bool, error) {
		var err error
		known, err = h.current(ctx, h.Pool, known)
		return len(known.byExchange) > 0, err
	}}
	// Its error is that ctx ended.
	_ = feed.Consume(ctx, Consumer, interest, func(ctx context.Context, tx pgx.Tx, events []event.Event) error {
		var err error
		if known, err = h.current(ctx, tx, known); err != nil || len(known.byExchange) == 0 {
			return err
		}
		var found []incoming
		for i := range events {
			m, ok, err := h.Messages(&events[i])
			if err != nil {
				h.Log.ErrorContext(ctx, "an event has no message for hooks; it is left out", "err", err)
			}
			if ok && err == nil {
				found = append(found, known.fitting(m, &events[i])...)
			}
		}
		return h.put(ctx, tx, found)
	})
}

// reader is a transaction, or the pool.
type reader interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// current returns the bindings as they are, from the copy if that is.
func (h *Hooks) current(ctx context.Context, db reader, known bindings) (bindings, error) {
	var version int64
	if err := db.QueryRow(ctx, versionSQL.Text).Scan(&version); err != nil || version == known.version {
		return known, err
	}
	fresh := bindings{version: version, byExchange: map[string][]bound{}}
	rows, err := db.Query(ctx, boundSQL.Text)
	if err != nil {
		return known, err
	}
	var group, id string
	var list []byte
	var since time.Time
	_, err = pgx.ForEachRow(rows, []any{&group, &id, &list, &since}, func() error {
		var all []Binding
		if err := json.Unmarshal(list, &all); err != nil {
			return err
		}
		for _, b := range all {
			fresh.byExchange[b.Exchange] = append(fresh.byExchange[b.Exchange], bound{group, id, b.RoutingKeyPattern, since})
		}
		return nil
	})
	return fresh, err
}

// fitting lists the hooks that a message fires, each once. What happened before a hook was bound is not
// for it.
func (b *bindings) fitting(m Message, e *event.Event) []incoming {
	var found []incoming
	seen := map[[2]string]bool{}
	for _, to := range b.byExchange[m.Exchange] {
		if e.Time.Before(to.since) || seen[[2]string{to.group, to.id}] {
			continue
		}
		for _, key := range m.Keys {
			if matches(to.pattern, key) {
				seen[[2]string{to.group, to.id}] = true
				found = append(found, incoming{to.group, to.id, e.ID, m.Exchange, m.Keys[0], m.Payload})
				break
			}
		}
	}
	return found
}

// put stores messages until they are fired, and drops the oldest of a hook that has too many.
func (h *Hooks) put(ctx context.Context, tx pgx.Tx, list []incoming) error {
	if len(list) == 0 {
		return nil
	}
	var b pgx.Batch
	seen := map[[2]string]bool{}
	for _, m := range list {
		b.Queue(putMessageSQL.Text, m.group, m.id, m.messageID, m.exchange, m.key, string(m.payload))
		seen[[2]string{m.group, m.id}] = true
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	for hook := range seen {
		tag, err := tx.Exec(ctx, trimMessagesSQL.Text, hook[0], hook[1], maxWaiting)
		if err != nil {
			return err
		}
		if n := tag.RowsAffected(); n > 0 {
			h.Log.WarnContext(ctx, "messages for a hook come faster than it fires; the oldest are dropped", "hook", hook[0]+"/"+hook[1], "dropped", n)
		}
	}
	nudge(h.fresh)
	return nil
}

// takeMessages fires hooks for stored messages until ctx ends. When messages are being stored it looks
// often for a while, because they can be seen a moment later, when that is committed.
func (h *Hooks) takeMessages(ctx context.Context) {
	const soon, late = 5 * time.Millisecond, time.Second
	pause := late
	for ctx.Err() == nil {
		n, err := h.RoundOfMessages(ctx)
		if err != nil && ctx.Err() == nil {
			h.Log.ErrorContext(ctx, "messages cannot fire hooks; tried again soon", "err", err)
		}
		if n > 0 && err == nil {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
			pause = min(2*pause, late)
		case <-h.fresh:
			pause = soon
		}
		timer.Stop()
	}
}

// stored is a message that waits.
type stored struct {
	number int64
	incoming
	tries int
}

// RoundOfMessages fires hooks for some stored messages, and returns for how many. Any number of
// replicas may do it at once.
func (h *Hooks) RoundOfMessages(ctx context.Context) (int, error) {
	rows, err := h.Pool.Query(ctx, claimMessagesSQL.Text, abreast, lease)
	if err != nil {
		return 0, failed("claim messages", err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (stored, error) {
		var m stored
		err := r.Scan(&m.number, &m.group, &m.id, &m.messageID, &m.exchange, &m.key, (*[]byte)(&m.payload), &m.tries)
		return m, err
	})
	if err != nil {
		return 0, failed("claim messages", err)
	}
	for i := range list {
		if err := h.fireMessage(ctx, &list[i]); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// fireMessage fires a hook for a message, once: the task's id follows from both.
func (h *Hooks) fireMessage(ctx context.Context, m *stored) error {
	r, err := h.get(ctx, m.group, m.id)
	if fault.KindOf(err) == fault.NotFound {
		return h.drop(ctx, m)
	}
	if err != nil {
		return err
	}
	if err := fits(&r.Hook, m.payload); err != nil {
		h.Log.WarnContext(ctx, "hook-pulse-message-discarded", "hook", r.Name(), "exchange", m.exchange, "routingKey", m.key, "reason", "the payload does not fit the triggerSchema", "validationError", clip(fault.Message(err), 1000))
		return h.drop(ctx, m)
	}
	a := attempt{by: PulseMessage, taskID: messageTaskID(m), now: r.now, payload: m.payload, own: true}
	declined, outcome := h.attempt(ctx, &r.Hook, a)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	switch {
	case declined:
		return h.drop(ctx, m)
	case outcome == nil:
		if err := h.record(ctx, &r.Hook, a, nil); err != nil {
			return err
		}
		return h.drop(ctx, m)
	case transient(outcome) && m.tries < maxTries:
		_, err := h.Pool.Exec(ctx, retryMessageSQL.Text, m.number, min(firstRetry<<min(m.tries, 20), maxRetry))
		return failed("put a message for "+r.Name()+" off", err)
	}
	return h.failedMessage(ctx, &r, m, a, outcome)
}

// failedMessage writes down that a message's fire went wrong. Owners are told of the first failure, the
// second, the fourth, …: messages may come many a minute.
func (h *Hooks) failedMessage(ctx context.Context, r *row, m *stored, a attempt, outcome error) error {
	failures := 0
	err := pg.Tx(ctx, h.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := recordIn(ctx, tx, &r.Hook, a, outcome); err != nil {
			return err
		}
		return tx.QueryRow(ctx, countFailureSQL.Text, r.Group, r.ID).Scan(&failures)
	})
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return failed("record a failure of "+r.Name(), err)
	}
	if failures&(failures-1) == 0 {
		h.tell(ctx, Failure{Hook: r.Hook, By: PulseMessage, TaskID: a.taskID, Message: explained(outcome), Failures: failures})
	}
	return h.drop(ctx, m)
}

func (h *Hooks) drop(ctx context.Context, m *stored) error {
	_, err := h.Pool.Exec(ctx, deleteMessageSQL.Text, m.number)
	return failed("remove a message for "+m.group+"/"+m.id, err)
}

// messageTaskID follows from the hook and the message.
func messageTaskID(m *stored) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"hook message", m.group, m.id, m.messageID}, "\x00")))
	sum[0] &= 0x7f // so that no command line takes it for an option
	return slug.FromBytes([16]byte(sum[:16]))
}

var (
	versionSQL = pg.Statement{Name: "hooks.version", Text: `SELECT version FROM hook_changes`}
	boundSQL   = pg.Statement{Name: "hooks.bound", Text: `SELECT hook_group_id, hook_id, bindings, bound FROM hook_definitions WHERE bindings <> '[]' AND paused IS NULL`}

	putMessageSQL = pg.Statement{Name: "hooks.put_message", Text: `
INSERT INTO hook_messages (hook_group_id, hook_id, message_id, exchange, routing_key, payload) VALUES ($1, $2, $3, $4, $5, $6::text::json)
ON CONFLICT DO NOTHING`}
	trimMessagesSQL = pg.Statement{Name: "hooks.trim_messages", Text: `
DELETE FROM hook_messages WHERE id IN (
	SELECT id FROM hook_messages WHERE hook_group_id = $1 AND hook_id = $2 ORDER BY id DESC OFFSET $3 FOR UPDATE SKIP LOCKED)`}
	claimMessagesSQL = pg.Statement{Name: "hooks.claim_messages", Text: `
WITH due AS MATERIALIZED (SELECT id AS n FROM hook_messages WHERE due <= now() ORDER BY due, id LIMIT $1 FOR UPDATE SKIP LOCKED)
UPDATE hook_messages SET due = now() + $2, tries = tries + 1 FROM due WHERE id = n
RETURNING id, hook_group_id, hook_id, message_id, exchange, routing_key, payload, tries`}
	deleteMessageSQL = pg.Statement{Name: "hooks.delete_message", Text: `DELETE FROM hook_messages WHERE id = $1`}
	retryMessageSQL  = pg.Statement{Name: "hooks.retry_message", Text: `UPDATE hook_messages SET due = now() + $2 WHERE id = $1`}
	countFailureSQL  = pg.Statement{Name: "hooks.count_failure", Text: `
UPDATE hook_definitions SET failures = failures + 1 WHERE hook_group_id = $1 AND hook_id = $2 RETURNING failures`}
)
