// Package hooksapi is the HTTP door of hooks (taskcluster-map 7 and appendix A).
package hooksapi

import (
	"embed"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/web"
)

//go:embed schemas/*.json
var schemas embed.FS

// door answers the endpoints.
type door struct{ hooks *hooks.Hooks }

const (
	category = "Hooks"
	status   = "Hook Status"
	hookPath = "/hooks/<hookGroupId>/<hookId>"
)

// Service is the table of endpoints of the service hooks.
func Service(h *hooks.Hooks) web.Service {
	d := &door{h}
	return web.Service{
		Name: "hooks", Version: "v1", Title: "Hooks",
		Description: "Creates tasks at times of a schedule, on calls, and when messages come. A hook's tasks have the scopes of the hook's " +
			"role, `hook-id:<hookGroupId>/<hookId>`, whoever fires it.",
		Schemas:   schemas,
		Params:    map[string]string{"hookGroupId": `^[a-zA-Z0-9-_]{1,1000}$`, "hookId": `^[a-zA-Z0-9-_\/]{1,1000}$`, "token": `^[\x20-\x7e]{1,200}$`},
		Endpoints: append(d.reading(), append(d.changing(), d.firing()...)...),
	}
}

func (d *door) reading() []web.Endpoint {
	return []web.Endpoint{
		{
			Name: "listHookGroups", Method: "GET", Route: "/hooks", Category: category, Stability: "stable",
			Scopes: scope.Text("hooks:list-hooks:"), Output: "list-hook-groups-response.json", Handle: d.listHookGroups,
			Title: "List hook groups", Description: "The groups that have hooks, by name.",
		},
		{
			Name: "listHooks", Method: "GET", Route: "/hooks/<hookGroupId>", Category: category, Stability: "stable",
			Scopes: scope.Text("hooks:list-hooks:<hookGroupId>"), Output: "list-hooks-response.json", Handle: d.listHooks,
			Title: "List the hooks of a group", Description: "The definitions of a group's hooks, by id; 404 for a group without hooks.",
		},
		{
			Name: "hook", Method: "GET", Route: hookPath, Category: category, Stability: "stable",
			Scopes: scope.Text("hooks:get:<hookGroupId>:<hookId>"), Output: "hook-definition.json", Handle: d.hook,
			Title: "Get a hook", Description: "A hook's definition.",
		},
		{
			Name: "getHookStatus", Method: "GET", Route: hookPath + "/status", Category: status, Stability: "deprecated",
			Scopes: scope.Text("hooks:status:<hookGroupId>/<hookId>"), Output: "hook-status.json", Handle: d.getHookStatus,
			Title: "Get a hook's status", Description: "The next time of the hook's schedule, and what became of its last fire. `listLastFires` tells more.",
		},
		{
			Name: "listLastFires", Method: "GET", Route: hookPath + "/last-fires", Category: status, Stability: "stable",
			Query:  map[string]string{"continuationToken": web.TokenPattern, "limit": web.LimitPattern},
			Scopes: scope.Text("hooks:list-last-fires:<hookGroupId>/<hookId>"), Output: "list-lastFires-response.json", Handle: d.listLastFires,
			Title: "List a hook's last fires", Description: "What became of the fires of a year, newest first; 404 for a hook that has not fired.",
		},
	}
}

func (d *door) changing() []web.Endpoint {
	// Whoever changes a hook decides what its role is used for, so they must hold what the role holds.
	change := scope.All{scope.Text("hooks:modify-hook:<hookGroupId>/<hookId>"), scope.Text("assume:hook-id:<hookGroupId>/<hookId>")}
	return []web.Endpoint{
		{
			Name: "createHook", Method: "PUT", Route: hookPath, Category: category, Stability: "stable",
			Scopes: change, Input: "create-hook-request.json", Output: "hook-definition.json", Handle: d.createHook,
			Title: "Create a hook", Description: "Makes a hook. The same definition again is fine; another one of the name is a conflict.",
		},
		{
			Name: "updateHook", Method: "POST", Route: hookPath, Category: category, Stability: "stable",
			Scopes: change, Input: "create-hook-request.json", Output: "hook-definition.json", Handle: d.updateHook,
			Title: "Change a hook", Description: "Replaces a hook's definition as a whole. Its trigger token stays, its failures are forgotten.",
		},
		{
			Name: "removeHook", Method: "DELETE", Route: hookPath, Category: category, Stability: "stable",
			Scopes: scope.Text("hooks:modify-hook:<hookGroupId>/<hookId>"), Handle: d.removeHook,
			Title: "Remove a hook", Description: "Removes a hook and the list of its fires; it is no error when there is none. Its tasks stay.",
		},
	}
}

func (d *door) firing() []web.Endpoint {
	return []web.Endpoint{
		{
			Name: "triggerHook", Method: "POST", Route: hookPath + "/trigger", Category: category, Stability: "stable",
			Scopes: scope.Text("hooks:trigger-hook:<hookGroupId>/<hookId>"), Input: "trigger-hook.json", Output: "trigger-hook-response.json", Handle: d.triggerHook,
			Title: "Fire a hook",
			Description: "Creates a hook's task. The body is the payload for the template and must fit the hook's `triggerSchema`; a `taskId` in it " +
				"becomes the task's id. The answer is empty when the template wants no task.",
		},
		{
			Name: "getTriggerToken", Method: "GET", Route: hookPath + "/token", Category: category, Stability: "stable",
			Scopes: scope.Text("hooks:get-trigger-token:<hookGroupId>/<hookId>"), Output: "trigger-token-response.json", Handle: d.getTriggerToken,
			Title: "Get a hook's trigger token", Description: "The secret with which `triggerHookWithToken` fires the hook.",
		},
		{
			Name: "resetTriggerToken", Method: "POST", Route: hookPath + "/token", Category: category, Stability: "stable",
			Scopes: scope.Text("hooks:reset-trigger-token:<hookGroupId>/<hookId>"), Output: "trigger-token-response.json", Handle: d.resetTriggerToken,
			Title: "Reset a hook's trigger token", Description: "Gives the hook another token; the old one is worth nothing from then.",
		},
		{
			Name: "triggerHookWithToken", Method: "POST", Route: hookPath + "/trigger/<token>", Proof: web.SignedBody, Category: category, Stability: "stable",
			Secret: []string{"token"}, Input: "trigger-hook.json", Output: "trigger-hook-response.json", Handle: d.triggerHookWithToken,
			Title: "Fire a hook with its token", Description: "Creates a hook's task, as `triggerHook` does, for whoever has the hook's token; for webhooks of programs without credentials.",
		},
	}
}
