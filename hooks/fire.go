package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/hooks/payload"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/templates/jsone"
)

// Fire is a call for a hook's task.
type Fire struct {
	Group, ID string
	By        FiredBy
	ClientID  string          // who calls, for TriggerHook
	Payload   json.RawMessage // an object that fits the triggerSchema; nil is {}
	TaskID    string          // of the task; "" takes the payload's taskId, or invents one
}

// Fired is what came of it.
type Fired struct {
	TaskID   string
	Declined bool // the template wants no task for this payload
}

// Fire creates a hook's task. That the caller may is for the door to check. Errors: fault.NotFound for no
// such hook; fault.Forbidden when the hook's role lacks scopes that the task needs; fault.Invalid for a
// payload that does not fit, a template that cannot be rendered, and what the queue refuses.
func (h *Hooks) Fire(ctx context.Context, f Fire) (Fired, error) {
	r, err := h.get(ctx, f.Group, f.ID)
	if err != nil {
		return Fired{}, err
	}
	if len(f.Payload) == 0 {
		f.Payload = json.RawMessage("{}")
	}
	if err := fits(&r.Hook, f.Payload); err != nil {
		return Fired{}, err
	}
	if f.TaskID == "" {
		if f.TaskID, err = payloadID(f.Payload); err != nil {
			return Fired{}, err
		}
	}
	a := attempt{by: f.By, taskID: f.TaskID, now: r.now, payload: f.Payload, clientID: f.ClientID}
	declined, err := h.attempt(ctx, &r.Hook, a)
	if err != nil {
		if lost := h.record(ctx, &r.Hook, a, err); lost != nil {
			h.Log.ErrorContext(ctx, "a failed fire is not in the hook's list", "hook", r.Name(), "err", lost)
		}
		return Fired{}, err
	}
	if declined {
		return Fired{Declined: true}, nil
	}
	return Fired{TaskID: a.taskID}, h.record(ctx, &r.Hook, a, nil)
}

// fits holds a payload against the hook's schema.
func fits(hook *Hook, body json.RawMessage) error {
	schema, err := payload.Compile(hook.TriggerSchema)
	if err != nil {
		return err
	}
	return schema.Validate(body)
}

