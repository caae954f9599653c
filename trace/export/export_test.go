package export_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/tracing"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/otlptest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/trace/export"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), export.Statements...) }

// site is a queue whose traces are sent.
type site struct {
	*queuetest.Env
	t        *testing.T
	feed     *event.Feed
	push     *push.Log
	receiver *otlptest.Receiver
	config   export.Config
	log      lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newSite(t *testing.T, env map[string]string) *site {
	t.Helper()
	pool := pgtest.DB(t)
	quiet := slog.New(slog.DiscardHandler)
	s := &site{t: t, feed: event.NewFeed(pool, quiet), receiver: otlptest.Start(t)}
	s.feed.Start(t.Context())
	t.Cleanup(s.feed.Stop)
	s.Env = queuetest.On(t, pool, func(d *queue.Deps) { d.Wake = s.feed.Wake })
	s.push = push.New(pool, s.feed.Wake, quiet)
	if err := s.push.Register(t.Context(), push.Repository{Name: "sample", Kind: push.LocalGit, URL: "file:///srv/sample", Path: "/srv/sample", Level: 1, DefaultBranch: "main"}); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": s.receiver.URL, "OTEL_BSP_SCHEDULE_DELAY": "0"}
	for k, v := range env {
		all[k] = v
		t.Setenv(k, v) // OpenTelemetry's library reads it
	}
	if all["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc" {
		all["OTEL_EXPORTER_OTLP_ENDPOINT"] = s.receiver.GRPC
	}
	var err error
	if s.config, err = export.FromEnv("", func(name string) string { return all[name] }); err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs an exporter until the returned function is called.
func (s *site) start() (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	rooms := tracing.Rooms{Queue: s.Queue, Push: s.push, RootURL: "http://ci.example.com"}
	e := &export.Exporter{Config: s.config, Version: "1.2.3", Pool: s.Pool, Feed: s.feed, Group: rooms.Group, Push: rooms.OfPush, Log: slog.New(slog.NewTextHandler(&s.log, nil))}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	s.until("the consumer is known", func() bool {
		var n int
		err := s.Pool.QueryRow(s.t.Context(), `SELECT count(*) FROM event_consumers WHERE name = 'traces'`).Scan(&n)
		return err == nil && n == 1
	})
	return sync.OnceFunc(func() {
		cancel()
		<-ended
	})
}

func (s *site) until(what string, good func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(10 * time.Millisecond); !good(); <-tick.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within a minute; the log has\n%s", what, s.log.String())
		}
	}
}

// names counts the spans of a group's trace by name.
func (s *site) names(group string) map[string]int {
	out := map[string]int{}
	for _, span := range s.receiver.Spans(traceid.OfGroup(group).String()) {
		out[span.GetName()]++
	}
	return out
}

// outbox is how many traces wait to be sent.
func (s *site) outbox() (n int) {
	if err := s.Pool.QueryRow(s.t.Context(), `SELECT count(*) FROM trace_exports`).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *site) named(name string, more ...func(*task.Definition)) []func(*task.Definition) {
	return append(more, func(d *task.Definition) { d.Metadata.Name = name })
}

func TestAPushIsSentAsOneTree(t *testing.T) {
	for protocol, headers := range map[string]string{"http/protobuf": "api-key=hush%20hush", "grpc": ""} {
		t.Run(protocol, func(t *testing.T) {
			s := newSite(t, map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_HEADERS": headers, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"})
			defer s.start()()
			p, _, err := s.push.Record(t.Context(), push.Push{Repository: "sample", Revision: "abc", Branch: "main", Message: "m"}, "")
			if err != nil {
				t.Fatal(err)
			}
			group := slug.New()
			s.Create(t, group, queuetest.Define(s.named("Decision", queuetest.In(group))...))
			if err := s.push.SetOutcome(t.Context(), "sample", p.ID, push.Outcome{State: push.Decided, TaskGroupID: group}); err != nil {
				t.Fatal(err)
			}
			build := s.Task(t, task.Running, s.named("build", queuetest.In(group))...)
			test := s.Task(t, task.Unscheduled, s.named("test", queuetest.In(group), queuetest.After(build))...)
			s.finish(group, 0)
			s.until("the decision was sent", func() bool { return s.names(group)["Decision"] == 1 && s.names(group)["decision"] == 1 })
			if got := s.names(group); got["RUN sample"] != 0 || got["build"] != 0 {
				t.Errorf("what has not ended was sent: %v", got)
			}
			if _, err := s.Queue.ReportCompleted(t.Context(), build, 0); err != nil {
				t.Fatal(err)
			}
			s.finish(test, 0)
			s.until("the push was sent", func() bool { return s.names(group)["RUN sample"] == 1 && s.outbox() == 0 })
			want := map[string]int{"RUN sample": 1, "decision": 1, "Decision": 1, "build": 1, "test": 1, "wait for a worker": 3, "run": 3, "wait for tasks": 1}
			if diff := cmp.Diff(want, s.names(group)); diff != "" {
				t.Error(diff)
			}
			if err := otlptest.Tree(s.receiver.Spans("")); err != nil {
				t.Error(err)
			}
			if r := s.receiver.Resource(); r["service.name"] != "treeline" || r["service.version"] != "1.2.3" || r["deployment.environment.name"] != "test" {
				t.Errorf("the sender is %v", r)
			}
			if headers != "" && s.receiver.Header().Get("Api-Key") != "hush hush" {
				t.Errorf("the header is %q", s.receiver.Header().Get("Api-Key"))
			}
			// Again after a rerun: with the same ids, and what is new.
			if _, err := s.Queue.Rerun(t.Context(), test); err != nil {
				t.Fatal(err)
			}
			s.finish(test, 1)
			s.until("the second run was sent", func() bool {
				return s.names(group)["test"] == 2 && s.names(group)["RUN sample"] == 1 && s.outbox() == 0
			})
			if err := otlptest.Tree(s.receiver.Spans("")); err != nil {
				t.Error(err)
			}
		})
	}
}

