package export

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/treeline-ci/treeline/trace/otlp"
)

// sender sends spans to the receiver.
type sender struct {
	Config
	resource otlp.Resource
	client   otlptrace.Client
}

// newSender makes the client of OpenTelemetry's library. It does not retry: whoever sends does, for as long as it takes.
func newSender(c Config, version string) *sender {
	s := &sender{Config: c, resource: otlp.Resource{Service: c.Service, Version: version, More: c.Resource}}
	if c.GRPC {
		s.client = otlptracegrpc.NewClient(otlptracegrpc.WithEndpointURL(c.Endpoint), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}))
	} else {
		s.client = otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(c.Endpoint), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
	}
	return s
}

// send sends spans in messages of limited size. refused counts those that the receiver will never take; an error says that it
// did not take the rest, and may later.
func (s *sender) send(ctx context.Context, spans []*traces.Span) (refused int, why, err error) {
	for part := range otlp.Batches(spans, s.Batch) {
		n, said, err := s.sendPart(ctx, part)
		if err != nil {
			return refused, why, err
		}
		refused, why = refused+n, errors.Join(why, said)
	}
	return refused, why, nil
}

func (s *sender) sendPart(ctx context.Context, part []*traces.Span) (refused int, why, err error) {
	err = s.client.UploadTraces(ctx, s.resource.Message(part))
	switch {
	case err == nil:
		return 0, nil, nil
	case ctx.Err() != nil:
		return 0, nil, ctx.Err()
	case tooLarge(err) && len(part) > 1:
		half := len(part) / 2
		n, why, err := s.sendPart(ctx, part[:half])
		if err != nil {
			return n, why, err
		}
		m, more, err := s.sendPart(ctx, part[half:])
		return n + m, errors.Join(why, more), err
	case never(err) || tooLarge(err):
		return len(part), s.shown(err), nil
	}
	return 0, nil, s.shown(err)
}

// shown is an error without what is secret, and without what makes it long.
func (s *sender) shown(err error) error {
	text := strings.ToValidUTF8(s.hide(err.Error()), "?")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "…"
	}
	return fmt.Errorf("traces: %s", text)
}

// never reports whether the receiver will not take this whenever it comes: it said that it is malformed, or that it took
// only a part. The protocol wants that this is not sent again. The library's errors tell only by their text.
func never(err error) bool {
	code := status.Code(err)
	return code == codes.InvalidArgument || strings.Contains(err.Error(), ": 400 Bad Request") || strings.Contains(err.Error(), "OTLP partial success")
}

func tooLarge(err error) bool {
	text := err.Error()
	return strings.Contains(text, ": 413 ") || strings.Contains(text, "request body too large") || strings.Contains(text, "message larger than max")
}
