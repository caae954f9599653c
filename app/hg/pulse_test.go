package hg

import (
	"log/slog"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/rabbittest"
	"github.com/treeline-ci/treeline/push"

	forge "github.com/treeline-ci/treeline/hg"
)

// TestPushesOfPulseAreHints listens on a real broker, on which the newer of the exchanges comes later.
func TestPushesOfPulseAreHints(t *testing.T) {
	node := rabbittest.Start(t)
	pool := pgtest.DB(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	conn, err := amqp.Dial(node.URL())
	must(err)
	t.Cleanup(func() { _ = conn.Close() }) // the broker may be gone
	channel, err := conn.Channel()
	must(err)
	declare := func(name string) {
		must(channel.ExchangeDeclare(name, amqp.ExchangeTopic, true, false, false, false, nil))
	}
	declare("exchange/hgpushes/v1")

	w := New(Deps{Pool: pool, Push: push.New(pool, func() {}, log), Decide: func() {}, Log: log, Repositories: []Repository{
		{Name: "central", URL: "https://hg.example.com/mozilla-central", Reader: reader(t, "https://hg.example.com/mozilla-central")},
		{Name: "autoland", URL: "https://hg.example.com/integration/autoland/", Reader: reader(t, "https://hg.example.com/integration/autoland"), Keys: []string{"integration/autoland"}},
	}})
	must(w.note(t.Context()))
	listener, err := pulse.NewUserListener(pulse.Config{URL: node.URL(), Log: log})
	must(err)
	go func() { _ = w.Listen(t.Context(), listener) }() // until the test ends

	hints := func() (central, autoland int) {
		t.Helper()
		must(pool.QueryRow(t.Context(), `SELECT (SELECT hints FROM hg_repositories WHERE name = 'central'), (SELECT hints FROM hg_repositories WHERE name = 'autoland')`).Scan(&central, &autoland))
		return central, autoland
	}
	until := func(what string, send func(), is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !is(); {
			if time.Now().After(deadline) {
				t.Fatalf("not within a minute: %s", what)
			}
			send()
			select {
			case <-time.After(200 * time.Millisecond):
			case <-t.Context().Done():
			}
		}
	}
	publish := func(exchange, key, body string) {
		must(channel.PublishWithContext(t.Context(), exchange, key, false, false, amqp.Publishing{ContentType: "application/json", Body: []byte(body)}))
	}
	until("version 1 is heard, by its address", func() {
		publish("exchange/hgpushes/v1", "mozilla-central", `{"repo_url": "https://hg.example.com/mozilla-central", "heads": ["x"], "pushlog_pushes": []}`)
	}, func() bool { central, _ := hints(); return central > 0 })
	declare("exchange/hgpushes/v2")
	node.Stop(t)
	node.Run(t)
	if conn, err = amqp.Dial(node.URL()); err == nil {
		channel, err = conn.Channel()
	}
	must(err)
	until("version 2 is heard, by its key, whatever else it says", func() {
		publish("exchange/hgpushes/v2", "integration/autoland", `nonsense`)
	}, func() bool { _, autoland := hints(); return autoland > 0 })
	before, _ := hints()
	publish("exchange/hgpushes/v2", "projects/elm", `{"payload": {"type": "changegroup.1", "data": {"repo_url": "https://hg.example.com/projects/elm"}}}`)
	publish("exchange/hgpushes/v2", "mozilla-central", `{"payload": {"type": "changegroup.1", "data": {"repo_url": "https://hg.example.com/mozilla-central"}}}`)
	until("one more, and none for a repository that is not followed", func() {}, func() bool { central, _ := hints(); return central == before+1 })
}

func reader(t *testing.T, url string) *forge.Repo {
	t.Helper()
	r, err := forge.Open(url, forge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
