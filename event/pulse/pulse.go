// Package pulse tells listeners on RabbitMQ what happens, in the exchanges, routing keys and bodies
// that Taskcluster's listeners know (taskcluster-map 18 and appendix C).
//
// It is a consumer of the feed: what is committed is published, however long the broker is away, at
// least once; the messages of a task first come in the order of its changes. One replica publishes at
// a time. Many messages are on their way at once; the consumer's offset follows those that the broker
// has confirmed.
package pulse

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
)

// Consumer is the publisher's name among the consumers of the feed.
const Consumer = "pulse"

// defaultNamespace begins the names of the exchanges that listeners of the peer know.
const defaultNamespace = "taskcluster"

// Config is what a publisher needs.
type Config struct {
	// URL is where the broker is, with user and password: amqp://user:password@host:5672/vhost, or
	// amqps:// with TLS. It is a secret, and is in no log line and no error.
	URL string
	// Namespace begins the names of the exchanges: exchange/<namespace>-queue/v1/task-pending. ""
	// takes "taskcluster", which listeners of the peer bind to. The broker's user must be allowed to
	// make these exchanges and to publish on them.
	Namespace string
	// Treeherder asks for the exchanges of Treeherder's messages too. The broker's user must be allowed to
	// make them.
	Treeherder bool
	Log        *slog.Logger
}

func namespaceOr(name string) string {
	if name == "" {
		return defaultNamespace
	}
	return name
}

// Check says what is wrong with the configuration, without its secrets.
func (c Config) Check() error {
	if _, err := amqp.ParseURI(c.URL); err != nil {
		// The library's error may show the password.
		return fault.New(fault.Invalid, "it is no AMQP URL: write amqp://user:password@host:5672/vhost (or amqps://), with %%-escapes for the special characters of the password")
	}
	for _, r := range c.Namespace {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return fault.New(fault.Invalid, "the namespace %q may have lower-case letters, digits, - and _ only", c.Namespace)
		}
	}
	return nil
}

// Publisher publishes the feed. Make one with New.
type Publisher struct {
	config Config
	routes map[string]route
}

// New returns a publisher for a configuration.
func New(c Config) (*Publisher, error) {
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("pulse: %w", err)
	}
	c.Namespace = namespaceOr(c.Namespace)
	routes := routesOf(c.Namespace)
	if c.Treeherder {
		maps.Copy(routes, treeherderRoutes(c.Namespace))
	}
	return &Publisher{config: c, routes: routes}, nil
}

// Run publishes until ctx ends; its error is ctx's. The first Run on a database begins with what
// happens from then on. When the broker is away, or refuses, Run says so in the log and tries again,
// after a pause that grows to 30 s, from the last message that was confirmed.
func (p *Publisher) Run(ctx context.Context, feed *event.Feed) error {
	return feed.Hold(ctx, Consumer, func(ctx context.Context, c *event.Cursor) error {
		s, err := p.connect(ctx)
		if err != nil {
			return err
		}
		defer s.close()
		p.config.Log.Info("publishing on the broker", "broker", s.broker, "after", c.Position())
		return s.publish(ctx, c)
	})
}
