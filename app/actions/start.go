package actions

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/action"
)

// Start is an action that somebody wants started.
type Start struct {
	TaskGroupID string
	Name        string
	TaskID      string // "" for an action on the group
	Input       any    // plain values, as of JSON; nil for none
	// By says for people on whose behalf it is started, such as a login of a forge, when that is not
	// the caller itself. It is recorded and gives no rights.
	By string
	// Key makes a request that is sent twice start one action: the same caller with the same key, action
	// and input gets the same action task. "" makes a new one each time.
	Key string
}

// Started is an action task.
type Started struct {
	TaskID string      `json:"taskId"`
	Status task.Status `json:"status"`
}

// Start starts an action in the name of the caller and answers with the action task. A caller that lacks a
// right gets a fault.Forbidden that says which; a wrong input is a fault.Invalid that says all that is wrong;
// a group or an action that is not there is a fault.NotFound.
func (a *Actions) Start(ctx context.Context, caller auth.Caller, s Start) (Started, error) {
	if len(s.By) > 255 || len(s.Key) > 255 {
		return Started{}, fault.New(fault.Invalid, "Who asked, and the key, have at most 255 bytes each.")
	}
	g, err := a.read(ctx, s.TaskGroupID, s.TaskID)
	if err != nil {
		return Started{}, err
	}
	e, err := g.find(s.Name)
	if err != nil {
		return Started{}, err
	}
	if err := a.authorize(caller, g, e); err != nil {
		return Started{}, err
	}
	id, err := s.id(caller)
	if err != nil {
		return Started{}, err
	}
	defer a.starts.lock(id)()
	if status, err := a.Queue.Status(ctx, id); err == nil { // the same request again
		return Started{id, status}, nil
	} else if fault.KindOf(err) != fault.NotFound {
		return Started{}, err
	}
	rendered, err := g.listing.Render(e, action.Start{
		TaskGroupID: s.TaskGroupID, TaskID: s.TaskID, Definition: g.definition, Input: s.Input, OwnTaskID: id, Now: time.Now(), RootURL: a.RootURL,
	})
	if err != nil {
		return Started{}, fault.Wrap(fault.Invalid, err, "%s", sentence(err)) // an action.InputError says where
	}
	if e.Kind == action.Hook {
		err = a.trigger(ctx, caller, g, e, s, id, rendered)
	} else {
		err = a.create(ctx, g, id, rendered, startedBy(caller, s))
	}
	if err != nil {
		if status, other := a.Queue.Status(ctx, id); other == nil { // another replica was quicker
			return Started{id, status}, nil
		}
		return Started{}, err
	}
	a.Log.InfoContext(ctx, "an action was started", "action", s.Name, "group", s.TaskGroupID, "task", s.TaskID, "action_task", id, "client", caller.ClientID, "by", s.By)
	if err := a.audit(ctx, caller, s, id); err != nil {
		return Started{}, err
	}
	status, err := a.Queue.Status(ctx, id)
	return Started{id, status}, err
}

// authorize checks what judge tells beforehand.
func (a *Actions) authorize(caller auth.Caller, g *group, e action.Entry) error {
	if trust := e.Scope(); trust != "" && !g.scopes.Has(trust) {
		return fault.New(fault.Forbidden, "The decision task %s does not hold %s, so its list of actions does not count: it could have been forged to turn the rights of whoever starts an action to its own ends.", g.id, trust)
	}
	return scope.Check(caller.ClientID, caller.Anonymous(), caller.Scopes, needed(g, e))
}

// id is that of the action task.
func (s Start) id(caller auth.Caller) (string, error) {
	input, err := json.Marshal(s.Input)
	if err != nil {
		return "", fault.New(fault.Invalid, "The input cannot be written as JSON: %v", err)
	}
	if len(input) > maxInput {
		return "", fault.New(fault.TooLarge, "The input has %d bytes; %d are allowed.", len(input), maxInput)
	}
	if s.Key == "" {
		return slug.Nice(), nil
	}
	h := sha256.New()
	for _, part := range []string{"action", caller.ClientID, s.Key, s.By, s.TaskGroupID, s.TaskID, s.Name, string(input)} {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	var id [16]byte
	copy(id[:], h.Sum(nil))
	id[0] &= 0x7f // a command line does not take it for an option
	return slug.FromBytes(id), nil
}

// trigger fires the hook of an action.
func (a *Actions) trigger(ctx context.Context, caller auth.Caller, g *group, e action.Entry, s Start, id string, payload any) error {
	if err := a.ensure(ctx, g, []action.Entry{e}); err != nil {
		return err
	}
	if s.By != "" {
		if user, ok := member(payload, "user"); ok {
			user["by"] = s.By
		}
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("actions: payload of %s: %w", e.HookID, err)
	}
	fired, err := a.Hooks.Fire(ctx, hooks.Fire{
		Group: e.HookGroupID, ID: e.HookID, By: hooks.TriggerHook, ClientID: caller.ClientID, Payload: body, TaskID: id,
	})
	if err != nil {
		return err
	}
	if fired.Declined {
		return fault.New(fault.Invalid, "The hook of action %s makes no task of this: .taskcluster.yml asks for none when tasks_for is action.", s.Name)
	}
	return nil
}

// startedBy says for people who started an action.
func startedBy(caller auth.Caller, s Start) map[string]any {
	who := map[string]any{"clientId": caller.ClientID}
	if s.By != "" {
		who["by"] = s.By
	}
	return who
}

// create creates the task of an action of kind task, limited to the decision task's scopes.
func (a *Actions) create(ctx context.Context, g *group, id string, rendered any, who map[string]any) error {
	definition, ok := rendered.(map[string]any)
	if !ok {
		return fault.New(fault.Invalid, "The action task that .taskcluster.yml asks for is no task.")
	}
	delete(definition, "taskId") // a template may name it, as it does for decisions
	extra, ok := definition["extra"].(map[string]any)
	if !ok {
		extra = map[string]any{}
	}
	act, ok := extra["action"].(map[string]any)
	if !ok {
		act = map[string]any{}
	}
	act["startedBy"], extra["action"], definition["extra"] = who, act, extra
	b, err := json.Marshal(definition)
	if err != nil {
		return fmt.Errorf("actions: action task: %w", err)
	}
	t := queue.NewTask{ID: id}
	if err := json.Unmarshal(b, &t.Definition); err != nil {
		return fault.New(fault.Invalid, "The action task that .taskcluster.yml asks for is no task: %v", err)
	}
	if err := t.Prepare(); err != nil {
		return err
	}
	if err := g.scopes.Check("the decision task", false, scopes.Create(t.Definition)); err != nil {
		return err
	}
	_, err = a.Queue.Create(ctx, id, t.Definition)
	return err
}

// audit records who started what.
func (a *Actions) audit(ctx context.Context, caller auth.Caller, s Start, id string) error {
	err := pg.Tx(ctx, a.Pool, func(ctx context.Context, tx pgx.Tx) error {
		return auth.Audit(ctx, tx, auth.Record{EntityType: "action", EntityID: s.TaskGroupID + "/" + s.Name, ClientID: caller.ClientID, Action: "started " + id})
	})
	if err != nil {
		return fmt.Errorf("actions: audit %s: %w", id, err)
	}
	return nil
}

// member is an object inside an object.
func member(v any, key string) (map[string]any, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	m, ok = m[key].(map[string]any)
	return m, ok
}
