// Package historyapi is the HTTP door of the history of pushes.
package historyapi

import (
	"context"
	"embed"
	"net/http"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/history"
	"github.com/treeline-ci/treeline/internal/web"
)

//go:embed schemas/*.json
var schemas embed.FS

// Service is the table of endpoints of the service history.
func Service(h *history.History) web.Service {
	return web.Service{
		Name: "history", Version: "v1", Title: "History",
		Description: "How the tasks of earlier pushes went. Decisions leave tasks out with it.",
		Schemas:     schemas,
		Params:      map[string]string{"project": `^[\x20-\x7e]{1,255}$`},
		Endpoints: []web.Endpoint{{
			Name: "table", Method: http.MethodGet, Route: "/project/<project>/table", Category: "History", Stability: "experimental",
			Query:  map[string]string{"branch": `^[\x21-\x7e]{1,255}$`},
			Scopes: scope.Text("history:read:<project>"), Output: "table-response.json",
			Title: "Table of earlier pushes",
			Description: "The table that the decision about a push to a branch of the project would get now: pushes, regressions, and how " +
				"the tasks of each label went. Without a branch it is that of the latest push. `treeline taskgraph --history` reads it.",
			Handle: func(ctx context.Context, r *web.Request) (any, error) {
				return h.Next(ctx, r.Params["project"], r.Query("branch"))
			},
		}},
	}
}
