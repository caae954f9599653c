package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Stream is an artifact whose content grows while others read it: a live log. The bytes are
// uploaded once; when the stream is finished the same bytes are the artifact. It is not safe for
// concurrent use.
type Stream struct {
	o      *objectUpload
	method *appendMethod // nil: the server takes content only as a whole
}

// OpenStream creates the artifact and asks the server to take its content piece by piece. Opening
// it again continues the same upload.
func (c *Client) OpenStream(ctx context.Context, up Upload) (*Stream, error) {
	o, err := c.beginObject(ctx, up, nil)
	if err != nil {
		return nil, err
	}
	s := &Stream{o: o}
	return s, s.start(ctx)
}

func (s *Stream) start(ctx context.Context) error {
	method, err := s.o.propose(ctx, map[string]any{"append": map[string]any{"contentType": s.o.up.ContentType}})
	if refused(err) {
		return nil
	}
	s.method = method.Append
	return err
}

// Live says whether the server takes pieces as they come; when not, Finish sends everything.
func (s *Stream) Live() bool { return s.method != nil }

// URL is where the growing content can be followed; "" when it is not live.
func (s *Stream) URL() string {
	if s.method == nil {
		return ""
	}
	return s.method.StreamURL
}

// Append sends piece, which begins at offset, and returns the offset to go on from: usually
// behind the piece; elsewhere when the server holds more or less than was believed, as after a
// lost answer or a restart. caller has the task's credentials of the moment; they are used when
// the right to append has run out.
func (s *Stream) Append(ctx context.Context, caller *Client, offset int64, piece []byte) (int64, error) {
	next, status, err := s.post(ctx, offset, piece)
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		if err := s.o.renew(ctx, caller); err != nil {
			return offset, err
		}
		if err := s.start(ctx); err != nil {
			return offset, err
		}
		if s.method == nil {
			return offset, fault.New(fault.Internal, "the server does not take pieces of %s any more", s.o.up.Name)
		}
		next, _, err = s.post(ctx, offset, piece)
	}
	return next, err
}

func (s *Stream) post(ctx context.Context, offset int64, piece []byte) (next int64, status int, err error) {
	address, err := url.Parse(s.method.AppendURL)
	if err != nil {
		return offset, 0, fmt.Errorf("client: append to %s: the server gave an unreadable URL", s.o.up.Name)
	}
	q := address.Query()
	q.Set("offset", strconv.FormatInt(offset, 10))
	address.RawQuery = q.Encode()
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	reply, err := s.o.c.exchange(ctx, exchange{method: http.MethodPost, url: address.String(), header: header, body: piece, via: s.o.c.calls})
	if err != nil {
		return offset, 0, err
	}
	var out struct {
		Size *int64 `json:"size"`
	}
	if reply.Status == http.StatusOK || reply.Status == http.StatusConflict {
		if json.Unmarshal(reply.Body, &out) == nil && out.Size != nil && *out.Size >= 0 {
			return *out.Size, reply.Status, nil
		}
	}
	return offset, reply.Status, newError(http.MethodPost, address.String(), reply)
}

// Finish makes the artifact of the size bytes of content with the given sha256, all of which must
// have been appended before if the stream is live.
func (s *Stream) Finish(ctx context.Context, caller *Client, content io.ReaderAt, size int64, sha256 string) error {
	s.o.c = caller
	if !s.Live() {
		if err := s.o.send(ctx, content, size); err != nil {
			return err
		}
	}
	return s.o.finish(ctx, sha256)
}

// Follow copies content that may still grow to w, from offset on, until it is finished, and
// returns how many bytes were copied. The address is a stream's or an artifact's own; a broken
// connection is taken up again where it broke.
func (c *Client) Follow(ctx context.Context, address string, offset int64, w io.Writer) (int64, error) {
	d := download{c: c, address: address, at: offset, size: unknownSize, endless: true}
	err := d.run(ctx, w)
	return d.at - offset, err
}
