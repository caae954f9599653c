package app

import (
	"context"
	"errors"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
)

// proposing lets endpoints that change things keep what was refused for want of a second person, so that
// this person can see and approve it.
func (a *App) proposing(endpoints []web.Endpoint) {
	for i := range endpoints {
		handle := endpoints[i].Handle
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
