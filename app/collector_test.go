//go:build otelcol

package app

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	traces "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/treeline-ci/treeline/internal/otlptest"
	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/trace/export"
)

// collector is an OpenTelemetry Collector that writes what it takes to a file.
type collector struct {
	http, grpc string // its addresses
	file       string
}

// collecting are the settings of a collector: it takes OTLP both ways, at free ports, and writes it down.
const collecting = `
receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:0"}
      http: {endpoint: "127.0.0.1:0"}
exporters:
  file: {path: %s, flush_interval: 50ms}
service:
  telemetry:
    logs: {encoding: json}
    metrics: {level: none}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
`

// startCollector runs the program that the variable OTELCOL names until the test ends. Its log says where it listens.
func startCollector(t *testing.T) *collector {
	t.Helper()
	dir := t.TempDir()
	c := &collector{file: filepath.Join(dir, "traces.json")}
	config := filepath.Join(dir, "collector.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, collecting, c.file), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Getenv("OTELCOL"), "--config", config)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("make test-otel builds the collector and names it in OTELCOL: %v", err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("the collector: %v", err)
		}
	})
	ready := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var line struct{ Level, Msg, Endpoint string }
			if json.Unmarshal(lines.Bytes(), &line) != nil || line.Level != "info" {
				t.Logf("collector: %s", lines.Text())
			}
			switch {
			case line.Msg == "Starting GRPC server":
				c.grpc = "http://" + line.Endpoint
			case line.Msg == "Starting HTTP server":
				c.http = "http://" + line.Endpoint
			case strings.HasPrefix(line.Msg, "Everything is ready"):
				close(ready)
			}
		}
	}()
	select {
	case <-ready:
	case <-ended:
		t.Fatal("the collector ended")
	}
	return c
}

// attribute is one of a resource or a span in OTLP/JSON.
type attribute struct {
	Key   string
	Value struct{ StringValue string }
}

// spans reads back what the collector took of a trace, and what it says of the sender.
func (c *collector) spans(t *testing.T, trace string) (byName map[string][]attribute, spans []*traces.Span, sender map[string]string) {
	t.Helper()
	text, err := os.ReadFile(c.file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	byName, sender = map[string][]attribute{}, map[string]string{}
	newest := map[string]*traces.Span{}
	for line := range strings.Lines(string(text)) {
		var message struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes []attribute }
				ScopeSpans []struct {
					Spans []struct {
						TraceID, SpanID, ParentSpanID, Name string
						StartTimeUnixNano, EndTimeUnixNano  uint64 `json:",string"`
						Attributes                          []attribute
					}
				}
			}
		}
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		if err := json.Unmarshal([]byte(line), &message); err != nil {
			t.Fatalf("the collector wrote %q: %v", line, err)
		}
		for _, rs := range message.ResourceSpans {
			for _, a := range rs.Resource.Attributes {
				sender[a.Key] = a.Value.StringValue
			}
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					id, parent := fromHex(t, s.SpanID), fromHex(t, s.ParentSpanID)
					if s.TraceID == trace {
						byName[s.Name] = s.Attributes
						newest[s.SpanID] = &traces.Span{SpanId: id, ParentSpanId: parent, Name: s.Name, StartTimeUnixNano: s.StartTimeUnixNano, EndTimeUnixNano: s.EndTimeUnixNano}
					}
				}
			}
		}
	}
	for _, s := range newest {
		spans = append(spans, s)
	}
	return byName, spans, sender
}

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGitHubPushReachesTheRealCollector follows a push from its webhook to what GitHub was told into an OpenTelemetry
// Collector, over HTTP and over gRPC, and reads it back from what the collector wrote.
func TestGitHubPushReachesTheRealCollector(t *testing.T) {
	for protocol, at := range map[string]func(*collector) string{
		"http/protobuf": func(c *collector) string { return c.http }, "grpc": func(c *collector) string { return c.grpc },
	} {
		t.Run(protocol, func(t *testing.T) {
			c := startCollector(t)
			h := newHub(t, map[string]string{".taskcluster.yml": toldYML("{pullRequests: public}", "")})
			env := map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "0", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}
			for name, value := range env {
				t.Setenv(name, value) // OpenTelemetry's library reads it
			}
			var err error
			h.config.Traces, err = export.FromEnv(at(c), func(name string) string { return env[name] })
			h.must(err)
			h.traced()
			sha := h.push("main", map[string]string{"a": "1"})
			h.check(sha, "github-push", "")
			h.finish(true)
			h.check(sha, "Treeline (push)", "success")
			trace := traceid.OfGroup(h.build("push").TaskGroupID).String()
			var byName map[string][]attribute
			var sender map[string]string
			h.until("the whole trace is in the collector's file", func() bool {
				var spans []*traces.Span
				byName, spans, sender = c.spans(t, trace)
				return byName["RUN acme.app"] != nil && byName["report github-push"] != nil && otlptest.Tree(spans) == nil
			})
			for _, want := range []string{"webhook push", "decision", "wait for a worker", "run", "report Treeline (push)"} {
				if byName[want] == nil {
					t.Errorf("there is no span %q", want)
				}
			}
			said := map[string]string{}
			for _, a := range byName["RUN acme.app"] {
				said[a.Key] = a.Value.StringValue
			}
			if u, err := url.Parse(said["vcs.repository.url.full"]); err != nil || u.Path != "/acme/app" || said["vcs.ref.head.revision"] != sha || said["cicd.pipeline.result"] != "success" {
				t.Errorf("the push is %v", said)
			}
			if sender["service.name"] != "treeline" || sender["deployment.environment.name"] != "test" {
				t.Errorf("the sender is %v", sender)
			}
		})
	}
}
