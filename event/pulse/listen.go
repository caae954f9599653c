package pulse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/internal/fault"
)

const (
	prefetch   = 5  // messages of a queue that are being taken at once
	maxLength  = 50 // messages that wait in a queue; of more the oldest are dropped
	maxQueue   = 255
	answerTime = 30 * time.Second // for the broker to answer
	maxPause   = 30 * time.Second // between tries to connect
	retryTake  = time.Second      // before a message that could not be taken comes again
)

// Binding says which messages of an exchange come into a queue.
type Binding struct{ Exchange, Pattern string }

// Delivery is a message that came into a queue.
type Delivery struct {
	Queue         string // by the name that Bind was given
	Exchange, Key string
	ID            string // that its publisher gave it; may be ""
	Body          []byte
}

// Listener takes messages of anybody's exchanges from quorum queues of its own (taskcluster-map 18).
type Listener struct {
	config Config
	prefix string // of the queues' names
}

// NewListener returns a listener for a service: its queues are called queue/<namespace>-<service>/….
func NewListener(c Config, service string) (*Listener, error) {
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("pulse: %w", err)
	}
	c.Namespace = namespaceOr(c.Namespace)
	return &Listener{config: c, prefix: "queue/" + c.Namespace + "-" + service + "/"}, nil
}

// NewUserListener returns a listener whose queues are called queue/<user>/…, after the user of the broker's URL:
// the only ones that user may make on a broker that is shared (vcs-integration 4).
func NewUserListener(c Config) (*Listener, error) {
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("pulse: %w", err)
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.User.Username() == "" {
		return nil, fault.New(fault.Invalid, "the URL of the broker names no user")
	}
	return &Listener{config: c, prefix: "queue/" + u.User.Username() + "/"}, nil
}

// QueueName is what a queue is called on the broker. A name that is too long for AMQP ends in a digest.
func (l *Listener) QueueName(name string) string {
	whole := l.prefix + name
	if len(whole) <= maxQueue {
		return whole
	}
	sum := sha256.Sum256([]byte(name))
	return whole[:maxQueue-33] + "~" + hex.EncodeToString(sum[:16])
}

// Listening is a connection of a listener. Its methods are for one goroutine.
type Listening struct {
	l       *Listener
	conn    *amqp.Connection
	broker  string
	take    func(ctx context.Context, d Delivery) error
	end     context.CancelCauseFunc
	takers  sync.WaitGroup
	channel *amqp.Channel
	taken   map[string]*taker // queues that are listened to
	missing map[string]bool   // queues that the broker did not let us make
}

// taker is who takes the messages of a queue.
type taker struct{ left atomic.Bool } // we stopped listening

// Run connects to the broker, again and again until ctx ends; its error is ctx's. keep has each
// connection until it returns. take gets the messages; one for which it fails comes again.
func (l *Listener) Run(ctx context.Context, keep func(ctx context.Context, s *Listening) error, take func(ctx context.Context, d Delivery) error) error {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		err := l.once(ctx, keep, take)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > maxPause {
			pause = 0
		}
		pause = min(max(2*pause, 500*time.Millisecond), maxPause)
		l.config.Log.WarnContext(ctx, "listening on the broker ended; it is tried again", "pause", pause, "err", err)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return ctx.Err()
}

// once keeps one connection.
func (l *Listener) once(ctx context.Context, keep func(ctx context.Context, s *Listening) error, take func(ctx context.Context, d Delivery) error) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &Listening{l: l, take: take, end: cancel, taken: map[string]*taker{}, missing: map[string]bool{}}
	if s.conn, s.broker, err = l.config.dial(ctx, "treeline-listener-"+l.config.Namespace); err != nil {
		return err
	}
	defer func() {
		cancel(nil)
		_ = s.conn.CloseDeadline(time.Now().Add(closeTime)) // what was not acknowledged comes again
		s.takers.Wait()
	}()
	ends := func(closed <-chan *amqp.Error) {
		select {
		case e := <-closed:
			cancel(fmt.Errorf("pulse: broker at %s: %w", s.broker, explainedEnd(e)))
		case <-ctx.Done():
		}
	}
	go ends(s.conn.NotifyClose(make(chan *amqp.Error, 1)))
	defer s.limit(ctx)()
	if s.channel, err = s.conn.Channel(); err != nil {
		return fmt.Errorf("pulse: broker at %s: %w", s.broker, explained(err))
	}
	go ends(s.channel.NotifyClose(make(chan *amqp.Error, 1)))
	if err := s.channel.Qos(prefetch, 0, false); err != nil {
		return fmt.Errorf("pulse: broker at %s: %w", s.broker, explained(err))
	}
	err = keep(ctx, s)
	if cause := context.Cause(ctx); err == nil || errors.Is(err, context.Canceled) {
		err = cause
	}
	return err
}

func explainedEnd(e *amqp.Error) error {
	if e == nil {
		return errors.New("the connection was closed")
	}
	return explained(e)
}

// limit ends the connection when ctx ends, so that nothing waits for a broker that does not answer.
func (s *Listening) limit(ctx context.Context) (stop func()) {
	done := context.AfterFunc(ctx, func() { _ = s.conn.CloseDeadline(time.Now().Add(closeTime)) })
	return func() { done() }
}

