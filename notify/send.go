package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/notify/message"
	stories "github.com/treeline-ci/treeline/notify/news"
)

const (
	pollEvery = time.Second      // other replicas put notifications into the outbox, too
	atOnce    = 4                // messages of a channel on their way
	sendTime  = 35 * time.Second // less than attemptLease, with room for settling
)

// sends sends what waits in a channel until ctx ends.
func (n *Notify) sends(ctx context.Context, channel string) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	troubled := false
	for ctx.Err() == nil {
		rows, err := n.claim(ctx, channel, atOnce)
		if err != nil && ctx.Err() == nil && !troubled {
			n.Log.ErrorContext(ctx, "notifications cannot be read from the outbox", "channel", channel, "err", err)
		}
		troubled = err != nil
		var sending sync.WaitGroup
		for _, r := range rows {
			sending.Go(func() { _ = n.attempt(ctx, r) }) // settled and logged there
		}
		sending.Wait()
		if len(rows) == atOnce {
			continue
		}
		select {
		case <-ctx.Done():
		case <-n.wake[channel]:
		case <-poll.C:
		}
	}
}

// wakeUp has a channel look at the outbox at once.
func (n *Notify) wakeUp(channel string) {
	select {
	case n.wake[channel] <- struct{}{}:
	default:
	}
}

// attempt sends a notification that this process has claimed, and settles it. The error says why it was not
// sent, and is a *message.Failure when that was tried.
func (n *Notify) attempt(ctx context.Context, r row) error {
	sending, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	err := n.deliver(sending, r)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var f *message.Failure
	switch {
	case err == nil:
		n.Log.InfoContext(ctx, "notification sent", "channel", r.channel, "address", r.address)
		if r.channel == message.ChannelPulse {
			return nil // settled with its event
		}
		if _, err := n.Pool.Exec(settling, sentSQL.Text, r.id, r.ident); err != nil {
			n.Log.ErrorContext(ctx, "a notification that was sent cannot be settled; it will be sent again", "channel", r.channel, "address", r.address, "err", err)
		}
		return nil
	case errors.As(err, &f) && (!f.Temporary || r.test):
		level := n.Log.WarnContext
		if f.Forbidden {
			level = n.Log.InfoContext // an invitation is missing, says its text
		}
		level(ctx, "a notification cannot be sent", "channel", r.channel, "address", r.address, "err", err)
		_, failing := n.Pool.Exec(settling, failSQL.Text, r.id, r.ident, shown(err))
		n.unsettled(ctx, r, failing)
		return err
	}
	after := time.Duration(0)
	if f != nil {
		after = f.After
	}
	pause := n.FirstRetry
	if ctx.Err() != nil { // this server stops; another may go on
		pause = 0
	}
	var state State
	settle := n.Pool.QueryRow(settling, laterSQL.Text, r.id, r.ident, shown(err), after, pause, GiveUpAfter).Scan(&state)
	if !errors.Is(settle, pgx.ErrNoRows) {
		n.unsettled(ctx, r, settle)
	}
	n.Log.WarnContext(ctx, "a notification could not be sent", "channel", r.channel, "address", r.address, "givenUp", state == StateFailed, "err", err)
	return err
}

func (n *Notify) unsettled(ctx context.Context, r row, err error) {
	if err != nil {
		n.Log.ErrorContext(ctx, "what became of a notification cannot be recorded; it is tried again later", "channel", r.channel, "address", r.address, "err", err)
	}
}

// shown is an error as the outbox keeps it.
func shown(err error) string {
	text := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "?")
	if len(text) > 2000 {
		text = strings.ToValidUTF8(text[:2000], "") + "…"
	}
	return text
}

