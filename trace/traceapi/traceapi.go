// Package traceapi is the HTTP door of traces.
package traceapi

import (
	"context"
	"embed"
	"net/http"
	"strconv"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/trace"
	"github.com/treeline-ci/treeline/trace/otlp"
)

//go:embed schemas/*.json
var schemas embed.FS

// Deps are what the door needs of other rooms.
type Deps struct {
	// Find finds the newest push of a revision; repository may be "".
	Find func(ctx context.Context, repository, revision string) (trace.Found, error)
	// Group and Push make traces; a fault.NotFound for what is not there.
	Group func(ctx context.Context, taskGroupID string) (*trace.Trace, error)
	Push  func(ctx context.Context, repository string, id int64) (*trace.Trace, error)
	// Version is that of this program.
	Version string
}

const slugPattern = `^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$`

// Service is the table of endpoints of the service trace.
func Service(d Deps) web.Service {
	group := scope.Text("queue:list-task-group:<taskGroupId>")
	said := "What happened before the tasks, each task with why it waited, and what was reported, with the critical path: what the end waited for at each moment. "
	alsoPush := "Where the tasks were made for a push, the trace tells of it, for which `events:read` is needed as well."
	return web.Service{
		Name: "trace", Version: "v1", Title: "Traces",
		Description: "When what happened for a push, as one trace.",
		Schemas:     schemas,
		Params:      map[string]string{"taskGroupId": slugPattern, "revision": `^[0-9A-Za-z._-]{4,128}$`, "id": `^[1-9][0-9]{0,17}$`},
		Endpoints: []web.Endpoint{{
			Name: "findPush", Method: http.MethodGet, Route: "/revision/<revision>", Title: "Find a push", Category: "Traces", Stability: "experimental",
			Description: "Finds the newest push of a revision. In a `repository` the beginning of a revision will do.",
			Query:       map[string]string{"repository": `^[^\x00-\x1f]{1,255}$`},
			Scopes:      scope.Text("events:read"), Output: "found-push.json",
			Handle: func(ctx context.Context, r *web.Request) (any, error) {
				return d.Find(ctx, r.Query("repository"), r.Params["revision"])
			},
		}, {
			Name: "traceGroup", Method: http.MethodGet, Route: "/task-group/<taskGroupId>", Title: "The trace of a task group", Category: "Traces", Stability: "experimental",
			Description: said + "Times are milliseconds. " + alsoPush,
			Scopes:      group, Output: "trace.json",
			Handle: func(ctx context.Context, r *web.Request) (any, error) {
				t, err := d.ofGroup(ctx, r)
				if err != nil {
					return nil, err
				}
				return t.View(), nil
			},
		}, {
			Name: "tracePush", Method: http.MethodGet, Route: "/push/<id>", Title: "The trace of a push", Category: "Traces", Stability: "experimental",
			Description: "That of a push of which no tasks were made; for others see `traceGroup`.",
			Query:       map[string]string{"repository": `^[^\x00-\x1f]{1,255}$`},
			Scopes:      scope.Text("events:read"), Output: "trace.json",
			Handle: d.ofPush,
		}, {
			Name: "exportTrace", Method: http.MethodGet, Route: "/task-group/<taskGroupId>/otlp", Title: "The trace of a task group for tools", Category: "Traces", Stability: "experimental",
			Description: "The same as a file of OpenTelemetry's protocol (OTLP/JSON), by its semantic conventions for CI/CD. " + alsoPush,
			Scopes:      group, Output: web.Blob,
			Handle: func(ctx context.Context, r *web.Request) (any, error) {
				t, err := d.ofGroup(ctx, r)
				if err != nil {
					return nil, err
				}
				r.Writer.Header().Set("Content-Type", "application/json")
				return web.Streamed{}, otlp.Resource{Service: "treeline", Version: d.Version}.JSON(r.Writer, t)
			},
		}},
	}
}

// ofGroup makes a group's trace for those who may see all that it tells: of its tasks, and of the push or the change that they
// were made for.
func (d Deps) ofGroup(ctx context.Context, r *web.Request) (*trace.Trace, error) {
	t, err := d.Group(ctx, r.Params["taskGroupId"])
	if err != nil {
		return nil, err
	}
	if t.Facts.Push != nil || t.Facts.Change != nil {
		err = r.AuthorizeExpr(ctx, scope.String("events:read"))
	}
	return t, err
}

func (d Deps) ofPush(ctx context.Context, r *web.Request) (any, error) {
	id, err := strconv.ParseInt(r.Params["id"], 10, 64)
	if err != nil {
		return nil, fault.Wrap(fault.BadArguments, err, "The number %q is none of a push.", r.Params["id"])
	}
	t, err := d.Push(ctx, r.Query("repository"), id)
	if err != nil {
		return nil, err
	}
	if t.Facts.GroupID != "" {
		return nil, fault.New(fault.Conflict, "The push has tasks: ask for the trace of task group %s.", t.Facts.GroupID)
	}
	return t.View(), nil
}