// within limits how long the broker may take to answer what fn asks.
func (s *Listening) within(fn func() error) error {
	timer := time.AfterFunc(answerTime, func() { _ = s.conn.CloseDeadline(time.Now().Add(closeTime)) })
	defer timer.Stop()
	return fn()
}

// Bind makes a queue, if it is not there, and binds and unbinds it. What the broker refuses, such as an
// exchange that does not exist, is a fault.Invalid; the other bindings are made all the same.
func (s *Listening) Bind(_ context.Context, name string, bind, unbind []Binding) error {
	queue := s.l.QueueName(name)
	err := s.each(func(c *amqp.Channel) error {
		_, err := c.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum", "x-max-length": int32(maxLength)})
		return err
	})
	s.missing[name] = err != nil
	if err != nil {
		return s.refused(err, "The queue %s cannot be made", queue)
	}
	for _, b := range unbind {
		if err := s.each(func(c *amqp.Channel) error { return c.QueueUnbind(queue, b.Pattern, b.Exchange, nil) }); err != nil && !errors.Is(s.refused(err, ""), fault.Invalid) {
			return err
		}
	}
	var refused []error
	for _, b := range bind {
		if err := s.each(func(c *amqp.Channel) error { return c.QueueBind(queue, b.Pattern, b.Exchange, false, nil) }); err != nil {
			err = s.refused(err, "The exchange %s cannot be listened to", b.Exchange)
			if !errors.Is(err, fault.Invalid) {
				return err
			}
			refused = append(refused, err)
		}
	}
	if len(refused) > 0 {
		return refused[0]
	}
	return nil
}

// Remove removes a queue; one that is not there is removed already.
func (s *Listening) Remove(_ context.Context, name string) error {
	queue := s.l.QueueName(name)
	if err := s.leave(name); err != nil {
		return err
	}
	err := s.each(func(c *amqp.Channel) error {
		_, err := c.QueueDelete(queue, false, false, false)
		return err
	})
	if err != nil && !errors.Is(s.refused(err, ""), fault.Invalid) {
		return err
	}
	return nil
}

// leave stops listening to a queue.
func (s *Listening) leave(name string) error {
	t := s.taken[name]
	if t == nil {
		return nil
	}
	t.left.Store(true)
	delete(s.taken, name)
	if err := s.within(func() error { return s.channel.Cancel(s.l.QueueName(name), false) }); err != nil {
		return fmt.Errorf("pulse: broker at %s: %w", s.broker, explained(err))
	}
	return nil
}

// each asks something of the broker on a channel of its own: a refusal closes the channel.
func (s *Listening) each(ask func(c *amqp.Channel) error) error {
	return s.within(func() error {
		c, err := s.conn.Channel()
		if err != nil {
			return fmt.Errorf("pulse: broker at %s: %w", s.broker, explained(err))
		}
		err = ask(c)
		_ = c.Close() // it may be closed already
		return err
	})
}

// refused tells what the broker does not want from what may pass.
func (s *Listening) refused(err error, what string, args ...any) error {
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok || !slices.Contains([]int{amqp.NotFound, amqp.AccessRefused, amqp.PreconditionFailed, amqp.NotAllowed, amqp.NotImplemented}, e.Code) {
		return fmt.Errorf("pulse: broker at %s: %w", s.broker, err)
	}
	return fault.Wrap(fault.Invalid, err, "%s: the broker says %d, %s", fmt.Sprintf(what, args...), e.Code, e.Reason)
}

// Listen takes messages of these queues, and of no others, from now on. Bind has made them.
func (s *Listening) Listen(ctx context.Context, names []string) error {
	for name := range s.taken {
		if !slices.Contains(names, name) {
			if err := s.leave(name); err != nil {
				return err
			}
		}
	}
	for _, name := range names {
		if s.taken[name] != nil || s.missing[name] {
			continue
		}
		var incoming <-chan amqp.Delivery
		err := s.within(func() (err error) {
			queue := s.l.QueueName(name)
			incoming, err = s.channel.Consume(queue, queue, false, false, false, false, nil)
			return err
		})
		if err != nil {
			return fmt.Errorf("pulse: broker at %s: %w", s.broker, explained(err))
		}
		t := &taker{}
		s.taken[name] = t
		s.takers.Go(func() {
			s.takeAll(ctx, name, incoming)
			if !t.left.Load() && ctx.Err() == nil { // somebody removed the queue: begin anew
				s.end(fmt.Errorf("pulse: the queue %s is gone from the broker at %s", s.l.QueueName(name), s.broker))
			}
		})
	}
	return nil
}

// takeAll takes the messages of a queue until it is no longer listened to.
func (s *Listening) takeAll(ctx context.Context, name string, incoming <-chan amqp.Delivery) {
	for m := range incoming {
		err := s.take(ctx, Delivery{Queue: name, Exchange: m.Exchange, Key: m.RoutingKey, ID: m.MessageId, Body: m.Body})
		if err == nil {
			_ = m.Ack(false) // else it comes again
			continue
		}
		if ctx.Err() != nil {
			continue
		}
		s.l.config.Log.ErrorContext(ctx, "a message of the broker cannot be taken; it comes again", "queue", name, "err", err)
		timer := time.NewTimer(retryTake)
		select {
		case <-ctx.Done():
		case <-timer.C:
			_ = m.Nack(false, true)
		}
		timer.Stop()
	}
}
