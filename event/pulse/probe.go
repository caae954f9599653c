package pulse

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/internal/slug"
)

// Probe connects as the publisher does, declares the exchanges, and sends a message to a queue that nobody has: only who
// sends is told that the broker takes nothing. blocked is its reason for that; "" when it takes messages.
func (c Config) Probe(ctx context.Context) (blocked string, err error) {
	p, err := New(c)
	if err != nil {
		return "", err
	}
	s := &session{p: p}
	if s.conn, s.broker, err = c.dial(ctx, "treeline-doctor"); err != nil {
		return "", err
	}
	defer s.close()
	told := s.conn.NotifyBlocked(make(chan amqp.Blocking, 8))
	if err := s.open(ctx); err != nil {
		return "", fmt.Errorf("pulse: broker at %s: %w", s.broker, explained(err))
	}
	taken := s.channel.NotifyPublish(make(chan amqp.Confirmation, 1))
	if err := s.channel.PublishWithContext(ctx, "", "treeline-doctor-"+slug.New(), false, false, amqp.Publishing{}); err != nil {
		return "", fmt.Errorf("pulse: broker at %s: %w", s.broker, err)
	}
	for {
		select {
		case b := <-told:
			if b.Active {
				return b.Reason, nil
			}
		case <-taken:
			return "", nil
		case <-s.failed: //nolint:errcheck // the user may not send there; so the message was looked at
			return "", nil
		case <-ctx.Done():
			return "", fmt.Errorf("pulse: broker at %s does not say whether it took a message: %w", s.broker, ctx.Err())
		}
	}
}
