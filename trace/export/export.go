// Package export sends traces to a receiver of OpenTelemetry's protocol (OTLP). It follows the feed: when a run has ended its
// spans are to be sent, and when nothing of a push is at work any more, those of the push. What is to be sent is written down
// in the transaction in which the consumer's offset moves, and crossed out when the receiver has answered: whatever stops
// in between, nothing is lost. Sending something again is harmless, since ids follow from what spans stand for.
package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/trace"
	"github.com/treeline-ci/treeline/trace/otlp"
)

// Exporter sends traces. It is made for one Run.
type Exporter struct {
	Config
	Version string // of this program
	Pool    *pgxpool.Pool
	Feed    *event.Feed
	// Group and Push make traces; a fault.NotFound for what is gone.
	Group func(ctx context.Context, taskGroupID string) (*trace.Trace, error)
	Push  func(ctx context.Context, repository string, id int64) (*trace.Trace, error)
	Log   *slog.Logger

	sender *sender
	wake   chan struct{}
	down   bool // the receiver did not answer the last time
}

const (
	name       = "traces" // of the consumer
	poll       = time.Second
	firstPause = time.Second // while the receiver is down
	mostPause  = 30 * time.Second
	overlap    = 10 * time.Second // a run's end may be dated so long before its event
	maxWaits   = 8                // looks for reports, of which each comes twice as late
)

var interest = event.Interest{Kinds: []string{"task-completed", "task-failed", "task-exception", "push-changed"}, Every: 250 * time.Millisecond, Fresh: true}

// Run follows the feed and sends, until ctx ends; its error is ctx's.
func (e *Exporter) Run(ctx context.Context) error {
	e.sender, e.wake = newSender(e.Config, e.Version), make(chan struct{}, 1)
	if err := e.sender.client.Start(ctx); err != nil {
		return fmt.Errorf("traces: %w", e.sender.shown(err))
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = e.sender.client.Stop(stopping) // nothing is on its way
	}()
	e.Log.InfoContext(ctx, "traces are sent", "endpoint", e.Endpoint, "grpc", e.GRPC)
	following := make(chan error, 1)
	go func() { following <- e.Feed.Consume(ctx, name, interest, e.note) }()
	e.sends(ctx)
	return <-following
}

// note writes down what is to be sent because of events.
func (e *Exporter) note(ctx context.Context, tx pgx.Tx, events []event.Event) error {
	var subjects []string
	var since []time.Time
	for i := range events {
		ev := &events[i]
		subject := ev.TaskGroupID
		if ev.Kind == "push-changed" {
			if subject = undecidable(ev); subject == "" {
				continue
			}
		}
		subjects, since = append(subjects, subject), append(since, ev.Time.Add(-overlap))
	}
	if len(subjects) == 0 {
		return nil
	}
	if err := want(ctx, tx, subjects, since, e.Delay); err != nil {
		return err
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
	return nil
}

// undecidable is the subject of a push of which no tasks are made; "" for others, which are told with their tasks.
func undecidable(ev *event.Event) string {
	var p struct {
		Repository string
		ID         int64
		State      string
	}
	if json.Unmarshal(ev.Payload, &p) != nil || p.State != "failed" && p.State != "ignored" || ev.TaskGroupID != "" {
		return ""
	}
	return "push " + p.Repository + " " + strconv.FormatInt(p.ID, 10)
}

// sends sends what is due until ctx ends. While the receiver does not answer it is asked with ever longer pauses.
func (e *Exporter) sends(ctx context.Context) {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		r, found, err := e.claim(ctx)
		if err == nil && found {
			err = e.export(ctx, r)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause = min(max(2*pause, firstPause), mostPause)
			if !e.down {
				e.Log.ErrorContext(ctx, "traces cannot be sent; they are kept and tried again", "endpoint", e.Endpoint, "err", err)
			}
			e.down = true
			sleep(ctx, pause, nil)
		default:
			pause = 0
			if found && e.down {
				e.down = false
				e.Log.InfoContext(ctx, "traces are sent again", "endpoint", e.Endpoint)
			}
			if !found {
				sleep(ctx, poll, e.wake)
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}

// export sends what is to be sent of a trace, and settles it. When that fails it is released.
func (e *Exporter) export(ctx context.Context, r row) error {
	working, cancel := context.WithTimeout(ctx, lease*4/5)
	defer cancel()
	again, from, err := e.sendTrace(working, r)
	settling, end := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer end()
	if err != nil {
		return errors.Join(err, e.release(settling, r))
	}
	return e.settle(settling, r, again, from)
}

// sendTrace sends what ended of a trace since. It says when to look again, for reports that were not made yet; 0: not
// before something happens.
func (e *Exporter) sendTrace(ctx context.Context, r row) (again time.Duration, from time.Time, err error) {
	t, err := e.build(ctx, r.subject)
	if fault.KindOf(err) == fault.NotFound {
		return 0, from, nil // it has expired
	}
	if err != nil {
		return 0, from, err
	}
	reporting := t.Settled && unreported(t) && r.waits < maxWaits
	wanted := wants(t, r.since, t.Settled && !reporting)
	refused, why, err := e.sender.send(ctx, otlp.Spans(t, wanted))
	if err != nil {
		return 0, from, err
	}
	if refused > 0 {
		e.Log.WarnContext(ctx, "the receiver refuses spans; they are not sent again", "subject", r.subject, "spans", refused, "err", why)
	}
	if reporting {
		return (e.Delay + time.Second) / 2 << r.waits, t.Facts.Now, nil
	}
	return 0, from, nil
}

func (e *Exporter) build(ctx context.Context, subject string) (*trace.Trace, error) {
	place, isPush := strings.CutPrefix(subject, "push ")
	if !isPush {
		return e.Group(ctx, subject)
	}
	repository, number, _ := strings.Cut(place, " ")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, fault.New(fault.NotFound, "There is no push %q.", place)
	}
	return e.Push(ctx, repository, id)
}

// unreported reports whether something is still to be told to a forge.
func unreported(t *trace.Trace) bool {
	for i := range t.Facts.Reports {
		if t.Facts.Reports[i].Sent.IsZero() {
			return true
		}
	}
	return false
}

// wants chooses the spans to send: all of runs that ended since, with the decision's what led to it, and at the end those of
// the push, its reports, and what led to it where there is no decision task.
func wants(t *trace.Trace, since time.Time, last bool) func(*trace.Span) bool {
	return func(s *trace.Span) bool {
		switch {
		case s.Open:
			return false
		case s.Run != nil:
			return !s.Run.Resolved.IsZero() && !s.Run.Resolved.Before(since)
		case s.What == trace.OfWebhook || s.What == trace.OfDecision:
			return last || decided(t, since)
		}
		return last
	}
}

// decided reports whether a run of the decision task ended since.
func decided(t *trace.Trace, since time.Time) bool {
	for i := range t.Facts.Tasks {
		if d := &t.Facts.Tasks[i]; d.ID == t.Facts.GroupID {
			for k := range d.Runs {
				if end := d.Runs[k].Resolved; !end.IsZero() && !end.Before(since) {
					return true
				}
			}
		}
	}
	return false
}
