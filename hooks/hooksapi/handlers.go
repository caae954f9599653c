package hooksapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

func (d *door) listHookGroups(ctx context.Context, _ *web.Request) (any, error) {
	groups, err := d.hooks.Groups(ctx)
	if groups == nil {
		groups = []string{}
	}
	return map[string]any{"groups": groups}, err
}

func (d *door) listHooks(ctx context.Context, r *web.Request) (any, error) {
	list, err := d.hooks.List(ctx, r.Params["hookGroupId"])
	return map[string]any{"hooks": list}, err
}

func (d *door) hook(ctx context.Context, r *web.Request) (any, error) {
	return d.hooks.Get(ctx, r.Params["hookGroupId"], r.Params["hookId"])
}

// definition reads the body of createHook and updateHook, and fills what the schema gives as defaults.
func definition(r *web.Request) (hooks.Hook, error) {
	h := hooks.Hook{Group: r.Params["hookGroupId"], ID: r.Params["hookId"], Metadata: hooks.Metadata{EmailOnError: true}}
	if err := r.Decode(&h); err != nil {
		return hooks.Hook{}, err
	}
	if h.Group != r.Params["hookGroupId"] || h.ID != r.Params["hookId"] {
		return hooks.Hook{}, fault.New(fault.Invalid, "The hookGroupId and hookId of the body, %s/%s, are not those of the address, %s/%s; leave them out.",
			h.Group, h.ID, r.Params["hookGroupId"], r.Params["hookId"])
	}
	return h, nil
}

func (d *door) createHook(ctx context.Context, r *web.Request) (any, error) {
	return d.change(ctx, r, d.hooks.Create)
}

func (d *door) updateHook(ctx context.Context, r *web.Request) (any, error) {
	return d.change(ctx, r, d.hooks.Update)
}

func (d *door) change(ctx context.Context, r *web.Request, write func(ctx context.Context, actor string, h hooks.Hook) (hooks.Hook, error)) (any, error) {
	h, err := definition(r)
	if err != nil {
		return nil, err
	}
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return write(ctx, caller.ClientID, h)
}

func (d *door) removeHook(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return struct{}{}, d.hooks.Remove(ctx, caller.ClientID, r.Params["hookGroupId"], r.Params["hookId"])
}

func (d *door) triggerHook(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return d.fire(ctx, r, hooks.Fire{By: hooks.TriggerHook, ClientID: caller.ClientID})
}

func (d *door) triggerHookWithToken(ctx context.Context, r *web.Request) (any, error) {
	if err := d.hooks.CheckToken(ctx, r.Params["hookGroupId"], r.Params["hookId"], r.Params["token"]); err != nil {
		return nil, err
	}
	return d.fire(ctx, r, hooks.Fire{By: hooks.TriggerHookWithToken})
}

func (d *door) fire(ctx context.Context, r *web.Request, f hooks.Fire) (any, error) {
	f.Group, f.ID, f.Payload = r.Params["hookGroupId"], r.Params["hookId"], json.RawMessage(r.Body)
	fired, err := d.hooks.Fire(ctx, f)
	if err != nil || fired.Declined {
		return struct{}{}, err
	}
	return map[string]any{"taskId": fired.TaskID, "status": map[string]string{"taskId": fired.TaskID}}, nil
}

func (d *door) getTriggerToken(ctx context.Context, r *web.Request) (any, error) {
	token, err := d.hooks.Token(ctx, r.Params["hookGroupId"], r.Params["hookId"])
	return map[string]string{"token": token}, err
}

func (d *door) resetTriggerToken(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	token, err := d.hooks.ResetToken(ctx, caller.ClientID, r.Params["hookGroupId"], r.Params["hookId"])
	return map[string]string{"token": token}, err
}

func (d *door) getHookStatus(ctx context.Context, r *web.Request) (any, error) {
	s, err := d.hooks.Status(ctx, r.Params["hookGroupId"], r.Params["hookId"])
	if err != nil {
		return nil, err
	}
	last := map[string]any{"result": "no-fire"}
	if f := s.Last; f != nil && f.Error == "" {
		last = map[string]any{"result": "success", "taskId": f.TaskID, "time": task.At(f.Time)}
	} else if f != nil {
		last = map[string]any{"result": "error", "error": map[string]string{"message": f.Error}, "time": task.At(f.Time)}
	}
	out := map[string]any{"lastFire": last}
	if !s.Next.IsZero() {
		out["nextScheduledDate"] = task.At(s.Next)
	}
	return out, nil
}

// lastFire is a fire on the wire.
type lastFire struct {
	HookGroupID    string    `json:"hookGroupId"`
	HookID         string    `json:"hookId"`
	TaskID         string    `json:"taskId"`
	FiredBy        string    `json:"firedBy"`
	TaskCreateTime task.Time `json:"taskCreateTime"`
	Result         string    `json:"result"`
	TaskState      string    `json:"taskState"`
	Error          string    `json:"error"`
}

func (d *door) listLastFires(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	var after hooks.Mark
	var nanos int64
	if web.ReadToken(token, &nanos, &after.TaskID) {
		after.Time = time.Unix(0, nanos)
	}
	fires, err := d.hooks.LastFires(ctx, r.Params["hookGroupId"], r.Params["hookId"], after, limit+1)
	if err != nil {
		return nil, err
	}
	var out struct {
		LastFires         []lastFire `json:"lastFires"`
		ContinuationToken string     `json:"continuationToken,omitempty"`
	}
	if len(fires) > limit {
		fires = fires[:limit]
		last := fires[limit-1]
		if out.ContinuationToken, err = web.Token(last.Time.UnixNano(), last.TaskID); err != nil {
			return nil, err
		}
	}
	out.LastFires = make([]lastFire, len(fires))
	for i, f := range fires {
		l := lastFire{r.Params["hookGroupId"], r.Params["hookId"], f.TaskID, string(f.By), task.At(f.Time), "success", "unknown", f.Error}
		if f.Error != "" {
			l.Result = "error"
		}
		if f.State != "" {
			l.TaskState = string(f.State)
		}
		out.LastFires[i] = l
	}
	return out, nil
}