// payloadID is the task id that the payload asks for, as callers that must know it beforehand do; else
// a new one.
func payloadID(body json.RawMessage) (string, error) {
	var in struct {
		TaskID json.RawMessage `json:"taskId"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "", fault.New(fault.Invalid, "The payload must be a JSON object.")
	}
	if in.TaskID == nil {
		return slug.Nice(), nil
	}
	var id string
	if json.Unmarshal(in.TaskID, &id) != nil || !slug.Valid(id) {
		return "", fault.New(fault.Invalid, "The payload's taskId %.100s is no slugid; leave it out to have one made.", in.TaskID)
	}
	return id, nil
}

// attempt is one try to create a hook's task.
type attempt struct {
	by        FiredBy
	taskID    string
	now       time.Time
	payload   json.RawMessage
	clientID  string
	scheduled *time.Time
	missed    int
	own       bool // nobody else can have made a task with this id: one that is there is of an earlier try
}

// attempt renders the template and creates the task.
func (h *Hooks) attempt(ctx context.Context, hook *Hook, a attempt) (declined bool, err error) {
	began := time.Now()
	definition, err := render(hook, a)
	declined = err == nil && definition == nil
	if err == nil && !declined {
		err = h.Deps.Create(ctx, Creation{
			TaskID: a.taskID, Definition: definition, Scopes: []string{"assume:" + hook.Role()}, Role: hook.Role(),
		})
		if a.own && errors.Is(err, fault.Conflict) {
			err = nil
		}
		err = refusal(hook, err)
	}
	result := "success"
	switch {
	case declined:
		result = "declined"
	case err != nil:
		result = "error"
	}
	log := h.Log.With("hook", hook.Name(), "by", a.by, "task", a.taskID, "result", result, "took", time.Since(began).Round(time.Millisecond))
	if err != nil {
		log = log.With("err", err)
	}
	log.InfoContext(ctx, "hook fired")
	return declined, err
}

// limits of a render: a template may loop over what a payload brings, within reason.
var limits = jsone.Limits{Steps: 2_000_000, Output: 16 << 20, Depth: 500}

// render returns the task definition that the template makes, completed with the defaults of hooks; nil
// when the template declines.
func render(hook *Hook, a attempt) (json.RawMessage, error) {
	template, err := jsone.DecodeJSON(hook.Task)
	if err != nil {
		return nil, templateError(err)
	}
	now := task.At(a.now)
	vars := map[string]any{"firedBy": string(a.by), "taskId": a.taskID, "now": now.String()}
	if a.by != Schedule {
		if vars["payload"], err = jsone.DecodeJSON(a.payload); err != nil {
			return nil, templateError(err)
		}
	}
	if a.by == TriggerHook {
		vars["clientId"] = a.clientID
	}
	result, err := jsone.Render(template, vars, jsone.Options{Now: now.Time, Limits: limits})
	if err != nil {
		return nil, templateError(err)
	}
	if result == nil {
		return nil, nil
	}
	definition, ok := result.(*jsone.Object)
	if !ok {
		return nil, fault.New(fault.Invalid, "The hook's template makes something that is no task: it must make an object, or null for no task.")
	}
	if err := setDefaults(definition, a.taskID, now); err != nil {
		return nil, err
	}
	return jsone.AppendJSON(nil, definition), nil
}

// setDefaults fills what a hook's template may leave out: a hook's task is the first of a group of its own.
func setDefaults(definition *jsone.Object, taskID string, now task.Time) error {
	created := now.Time
	if v, ok := definition.Get("created"); ok {
		text, _ := v.(string)
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return fault.New(fault.Invalid, "The task's created %.100v is no time; leave it out.", v)
		}
		created = at
	} else {
		definition.Set("created", now.String())
	}
	for _, d := range []struct {
		key   string
		value string
	}{
		{"deadline", task.At(created.AddDate(0, 0, 1)).String()},
		{"expires", task.At(created.AddDate(0, 1, 0)).String()},
		{"taskGroupId", taskID},
	} {
		if _, ok := definition.Get(d.key); !ok {
			definition.Set(d.key, d.value)
		}
	}
	return nil
}

func templateError(err error) error {
	text := err.Error()
	if e, ok := errors.AsType[*jsone.Error](err); ok && e.Where() != "" {
		text += " (at " + e.Where() + ")"
	}
	return fault.New(fault.Invalid, "The hook's template cannot be rendered: %s", clip(text, 4000))
}

// code is the name that errors of the queue have for callers (taskcluster-map 3.3).
func code(kind fault.Kind) string {
	switch kind {
	case fault.Invalid:
		return "InputError"
	case fault.BadInput:
		return "InputValidationError"
	case fault.Malformed:
		return "MalformedPayload"
	case fault.BadArguments:
		return "InvalidRequestArguments"
	case fault.NotFound:
		return "ResourceNotFound"
	case fault.Conflict:
		return "RequestConflict"
	case fault.Gone:
		return "ResourceExpired"
	case fault.TooLarge:
		return "InputTooLarge"
	}
	return "InternalServerError"
}

// refusal says for the hook's callers why the queue did not create the task (taskcluster-map 7). What
// may pass by itself stays what it is.
func refusal(hook *Hook, err error) error {
	switch kind := fault.KindOf(err); {
	case err == nil || transient(err):
		return err
	case kind == fault.Forbidden:
		return fault.Wrap(fault.Forbidden, err, "The role `%s` does not have sufficient scopes to create the task:\n\n%s", hook.Role(), fault.Message(err))
	default:
		return fault.Wrap(fault.Invalid, err, "The queue refuses the task: createTask failed with %s:\n\n%s", code(kind), fault.Message(err))
	}
}

// transient tells errors that may pass without a change of the hook.
func transient(err error) bool {
	kind := fault.KindOf(err)
	return kind == fault.Internal || kind == fault.Unavailable || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// saveTime is how long a fire's outcome may take to be written when the caller has gone.
const saveTime = 10 * time.Second

// record writes down what became of a fire that somebody called for.
func (h *Hooks) record(ctx context.Context, hook *Hook, a attempt, outcome error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	err := pg.Tx(ctx, h.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := recordIn(ctx, tx, hook, a, outcome); err != nil || outcome != nil {
			return err
		}
		return h.succeeded(ctx, tx, hook)
	})
	if err != nil {
		return failed("record a fire of "+hook.Name(), err)
	}
	return nil
}

// maxError is the most bytes of an error's text that is kept.
const maxError = 64 << 10

func recordIn(ctx context.Context, tx pgx.Tx, hook *Hook, a attempt, outcome error) error {
	tag, err := tx.Exec(ctx, recordSQL.Text, hook.Group, hook.ID, a.taskID, string(a.by), a.scheduled, a.missed, explained(outcome))
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	body, err := json.Marshal(map[string]any{"hookGroupId": hook.Group, "hookId": hook.ID, "taskId": a.taskID, "failed": outcome != nil})
	if err != nil {
		return err
	}
	return event.Append(ctx, tx, event.Event{Kind: hookFired, Topic: hook.Name(), Payload: body})
}

// explained is an error's text for the hook's page; "" without one.
func explained(err error) string {
	if err == nil {
		return ""
	}
	return clip(fault.Message(err), maxError)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// recordSQL writes nothing for a hook that was removed meanwhile.
var recordSQL = pg.Statement{Name: "hooks.record", Text: `
INSERT INTO hook_fires AS old (hook_group_id, hook_id, task_id, fired_by, scheduled, missed, error)
SELECT hook_group_id, hook_id, $3, $4, $5, $6, $7 FROM hook_definitions WHERE hook_group_id = $1 AND hook_id = $2
ON CONFLICT (hook_group_id, hook_id, task_id) DO UPDATE
SET fired_by = excluded.fired_by, fired = now(), scheduled = excluded.scheduled, missed = excluded.missed, error = excluded.error
WHERE old.error <> ''`}
