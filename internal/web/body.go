package web

import (
	"bytes"
	"context"
	"io"
	"mime"

	"github.com/treeline-ci/treeline/internal/fault"
)

// strangerBody is how many bytes of a body are taken in before it is known who sends them. Nearly
// all bodies are smaller; for these the order of checks is that of taskcluster-map 3.1.
const strangerBody = 1 << 20

// read takes in a JSON body; anything else is left for the handler.
func (r *Request) read(ctx context.Context) error {
	r.taken = true
	kind, _, err := mime.ParseMediaType(r.HTTP.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || r.endpoint.Input == Blob {
		return nil
	}
	r.taken = false
	limit, err := r.admit(ctx)
	if err != nil {
		return err
	}
	if r.raw, err = r.take(limit); err != nil {
		return err
	}
	r.isJSON, r.taken = true, true
	return r.checkHash()
}

// admit decides how many bytes of body the caller may send. A body of a size that could hurt is let in
// only when its sender holds the scopes, as far as they can be known without it: nobody else shall
// fill the memory.
func (r *Request) admit(ctx context.Context) (int64, error) {
	limit := r.endpoint.MaxBody
	if limit == 0 {
		limit = DefaultBody
	}
	length := r.HTTP.ContentLength // -1: not told
	if r.endpoint.Scopes == nil || limit <= strangerBody || length >= 0 && length <= strangerBody {
		return limit, nil
	}
	if r.endpoint.early {
		return limit, r.Authorize(ctx, nil)
	}
	caller, err := r.Caller(ctx)
	if caller.Anonymous() {
		limit = strangerBody
	}
	return limit, err
}

func (r *Request) take(limit int64) ([]byte, error) {
	if r.HTTP.ContentLength > limit {
		return nil, r.tooLarge(limit)
	}
	var body bytes.Buffer
	if n := r.HTTP.ContentLength; n > 0 {
		body.Grow(int(n) + bytes.MinRead)
	}
	if _, err := io.Copy(&body, io.LimitReader(r.HTTP.Body, limit+1)); err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "The request's body could not be read to its end.")
	}
	if int64(body.Len()) > limit {
		return nil, r.tooLarge(limit)
	}
	return body.Bytes(), nil
}

func (r *Request) tooLarge(limit int64) error {
	if r.asked && r.caller.Anonymous() {
		return fault.New(fault.TooLarge, "The request's body is larger than %d bytes, the most without credentials.", limit)
	}
	return fault.New(fault.TooLarge, "The request's body is larger than %d bytes.", limit)
}
