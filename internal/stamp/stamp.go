// Package stamp puts the ids of what is being done on every line that is logged meanwhile: the request, the task, the
// push. They travel in the context, so that a line of a room that knows nothing of HTTP or of pushes has them too.
package stamp

import (
	"context"
	"log/slog"
)

// The keys by which lines of the log are found. docs/operations/monitor.md tells of them.
const (
	Request = "request" // one call, or one page: what X-For-Request-Id said to the caller
	Trace   = "trace"   // what several calls have in common: X-Taskcluster-Trace-Id
	Task    = "task"
	Run     = "run"
	Group   = "group"
	Push    = "push"     // in the record of pushes, as repository/id
	Webhook = "delivery" // a webhook, as GitHub counts them
	Chore   = "chore"    // a round of something that is done now and then
)

type key struct{}

// With returns a context whose lines have the id; a later one of the same name counts. An empty value changes nothing.
func With(ctx context.Context, name, value string) context.Context {
	if value == "" {
		return ctx
	}
	had, _ := ctx.Value(key{}).([]slog.Attr)
	list := make([]slog.Attr, 0, len(had)+1)
	for _, a := range had {
		if a.Key != name {
			list = append(list, a)
		}
	}
	return context.WithValue(ctx, key{}, append(list, slog.String(name, value)))
}

// Of returns the ids of a context, oldest first. They must not be changed.
func Of(ctx context.Context) []slog.Attr {
	list, _ := ctx.Value(key{}).([]slog.Attr)
	return list
}

// Bare returns a context without any ids: of work that several callers share, whose ids would name one of them.
func Bare(ctx context.Context) context.Context {
	return context.WithValue(ctx, key{}, []slog.Attr(nil))
}

// Handler adds the ids of the context to each line that does not say them itself.
func Handler(next slog.Handler) slog.Handler { return handler{next: next} }

type handler struct {
	next slog.Handler
	said []string // keys that With gave the logger
}

func (h handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	ids := Of(ctx)
	if len(ids) == 0 {
		return h.next.Handle(ctx, r)
	}
	own := make(map[string]bool, len(h.said)+r.NumAttrs())
	for _, k := range h.said {
		own[k] = true
	}
	r.Attrs(func(a slog.Attr) bool { own[a.Key] = true; return true })
	r = r.Clone()
	for _, a := range ids {
		if !own[a.Key] {
			r.AddAttrs(a)
		}
	}
	return h.next.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	said := append([]string(nil), h.said...)
	for _, a := range attrs {
		said = append(said, a.Key)
	}
	return handler{next: h.next.WithAttrs(attrs), said: said}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{next: h.next.WithGroup(name), said: h.said}
}
