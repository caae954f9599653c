// Package news makes messages of what happens to tasks: which routes of a task ask for one
// (taskcluster-map 9), and what it says. It is pure: no clock, no network, no database.
package news

import (
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/notify/message"
	"github.com/treeline-ci/treeline/task"
)

// Prefix is what routes begin with that ask for notifications.
const Prefix = "notify."

// Route asks for a notification.
type Route struct {
	Channel, Address string
	On               string // defined, pending, running, completed, failed, exception, transition, resolved or any
}

// kinds are the events of tasks that can be asked for, by the kinds of the feed.
var kinds = map[string]string{
	"task-defined": "defined", "task-pending": "pending", "task-running": "running",
	"task-completed": "completed", "task-failed": "failed", "task-exception": "exception",
}

// Kinds lists the kinds of events that can be asked for.
func Kinds() []string {
	return []string{"task-defined", "task-pending", "task-running", "task-completed", "task-failed", "task-exception"}
}

// Event is the name of an event in routes; "" when routes cannot ask for it.
func Event(kind string) string { return kinds[kind] }

// ParseRoute reads notify.<channel>.<address>.on-<event>, where the address may have dots. It returns
// false for routes that do not ask for notifications, and an error for those that mean to and never would.
func ParseRoute(text string) (r Route, ok bool, err error) {
	rest, ok := strings.CutPrefix(text, Prefix)
	if !ok {
		return r, false, nil
	}
	last := strings.LastIndexByte(rest, '.')
	channel, address, found := strings.Cut(rest[:max(last, 0)], ".")
	on, isOn := strings.CutPrefix(rest[last+1:], "on-")
	r = Route{Channel: channel, Address: address, On: on}
	switch {
	case !found || address == "" || !isOn:
		return r, false, fmt.Errorf("the route %q tells nobody: it must be notify.<channel>.<address>.on-<event>", text)
	case !slices.Contains(message.Channels(), channel):
		return r, false, fmt.Errorf("the route %q tells nobody: there is no channel %q, but %s", text, channel, strings.Join(message.Channels(), ", "))
	case !slices.Contains([]string{"defined", "pending", "running", "completed", "failed", "exception", "transition", "resolved", "any"}, on):
		return r, false, fmt.Errorf("the route %q tells nobody: there is no event %q, but defined, pending, running, completed, failed, exception, transition and resolved", text, on)
	}
	return r, true, nil
}

// Wants reports whether the route asks for an event after which the task has a state. A run that ended as
// exception and is tried again has not resolved its task: only transition hears of it.
func (r Route) Wants(event string, state task.State) bool {
	resolved := slices.Contains([]string{"completed", "failed", "exception"}, event) && string(state) == event
	switch r.On {
	case "transition":
		return true
	case "resolved", "any":
		return resolved
	case "completed", "failed", "exception":
		return resolved && r.On == event
	default:
		return r.On == event
	}
}

// Silent reports whether nobody is told, because people or the calendar ended the task.
func Silent(event string, run *task.Run) bool {
	return event == "exception" && run != nil && (run.ReasonResolved == task.ReasonCanceled || run.ReasonResolved == task.ReasonDeadlineExceeded)
}
