// Package otlptest is a small receiver of OpenTelemetry's protocol for tests: over HTTP and over gRPC it takes traces,
// checks what the protocol demands of them, and keeps them.
package otlptest

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Receiver takes traces. It is safe for concurrent use.
type Receiver struct {
	collector.UnimplementedTraceServiceServer
	URL  string // where spans are posted below: URL/v1/traces
	GRPC string // the address for gRPC, as a URL

	mu       sync.Mutex
	spans    map[string]*traces.Span // by trace and span
	attrs    map[string]string       // of the newest resource
	messages int
	largest  int // spans of a message
	seen     http.Header
	before   func(ctx context.Context, spans int) (status int, answer string)
	wrong    []error
}

// Start starts a receiver that ends with the test, which fails if it was sent something that the protocol does not allow.
func Start(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{spans: map[string]*traces.Span{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.post)
	server := httptest.NewServer(mux)
	r.URL = server.URL
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	calls := grpc.NewServer()
	collector.RegisterTraceServiceServer(calls, r)
	r.GRPC = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- calls.Serve(listener) }()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		calls.Stop()
		<-served //nolint:errcheck // it was stopped
		for _, err := range r.wrong {
			t.Errorf("the receiver was sent what it must not be: %v", err)
		}
	})
	return r
}

// Answer lets f say what is answered to messages before they are taken: status 0 takes them. f may block until ctx, that of
// the request, ends. nil takes all.
func (r *Receiver) Answer(f func(ctx context.Context, spans int) (status int, answer string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = f
}

// Spans are those that came, by name of the span, with the newest of each id.
func (r *Receiver) Spans(traceID string) (out []*traces.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if traceID == "" || hex.EncodeToString(s.GetTraceId()) == traceID {
			out = append(out, s)
		}
	}
	return out
}

// Messages is how many came, and how many spans the largest had.
func (r *Receiver) Messages() (n, largest int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages, r.largest
}

// Resource is what is said of the sender.
func (r *Receiver) Resource() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attrs
}

// Header is that of the newest request.
func (r *Receiver) Header() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

func (r *Receiver) post(w http.ResponseWriter, req *http.Request) {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(req.Body); err != nil {
			r.complain(err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	data, err := io.ReadAll(body)
	message := &collector.ExportTraceServiceRequest{}
	if err == nil && req.Header.Get("Content-Type") != "application/x-protobuf" {
		err = fmt.Errorf("the content is %q", req.Header.Get("Content-Type"))
	}
	if err == nil {
		err = proto.Unmarshal(data, message)
	}
	if err != nil {
		if req.Context().Err() == nil {
			r.complain(err)
		}
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	code, answer := r.take(req.Context(), message, req.Header)
	if code == 0 {
		w.Header().Set("Content-Type", "application/x-protobuf") // of an empty answer
		return
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, answer)
}

// Export is for gRPC.
func (r *Receiver) Export(ctx context.Context, message *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	if code, answer := r.take(ctx, message, nil); code != 0 {
		return nil, status.Error(codes.Unavailable, answer)
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func (r *Receiver) complain(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, err)
}

func (r *Receiver) take(ctx context.Context, message *collector.ExportTraceServiceRequest, header http.Header) (code int, answer string) {
	var spans []*traces.Span
	attrs := map[string]string{}
	for _, rs := range message.GetResourceSpans() {
		for _, a := range rs.GetResource().GetAttributes() {
			attrs[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, ss := range rs.GetScopeSpans() {
			spans = append(spans, ss.GetSpans()...)
		}
	}
	r.mu.Lock()
	before := r.before
	r.seen = header
	r.mu.Unlock()
	if before != nil {
		if code, answer := before(ctx, len(spans)); code != 0 {
			return code, answer
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attrs, r.messages, r.largest = attrs, r.messages+1, max(r.largest, len(spans))
	for _, s := range spans {
		if err := check(s); err != nil {
			r.wrong = append(r.wrong, fmt.Errorf("%s: %w", s.GetName(), err))
		}
		key := hex.EncodeToString(s.GetTraceId()) + hex.EncodeToString(s.GetSpanId())
		r.spans[key] = s
	}
	return 0, ""
}

// check is what the protocol demands of a span.
func check(s *traces.Span) error {
	switch {
	case len(s.GetTraceId()) != 16 || len(s.GetSpanId()) != 8 || len(s.GetParentSpanId())%8 != 0:
		return errors.New("an id has a wrong length")
	case s.GetName() == "":
		return errors.New("it has no name")
	case s.GetStartTimeUnixNano() == 0 || s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano():
		return errors.New("it ends before it begins")
	}
	seen := map[string]bool{}
	for _, a := range s.GetAttributes() {
		if seen[a.GetKey()] || a.GetKey() == "" || a.GetValue() == nil {
			return fmt.Errorf("attribute %q is empty or there twice", a.GetKey())
		}
		seen[a.GetKey()] = true
	}
	return nil
}

// Tree reports an error unless the spans of a trace are one tree, whose children lie within their parents.
func Tree(spans []*traces.Span) error {
	byID := map[string]*traces.Span{}
	roots := 0
	for _, s := range spans {
		byID[string(s.GetSpanId())] = s
	}
	for _, s := range spans {
		if len(s.GetParentSpanId()) == 0 {
			roots++
			continue
		}
		p := byID[string(s.GetParentSpanId())]
		switch {
		case p == nil:
			return fmt.Errorf("the parent of %q is missing", s.GetName())
		case s.GetStartTimeUnixNano() < p.GetStartTimeUnixNano() || s.GetEndTimeUnixNano() > p.GetEndTimeUnixNano():
			return fmt.Errorf("%q is not within %q", s.GetName(), p.GetName())
		}
	}
	if roots != 1 {
		return fmt.Errorf("of %d spans %d are roots", len(spans), roots)
	}
	return nil
}
