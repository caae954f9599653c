package pulse_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/rabbittest"
)

const tasks = 20

// story appends the n-th events of all tasks, from one n to another, a few at once.
func (fx *fixture) story(from, to int) {
	fx.t.Helper()
	for n := from; n <= to; n++ {
		events := make([]event.Event, tasks)
		for task := range events {
			events[task] = numbered(task, n)
		}
		fx.append(events...)
	}
}

// drain takes from a queue until it has seen as many different events as asked for, and the publisher
// has nothing left.
func (fx *fixture) drain(queue string, distinct int) history {
	fx.t.Helper()
	var h history
	fx.eventually("everything came", func() bool {
		for {
			m, ok, err := fx.channel.Get(queue, true)
			if err != nil {
				fx.t.Fatal(err)
			}
			if !ok {
				return h.distinct >= distinct && fx.consumer().Lag == 0
			}
			h.see(fx.t, m)
		}
	})
	if h.distinct != distinct {
		fx.t.Errorf("%d different events, want %d", h.distinct, distinct)
	}
	return h
}

// A listener as they are: a durable queue bound by #, a small prefetch, an acknowledgement for each
// message, and one message that it gives back once.
func testListener(t *testing.T, node *rabbittest.Node) {
	fx := newFixture(t, node, "listener")
	fx.queue("queue/listener/jobs", "#", "task-pending")
	fx.publish(node.URL())
	if err := fx.channel.Qos(5, 0, false); err != nil {
		t.Fatal(err)
	}
	messages, err := fx.channel.Consume("queue/listener/jobs", "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	fx.story(1, 20)
	seen := map[string]bool{}
	refused := ""
	deadline := time.After(30 * time.Second)
	for len(seen) < 20*tasks {
		select {
		case m := <-messages:
			if refused == "" {
				refused = string(m.Body)
				if err := m.Nack(false, true); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if again := string(m.Body) == refused; m.Redelivered != again || seen[string(m.Body)] {
				t.Errorf("redelivered %v, seen before %v: %s", m.Redelivered, seen[string(m.Body)], m.Body)
			}
			seen[string(m.Body)] = true
			if err := m.Ack(false); err != nil {
				t.Fatal(err)
			}
		case <-deadline:
			t.Fatalf("%d of %d messages", len(seen), 20*tasks)
		}
	}
}

func testUnsaved(t *testing.T, node *rabbittest.Node) {
	fx := newFixture(t, node, "unsaved")
	fx.queue("unsaved", "#", "task-pending")
	stop := fx.publish(node.URL())
	// Places cannot be saved any more; the broker gets the messages all the same.
	block, err := fx.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer block.Rollback(context.WithoutCancel(t.Context()))
	if _, err := block.Exec(t.Context(), "LOCK TABLE event_offsets IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	fx.story(1, 10)
	depth := func() int {
		q, err := fx.channel.QueueDeclarePassive("unsaved", true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		return q.Messages
	}
	fx.eventually("the broker has all messages", func() bool { return depth() == 10*tasks })
	stop()
	if err := block.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lag := fx.consumer().Lag; lag != 10*tasks {
		t.Errorf("%d events are not done, want all %d", lag, 10*tasks)
	}
	fx.publish(node.URL())
	fx.story(11, 20)
	if h := fx.drain("unsaved", 20*tasks); h.repeated != 10*tasks {
		t.Errorf("%d came again, want %d", h.repeated, 10*tasks)
	}
}

func testReplicas(t *testing.T, node *rabbittest.Node) {
	url := pgtest.URL(t)
	replica := func() *fixture {
		pool, err := pg.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		return newFixtureOn(t, node, "replicas", pool)
	}
	first, second := replica(), replica()
	first.queue("replicas", "#", "task-pending")
	first.publish(node.URL())
	holder := second.consumer().Holder
	second.publish(node.URL())
	second.story(1, 20)
	second.eventually("the first has published all", func() bool { return second.consumer().Lag == 0 })
	if now := second.consumer().Holder; now != holder {
		t.Errorf("the holder changed from %s to %s", holder, now)
	}
	// The first dies: it cannot say anything to the database any more, not even that it stops.
	first.pool.Close()
	second.story(21, 40)
	if h := second.drain("replicas", 40*tasks); h.repeated > 20*tasks {
		t.Errorf("%d came again", h.repeated)
	}
	if now := second.consumer().Holder; now == holder || now == "" {
		t.Errorf("the holder is %q", now)
	}
}

// cutting passes connections on to the broker, each until it has passed so many bytes: then both ends
// are closed, and what was on its way, confirmations too, is lost. It returns its port.
func cutting(t *testing.T, to string, after int64) (port int, cuts *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var passing sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close() // ends the loop below
		passing.Wait()
	})
	cuts = new(atomic.Int64)
	passing.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close() // as if nobody were there
				continue
			}
			end := func() { _ = in.Close(); _ = out.Close() } // whichever is first
			passing.Go(func() {
				defer end()
				if n, _ := io.CopyN(out, in, after); n == after && cuts.Add(1)%2 == 0 {
					<-time.After(50 * time.Millisecond) // every other time confirmations still pass
				}
			})
			passing.Go(func() {
				defer end()
				_, _ = io.Copy(in, out) // its end is the connection's
			})
		}
	})
	return l.Addr().(*net.TCPAddr).Port, cuts
}

