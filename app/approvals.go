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
	secret bool // what is asked for may hold secrets
}{
	"changeTaskPriority":      {"task", []string{"taskId"}, "priority changed", false},
	"changeTaskGroupPriority": {"task-group", []string{"taskGroupId"}, "priority changed", false},
	"setTaskGroupWeight":      {"task-group", []string{"taskGroupId"}, "weight changed", false},
	"createWorker":            {"worker", []string{"workerPoolId", "workerGroup", "workerId"}, "created", true},
	"updateWorker":            {"worker", []string{"workerPoolId", "workerGroup", "workerId"}, "updated", true},
	"removeWorker":            {"worker", []string{"workerPoolId", "workerGroup", "workerId"}, "removed", true},
	"runJob":                  {"cron-job", []string{"repository", "job"}, "started by hand", false},
	"deleteTask":              {"index", []string{"namespace"}, "deleted", false},
}

// noting returns a context in which the record of such a deed is written with it: both, or neither.
func noting(ctx context.Context, endpoint string, r *web.Request) (context.Context, error) {
	n, ok := noted[endpoint]
	if !ok {
		return ctx, nil
	}
	var id []string
	for _, p := range n.params {
		id = append(id, r.Params[p])
	}
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	rec := auth.Record{EntityType: n.entity, EntityID: strings.Join(id, "/"), ClientID: caller.ClientID, Action: n.action}
	if len(r.Body) > 0 && !n.secret {
		rec.After = r.Body // what was asked for
	}
	return auth.Noting(ctx, rec), nil
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
			ctx, err := noting(ctx, name, r)
			if err != nil {
				return nil, err
			}
			out, err := handle(ctx, r)
			if guarded, ok := errors.AsType[*auth.Guarded](err); ok {
				caller, err := r.Caller(ctx)
				if err != nil {
					return nil, err
				}
				return nil, a.propose(ctx, caller, guarded)
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
