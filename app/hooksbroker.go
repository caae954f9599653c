package app

import (
	"context"
	"strings"

	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/hooks"
)

// hookBroker joins hooks with the broker: each hook that listens to exchanges of others has a queue of
// its name.
type hookBroker struct{ *pulse.Listener }

// Run implements hooks.Broker.
func (b hookBroker) Run(ctx context.Context, keep func(context.Context, hooks.Session) error, take func(context.Context, hooks.Delivery) error) error {
	return b.Listener.Run(ctx,
		func(ctx context.Context, s *pulse.Listening) error { return keep(ctx, hookSession{s}) },
		func(ctx context.Context, d pulse.Delivery) error {
			group, id, _ := strings.Cut(d.Queue, "/") // a group has no slash
			return take(ctx, hooks.Delivery{Group: group, ID: id, Exchange: d.Exchange, Key: d.Key, MessageID: d.ID, Body: d.Body})
		})
}

// hookSession is a connection as hooks see it.
type hookSession struct{ *pulse.Listening }

// Bind implements hooks.Session.
func (s hookSession) Bind(ctx context.Context, group, id string, bind, unbind []hooks.Binding) error {
	return s.Listening.Bind(ctx, group+"/"+id, pulseBindings(bind), pulseBindings(unbind))
}

// Remove implements hooks.Session.
func (s hookSession) Remove(ctx context.Context, group, id string) error {
	return s.Listening.Remove(ctx, group+"/"+id)
}

// Listen implements hooks.Session.
func (s hookSession) Listen(ctx context.Context, queues []hooks.Queue) error {
	names := make([]string, len(queues))
	for i, q := range queues {
		names[i] = q.Group + "/" + q.ID
	}
	return s.Listening.Listen(ctx, names)
}

func pulseBindings(list []hooks.Binding) []pulse.Binding {
	out := make([]pulse.Binding, len(list))
	for i, b := range list {
		out[i] = pulse.Binding{Exchange: b.Exchange, Pattern: b.RoutingKeyPattern}
	}
	return out
}
