package hooks

import (
	"encoding/json"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/treeline-ci/treeline/hooks/cron"
	"github.com/treeline-ci/treeline/hooks/payload"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/templates/jsone"
)

// Limits of a hook.
const (
	MaxID       = 1000    // characters of a group's or hook's id
	MaxTemplate = 2 << 20 // bytes of the task template
	MaxSchema   = 256 << 10
	MaxSchedule = 100 // expressions
	MaxBindings = 100

	maxName        = 255
	maxDescription = 32768
)

var (
	groupGrammar = regexp.MustCompile(`^[a-zA-Z0-9_-]*$`)
	idGrammar    = regexp.MustCompile(`^[a-zA-Z0-9_/-]*$`)
)

// noPayload is the schema of a hook that has none: it takes the empty object only.
const noPayload = `{"additionalProperties":false,"type":"object"}`

// denied are the exchanges that would make hooks fire because of hooks, and one of old that has nothing.
var denied = []*regexp.Regexp{
	regexp.MustCompile(`^exchange/[^/]*-hooks/`), regexp.MustCompile(`/v1/task-created$`),
}

// complete fills the defaults of a definition and checks it. It returns its next date after now, zero
// when there is none.
func (h *Hooks) complete(hook *Hook, now time.Time) (time.Time, error) {
	if hook.Schedule == nil {
		hook.Schedule = []string{}
	}
	if hook.Bindings == nil {
		hook.Bindings = []Binding{}
	}
	if len(hook.TriggerSchema) == 0 {
		hook.TriggerSchema = json.RawMessage(noPayload)
	}
	for _, check := range []func(*Hook) error{checkNames, checkMetadata, h.checkBindings, checkTemplate} {
		if err := check(hook); err != nil {
			return time.Time{}, err
		}
	}
	schedule, err := parseSchedule(hook.Schedule)
	if err != nil {
		return time.Time{}, err
	}
	if len(hook.TriggerSchema) > MaxSchema {
		return time.Time{}, fault.New(fault.TooLarge, "The triggerSchema has %d bytes, more than the %d allowed.", len(hook.TriggerSchema), MaxSchema)
	}
	if _, err := payload.Compile(hook.TriggerSchema); err != nil {
		return time.Time{}, err
	}
	next := cron.First(schedule, now)
	if next.IsZero() && len(schedule) > 0 {
		return time.Time{}, fault.New(fault.Invalid, "The schedule %q never comes true.", hook.Schedule)
	}
	return next, nil
}

func checkNames(hook *Hook) error {
	switch {
	case hook.Group == "" || utf8.RuneCountInString(hook.Group) > MaxID || !groupGrammar.MatchString(hook.Group):
		return fault.New(fault.Invalid, "The hookGroupId %.100q must be 1 to %d of a-zA-Z0-9-_.", hook.Group, MaxID)
	case hook.ID == "" || utf8.RuneCountInString(hook.ID) > MaxID || !idGrammar.MatchString(hook.ID):
		return fault.New(fault.Invalid, "The hookId %.100q must be 1 to %d of a-zA-Z0-9-_/.", hook.ID, MaxID)
	}
	return nil
}

func checkMetadata(hook *Hook) error {
	m := hook.Metadata
	switch address, err := mail.ParseAddress(m.Owner); {
	case err != nil || address.Address != m.Owner || len(m.Owner) > maxName:
		return fault.New(fault.Invalid, "The owner %.100q of the hook must be an e-mail address.", m.Owner)
	case utf8.RuneCountInString(m.Name) > maxName:
		return fault.New(fault.Invalid, "The name of the hook is longer than %d characters.", maxName)
	case utf8.RuneCountInString(m.Description) > maxDescription:
		return fault.New(fault.Invalid, "The description of the hook is longer than %d characters.", maxDescription)
	}
	return nil
}

// checkBindings refuses what RabbitMQ would not take, and the exchanges that hooks must not listen to.
func (h *Hooks) checkBindings(hook *Hook) error {
	if len(hook.Bindings) > MaxBindings {
		return fault.New(fault.Invalid, "The hook has %d bindings, more than the %d allowed.", len(hook.Bindings), MaxBindings)
	}
	for i, b := range hook.Bindings {
		isDenied := func(r *regexp.Regexp) bool { return r.MatchString(b.Exchange) }
		switch {
		case b.Exchange == "" || len(b.Exchange) > 255 || b.RoutingKeyPattern == "" || len(b.RoutingKeyPattern) > 255:
			return fault.New(fault.Invalid, "The exchange and the routingKeyPattern of a binding must have 1 to 255 characters.")
		case strings.ContainsFunc(b.Exchange+b.RoutingKeyPattern, func(r rune) bool { return r < ' ' || r == utf8.RuneError }):
			return fault.New(fault.Invalid, "The binding to %q has a character that no exchange or routing key can have.", b.Exchange)
		case slices.ContainsFunc(denied, isDenied) || slices.ContainsFunc(h.Denied, isDenied):
			return fault.New(fault.Invalid, "Hooks must not be bound to the exchange %s: it is denied.", b.Exchange)
		case slices.Contains(hook.Bindings[:i], b):
			return fault.New(fault.Invalid, "The binding to %s by %s is there twice.", b.Exchange, b.RoutingKeyPattern)
		}
	}
	return nil
}

func checkTemplate(hook *Hook) error {
	if len(hook.Task) > MaxTemplate {
		return fault.New(fault.TooLarge, "The task template has %d bytes, more than the %d allowed.", len(hook.Task), MaxTemplate)
	}
	v, err := jsone.DecodeJSON(hook.Task)
	if err != nil {
		return fault.New(fault.Invalid, "The task template cannot be read: %v.", err)
	}
	if _, ok := v.(*jsone.Object); !ok {
		return fault.New(fault.Invalid, "The task template must be an object.")
	}
	if _, err := jsone.Compile(v); err != nil {
		return fault.New(fault.Invalid, "The task template cannot be used: %v.", err)
	}
	return nil
}

func parseSchedule(list []string) ([]*cron.Schedule, error) {
	if len(list) > MaxSchedule {
		return nil, fault.New(fault.Invalid, "The schedule has %d expressions, more than the %d allowed.", len(list), MaxSchedule)
	}
	schedules := make([]*cron.Schedule, len(list))
	for i, text := range list {
		s, err := cron.Parse(text)
		if err != nil {
			return nil, fault.New(fault.Invalid, "The schedule cannot be used: %v.", err)
		}
		if slices.Contains(list[:i], text) {
			return nil, fault.New(fault.Invalid, "The schedule has %q twice.", text)
		}
		schedules[i] = s
	}
	return schedules, nil
}

// equal tells whether two complete definitions mean the same.
func equal(a, b Hook) bool {
	return a.Group == b.Group && a.ID == b.ID && a.Metadata == b.Metadata && slices.Equal(a.Schedule, b.Schedule) &&
		slices.Equal(a.Bindings, b.Bindings) && task.SameJSON(a.Task, b.Task) && task.SameJSON(a.TriggerSchema, b.TriggerSchema)
}
