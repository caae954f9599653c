package action

import (
	"context"
	"maps"
	"regexp"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// genericWorker is the implementation whose tasks have mounts in place of caches, and artifacts in a list.
const genericWorker = "generic-worker"

// createInteractive is the action of that name, for tasks whose workers offer shells. At level 3 it is for tests only:
// other tasks are made to be trusted.
func (s *settings) createInteractive(p *params.Parameters) Definition {
	var sets []any
	for _, worker := range []map[string]any{
		{"worker-implementation": "docker-worker"},
		{"worker-implementation": genericWorker, "os": "linux"},
		{"worker-implementation": genericWorker, "os": "macosx"},
	} {
		if p == nil || p.String("level") != "3" {
			sets = append(sets, worker)
			continue
		}
		for _, kind := range kinds(s.interactive) {
			sets = append(sets, with(worker, "kind", kind))
		}
	}
	schema := object("notify", map[string]any{"type": "string", "format": "email", "title": "Who to notify",
		"description": "An e-mail address that is told when the task waits for a worker; without one nobody is."})
	schema["additionalProperties"] = false
	return Definition{
		Name: "create-interactive", Callback: "create-interactive", Title: "Create Interactive Task", Symbol: "create-inter", Order: 50,
		Permission: "generic", Description: "Create a copy of the task with a shell in it. It keeps its rights only as far as the tree allows.",
		Context: sets, Schema: schema, needs: graphOnly, run: s.interact,
	}
}

// interact makes the task in the group of the action, so that the push is not judged by it.
func (s *settings) interact(ctx context.Context, r *run) error {
	label := r.label()
	if !r.Push.Full.Has(label) {
		return unknownLabel(r.Push, label)
	}
	o := order{push: r.Push, labels: []string{label}, group: r.ActionTaskID, modify: func(t *graph.Task) (*graph.Task, error) {
		if t.Label != label {
			return t, nil
		}
		return s.shell(r, t)
	}}
	if _, err := r.create(ctx, o); err != nil {
		return err
	}
	r.say("created an interactive copy of %s", label)
	return nil
}

// minRunTime is how long an interactive task may run at least, in seconds.
const minRunTime = 3 * 60 * 60

// shell is the task with a shell: short-lived, not indexed, without caches and artifacts that
// others read, and with those of its scopes that the tree's patterns let through.
func (s *settings) shell(r *run, t *graph.Task) (*graph.Task, error) {
	t = t.Clone()
	d := t.Definition
	routes := []any{}
	if address := value.String(r.input, "notify"); address != "" {
		routes = append(routes, "notify.email."+address+".on-pending")
	}
	d["routes"], d["retries"] = routes, int64(0)
	d["created"] = map[string]any{"relative-datestamp": "0 seconds"}
	d["deadline"] = map[string]any{"relative-datestamp": "12 hours"}
	d["expires"] = map[string]any{"relative-datestamp": "1 day"}
	allowed, err := allowedScopes(s.scopes(), value.List(d, "scopes"))
	if err != nil {
		return nil, err
	}
	d["scopes"] = allowed
	payload := maps.Clone(value.Map(d, "payload"))
	if payload == nil {
		payload = map[string]any{}
	}
	if n, ok := payload["maxRunTime"].(int64); !ok || n < minRunTime {
		payload["maxRunTime"] = int64(minRunTime)
	}
	if value.String(value.Map(d, "tags"), "worker-implementation") == genericWorker {
		payload["artifacts"], payload["mounts"] = []any{}, uncached(value.List(payload, "mounts"))
	} else {
		payload["cache"], payload["artifacts"] = map[string]any{}, map[string]any{}
	}
	payload["features"] = with(value.Map(payload, "features"), "interactive", true)
	payload["env"] = with(value.Map(payload, "env"), "TASKCLUSTER_INTERACTIVE", "true")
	d["payload"] = payload
	return t, nil
}

// uncached are the mounts without caches; what is put into a cache from elsewhere stays.
func uncached(mounts []any) []any {
	out := []any{}
	for _, m := range mounts {
		if mount, _ := m.(map[string]any); mount["cacheName"] != nil {
			if mount["content"] == nil {
				continue
			}
			mount = maps.Clone(mount)
			delete(mount, "cacheName")
			m = mount
		}
		out = append(out, m)
	}
	return out
}

// allowedScopes are those that one of the patterns matches from the start.
func allowedScopes(patterns []string, scopes []any) ([]any, error) {
	out := []any{}
	for _, v := range scopes {
		s, _ := v.(string)
		for _, pattern := range patterns {
			re, err := regexp.Compile(`\A(?:` + pattern + `)`)
			if err != nil {
				return nil, err
			}
			if re.MatchString(s) {
				out = append(out, s)
				break
			}
		}
	}
	return out, nil
}

// with is a copy of m with one more entry.
func with(m map[string]any, key string, v any) map[string]any {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]any{}
	}
	out[key] = v
	return out
}
