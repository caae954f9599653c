package pulse

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// blockedWithin is how long Probe waits for a broker to say that it takes no messages.
const blockedWithin = 300 * time.Millisecond

// Probe connects as the publisher does, declares the exchanges and publishes nothing. blocked is the broker's reason to
// take no messages for now; "" when it takes them.
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
	select {
	case b := <-told:
		if b.Active {
			return b.Reason, nil
		}
	case <-time.After(blockedWithin):
	case <-ctx.Done():
	}
	return "", nil
}
