package rabbittest_test

import (
	"net"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/internal/rabbittest"
)

func TestANodeKeepsItsMessagesAndLeavesNothing(t *testing.T) {
	var address string
	t.Run("a node", func(t *testing.T) {
		n := rabbittest.Start(t)
		address = n.Address()
		conn, err := amqp.Dial(n.URL())
		if err != nil {
			t.Fatal(err)
		}
		channel, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := channel.QueueDeclare("q", true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := channel.Confirm(false); err != nil {
			t.Fatal(err)
		}
		sent, err := channel.PublishWithDeferredConfirm("", "q", false, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("hello")})
		if err != nil || !sent.Wait() {
			t.Fatal(err)
		}
		// A crash takes declarations along that RabbitMQ's database has not written yet; messages it has.
		n.Control(t, "eval", "mnesia:sync_log().")
		n.Kill(t)
		n.Run(t)
		if conn, err = amqp.Dial(n.URL()); err != nil {
			t.Fatal(err)
		}
		if channel, err = conn.Channel(); err != nil {
			t.Fatal(err)
		}
		if m, ok, err := channel.Get("q", true); err != nil || !ok || string(m.Body) != "hello" {
			t.Errorf("%q, %v, %v", m.Body, ok, err)
		}
	})
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Errorf("something still listens on %s", address)
	}
}
