// Package otlp writes traces as OpenTelemetry's protocol has them: the messages that are sent to a receiver, and the same as
// a JSON file.
package otlp

import (
	"iter"
	"maps"
	"slices"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/treeline-ci/treeline/trace"
)

// schema says which semantic conventions the attributes follow.
const schema = "https://opentelemetry.io/schemas/1.43.0"

// Resource is who tells of spans.
type Resource struct {
	Service, Version string
	More             map[string]string // such as deployment.environment.name
}

// maxEvents is how many artifacts are told of a run; OpenTelemetry's own limit.
const maxEvents = 128

// Spans writes those spans of a trace that are wanted.
func Spans(t *trace.Trace, want func(*trace.Span) bool) (out []*traces.Span) {
	for i := range t.Spans {
		if s := &t.Spans[i]; want(s) {
			out = append(out, span(t, s))
		}
	}
	return out
}

// Ended are the spans that change no more, but for the root, which is one when the push is.
func Ended(s *trace.Span) bool { return !s.Open }

func span(t *trace.Trace, s *trace.Span) *traces.Span {
	out := &traces.Span{
		TraceId: t.ID[:], SpanId: s.ID[:], Name: s.Name, Kind: kindOf(s.What), Flags: 1,
		StartTimeUnixNano: nano(s.Start), EndTimeUnixNano: nano(s.End), Attributes: attributes(t.Attributes(s)),
	}
	if s.What != trace.OfPush {
		out.ParentSpanId = s.Parent[:]
	}
	if text := t.Bad(s); text != "" {
		out.Status = &traces.Status{Code: traces.Status_STATUS_CODE_ERROR, Message: text}
	}
	if s.What != trace.OfRun {
		return out
	}
	for i := range s.Run.Artifacts {
		if i == maxEvents {
			out.DroppedEventsCount = uint32(len(s.Run.Artifacts) - maxEvents)
			break
		}
		a := &s.Run.Artifacts[i]
		said := []trace.Attribute{{Key: "treeline.artifact.name", Value: a.Name}, {Key: "treeline.artifact.content_type", Value: a.ContentType}}
		if a.Size >= 0 {
			said = append(said, trace.Attribute{Key: "treeline.artifact.bytes", Value: a.Size})
		}
		out.Events = append(out.Events, &traces.Span_Event{Name: "artifact", TimeUnixNano: nano(a.Created), Attributes: attributes(said)})
	}
	return out
}

// kindOf is the kind of a span: the conventions want that of a server for a run of a pipeline.
func kindOf(w trace.What) traces.Span_SpanKind {
	switch w {
	case trace.OfPush:
		return traces.Span_SPAN_KIND_SERVER
	case trace.OfReport:
		return traces.Span_SPAN_KIND_CLIENT
	}
	return traces.Span_SPAN_KIND_INTERNAL
}

func nano(t time.Time) uint64 {
	if n := t.UnixNano(); !t.IsZero() && n > 0 {
		return uint64(n)
	}
	return 0
}

func attributes(list []trace.Attribute) []*common.KeyValue {
	out := make([]*common.KeyValue, len(list))
	for i, a := range list {
		v := &common.AnyValue{}
		switch x := a.Value.(type) {
		case string:
			v.Value = &common.AnyValue_StringValue{StringValue: x}
		case int64:
			v.Value = &common.AnyValue_IntValue{IntValue: x}
		case bool:
			v.Value = &common.AnyValue_BoolValue{BoolValue: x}
		}
		out[i] = &common.KeyValue{Key: a.Key, Value: v}
	}
	return out
}

// Message wraps spans in what a receiver takes.
func (r Resource) Message(spans []*traces.Span) []*traces.ResourceSpans {
	list := []trace.Attribute{{Key: "service.name", Value: r.Service}, {Key: "service.version", Value: r.Version}}
	for _, key := range slices.Sorted(maps.Keys(r.More)) {
		if key != "service.name" && key != "service.version" {
			list = append(list, trace.Attribute{Key: key, Value: r.More[key]})
		}
	}
	scope := &common.InstrumentationScope{Name: "github.com/treeline-ci/treeline/trace", Version: r.Version}
	return []*traces.ResourceSpans{{
		Resource: &resource.Resource{Attributes: attributes(list)}, SchemaUrl: schema,
		ScopeSpans: []*traces.ScopeSpans{{Scope: scope, SchemaUrl: schema, Spans: spans}},
	}}
}

// Batches divides spans into messages of limited length.
func Batches(spans []*traces.Span, most int) iter.Seq[[]*traces.Span] {
	return func(yield func([]*traces.Span) bool) {
		for len(spans) > 0 {
			n := min(most, len(spans))
			if !yield(spans[:n]) {
				return
			}
			spans = spans[n:]
		}
	}
}
