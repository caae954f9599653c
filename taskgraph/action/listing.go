package action

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/templates/jsone"
)

// Listing is an actions.json as somebody reads it who wants to start an action (taskcluster-map 15.5).
type Listing struct {
	Version   int            `json:"version"`
	Variables map[string]any `json:"variables"`
	Actions   []Entry        `json:"actions"`
}

// Entry is one action of a Listing.
type Entry struct {
	Name        string         `json:"name"`
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Kind        Kind           `json:"kind"`
	Context     []any          `json:"context"`
	Schema      map[string]any `json:"schema"`
	Extra       struct {
		Permission string `json:"actionPerm"`
	} `json:"extra"`

	HookGroupID string `json:"hookGroupId"`
	HookID      string `json:"hookId"`
	HookPayload any    `json:"hookPayload"`
	Task        any    `json:"task"`
}

// ParseListing reads an actions.json.
func ParseListing(src []byte) (*Listing, error) {
	var l Listing
	if err := json.Unmarshal(src, &l); err != nil {
		return nil, fmt.Errorf("actions.json: %w", err)
	}
	if l.Version != 1 {
		return nil, fmt.Errorf("actions.json: version %d is not known; version 1 is", l.Version)
	}
	return &l, nil
}

// Find gives the action of that name for a task with these tags, or with nil tags for a group: the
// first that fits counts.
func (l *Listing) Find(name string, tags map[string]string) (Entry, error) {
	var there []string
	for _, e := range l.Actions {
		if tags == nil && len(e.Context) > 0 || tags != nil && !Matches(e.Context, tags) {
			continue
		}
		if e.Name == name {
			return e, nil
		}
		there = append(there, e.Name)
	}
	return Entry{}, fmt.Errorf("there is no action %q for this (there are %s)", name, strings.Join(there, ", "))
}

// Scope is what the decision task must hold for a hook to be triggered in its name: without that
// check a forged actions.json could turn the rights of whoever starts the action to its own ends.
// It is "" for an action of kind task.
func (e Entry) Scope() string {
	if e.Kind != Hook {
		return ""
	}
	return "in-tree:hook-action:" + e.HookGroupID + "/" + e.HookID
}

// Start is what somebody chose.
type Start struct {
	TaskGroupID string
	TaskID      string         // "" for an action on the group
	Definition  map[string]any // of TaskID
	Input       any
	OwnTaskID   string // for kind task: the id that the action task will have
	Now         time.Time
	RootURL     string
}

// Render fills the template of an entry in: the payload for its hook, or the definition of the task to
// create. The input is checked against the schema first.
func (l *Listing) Render(e Entry, s Start) (any, error) {
	input, err := e.input(s.Input)
	if err != nil {
		return nil, err
	}
	names := map[string]any{}
	for name, v := range l.Variables {
		names[name] = v
	}
	names["taskGroupId"], names["taskId"], names["input"] = s.TaskGroupID, nil, input
	if s.TaskID != "" {
		names["taskId"] = s.TaskID
	}
	template := e.HookPayload
	switch e.Kind {
	case Hook:
	case Task:
		template = e.Task
		names["task"], names["ownTaskId"], names["taskcluster_root_url"] = nil, s.OwnTaskID, s.RootURL
		if s.Definition != nil {
			names["task"] = s.Definition
		}
	default:
		return nil, fmt.Errorf("action %s: the kind %q is not known", e.Name, e.Kind)
	}
	context, err := numbers(names)
	if err != nil {
		return nil, err
	}
	out, err := jsone.Render(template, context, jsone.Options{Now: s.Now})
	if err != nil {
		return nil, fmt.Errorf("action %s: %w", e.Name, err)
	}
	return plain(jsone.Plain(out)), nil
}

func (e Entry) input(v any) (any, error) {
	d := Definition{Callback: e.Name, Schema: e.Schema}
	in, err := d.CheckInput(v)
	if err != nil || e.Schema != nil {
		return in, err
	}
	return nil, nil
}

// numbers gives v the form of JSON-e's data, whose numbers are all float64.
func numbers(v any) (map[string]any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, errors.Join(json.Unmarshal(b, &out))
}
