package pulse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/rabbittest"
)

// testListen has a listener take messages of a foreign exchange while its connection is cut, a take fails,
// and its queue is removed.
func testListen(t *testing.T, node *rabbittest.Node) {
	fx := newFixture(t, node, "listen")
	const exchange = "exchange/somebody/v1/things"
	if err := fx.channel.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	l, err := pulse.NewListener(pulse.Config{URL: node.URL(), Namespace: "listen", Log: fx.log}, "tests")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	failed := false
	var refusal error
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- l.Run(ctx, func(ctx context.Context, s *pulse.Listening) error {
			if err := s.Bind(ctx, "a/b", []pulse.Binding{{Exchange: exchange, Pattern: "#.good"}, {Exchange: "exchange/none", Pattern: "#"}}, nil); !errors.Is(err, fault.Invalid) {
				return fmt.Errorf("an exchange that is not there: %w", err)
			} else {
				mu.Lock()
				refusal = err
				mu.Unlock()
			}
			if err := s.Listen(ctx, []string{"a/b"}); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}, func(_ context.Context, d pulse.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			if string(d.Body) == "3" && !failed {
				failed = true
				return errors.New("not now")
			}
			if d.Queue != "a/b" || d.Exchange != exchange || d.Key != "x.good" || d.ID != "id-"+string(d.Body) {
				t.Errorf("%+v", d)
			}
			if !slices.Contains(got, string(d.Body)) {
				got = append(got, string(d.Body))
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	name := l.QueueName("a/b")
	if name != "queue/listen-tests/a/b" || len(l.QueueName(strings.Repeat("x", 2000))) != 255 {
		t.Error(name)
	}
	listened := func() bool {
		c := dial(t, node)
		q, err := c.QueueDeclarePassive(name, true, false, false, false, nil)
		return err == nil && q.Consumers == 1
	}
	publish := func(n int, key string) {
		t.Helper()
		text := fmt.Sprint(n)
		if err := fx.channel.Publish(exchange, key, false, false, amqp.Publishing{Body: []byte(text), MessageId: "id-" + text}); err != nil {
			t.Fatal(err)
		}
	}
	has := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(got, fmt.Sprint(n))
		}
	}
	fx.eventually("the queue is listened to", listened)
	mu.Lock()
	if refusal == nil || !strings.Contains(refusal.Error(), "exchange/none") {
		t.Error(refusal)
	}
	mu.Unlock()
	publish(1, "x.good")
	publish(2, "x.bad")
	publish(3, "x.good")
	fx.eventually("a message that could not be taken comes again", has(3))
	node.Control(t, "close_all_user_connections", rabbittest.User, "a test")
	fx.channel = dial(t, node)
	publish(4, "x.good")
	fx.eventually("a message of while it was away", has(4))
	fx.eventually("it listens again", listened)
	if _, err := fx.channel.QueueDelete(name, false, false, false); err != nil {
		t.Fatal(err)
	}
	fx.eventually("a queue that was removed is made again", listened)
	publish(5, "x.good")
	fx.eventually("its messages come", has(5))
	if has(2)() {
		t.Error("a message came that is not bound")
	}
}
