package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/chattest"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/smtptest"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/notify/chat"
	"github.com/treeline-ci/treeline/notify/mail"
	"github.com/treeline-ci/treeline/notify/message"
	"github.com/treeline-ci/treeline/task"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), notify.Statements()...) }

const (
	root   = "https://ci.example.com"
	taskID = "fN1SbArXTPSVFNUvaOlinQ"
	group  = "AgVWTrwETrurlUOjCZZXOQ"
)

// fixture is a room with all its ways out, and a feed.
type fixture struct {
	*notify.Notify
	t      *testing.T
	pool   *pgxpool.Pool
	feed   *event.Feed
	smtp   *smtptest.Server
	slack  *chattest.Slack
	matrix *chattest.Matrix
	log    *logged

	mu    sync.Mutex
	extra json.RawMessage // of all tasks
	gone  bool            // the definitions of all tasks
}

// logged keeps what was logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newFixture(t *testing.T, changes ...func(*notify.Deps)) *fixture {
	t.Helper()
	f := &fixture{
		t: t, pool: pgtest.DB(t), smtp: smtptest.Start(t, smtptest.Options{}), slack: chattest.StartSlack(t), matrix: chattest.StartMatrix(t),
		log: &logged{}, extra: json.RawMessage(`{}`),
	}
	f.feed = event.NewFeed(f.pool, slog.New(slog.DiscardHandler))
	f.feed.Start(context.WithoutCancel(t.Context()))
	t.Cleanup(f.feed.Stop)
	f.Notify = f.replica(changes...)
	return f
}

// replica makes another room on the same database.
func (f *fixture) replica(changes ...func(*notify.Deps)) *notify.Notify {
	f.t.Helper()
	log := slog.New(slog.NewTextHandler(f.log, nil))
	letters, err := mail.New(mail.Config{Host: f.smtp.Host, Port: f.smtp.Port, CA: f.smtp.CA, From: "ci@ci.example.com", Timeout: 5 * time.Second}, root)
	f.check(err)
	slack, err := chat.NewSlack(chat.SlackConfig{Token: chattest.SlackToken, URL: f.slack.URL}, log)
	f.check(err)
	matrix, err := chat.NewMatrix(chat.MatrixConfig{Homeserver: f.matrix.URL, Token: chattest.MatrixToken}, log)
	f.check(err)
	d := notify.Deps{
		Pool: f.pool, Log: log, Wake: f.feed.Wake, RootURL: root, Task: f.task, Failure: func(context.Context, string, int) string { return "error: it broke" },
		Mail: letters, Slack: slack, Matrix: matrix, FirstRetry: 50 * time.Millisecond,
	}
	for _, change := range changes {
		change(&d)
	}
	return notify.New(d)
}

