package otlp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/trace"
	"github.com/treeline-ci/treeline/trace/otlp"
)

func built() *trace.Trace {
	at := func(s int) time.Time { return time.Date(2026, 11, 22, 6, 0, s, 0, time.UTC) }
	run := trace.Run{
		State: task.Failed, Reason: task.ReasonFailed, Created: task.CreatedScheduled, Worker: trace.Worker{Queue: "q", Group: "g", ID: "w"}, Scheduled: at(1), Started: at(2), Resolved: at(9),
		Artifacts: []trace.Artifact{{Name: "public/a", ContentType: "text/plain", Size: 5, Stored: true, Created: at(8)}},
	}
	for range 200 {
		run.Artifacts = append(run.Artifacts, trace.Artifact{Name: "public/b", Size: -1, Created: at(8)})
	}
	return trace.Build(&trace.Facts{
		RootURL: "http://ci", Now: at(20), GroupID: "group", Created: at(1), Push: &trace.Push{Repository: "r", ID: 1, Received: at(0), Decided: at(1), State: "decided", Message: "m"},
		Tasks: []trace.Task{{ID: "one", Name: "one", Queue: "q", Priority: 4, State: task.Failed, Created: at(1), Runs: []trace.Run{run}}, {ID: "two", Name: "two", Queue: "q", State: task.Unscheduled, Needs: []string{"one"}, Requires: task.AllCompleted, Created: at(1)}},
	})
}

var resource = otlp.Resource{Service: "treeline", Version: "1.2.3"}

// fromJSON reads OTLP/JSON as a receiver does: protobuf's JSON, but for the ids.
func fromJSON(t *testing.T, file []byte) *collector.ExportTraceServiceRequest {
	t.Helper()
	ids := regexp.MustCompile(`"(traceId|spanId|parentSpanId)":"([0-9a-f]*)"`)
	text := ids.ReplaceAllStringFunc(string(file), func(m string) string {
		parts := ids.FindStringSubmatch(m)
		raw, err := hex.DecodeString(parts[2])
		if err != nil {
			t.Fatal(err)
		}
		return `"` + parts[1] + `":"` + base64.StdEncoding.EncodeToString(raw) + `"`
	})
	var out collector.ExportTraceServiceRequest
	if err := protojson.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

func TestTheFileSaysWhatTheMessagesDo(t *testing.T) {
	tr := built()
	var file bytes.Buffer
	if err := resource.JSON(&file, tr); err != nil {
		t.Fatal(err)
	}
	sent := &collector.ExportTraceServiceRequest{ResourceSpans: resource.Message(otlp.Spans(tr, func(*trace.Span) bool { return true }))}
	if got := fromJSON(t, file.Bytes()); !proto.Equal(got, sent) {
		t.Errorf("the file has\n%v\nthe messages\n%v", got, sent)
	}
	if text := file.String(); !strings.Contains(text, `"traceId":"`+traceid.OfGroup("group").String()+`"`) || !strings.Contains(text, `"kind":2`) {
		t.Errorf("got %s", text[:500])
	}
}

func TestSpans(t *testing.T) {
	tr := built()
	byName := map[string]*traces.Span{}
	for _, s := range otlp.Spans(tr, otlp.Ended) {
		byName[s.GetName()] = s
	}
	root, run := byName["RUN r"], byName["run"]
	if root.GetKind() != traces.Span_SPAN_KIND_SERVER || root.GetParentSpanId() != nil || root.GetStatus().GetCode() != traces.Status_STATUS_CODE_ERROR {
		t.Errorf("the root is %v", root)
	}
	if id := traceid.OfGroup("group").Run("one", 0); !bytes.Equal(run.GetSpanId(), id[:]) || run.GetEndTimeUnixNano()-run.GetStartTimeUnixNano() != 7e9 || run.GetStatus().GetMessage() != "failed" {
		t.Errorf("the run is %v", run)
	}
	if len(run.GetEvents()) != 128 || run.GetDroppedEventsCount() != 73 {
		t.Errorf("it tells of %d artifacts and leaves out %d", len(run.GetEvents()), run.GetDroppedEventsCount())
	}
	if byName["two"] != nil || byName["one"] == nil {
		t.Error("what has not ended is told, or what has is not")
	}
}

func TestBatchesAreAllSpansAndBounded(t *testing.T) {
	all := make([]*traces.Span, 1000)
	for i := range all {
		all[i] = &traces.Span{}
	}
	n, parts := 0, 0
	for part := range otlp.Batches(all, 300) {
		if len(part) > 300 || len(part) == 0 {
			t.Errorf("a batch has %d", len(part))
		}
		n, parts = n+len(part), parts+1
	}
	if n != 1000 || parts != 4 {
		t.Errorf("%d spans in %d batches", n, parts)
	}
}