func testCuts(t *testing.T, node *rabbittest.Node) {
	fx := newFixture(t, node, "cuts")
	fx.queue("cuts", "#", "task-pending")
	port, cuts := cutting(t, node.Address(), 40_000)
	fx.publish(node.URLAt(port))
	fx.story(1, 50)
	h := fx.drain("cuts", 50*tasks)
	if cuts.Load() < 3 {
		t.Errorf("only %d cuts", cuts.Load())
	}
	t.Logf("%d cuts; %d of %d came again", cuts.Load(), h.repeated, 50*tasks)
}

func testRestart(t *testing.T, node *rabbittest.Node) {
	const rounds = 100 // 2,000 messages
	fx := newFixture(t, node, "restart")
	fx.queue("restart", "#", "task-pending")
	fx.publish(node.URL())
	fx.story(1, 40)
	fx.eventually("some are published", func() bool { return fx.consumer().Lag < 20*tasks })
	node.Stop(t)
	fx.story(41, 70)
	node.Run(t)
	fx.story(71, 80)
	fx.eventually("it publishes again", func() bool { return fx.consumer().Lag < 20*tasks })
	node.Kill(t)
	fx.story(81, rounds)
	node.Run(t)
	fx.channel = dial(t, node)
	h := fx.drain("restart", rounds*tasks)
	t.Logf("%d of %d came again", h.repeated, rounds*tasks)
}

// A broker short of memory stops reading what publishers send.
func testBlocked(t *testing.T, node *rabbittest.Node) {
	fx := newFixture(t, node, "blocked")
	fx.queue("blocked", "#", "task-pending")
	var lines buffer
	fx.log = slog.New(slog.NewTextHandler(&lines, nil))
	stop := fx.publish(node.URL())
	fx.story(1, 10)
	fx.eventually("they are published", func() bool { return fx.consumer().Lag == 0 })
	probe := func() string {
		reason, err := pulse.Config{URL: node.URL(), Namespace: "blocked", Log: slog.New(slog.DiscardHandler)}.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return reason
	}
	if reason := probe(); reason != "" {
		t.Errorf("a broker that takes messages says %q", reason)
	}
	node.Control(t, "set_vm_memory_high_watermark", "0")
	fx.eventually("who asks is told", func() bool { return strings.Contains(probe(), "memory") })
	fx.story(11, 100)
	fx.eventually("the log says so", func() bool { return strings.Contains(lines.String(), "takes no messages for now") })
	began := time.Now()
	stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the end took %v", took)
	}
	fx.publish(node.URL())
	node.Control(t, "set_vm_memory_high_watermark", "0.4")
	h := fx.drain("blocked", 100*tasks)
	t.Logf("%d of %d came again", h.repeated, 100*tasks)
}

func testRefusals(t *testing.T, node *rabbittest.Node) {
	fx := newFixture(t, node, "refusals")
	if err := fx.channel.ExchangeDeclare(fx.exchange("task-failed"), amqp.ExchangeDirect, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, url, want string }{
		{"a wrong password", strings.Replace(node.URL(), "a%2B", "hunter2", 1), "check user and password"},
		{"an exchange of another type", node.URL(), "choose another namespace"},
		{"no such vhost", node.URL() + "hunter2", "the broker at"},
		{"nobody there", node.URLAt(1), "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var lines buffer
			p, err := pulse.New(pulse.Config{URL: tt.url, Namespace: fx.namespace, Log: slog.New(slog.NewTextHandler(&lines, nil))})
			if err != nil {
				t.Fatal(err)
			}
			feed := event.NewFeed(fx.pool, slog.New(slog.NewTextHandler(&lines, nil)))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.Run(ctx, feed) }()
			fx.eventually("the log says "+tt.want, func() bool { return strings.Contains(lines.String(), tt.want) })
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			for _, secret := range []string{"hunter2@", "a%2B", "a+b", rabbittest.Password} {
				if strings.Contains(lines.String(), secret) {
					t.Errorf("the log shows the password:\n%s", lines.String())
				}
			}
		})
	}
}

// buffer is a log to read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
