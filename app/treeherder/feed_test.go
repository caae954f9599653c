package treeherder

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/rabbittest"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// listener is a queue on a real broker that gets what Treeherder binds to.
type listener struct {
	t       *testing.T
	channel *amqp.Channel
}

// heard is a message that came, in short.
type heard struct{ exchange, key, says string }

func listen(t *testing.T, node *rabbittest.Node, namespace string) listener {
	t.Helper()
	conn, err := amqp.Dial(node.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("treeherder", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	exchanges := []string{pulse.PushExchange(namespace), "exchange/" + namespace + "-treeherder/v1/jobs"}
	for _, kind := range []string{"defined", "pending", "running", "completed", "failed", "exception"} {
		exchanges = append(exchanges, "exchange/"+namespace+"-queue/v1/task-"+kind)
	}
	for _, x := range exchanges {
		if err := ch.ExchangeDeclare(x, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := ch.QueueBind("treeherder", "#", x, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	return listener{t, ch}
}

// until takes messages until one says what is wanted.
func (l listener) until(want string) []amqp.Delivery {
	l.t.Helper()
	var out []amqp.Delivery
	deadline := time.After(40 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		m, ok, err := l.channel.Get("treeherder", true)
		if err != nil {
			l.t.Fatal(err)
		}
		if ok {
			out = append(out, m)
			if strings.Contains(string(m.Body), want) {
				return out
			}
			continue
		}
		select {
		case <-deadline:
			l.t.Fatalf("no message says %q; %d came", want, len(out))
		case <-tick.C:
		}
	}
}

// TestTreeherderHearsOfAPushBeforeItsJobs runs tasks of a push, and listens on a real broker as Treeherder
// does: every message fits its schemas, the push is first, and the runs of a task come in order.
func TestTreeherderHearsOfAPushBeforeItsJobs(t *testing.T) {
	node := rabbittest.Start(t)
	e := queuetest.New(t)
	log := slog.New(slog.DiscardHandler)
	feed := event.NewFeed(e.Pool, log)
	feed.Start(context.WithoutCancel(t.Context()))
	t.Cleanup(feed.Stop)
	pushes := push.New(e.Pool, feed.Wake, log, push.Telling(Pushes("https://ci.example.org", pulse.PushExchange("th"))))
	in := listen(t, node, "th")
	room := New(Deps{Queue: e.Queue, Feed: feed, RootURL: "https://ci.example.org", Log: log})
	publisher, err := pulse.New(pulse.Config{URL: node.URL(), Namespace: "th", Treeherder: true, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	run(t, feed, map[string]func(context.Context) error{
		consumer:       room.Run,
		pulse.Consumer: func(ctx context.Context) error { return publisher.Run(ctx, feed) },
	})

	if err := pushes.Register(t.Context(), push.Repository{Name: "try", Kind: push.LocalGit, URL: "https://ci.example.org/git/try", Level: 1, DefaultBranch: "main"}); err != nil {
		t.Fatal(err)
	}
	if _, fresh, err := pushes.Record(t.Context(), push.Push{Repository: "try", Revision: rev, Branch: "main", Email: "ada@example.org"}, ""); err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	shown := func(symbol string) func(*task.Definition) {
		return func(d *task.Definition) {
			d.Routes = []string{"tc-treeherder.v2.try." + rev + ".1"}
			d.Extra = json.RawMessage(`{"treeherder": {"symbol": "` + symbol + `", "machine": {"platform": "linux64"}}}`)
			d.Retries = 1
		}
	}
	retried := e.Task(t, task.Running, shown("R"))
	if _, err := e.Queue.ReportException(t.Context(), retried, 0, task.ReasonWorkerShutdown); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Queue.ReportCompleted(t.Context(), retried, e.Run(t, retried)); err != nil {
		t.Fatal(err)
	}
	e.Task(t, task.Failed, shown("F"))
	e.Task(t, task.Exception, shown("X"))
	e.Task(t, task.Completed) // Treeherder is not told of it
	e.Task(t, task.Completed, shown("Z"))
	feed.Wake()

	schemas := map[string]func([]byte){}
	for exchange, name := range map[string]string{pulse.PushExchange("th"): "push", "exchange/th-treeherder/v1/jobs": "job"} {
		s := schema(t, name)
		schemas[exchange] = func(body []byte) { fits(t, s, body) }
	}
	var got []heard
	byTask := map[string]int{}
	for _, m := range in.until(`"success","jobKind":"other"`) {
		got = append(got, read(t, m, schemas, byTask)...)
	}
	for !strings.HasPrefix(got[len(got)-1].says, "Z completed") {
		for _, m := range in.until(`"state":"completed"`) {
			got = append(got, read(t, m, schemas, byTask)...)
		}
	}
	want := []heard{
		{pulse.PushExchange("th"), "try", "push 1"},
		{"jobs", "tc-treeherder.try._", "R pending unknown"}, {"jobs", "tc-treeherder.try._", "R running unknown"},
		{"jobs", "tc-treeherder.try._", "R completed exception retried"}, {"jobs", "tc-treeherder.try._", "R pending unknown"},
		{"jobs", "tc-treeherder.try._", "R running unknown"}, {"jobs", "tc-treeherder.try._", "R completed success"},
		{"jobs", "tc-treeherder.try._", "F pending unknown"}, {"jobs", "tc-treeherder.try._", "F running unknown"}, {"jobs", "tc-treeherder.try._", "F completed fail"},
		{"jobs", "tc-treeherder.try._", "X pending unknown"}, {"jobs", "tc-treeherder.try._", "X completed canceled"},
		{"jobs", "tc-treeherder.try._", "Z pending unknown"}, {"jobs", "tc-treeherder.try._", "Z running unknown"}, {"jobs", "tc-treeherder.try._", "Z completed success"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(heard{})); diff != "" {
		t.Error(diff)
	}
	if byTask["push"] != 1 || byTask["task-defined"] != 5 || byTask["task-pending"] != 6 {
		t.Errorf("the queue's own exchanges: %v", byTask)
	}
}

// read checks a message and gives it in short; those of the queue's own exchanges are counted.
func read(t *testing.T, m amqp.Delivery, schemas map[string]func([]byte), counts map[string]int) []heard {
	t.Helper()
	check, ours := schemas[m.Exchange]
	if !ours {
		counts[m.Exchange[strings.LastIndexByte(m.Exchange, '/')+1:]]++
		return nil
	}
	check(m.Body)
	if m.Exchange == pulse.PushExchange("th") {
		if len(counts) > 0 {
			t.Errorf("messages of tasks came before the push: %v", counts)
		}
		counts["push"]++
		var body hgPush
		if err := json.Unmarshal(m.Body, &body); err != nil || body.Payload.Pushes[0].PushID != 1 {
			t.Errorf("%v: %s", err, m.Body)
		}
		return []heard{{m.Exchange, m.RoutingKey, "push 1"}}
	}
	var j job
	if err := json.Unmarshal(m.Body, &j); err != nil {
		t.Fatal(err)
	}
	says := j.Display.JobSymbol + " " + j.State + " " + j.Result
	if j.IsRetried {
		says += " retried"
	}
	return []heard{{"jobs", m.RoutingKey, says}}
}

// run runs consumers of a feed until the test ends, and waits until each is registered.
func run(t *testing.T, feed *event.Feed, consumers map[string]func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, len(consumers))
	for _, c := range consumers {
		go func() { ended <- c(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range consumers {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
	deadline := time.After(40 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := feed.Consumers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, c := range list {
			if c.Name == consumer || c.Name == pulse.Consumer && c.Holder != "" {
				n++
			}
		}
		if n == len(consumers) {
			return
		}
		select {
		case <-deadline:
			t.Fatal("the consumers do not begin")
		case <-tick.C:
		}
	}
}
