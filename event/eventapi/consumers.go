package eventapi

import (
	"context"
	"embed"
	"net/http"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/web"
)

//go:embed schemas/*.json
var schemas embed.FS

// consumers is the answer of listConsumers.
type consumers struct {
	Head      int64      `json:"head"`
	Consumers []consumer `json:"consumers"`
}

type consumer struct {
	Name     string  `json:"name"`
	Position int64   `json:"position"`
	Lag      int64   `json:"lag"`
	Behind   float64 `json:"behindSeconds"`
	Holder   string  `json:"holder,omitempty"`
}

func listConsumers(feed *event.Feed) web.Endpoint {
	return web.Endpoint{
		Name: "listConsumers", Method: http.MethodGet, Route: "/consumers",
		Title: "Consumers", Category: "Events", Stability: "experimental",
		Description: "Lists who consumes the feed inside the server, such as the publisher on RabbitMQ, with how far each came. " +
			"One whose lag grows does not work; the server's log says why.",
		Scopes: scope.Text("events:list-consumers"),
		Output: "list-consumers-response.json",
		Handle: func(ctx context.Context, _ *web.Request) (any, error) {
			list, err := feed.Consumers(ctx)
			if err != nil {
				return nil, err
			}
			head, err := feed.Head(ctx)
			if err != nil {
				return nil, err
			}
			out := consumers{Head: head, Consumers: []consumer{}}
			for _, c := range list {
				out.Consumers = append(out.Consumers, consumer{c.Name, c.Position, c.Lag, c.Behind.Seconds(), c.Holder})
			}
			return out, nil
		},
	}
}