// finish runs a task until it has ended well.
func (s *site) finish(id string, run int) {
	s.t.Helper()
	s.until("task "+id+" can run", func() bool { return s.Status(s.t, id).State == task.Pending })
	s.Run(s.t, id)
	if _, err := s.Queue.ReportCompleted(s.t.Context(), id, run); err != nil {
		s.t.Fatal(err)
	}
}

func TestAPushWithoutTasksIsSent(t *testing.T) {
	s := newSite(t, nil)
	defer s.start()()
	p, _, err := s.push.Record(t.Context(), push.Push{Repository: "sample", Revision: "abc", Branch: "main", Message: "m"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.push.SetOutcome(t.Context(), "sample", p.ID, push.Outcome{State: push.Failed, Error: &push.Error{Code: "yaml-syntax", Message: "It is wrong."}}); err != nil {
		t.Fatal(err)
	}
	s.until("it was sent", func() bool {
		return len(s.receiver.Spans(traceid.OfPush("sample", p.ID).String())) == 2 && s.outbox() == 0
	})
	for _, span := range s.receiver.Spans("") {
		if span.GetStatus().GetMessage() == "" {
			t.Errorf("%s is no error", span.GetName())
		}
	}
}

func TestNothingIsLostWhileTheReceiverIsDown(t *testing.T) {
	const token = "hush-hush-token"
	s := newSite(t, map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20" + token})
	var refusals atomic.Int32
	// Such as a proxy that shows what it was asked with.
	s.receiver.Answer(func(context.Context, int) (int, string) {
		refusals.Add(1)
		return http.StatusServiceUnavailable, "no use: Authorization: Bearer " + token
	})
	stop := s.start()
	group := slug.New()
	s.Task(t, task.Completed, s.named("one", queuetest.In(group))...)
	s.until("the receiver was asked twice", func() bool { return refusals.Load() >= 2 })
	s.Task(t, task.Failed, s.named("two", queuetest.In(group))...)
	stop() // and what is written down is there for the next server
	if s.outbox() != 1 {
		t.Errorf("%d traces wait", s.outbox())
	}
	s.receiver.Answer(nil)
	defer s.start()()
	s.until("all was sent", func() bool { return s.outbox() == 0 && s.names(group)["RUN tasks"] == 1 })
	if got := s.names(group); got["one"] != 1 || got["two"] != 1 || got["run"] != 2 {
		t.Errorf("it has %v", got)
	}
	if log := s.log.String(); strings.Contains(log, token) || !strings.Contains(log, "no use: Authorization: …") {
		t.Errorf("the log is %s", log)
	}
}

func TestNothingIsLostWhenTheServerIsKilledWhileItSends(t *testing.T) {
	s := newSite(t, nil)
	asked := make(chan struct{}, 10)
	s.receiver.Answer(func(ctx context.Context, _ int) (int, string) { // takes what comes, and does not answer
		asked <- struct{}{}
		<-ctx.Done()
		return http.StatusServiceUnavailable, ""
	})
	stop := s.start()
	group := slug.New()
	s.Task(t, task.Completed, s.named("one", queuetest.In(group))...)
	<-asked
	stop()
	// What a killed server leaves: a claim that nobody gives back.
	if _, err := s.Pool.Exec(t.Context(), `UPDATE trace_exports SET leased_until = now() + interval '2 seconds', fence = fence + 1`); err != nil || s.outbox() != 1 {
		t.Fatal(err, s.outbox())
	}
	s.receiver.Answer(nil)
	defer s.start()()
	s.until("all was sent", func() bool { return s.outbox() == 0 && s.names(group)["RUN tasks"] == 1 && s.names(group)["one"] == 1 })
}

func TestWhatTheReceiverRefuses(t *testing.T) {
	s := newSite(t, map[string]string{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "8"})
	s.receiver.Answer(func(_ context.Context, spans int) (int, string) {
		if spans > 3 {
			return http.StatusRequestEntityTooLarge, "too much"
		}
		return 0, ""
	})
	defer s.start()()
	group := slug.New()
	for range 4 {
		s.Task(t, task.Completed, s.named("one", queuetest.In(group))...)
	}
	s.until("large messages are divided", func() bool { return s.names(group)["one"] == 4 && s.names(group)["RUN tasks"] == 1 && s.outbox() == 0 })
	if _, largest := s.receiver.Messages(); largest > 3 {
		t.Errorf("a message had %d spans", largest)
	}
	s.receiver.Answer(func(context.Context, int) (int, string) { return http.StatusBadRequest, "malformed" })
	s.Task(t, task.Completed, s.named("two", queuetest.In(group))...)
	s.until("what is malformed is not sent for ever", func() bool { return strings.Contains(s.log.String(), "the receiver refuses spans") && s.outbox() == 0 })
}
