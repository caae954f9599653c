package app

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/rabbittest"
	"github.com/treeline-ci/treeline/internal/smtptest"
	"github.com/treeline-ci/treeline/notify/mail"
)

// startForHooks starts a server, on a broker if there is one.
func startForHooks(t *testing.T, broker string, change ...func(*Config)) *App {
	t.Helper()
	dir := t.TempDir()
	secrets, err := LoadSecrets(filepath.Join(dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		RootURL: "http://" + listener.Addr().String(), Listener: listener, DatabaseURL: pgtest.URL(t),
		DataDir: filepath.Join(dir, "objects"), Secrets: secrets, Pulse: pulse.Config{URL: broker},
	}
	for _, f := range change {
		f(&c)
	}
	a, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return a
}

func testHook(id string, bindings ...hooks.Binding) hooks.Hook {
	return hooks.Hook{
		Group: "project-a", ID: id, Bindings: bindings, TriggerSchema: json.RawMessage(`{"type": "object"}`),
		Metadata: hooks.Metadata{Name: "n", Description: "d", Owner: "ada@example.com"},
		Task: json.RawMessage(`{"provisionerId": "p", "workerType": "w", "schedulerId": "hooks", "scopes": ["secrets:get:x"], "payload": {"$eval": "payload"},
			"metadata": {"name": "n", "description": "d", "owner": "ada@example.com", "source": "https://example.com"}}`),
	}
}

// lend gives the test's hooks a role.
func lend(t *testing.T, a *App) {
	t.Helper()
	_, err := a.auth.CreateRole(t.Context(), RootClient, "hook-id:project-a/*", auth.RoleInput{Scopes: []string{
		"queue:create-task:lowest:p/w", "queue:create-task:project:none", "queue:scheduler-id:hooks", "secrets:get:x",
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAHooksTaskHasTheScopesOfItsRoleAndNoOthers(t *testing.T) {
	a := startForHooks(t, "")
	ctx := t.Context()
	if _, err := a.hooks.Create(ctx, RootClient, testHook("one")); err != nil {
		t.Fatal(err)
	}
	fire := hooks.Fire{Group: "project-a", ID: "one", By: hooks.TriggerHook, ClientID: RootClient}
	_, err := a.hooks.Fire(ctx, fire)
	if !errors.Is(err, fault.Forbidden) || !strings.Contains(fault.Message(err), "hook-id:project-a/one") || !strings.Contains(fault.Message(err), "secrets:get:x") {
		t.Fatal(err)
	}
	lend(t, a)
	got, err := a.hooks.Fire(ctx, fire)
	if err != nil {
		t.Fatal(err)
	}
	d, err := a.queue.Task(ctx, got.TaskID)
	if err != nil || d.TaskGroupID != got.TaskID || d.SchedulerID != "hooks" || d.Deadline.Sub(d.Created.Time) != 24*time.Hour {
		t.Errorf("%+v %v", d, err)
	}
	fires, err := a.hooks.LastFires(ctx, "project-a", "one", hooks.Mark{}, 10)
	if err != nil || len(fires) != 2 || fires[0].State != "pending" || fires[1].State != "" {
		t.Errorf("%+v %v", fires, err)
	}
	for name, change := range map[string]string{
		"an unknown member": `"pie": 1, `, "a time that is none": `"deadline": "soon", `, "a queue that is none": `"taskQueueId": "x", `,
	} {
		bad := testHook(strings.ReplaceAll(name, " ", "-"))
		bad.Task = json.RawMessage("{" + change + string(bad.Task[1:]))
		if err := a.hooks.Ensure(ctx, RootClient, bad); err != nil {
			t.Fatal(err)
		}
		if _, err := a.hooks.Fire(ctx, hooks.Fire{Group: bad.Group, ID: bad.ID, By: hooks.TriggerHook}); !errors.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), "createTask failed with") {
			t.Errorf("%s: %v", name, err)
		}
	}
	audit, err := a.auth.EntityHistory(ctx, "hook", "project-a/one", 0, 10)
	if err != nil || len(audit) != 1 || audit[0].ClientID != RootClient || audit[0].Action != "created" {
		t.Error(audit, err)
	}
}

func TestTheOwnerOfAHookThatFailsGetsMail(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	a := startForHooks(t, "", func(c *Config) {
		c.Notify.SMTP = mail.Config{Host: server.Host, Port: server.Port, CA: server.CA, From: "ci@example.com"}
	})
	h := testHook("nightly")
	h.Metadata.EmailOnError = true
	h.Schedule = []string{"* * * * * *"} // each second; its template wants a payload, which a schedule has not
	if _, err := a.hooks.Create(t.Context(), RootClient, h); err != nil {
		t.Fatal(err)
	}
	first := server.Wait(t, 1)[0]
	if first.Subject() != "Hook project-a/nightly failed" || first.To != "ada@example.com" || !strings.Contains(first.Text, "unknown context value payload") || !strings.Contains(first.Text, "You get this because") || !strings.Contains(first.Text, "/hooks/project-a/nightly") {
		t.Errorf("%s to %v:\n%s", first.Subject(), first.To, first.Text)
	}
}

func TestHooksListenToOtherPeoplesExchanges(t *testing.T) {
	node := rabbittest.Start(t)
	conn, err := amqp.Dial(node.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	const things = "exchange/foreign/v1/things"
	if err := channel.ExchangeDeclare(things, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	a := startForHooks(t, node.URL())
	ctx := t.Context()
	lend(t, a)
	eventually := func(what string, so func() bool) {
		t.Helper()
		deadline, tick := time.After(40*time.Second), time.NewTicker(50*time.Millisecond)
		defer tick.Stop()
		for !so() {
			select {
			case <-deadline:
				t.Fatalf("not within 40 s: %s", what)
			case <-tick.C:
			}
		}
	}
	fires := func(id string) int {
		list, err := a.hooks.LastFires(ctx, "project-a", id, hooks.Mark{}, 100)
		if err != nil && !errors.Is(err, fault.NotFound) {
			t.Fatal(err)
		}
		return len(list)
	}
	publish := func(key, body string) {
		t.Helper()
		if err := channel.Publish(things, key, false, false, amqp.Publishing{Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	ready := func(id string) func() bool {
		return func() bool {
			c, err := conn.Channel()
			if err != nil {
				t.Fatal(err)
			}
			q, err := c.QueueDeclarePassive("queue/taskcluster-hooks/project-a/"+id, true, false, false, false, nil)
			if err == nil {
				_ = c.Close()
			}
			return err == nil && q.Consumers == 1
		}
	}
	for _, h := range []hooks.Hook{testHook("some/thing", hooks.Binding{Exchange: things, RoutingKeyPattern: "a.#"}), testHook("nothing", hooks.Binding{Exchange: "exchange/none/v1/x", RoutingKeyPattern: "#"})} {
		if _, err := a.hooks.Create(ctx, RootClient, h); err != nil {
			t.Fatal(err)
		}
	}
	eventually("the queue of the hook is there", ready("some/thing"))
	publish("a.b", `{"n": 1}`)
	publish("b.a", `{"n": 2}`)
	publish("a", `no JSON`)
	publish("a.c", `{"n": 1}`)
	eventually("two fires", func() bool { return fires("some/thing") == 2 })
	eventually("the exchange that is not there is told of", func() bool {
		s, err := a.hooks.Status(ctx, "project-a", "nothing")
		return err == nil && strings.Contains(s.BindingError, "exchange/none/v1/x")
	})
	if _, err := a.hooks.Update(ctx, RootClient, testHook("some/thing", hooks.Binding{Exchange: things, RoutingKeyPattern: "b.#"})); err != nil {
		t.Fatal(err)
	}
	eventually("the new binding counts", func() bool { publish("b.x", `{"n": 3}`); return fires("some/thing") > 2 })
	before := fires("some/thing")
	publish("a.b", `{"n": 4}`)
	publish("b.y", `{"n": 5}`)
	eventually("the message after", func() bool { return fires("some/thing") > before })
	for _, id := range []string{"some/thing", "nothing"} {
		if err := a.hooks.Remove(ctx, RootClient, "project-a", id); err != nil {
			t.Fatal(err)
		}
	}
	eventually("the queue is gone", func() bool { return !ready("some/thing")() })
}
