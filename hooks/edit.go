package hooks

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/hooks/payload"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
)

// Version names a definition: another one has another name. It is for people who edit what others may edit too.
func (h *Hook) Version() string {
	plain := *h
	for _, text := range []*json.RawMessage{&plain.Task, &plain.TriggerSchema} {
		var v any
		if json.Unmarshal(*text, &v) == nil {
			if compact, err := json.Marshal(v); err == nil {
				*text = compact
			}
		}
	}
	if plain.Schedule == nil {
		plain.Schedule = []string{}
	}
	if plain.Bindings == nil {
		plain.Bindings = []Binding{}
	}
	body, err := json.Marshal(plain)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(body)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// Replace is Update for a definition that was made from one of a version: if the hook has become another since, that
// is a fault.Conflict and nothing changes.
func (h *Hooks) Replace(ctx context.Context, actor string, hook Hook, seen string) (Hook, error) {
	err := h.change(ctx, actor, false, &hook, func(old *Hook) (string, error) {
		switch {
		case old == nil:
			return "", notFound(hook.Group, hook.ID)
		case old.Version() != seen:
			return "", fault.New(fault.Conflict, "The hook %s was changed by somebody else meanwhile.", hook.Name())
		case equal(*old, hook):
			return "", nil
		}
		return hookUpdated, nil
	})
	return hook, err
}

// Check fills the defaults of a definition and says what is wrong with it, without writing anything. It returns when
// the hook would fire next after now; zero without a schedule.
func (h *Hooks) Check(hook *Hook, now time.Time) (next time.Time, err error) {
	return h.complete(hook, now)
}

// Preview renders a hook's template as a fire at a time would, without firing; nil when the template declines. The
// payload must fit the triggerSchema, unless the schedule fires.
func Preview(hook Hook, by FiredBy, body json.RawMessage, clientID string, now time.Time) (json.RawMessage, error) {
	if len(hook.TriggerSchema) == 0 {
		hook.TriggerSchema = json.RawMessage(noPayload)
	}
	if len(body) == 0 {
		body = json.RawMessage("{}")
	}
	if by != Schedule {
		if err := fits(&hook, body); err != nil {
			return nil, err
		}
	}
	return render(&hook, attempt{by: by, taskID: slug.Nice(), now: now, payload: body, clientID: clientID})
}

// Judge says whether a message would fire a hook of these bindings and triggerSchema, and why not; concerned is false
// for a message of an exchange that no binding names.
func Judge(bindings []Binding, triggerSchema json.RawMessage, m Message) (fires, concerned bool, reason string) {
	for _, b := range bindings {
		if b.Exchange != m.Exchange {
			continue
		}
		concerned = true
		for _, key := range m.Keys {
			if !matches(b.RoutingKeyPattern, key) {
				continue
			}
			if len(triggerSchema) == 0 {
				triggerSchema = json.RawMessage(noPayload)
			}
			schema, err := payload.Compile(triggerSchema)
			if err == nil {
				err = schema.Validate(m.Payload)
			}
			if err != nil {
				return false, true, "the payload does not fit the triggerSchema: " + clip(fault.Message(err), 500)
			}
			return true, true, "its routing key fits " + b.RoutingKeyPattern
		}
		reason = fmt.Sprintf("its routing key does not fit %s", b.RoutingKeyPattern)
	}
	if !concerned {
		reason = "no binding names its exchange"
	}
	return false, concerned, reason
}
