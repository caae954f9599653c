// Package actionsapi is the HTTP door of actions: what people may do with the tasks of a push, and doing it.
package actionsapi

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"net/http"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/taskgraph/action/perform"
)

//go:embed schemas/*.json
var schemas embed.FS

const slugID = `^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$`

// Service is the table of endpoints of the service actions.
func Service(a *actions.Actions) web.Service {
	d := door{a}
	return web.Service{
		Name: "actions", Version: "v1", Title: "Actions",
		Description: "What people may do with the tasks of a push, and doing it in one call. The same can be done with `public/actions.json` " +
			"of the decision task and the hook that it names, as other clients do.",
		Schemas: schemas,
		Params:  map[string]string{"taskGroupId": slugID, "name": `^[\x21-\x7e]{1,100}$`},
		Endpoints: []web.Endpoint{
			{
				Name: "listActions", Method: http.MethodGet, Route: "/task-group/<taskGroupId>/actions", Category: "Actions", Stability: "experimental",
				Title: "What may be done",
				Description: "Lists the actions on a task of the group, or without `taskId` those on the group itself, in the order in which people see them, " +
					"with the schema of their input. `allowed` says whether the caller may start it, and `why` why not.",
				Query:  map[string]string{"taskId": slugID},
				Scopes: scope.Text("queue:get-artifact:public/actions.json"),
				Output: "list-actions-response.json", Handle: d.list,
			},
			{
				Name: "startAction", Method: http.MethodPost, Route: "/task-group/<taskGroupId>/actions/<name>", Category: "Actions", Stability: "experimental",
				Title: "Start an action",
				Description: "Starts an action and answers with the action task. The caller must hold `hooks:trigger-hook:<hookGroupId>/<hookId>` of the action, " +
					"or for an action of kind task the scopes of the decision task; the action runs with scopes of its own. The same `key` from the same " +
					"caller with the same action and input starts it once.",
				Scopes: scope.Text("queue:get-artifact:public/actions.json"),
				Input:  "start-action-request.json", Output: "start-action-response.json", MaxBody: 512 << 10, Handle: d.start,
			},
		},
	}
}

type door struct{ actions *actions.Actions }

func (d door) list(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	id := r.Query("taskId")
	list, err := d.actions.Offered(ctx, caller, r.Params["taskGroupId"], id)
	if err != nil {
		return nil, err
	}
	return map[string]any{"taskGroupId": r.Params["taskGroupId"], "actions": list}, nil
}

func (d door) start(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	var in struct {
		TaskID string          `json:"taskId"`
		Input  json.RawMessage `json:"input"`
		Key    string          `json:"key"`
		By     string          `json:"by"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	s := actions.Start{TaskGroupID: r.Params["taskGroupId"], Name: r.Params["name"], TaskID: in.TaskID, Key: in.Key, By: in.By}
	if len(bytes.TrimSpace(in.Input)) > 0 {
		if s.Input, err = perform.PlainJSON("the input", in.Input); err != nil {
			return nil, fault.New(fault.Invalid, "%v", err)
		}
	}
	return d.actions.Start(ctx, caller, s)
}
