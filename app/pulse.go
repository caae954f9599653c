package app

import (
	"context"
	"errors"

	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/web"
)

// startPulse begins to publish the feed on a RabbitMQ, if there is one in the configuration.
func (a *App) startPulse(ctx context.Context) error {
	if a.config.Pulse.URL == "" {
		return nil
	}
	publisher, err := pulse.New(a.config.Pulse)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- publisher.Run(ctx, a.feed) }()
	a.onStop(func(context.Context) error {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	return nil
}

// exchangeReferences are the documents about the exchanges. Clients read them whether or not this
// server publishes.
func exchangeReferences(namespace string) ([]web.Reference, error) {
	var list []web.Reference
	for _, s := range pulse.Services() {
		schemas, err := s.Schemas()
		if err != nil {
			return nil, err
		}
		list = append(list, web.Reference{Service: s.Name, Version: "v1", Name: "exchanges.json", Content: s.Reference(namespace), Schemas: schemas})
	}
	return list, nil
}