// deliver makes the message and hands it to its channel. A panic, whatever a message did, is a failure of
// this message alone.
func (n *Notify) deliver(ctx context.Context, r row) (err error) {
	defer func() {
		if p := recover(); p != nil {
			n.Log.ErrorContext(ctx, "a notification brought its sender down", "channel", r.channel, "address", r.address, "panic", p, "stack", string(debug.Stack()))
			err = &message.Failure{Message: "The message cannot be made: there is a defect in the server"}
		}
	}()
	m, err := n.messageOf(ctx, r)
	if err != nil {
		return err
	}
	if !n.on(r.channel) {
		return &message.Failure{Message: "It is not configured on this server", Temporary: true, Err: ErrOff}
	}
	switch m := m.(type) {
	case message.Email:
		if r.last {
			m.Why = strings.TrimSpace(fmt.Sprintf("%s This is mail number %d to you within %d minutes; more in this time are left out.", m.Why, MailLimit, int(MailPeriod.Minutes())))
		}
		return n.Deps.Mail.Send(ctx, m, r.ident)
	case message.Slack:
		return n.Deps.Slack.Send(ctx, m)
	case message.Matrix:
		return n.Deps.Matrix.Send(ctx, m, r.ident)
	case message.Pulse:
		return n.publish(ctx, m, r)
	}
	return &message.Failure{Message: "The outbox has no message here"}
}

// messageOf returns the message of a notification.
func (n *Notify) messageOf(ctx context.Context, r row) (message.Message, error) {
	b := r.body
	switch {
	case b.Email != nil:
		m := *b.Email
		m.Why, m.State = b.Why, b.State
		return m, nil
	case b.Slack != nil:
		return *b.Slack, nil
	case b.Matrix != nil:
		return *b.Matrix, nil
	case b.Pulse != nil:
		return *b.Pulse, nil
	case b.News == nil:
		return nil, nil
	}
	story, err := n.story(ctx, b.News)
	if err != nil {
		return nil, err
	}
	m, err := story.Make(r.channel, r.address)
	if err != nil {
		return nil, &message.Failure{Message: "The route " + b.News.Route + " cannot be followed", Err: err}
	}
	return m, nil
}

// story gathers what can be told of what happened to a task.
func (n *Notify) story(ctx context.Context, b *news) (*stories.Story, error) {
	s := &stories.Story{Event: b.Event, TaskID: b.TaskID, RunID: b.RunID, Raw: b.Status, Route: b.Route, RootURL: n.RootURL, Now: time.Now()}
	if err := json.Unmarshal(b.Status, &s.Status); err != nil {
		return nil, &message.Failure{Message: "The status of the task cannot be read", Err: err}
	}
	var err error
	if s.Task, err = n.Task(ctx, b.TaskID); err != nil {
		f := &message.Failure{Message: "The definition of task " + b.TaskID + " cannot be read", Temporary: !errors.Is(err, fault.NotFound), Err: err}
		return nil, f
	}
	if run := s.Run(); n.Failure != nil && b.Event == "failed" && run != nil {
		s.Failure = n.Failure(ctx, b.TaskID, run.RunID)
	}
	return s, nil
}

// publish puts a message into the feed, from where it goes to RabbitMQ, and settles it: once, both or none.
func (n *Notify) publish(ctx context.Context, m message.Pulse, r row) error {
	payload, err := json.Marshal(map[string]any{"message": m.Message, "version": 1})
	if err != nil {
		return &message.Failure{Message: "The message is no JSON", Err: err}
	}
	err = pg.Tx(ctx, n.Pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sentSQL.Text, r.id, r.ident)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return event.Append(ctx, tx, event.Event{Kind: EventKind, Topic: m.RoutingKey, Routes: []string{m.RoutingKey}, Payload: payload})
	})
	if err != nil {
		kind := fault.KindOf(err)
		return &message.Failure{Message: "The message cannot be published", Temporary: kind != fault.TooLarge && kind != fault.Invalid, Err: err}
	}
	if n.Wake != nil {
		n.Wake()
	}
	return nil
}

// EventKind is the kind of the feed's events with messages for pulse; their topic is the routing key.
const EventKind = "notification"
