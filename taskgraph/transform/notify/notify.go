// Package notify makes tasks tell people about their end: the transform
// taskgraph.transforms.notify, once called release_notifications (taskgraph-map 11.8).
package notify

import (
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Transform returns the transform under one of its names.
func Transform(name string) transform.Transform {
	return transform.New(name, transform.Check(Shape()), notify)
}

// Shape is what the transform reads of an entry.
func Shape() schema.Type {
	text := schema.String()
	status := schema.Enum("on-completed", "on-defined", "on-exception", "on-failed", "on-pending", "on-resolved", "on-running")
	recipient := func(fields ...schema.Field) *schema.Object {
		return schema.Strict(append(fields, schema.Req("type", text), schema.Opt("status-type", status))...)
	}
	recipients := schema.Tagged("type", map[string]*schema.Object{
		"email":         recipient(schema.Req("address", schema.KeyedBy(text, "project", "level"))),
		"matrix-room":   recipient(schema.Req("room-id", text)),
		"pulse":         recipient(schema.Req("routing-key", text)),
		"slack-channel": recipient(schema.Req("channel-id", text)),
	})
	link := schema.Strict(schema.Req("text", text), schema.Req("href", text))
	list := schema.List(schema.Any())
	content := schema.Strict(
		schema.Opt("email", schema.Strict(schema.Opt("subject", text), schema.Opt("content", text), schema.Opt("link", link))),
		schema.Opt("matrix", schema.Strict(schema.Opt("body", text), schema.Opt("formatted-body", text), schema.Opt("format", text), schema.Opt("msg-type", text))),
		schema.Opt("slack", schema.Strict(schema.Opt("text", text), schema.Opt("blocks", list), schema.Opt("attachments", list))),
	)
	return schema.Open(
		schema.Opt("notify", schema.Strict(schema.Req("recipients", schema.List(recipients)), schema.Opt("content", content))),
		schema.Opt("notifications", schema.Strict(
			schema.Req("emails", schema.KeyedBy(schema.List(text), "project", "level")),
			schema.Req("subject", text), schema.Opt("message", text), schema.Opt("status-types", schema.List(status)),
		)),
	).Exclusive("notify", "notifications")
}

// routeKey is the key of a recipient that stands in its route.
func routeKey(kind string) string {
	return map[string]string{"email": "address", "matrix-room": "room-id", "pulse": "routing-key", "slack-channel": "channel-id"}[kind]
}

func notify(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	said := it.Map("notify")
	if old := it.Map("notifications"); old != nil {
		var err error
		if said, err = fromLegacy(c, it, old); err != nil {
			return err
		}
	}
	names := configNames(c, it)
	it.Delete("notifications")
	it.Delete("notify")
	if len(said) == 0 {
		emit(it)
		return nil
	}
	it.Default("routes", []any{})
	for _, r := range value.List(said, "recipients") {
		if err := route(c, it, r.(map[string]any), names); err != nil {
			return err
		}
	}
	if content := value.Map(said, "content"); content != nil {
		formatted, err := format(content, names)
		if err != nil {
			return it.Errorf("notify.content", "%v", err)
		}
		it.Own("extra")["notify"] = wireContent(formatted)
	}
	emit(it)
	return nil
}

// configNames are the names for format strings: task is the task, config what transforms know.
func configNames(c *transform.Config, it *transform.Item) value.Names {
	task := map[string]any{}
	for key, v := range it.Values() {
		if key != "notify" && key != "notifications" {
			task[key] = v
		}
	}
	return value.NameMap{
		"task": task,
		"config": map[string]any{
			"kind": c.Kind, "path": c.Dir, "config": c.KindConfig, "params": map[string]any(c.Names), "graph_config": c.Graph.Values,
		},
	}
}

func (resolution) names(c *transform.Config) value.NameMap {
	return value.NameMap{"level": c.Level(), "project": c.Params.String("project")}
}

// resolution resolves the choices of addresses, by level and project.
type resolution struct{}

func (r resolution) of(c *transform.Config, it *transform.Item, v any, what string) (any, error) {
	v, err := c.Graph.Resolver().Evaluate(v, "`"+what+"`", r.names(c), keyedby.Options{})
	if err != nil {
		return nil, it.Errorf("", "%v", err)
	}
	return v, nil
}

// fromLegacy turns the older form into the newer.
func fromLegacy(c *transform.Config, it *transform.Item, old map[string]any) (map[string]any, error) {
	v, err := resolution{}.of(c, it, old["emails"], "emails")
	if err != nil {
		return nil, err
	}
	emails, ok := v.([]any)
	if !ok {
		return nil, it.Errorf("notifications.emails", "must be a list of addresses, not %s", value.Kind(v))
	}
	status := value.List(old, "status-types")
	if status == nil {
		status = []any{"on-completed"}
	}
	var recipients []any
	for _, address := range emails {
		for _, s := range status {
			recipients = append(recipients, map[string]any{"type": "email", "address": address, "status-type": s})
		}
	}
	message := old["message"]
	if message == nil {
		message = old["subject"]
	}
	return map[string]any{
		"recipients": recipients,
		"content":    map[string]any{"email": map[string]any{"subject": old["subject"], "content": message}},
	}, nil
}

func route(c *transform.Config, it *transform.Item, recipient map[string]any, names value.Names) error {
	r, err := format(recipient, names)
	if err != nil {
		return it.Errorf("notify.recipients", "%v", err)
	}
	kind := value.String(r, "type")
	key := routeKey(kind)
	address, err := resolution{}.of(c, it, r[key], key)
	if err != nil {
		return err
	}
	text, ok := address.(string)
	if !ok {
		return it.Errorf("notify.recipients", "%s must be a string, not %s", key, value.Kind(address))
	}
	status := value.String(r, "status-type")
	if status == "" {
		status = "on-completed"
	}
	it.Append("routes", "notify."+kind+"."+text+"."+status)
	return nil
}

// format formats the strings in mappings inside each other; lists stay as they are.
func format(m map[string]any, names value.Names) (map[string]any, error) {
	out := make(map[string]any, len(m))
	for key, v := range m {
		var err error
		switch v := v.(type) {
		case string:
			out[key], err = value.Format(v, names)
		case map[string]any:
			out[key], err = format(v, names)
		default:
			out[key] = v
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// wireContent names the content as the notify service does: formatted-body of matrix becomes
// matrixFormattedBody.
func wireContent(content map[string]any) map[string]any {
	out := map[string]any{}
	for kind, v := range content {
		if kind == "email" {
			out[kind] = v
			continue
		}
		m, _ := v.(map[string]any)
		for key, v := range m {
			name := kind
			for part := range strings.SplitSeq(key, "-") {
				if part != "" {
					name += strings.ToUpper(part[:1]) + part[1:]
				}
			}
			out[name] = v
		}
	}
	return out
}
