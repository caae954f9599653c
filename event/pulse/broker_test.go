package pulse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/rabbittest"
)

// TestOnARealBroker runs all tests that need RabbitMQ on one node.
func TestOnARealBroker(t *testing.T) {
	node := rabbittest.Start(t)
	for _, tt := range []struct {
		name string
		test func(*testing.T, *rabbittest.Node)
	}{
		{"every kind of event has its exchange, key and routes", testKeys},
		{"what the rooms tell fits the schemas", testSchemas},
		{"a listener binds a queue of its own to all and takes its time", testListener},
		{"an end between publishing and saving repeats, and loses nothing", testUnsaved},
		{"of two replicas one publishes, and the other takes over", testReplicas},
		{"a connection cut again and again loses nothing", testCuts},
		{"a broker that takes nothing for a while holds nobody up and loses nothing", testBlocked},
		{"a broker that refuses is told of, without the secret", testRefusals},
		{"a broker with TLS and an authority of its own gets everything", testTLS},
		{"a listener of foreign exchanges loses nothing when it is cut off", testListen},
		{"a broker restarted in the middle loses nothing", testRestart}, // the last: it ends all connections
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, node) })
	}
}

// fixture is a database with a feed, and a namespace on the broker.
type fixture struct {
	t         *testing.T
	pool      *pgxpool.Pool
	feed      *event.Feed
	namespace string
	channel   *amqp.Channel // of the test
	log       *slog.Logger
}

func newFixture(t *testing.T, node *rabbittest.Node, namespace string) *fixture {
	t.Helper()
	return newFixtureOn(t, node, namespace, pgtest.DB(t))
}

func newFixtureOn(t *testing.T, node *rabbittest.Node, namespace string, pool *pgxpool.Pool) *fixture {
	t.Helper()
	fx := &fixture{t: t, pool: pool, namespace: namespace, log: slog.New(slog.DiscardHandler)}
	fx.feed = event.NewFeed(fx.pool, fx.log, event.HoldTime(2*time.Second))
	fx.feed.Start(context.WithoutCancel(t.Context()))
	t.Cleanup(fx.feed.Stop)
	fx.channel = dial(t, node)
	return fx
}

// dial opens a channel of the test's own.
func dial(t *testing.T, node *rabbittest.Node) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(node.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // a restart may have closed it
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

// publish runs a publisher until the test ends or stop is called, and waits until it is connected.
func (fx *fixture) publish(url string) (stop func()) {
	fx.t.Helper()
	p, err := pulse.New(pulse.Config{URL: url, Namespace: fx.namespace, Log: fx.log})
	if err != nil {
		fx.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(fx.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, fx.feed) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				fx.t.Error(err)
			}
		case <-time.After(30 * time.Second):
			fx.t.Error("the publisher does not end")
		}
	}
	fx.t.Cleanup(stop)
	fx.eventually("a publisher holds the consumer", func() bool { return fx.consumer().Holder != "" })
	return stop
}

func (fx *fixture) consumer() event.Consumer {
	fx.t.Helper()
	list, err := fx.feed.Consumers(fx.t.Context())
	if err != nil {
		fx.t.Fatal(err)
	}
	for _, c := range list {
		if c.Name == pulse.Consumer {
			return c
		}
	}
	return event.Consumer{}
}

// queue declares a durable queue bound to exchanges by a pattern, and the exchanges, as listeners that
// come before the publisher do.
func (fx *fixture) queue(name, pattern string, exchanges ...string) {
	fx.t.Helper()
	if _, err := fx.channel.QueueDeclare(name, true, false, false, false, nil); err != nil {
		fx.t.Fatal(err)
	}
	for _, x := range exchanges {
		if err := fx.channel.ExchangeDeclare(fx.exchange(x), amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
			fx.t.Fatal(err)
		}
		if err := fx.channel.QueueBind(name, pattern, fx.exchange(x), false, nil); err != nil {
			fx.t.Fatal(err)
		}
	}
}

// exchange is the whole name of an exchange.
func (fx *fixture) exchange(name string) string {
	for _, s := range pulse.Services() {
		if slices.ContainsFunc(s.Exchanges, func(x pulse.Exchange) bool { return x.Exchange == name }) {
			return "exchange/" + fx.namespace + "-" + s.Name + "/v1/" + name
		}
	}
	fx.t.Fatalf("no service has an exchange %s", name)
	return ""
}

// all is the names of all exchanges.
func all() []string {
	var names []string
	for _, s := range pulse.Services() {
		for _, x := range s.Exchanges {
			names = append(names, x.Exchange)
		}
	}
	return names
}

// take gets n messages from a queue.
func (fx *fixture) take(queue string, n int) []amqp.Delivery {
	fx.t.Helper()
	var got []amqp.Delivery
	fx.eventually(fmt.Sprintf("%d messages in queue %s", n, queue), func() bool {
		for len(got) < n {
			m, ok, err := fx.channel.Get(queue, true)
			if err != nil {
				fx.t.Fatal(err)
			}
			if !ok {
				return false
			}
			got = append(got, m)
		}
		return true
	})
	return got
}

// append writes events to the outbox.
func (fx *fixture) append(events ...event.Event) {
	fx.t.Helper()
	err := pg.Tx(fx.t.Context(), fx.pool, func(ctx context.Context, tx pgx.Tx) error { return event.Append(ctx, tx, events...) })
	if err != nil {
		fx.t.Fatal(err)
	}
	fx.feed.Wake()
}

// eventually waits until something is so.
func (fx *fixture) eventually(what string, so func() bool) {
	fx.t.Helper()
	deadline := time.After(40 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			fx.t.Fatalf("not within 40 s: %s", what)
		case <-tick.C:
		}
	}
}

// numbered makes the n-th event of a task; n counts from 1.
func numbered(task, n int) event.Event {
	id := fmt.Sprintf("task%d", task)
	body, err := json.Marshal(map[string]any{"n": n, "runId": 0, "status": map[string]any{
		"taskId": id, "provisionerId": "p", "workerType": "w", "schedulerId": "s", "taskGroupId": "g",
	}})
	if err != nil {
		panic(err)
	}
	return event.Event{Kind: "task-pending", TaskID: id, Payload: body}
}

// history keeps what a listener saw of numbered events.
type history struct {
	next     map[string]int // by task
	distinct int
	repeated int
}

// see checks that a task's messages first come in order, without a gap.
func (h *history) see(t *testing.T, m amqp.Delivery) {
	t.Helper()
	var body struct {
		N      int
		Status struct{ TaskID string }
	}
	if err := json.Unmarshal(m.Body, &body); err != nil {
		t.Fatal(err)
	}
	if h.next == nil {
		h.next = map[string]int{}
	}
	switch last := h.next[body.Status.TaskID]; {
	case body.N == last+1:
		h.next[body.Status.TaskID] = body.N
		h.distinct++
	case body.N <= last:
		h.repeated++
	default:
		t.Fatalf("task %s: %d came after %d", body.Status.TaskID, body.N, last)
	}
}
