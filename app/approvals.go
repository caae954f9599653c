package app

import (
	"context"
	"errors"
	"strings"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
)

// noted are deeds of operators that no room records itself, by their endpoints: of what kind the entity
// is, the route's parameters that name it, and what was done.
var noted = map[string]struct {
	entity string
	params []string
	action string
}{
	"changeTaskPriority":      {"task", []string{"taskId"}, "priority changed"},
	"changeTaskGroupPriority": {"task-group", []string{"taskGroupId"}, "priority changed"},
	"setTaskGroupWeight":      {"task-group", []string{"taskGroupId"}, "weight changed"},
	"createWorker":            {"worker", []string{"workerPoolId", "workerGroup", "workerId"}, "created"},
	"updateWorker":            {"worker", []string{"workerPoolId", "workerGroup", "workerId"}, "updated"},
	"removeWorker":            {"worker", []string{"workerPoolId", "workerGroup", "workerId"}, "removed"},
	"runJob":                  {"cron-job", []string{"repository", "job"}, "started by hand"},
	"deleteTask":              {"index", []string{"namespace"}, "deleted"},
}

// note records such a deed, right after it. The audit log may lack it when the server dies in between.
func (a *App) note(ctx context.Context, endpoint string, r *web.Request) {
	n, ok := noted[endpoint]
	if !ok {
		return
	}
	var id []string
	for _, p := range n.params {
		id = append(id, r.Params[p])
	}
	caller, err := r.Caller(ctx)
	if err == nil {
		err = a.auth.Note(ctx, auth.Record{EntityType: n.entity, EntityID: strings.Join(id, "/"), ClientID: caller.ClientID, Action: n.action})
	}
	if err != nil {
		a.config.Log.ErrorContext(ctx, "a deed is not in the audit log", "endpoint", endpoint, "client", caller.ClientID, "entity", strings.Join(id, "/"), "err", err)
	}
}

// proposing lets endpoints that change things keep what was refused for want of a second person, so that
// this person can see and approve it, and records what rooms do not.
func (a *App) proposing(endpoints []web.Endpoint) {
	for i := range endpoints {
		handle, name := endpoints[i].Handle, endpoints[i].Name
		if endpoints[i].Method == "GET" || handle == nil {
			continue
		}
		endpoints[i].Handle = func(ctx context.Context, r *web.Request) (any, error) {
			out, err := handle(ctx, r)
			if guarded, ok := errors.AsType[*auth.Guarded](err); ok {
				caller, err := r.Caller(ctx)
				if err != nil {
					return nil, err
				}
				return nil, a.propose(ctx, caller, guarded)
			}
			if err == nil {
				a.note(ctx, name, r)
			}
			return out, err
		}
	}
}

func (a *App) propose(ctx context.Context, caller auth.Caller, g *auth.Guarded) error {
	p, err := a.auth.Propose(ctx, caller, g)
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "%s It is proposed as %s, until %s. Somebody else approves it with \"treeline admin approvals approve %s\"; "+
		"then make the same change again, as the same client.", g.Error(), p.ID, p.Expires.UTC().Format("2006-01-02 15:04 MST"), p.ID)
}