// start runs the room until the end of the test, or until the returned function is called.
func (f *fixture) start(n *notify.Notify) (stop func()) {
	f.t.Helper()
	n.Start(context.WithoutCancel(f.t.Context()), f.feed)
	var once sync.Once
	stop = func() { once.Do(n.Stop) }
	f.t.Cleanup(stop)
	f.eventually("the room follows the feed", func() bool {
		list, err := f.feed.Consumers(f.t.Context())
		f.check(err)
		return slices.ContainsFunc(list, func(c event.Consumer) bool { return c.Name == notify.Consumer })
	})
	return stop
}

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) eventually(what string, ok func() bool) {
	f.t.Helper()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			f.t.Fatalf("not in time: %s\n%s", what, f.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (f *fixture) task(_ context.Context, id string) (task.Definition, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return task.Definition{}, fault.New(fault.NotFound, "no task %s", id)
	}
	return task.Definition{
		TaskQueueID: "q/linux", TaskGroupID: group, Extra: f.extra,
		Metadata: task.Metadata{Name: "build-linux", Description: "Builds *everything*.", Owner: "dev@example.com", Source: "https://git.example.com/x"},
	}, nil
}

// append puts events into the feed.
func (f *fixture) append(events ...event.Event) {
	f.t.Helper()
	f.check(pg.Tx(f.t.Context(), f.pool, func(ctx context.Context, tx pgx.Tx) error { return event.Append(ctx, tx, events...) }))
	f.feed.Wake()
}

// happened is an event of a task.
func happened(id, kind string, state task.State, reason task.ReasonResolved, routes ...string) event.Event {
	run := task.Run{RunID: 0, State: state, ReasonCreated: "scheduled", ReasonResolved: reason, WorkerGroup: "g", WorkerID: "w"}
	started := task.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	resolved := task.At(started.Add(83 * time.Second))
	run.Started, run.Resolved = &started, &resolved
	body := map[string]any{"status": task.Status{TaskID: id, TaskGroupID: group, State: state, Runs: []task.Run{run}}, "runId": 0, "version": 1}
	text, _ := json.Marshal(body) // of plain values: it always has a form
	n := 0
	return event.Event{Kind: kind, TaskID: id, TaskGroupID: group, RunID: &n, Routes: routes, Payload: text}
}

func (f *fixture) list(states ...notify.State) []notify.Notification {
	f.t.Helper()
	list, err := f.List(f.t.Context(), states, 0, 1000)
	f.check(err)
	return list
}

func email(address, subject string) notify.Email {
	return notify.Email{Address: address, Subject: subject, Content: "text"}
}

func TestAMessageIsSentAtOnceAndOnce(t *testing.T) {
	f := newFixture(t)
	other := f.replica()
	for _, m := range []message.Message{
		email("you@example.com", "s"), notify.Slack{ChannelID: "C0PUBLIC", Text: "s"}, notify.Matrix{RoomID: chattest.Room, Body: "s"},
		notify.Pulse{RoutingKey: "a.b", Message: json.RawMessage(`{"x":1}`)},
	} {
		for i, n := range []*notify.Notify{f.Notify, f.Notify, other} {
			want := notify.Duplicate
			if i == 0 {
				want = notify.Sent
			}
			if got, err := n.Send(t.Context(), m); got != want || err != nil {
				t.Errorf("%s, time %d: %v %v", m.Channel(), i+1, got, err)
			}
		}
	}
	posts, _ := f.slack.Posts()
	events, _ := f.matrix.Events()
	if mails := f.smtp.Mails(); len(mails) != 1 || len(posts) != 1 || len(events) != 1 {
		t.Errorf("%d mails, %d posts, %d events", len(mails), len(posts), len(events))
	}
	var published []event.Event
	f.eventually("the message is in the feed", func() bool {
		var err error
		published, err = f.feed.Read(t.Context(), 0, 10)
		f.check(err)
		return len(published) > 0
	})
	if e := published[0]; len(published) != 1 || e.Kind != "notification" || e.Topic != "a.b" || !slices.Equal(e.Routes, []string{"a.b"}) || string(e.Payload) != `{"message":{"x":1},"version":1}` {
		t.Errorf("%+v", published)
	}
	// After an hour the same call is another one.
	if _, err := f.pool.Exec(t.Context(), "UPDATE notify_outbox SET created = created - interval '61 minutes'"); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Send(t.Context(), email("you@example.com", "s")); got != notify.Sent || err != nil {
		t.Error(got, err)
	}
	if mails := f.smtp.Wait(t, 2); mails[0].Header.Get("Message-Id") == mails[1].Header.Get("Message-Id") {
		t.Error("two mails have one id")
	}
}

func TestAnAddressGetsFiftyMailsInTenMinutes(t *testing.T) {
	f := newFixture(t)
	var group sync.WaitGroup
	replicas := []*notify.Notify{f.Notify, f.replica()}
	var mu sync.Mutex
	outcomes := map[notify.Outcome]int{}
	for i := range 60 {
		group.Go(func() {
			address := []string{"you@example.com", "YOU@example.com"}[i%2]
			got, err := replicas[i%2].Send(t.Context(), email(address, fmt.Sprint("s", i)))
			mu.Lock()
			defer mu.Unlock()
			if outcomes[got]++; err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if diff := cmp.Diff(map[notify.Outcome]int{notify.Sent: 50, notify.Limited: 10}, outcomes); diff != "" {
		t.Error(diff)
	}
	last := 0
	for _, m := range f.smtp.Mails() {
		if strings.Contains(m.Text, "mail number 50 to you within 10 minutes") && strings.Contains(m.HTML, "mail number 50") {
			last++
		}
	}
	if last != 1 {
		t.Errorf("%d mails say that they are the last", last)
	}
	if got, err := f.Send(t.Context(), email("other@example.com", "s")); got != notify.Sent || err != nil {
		t.Error(got, err)
	}
	if err := f.Mail(t.Context(), email("you@example.com", "more")); !errors.Is(err, notify.ErrLimited) {
		t.Error(err)
	}
	if _, err := f.pool.Exec(t.Context(), "UPDATE notify_outbox SET created = created - interval '11 minutes'"); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Send(t.Context(), email("you@example.com", "s-later")); got != notify.Sent || err != nil {
		t.Error(got, err)
	}
}

func TestWhatIsToldLaterGoesOnceWithinATimeWhoeverTellsIt(t *testing.T) {
	f := newFixture(t)
	other := f.replica(func(*notify.Deps) {})
	tell := func(subject, key string) {
		t.Helper()
		for _, n := range []*notify.Notify{f.Notify, other, f.Notify} {
			f.check(n.Later(t.Context(), email("ops@example.com", subject), key, time.Hour))
			f.check(n.Later(t.Context(), notify.Slack{ChannelID: "C0PUBLIC", Text: subject}, key, time.Hour))
		}
	}
	tell("first", "one")
	tell("another", "two")
	if n := len(f.list(notify.StateWaiting)); n != 4 {
		t.Errorf("%d messages, not one by mail and one to Slack of each", n)
	}
	if _, err := f.pool.Exec(t.Context(), "UPDATE notify_outbox SET created = created - interval '61 minutes' WHERE key LIKE '%/one/%'"); err != nil {
		t.Fatal(err)
	}
	tell("an hour later", "one")
	f.start(f.Notify)
	var subjects []string
	for _, m := range f.smtp.Wait(t, 2) {
		subjects = append(subjects, m.Subject())
	}
	slices.Sort(subjects)
	if diff := cmp.Diff([]string{"an hour later", "another"}, subjects); diff != "" {
		t.Error(diff)
	}
}

func TestNobodyOnTheDenylistIsTold(t *testing.T) {
	f := newFixture(t)
	f.start(f.Notify)
	for _, a := range []notify.Address{{Type: "email", Address: "No@example.com"}, {Type: "slack-channel", Address: "C0PUBLIC"}, {Type: "email", Address: "No@example.com"}} {
		f.check(f.Deny(t.Context(), "ann", a))
	}
	if _, err := f.Send(t.Context(), email("no@EXAMPLE.com", "s")); !errors.Is(err, notify.ErrDenied) {
		t.Error(err)
	}
	if err := f.Mail(t.Context(), email("no@example.com", "s")); !errors.Is(err, notify.ErrDenied) {
		t.Error(err)
	}
	if _, err := f.Send(t.Context(), notify.Slack{ChannelID: "C0PUBLIC", Text: "s"}); !errors.Is(err, notify.ErrDenied) {
		t.Error(err)
	}
	f.append(happened(taskID, "task-failed", task.Failed, "failed", "notify.email.no@example.com.on-failed", "notify.email.yes@example.com.on-failed"))
	if m := f.smtp.Wait(t, 1)[0]; m.To != "yes@example.com" {
		t.Error(m.To)
	}
	if list := f.list(notify.StateDenied); len(list) != 1 || list[0].Address != "no@example.com" || list[0].TaskID != taskID {
		t.Errorf("%+v", list)
	}
	list, err := f.Denied(t.Context(), notify.Address{}, 10)
	if diff := cmp.Diff([]notify.Address{{Type: "email", Address: "No@example.com"}, {Type: "slack-channel", Address: "C0PUBLIC"}}, list); diff != "" || err != nil {
		t.Error(diff, err)
	}
	f.check(f.Allow(t.Context(), "ann", list[0]))
	if got, err := f.Send(t.Context(), email("no@example.com", "s")); got != notify.Sent || err != nil {
		t.Error(got, err)
	}
}

func TestRoomsSendMail(t *testing.T) {
	f := newFixture(t)
	m := email("you@example.com", "hook failed")
	m.Key, m.Why, m.State = "hooks/g/h/1", "You own the hook.", "failed"
	for range 3 {
		f.check(f.Mail(t.Context(), m))
	}
	m.Key = "hooks/g/h/2"
	f.check(f.Mail(t.Context(), m))
	f.start(f.Notify)
	mails := f.smtp.Wait(t, 2)
	if !strings.Contains(mails[0].Text, "You own the hook.") || !strings.Contains(mails[0].HTML, "#c9302c") {
		t.Errorf("%s", mails[0].Text)
	}
	f.check(f.Mail(t.Context(), m))
	f.eventually("everything is settled", func() bool { return len(f.list(notify.StateWaiting)) == 0 })
	if n := len(f.smtp.Mails()); n != 2 || len(f.list(notify.StateSent)) != 2 {
		t.Errorf("%d mails", n)
	}
	if err := f.Mail(t.Context(), email("nobody", "s")); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
	off := f.replica(func(d *notify.Deps) { d.Mail = nil })
	if err := off.Mail(t.Context(), m); !errors.Is(err, notify.ErrOff) || !strings.Contains(fault.Message(err), "TREELINE_SMTP_URL") {
		t.Error(err)
	}
}
