package pulse

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/treeline-ci/treeline/event"
)

// Mapping knows the messages of events, for those inside the server who want what listeners get.
type Mapping struct {
	routes map[string]route
	names  map[string]bool
}

// NewMapping returns the mapping for exchanges of a namespace, see Config.
func NewMapping(namespace string) *Mapping {
	m := &Mapping{routes: routesOf(namespaceOr(namespace)), names: map[string]bool{}}
	for _, r := range m.routes {
		m.names[r.exchange] = true
	}
	return m
}

// Kinds lists the kinds of events that have a message.
func (m *Mapping) Kinds() []string { return slices.Sorted(maps.Keys(m.routes)) }

// Has tells whether an exchange, by its whole name, is one that the feed is published on.
func (m *Mapping) Has(exchange string) bool { return m.names[exchange] }

// Message is an event as listeners get it.
type Message struct {
	Exchange string
	Keys     []string // the routing key, then those of the task's routes
	Body     json.RawMessage
}

// Of makes the message of an event. ok is false for those that listeners do not get; an error means that
// the event can never be published.
func (m *Mapping) Of(e *event.Event) (Message, bool, error) {
	out, ok, err := messageOf(m.routes, e)
	if !ok || err != nil {
		return Message{}, false, err
	}
	return Message{Exchange: out.exchange, Keys: append([]string{out.key}, out.cc...), Body: out.body}, true, nil
}
