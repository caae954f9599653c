package pulse

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/event"
)

const (
	window    = 1000                   // messages on their way at most
	saveEvery = 100 * time.Millisecond // how much is published twice when this process dies
	drainTime = 3 * time.Second        // for confirmations still to come when publishing ends
	saveTime  = 2 * time.Second        // for the last save
)

// sent is an event that was published, or needed not be.
type sent struct {
	position int64
	confirm  *amqp.DeferredConfirmation // nil when there was nothing to publish
}

// publish publishes what the cursor hands out, until ctx ends or something fails; then it saves how
// far the broker has confirmed.
func (s *session) publish(ctx context.Context, c *event.Cursor) error {
	sending, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	way := make(chan sent, window)
	go func() {
		defer close(way)
		stop(s.send(sending, c, way))
	}()
	err := s.confirm(sending, c, way)
	if cause := context.Cause(sending); err == nil || errors.Is(err, context.Canceled) {
		err = cause
	}
	// The sender may wait for events, or hang in a connection that the broker does not read.
	stop(err)
	s.close()
	for range way {
		continue
	}
	return err
}

// send publishes events in their order.
func (s *session) send(ctx context.Context, c *event.Cursor, way chan<- sent) error {
	for {
		events, err := c.Next(ctx)
		if err != nil {
			return err
		}
		for i := range events {
			out := sent{position: events[i].Position}
			m, ok, err := messageOf(s.p.routes, &events[i])
			if err != nil {
				// Waiting for it would stop everything after it, for ever.
				s.log.Error("an event cannot be published; it is left out", "err", err)
			}
			if ok {
				out.confirm, err = s.channel.PublishWithDeferredConfirm(m.exchange, m.key, false, false, m.publishing())
				if err != nil {
					return fmt.Errorf("pulse: publish event %d on %s: %w", events[i].Position, m.exchange, err)
				}
			}
			select {
			case way <- out:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// confirm waits for the confirmation of what is on its way, in order, and saves now and then how far
// it came. It returns when the sender has ended and nothing is on its way any more, or something fails.
func (s *session) confirm(ctx context.Context, c *event.Cursor, way <-chan sent) (err error) {
	var done, saved int64
	save := func(ctx context.Context) error {
		if done == saved {
			return nil
		}
		if err := c.Save(ctx, done); err != nil {
			return err
		}
		saved = done
		return nil
	}
	// At the end the last save counts.
	saveNow := func() error {
		if err := save(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	}
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
		defer cancel()
		err = errors.Join(err, save(late))
	}()
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	// When ctx ends the sender does, and what is on its way has a little time left.
	late := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, func() { close(late) }) })
	defer stop()
	for {
		select {
		case <-tick.C:
			if err := saveNow(); err != nil {
				return err
			}
		case next, ok := <-way:
			if !ok {
				return nil
			}
			if err := s.wait(next, late, tick.C, saveNow); err != nil {
				return err
			}
			done = next.position
		case e := <-s.closed:
			done = max(done, confirmed(way))
			return s.ended(e)
		case e := <-s.failed:
			done = max(done, confirmed(way))
			return s.ended(e)
		case <-late:
			return nil
		}
	}
}

// confirmed returns how far what is on its way was confirmed before the connection went.
func confirmed(way <-chan sent) (position int64) {
	for {
		select {
		case next, ok := <-way:
			if !ok || next.confirm != nil && !next.confirm.Acked() {
				return position
			}
			position = next.position
		default:
			return position
		}
	}
}

// wait waits until the broker has confirmed a message. Meanwhile it saves at ticks.
func (s *session) wait(m sent, late <-chan struct{}, tick <-chan time.Time, save func() error) error {
	if m.confirm == nil {
		return nil
	}
	for {
		select {
		case <-m.confirm.Done():
			if m.confirm.Acked() {
				return nil
			}
			// Either the broker said no, or the library gave up because the channel is closed.
			select {
			case e := <-s.failed:
				return s.ended(e)
			case e := <-s.closed:
				return s.ended(e)
			case <-time.After(closeTime):
				return fmt.Errorf("pulse: the broker at %s did not take event %d", s.broker, m.position)
			}
		case <-tick:
			if err := save(); err != nil {
				return err
			}
		case <-late:
			return fmt.Errorf("pulse: the broker at %s did not confirm event %d in time", s.broker, m.position)
		}
	}
}

// ended says why the connection or channel is closed.
func (s *session) ended(e *amqp.Error) error {
	if e == nil {
		return fmt.Errorf("pulse: the connection to the broker at %s was closed", s.broker)
	}
	return fmt.Errorf("pulse: broker at %s: %w", s.broker, explained(e))
}
