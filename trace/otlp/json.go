package otlp

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/treeline-ci/treeline/trace"
)

// The messages as OTLP/JSON has them: ids in hexadecimal digits, numbers of 64 bits as texts, enumerations as numbers.
type (
	fileJSON struct {
		ResourceSpans []resourceJSON `json:"resourceSpans"`
	}
	resourceJSON struct {
		Resource struct {
			Attributes []attributeJSON `json:"attributes"`
		} `json:"resource"`
		ScopeSpans []scopeJSON `json:"scopeSpans"`
		SchemaURL  string      `json:"schemaUrl"`
	}
	scopeJSON struct {
		Scope struct {
			Name    string `json:"name"`
			Version string `json:"version,omitempty"`
		} `json:"scope"`
		Spans     []spanJSON `json:"spans"`
		SchemaURL string     `json:"schemaUrl"`
	}
	spanJSON struct {
		TraceID       string          `json:"traceId"`
		SpanID        string          `json:"spanId"`
		ParentSpanID  string          `json:"parentSpanId,omitempty"`
		Flags         uint32          `json:"flags"`
		Name          string          `json:"name"`
		Kind          int32           `json:"kind"`
		Start         string          `json:"startTimeUnixNano"`
		End           string          `json:"endTimeUnixNano"`
		Attributes    []attributeJSON `json:"attributes"`
		Events        []eventJSON     `json:"events,omitempty"`
		DroppedEvents uint32          `json:"droppedEventsCount,omitempty"`
		Status        *statusJSON     `json:"status,omitempty"`
	}
	eventJSON struct {
		Time       string          `json:"timeUnixNano"`
		Name       string          `json:"name"`
		Attributes []attributeJSON `json:"attributes"`
	}
	statusJSON struct {
		Message string `json:"message,omitempty"`
		Code    int32  `json:"code"`
	}
	attributeJSON struct {
		Key   string    `json:"key"`
		Value valueJSON `json:"value"`
	}
	valueJSON struct {
		String *string `json:"stringValue,omitempty"`
		Int    *string `json:"intValue,omitempty"`
		Bool   *bool   `json:"boolValue,omitempty"`
	}
)

// JSON writes the whole trace, with what has not ended yet, as a file that tools for OpenTelemetry read.
func (r Resource) JSON(w io.Writer, t *trace.Trace) error {
	var file fileJSON
	for _, m := range r.Message(Spans(t, func(*trace.Span) bool { return true })) {
		var rs resourceJSON
		rs.Resource.Attributes, rs.SchemaURL = attributesJSON(m.GetResource().GetAttributes()), m.GetSchemaUrl()
		for _, s := range m.GetScopeSpans() {
			var scope scopeJSON
			scope.Scope.Name, scope.Scope.Version, scope.SchemaURL = s.GetScope().GetName(), s.GetScope().GetVersion(), s.GetSchemaUrl()
			scope.Spans = make([]spanJSON, len(s.GetSpans()))
			for i, each := range s.GetSpans() {
				scope.Spans[i] = spanToJSON(each)
			}
			rs.ScopeSpans = append(rs.ScopeSpans, scope)
		}
		file.ResourceSpans = append(file.ResourceSpans, rs)
	}
	return json.NewEncoder(w).Encode(file)
}

func spanToJSON(s *traces.Span) spanJSON {
	out := spanJSON{
		TraceID: hex.EncodeToString(s.GetTraceId()), SpanID: hex.EncodeToString(s.GetSpanId()), ParentSpanID: hex.EncodeToString(s.GetParentSpanId()), Flags: s.GetFlags(),
		Name: s.GetName(), Kind: int32(s.GetKind()), Start: strconv.FormatUint(s.GetStartTimeUnixNano(), 10), End: strconv.FormatUint(s.GetEndTimeUnixNano(), 10),
		Attributes: attributesJSON(s.GetAttributes()), DroppedEvents: s.GetDroppedEventsCount(),
	}
	for _, e := range s.GetEvents() {
		out.Events = append(out.Events, eventJSON{strconv.FormatUint(e.GetTimeUnixNano(), 10), e.GetName(), attributesJSON(e.GetAttributes())})
	}
	if st := s.GetStatus(); st != nil {
		out.Status = &statusJSON{st.GetMessage(), int32(st.GetCode())}
	}
	return out
}

func attributesJSON(list []*common.KeyValue) []attributeJSON {
	out := make([]attributeJSON, len(list))
	for i, a := range list {
		out[i].Key = a.GetKey()
		switch v := a.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			out[i].Value.String = &v.StringValue
		case *common.AnyValue_IntValue:
			n := strconv.FormatInt(v.IntValue, 10)
			out[i].Value.Int = &n
		case *common.AnyValue_BoolValue:
			out[i].Value.Bool = &v.BoolValue
		}
	}
	return out
}
