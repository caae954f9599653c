package app

import (
	"context"

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
	a.untilStop(ctx, func(ctx context.Context) error { return publisher.Run(ctx, a.feed) })
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
