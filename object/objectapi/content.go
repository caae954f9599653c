package objectapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/object/store"
)

// idleLimit is how long a client may send nothing before it is given up. It holds for each read, not
// for the whole transfer, which may take as long as it makes progress. For a client that takes
// nothing, see web.Options.Patience.
const idleLimit = time.Minute

// gone drops an error that comes of the client having left, which is nobody's fault.
func gone(r *web.Request, err error) error {
	if r.HTTP.Context().Err() != nil {
		return nil
	}
	return err
}

func (d door) content(ctx context.Context, r *web.Request) (any, error) {
	if err := notAsCode(r); err != nil {
		return nil, err
	}
	name := r.Params["name"]
	id, err := d.store.Holds(object.Read, name, r.Query("token"))
	if err != nil {
		return nil, err
	}
	reader := d.reader(r)
	address, err := d.store.Direct(ctx, name, id, reader)
	if err != nil {
		return nil, err
	}
	if address != "" {
		return web.Redirect{Location: address, Header: http.Header{"Cache-Control": {"no-store"}, "Vary": {"Accept-Encoding"}}}, nil
	}
	o, body, err := d.store.OpenSigned(ctx, name, id, reader.Region)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return web.Streamed{}, gone(r, sendStored(r, o, body))
}

// reader is who asks. A page's script stays with us: the store would not let it read from there.
func (d door) reader(r *web.Request) object.Reader {
	mode := r.HTTP.Header.Get("Sec-Fetch-Mode")
	return object.Reader{Region: d.store.RegionOf(r.HTTP), Gzip: takesGzip(r.HTTP.Header), Own: mode == "cors" || mode == "same-origin"}
}

// guard sets headers that keep what tasks uploaded from acting in our name: a browser neither guesses
// types nor gives scripts our origin, and what could be a page is saved instead of shown.
func guard(h http.Header, name, contentType string) {
	kind, disposition := object.Presented(name, contentType)
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", disposition)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'")
	h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range, ETag, Accept-Ranges")
}

// notAsCode refuses a browser that wants the content as part of a page's program: contents come from
// the origin of our own pages, which trust what is served there.
func notAsCode(r *web.Request) error {
	switch use := r.HTTP.Header.Get("Sec-Fetch-Dest"); use {
	case "script", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet", "style", "xslt":
		return fault.New(fault.Invalid, "What tasks upload is not served as a page's %s. Fetch it as data.", use)
	}
	return nil
}

func (d door) stream(ctx context.Context, r *web.Request) (any, error) {
	if err := notAsCode(r); err != nil {
		return nil, err
	}
	name := r.Params["name"]
	id, err := d.store.Holds(object.Follow, name, r.Query("token"))
	if err != nil {
		return nil, err
	}
	from := startOf(r.HTTP.Header.Get("Range"))
	s, err := d.store.StreamSigned(ctx, id, from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // it was only read from
	if !s.Growing {
		guard(r.Writer.Header(), name, s.ContentType)
		sendAs(r, "sha256-"+s.SHA256, time.Time{}, s.Section())
		return web.Streamed{}, nil
	}
	if from > s.Size {
		return web.Status{Code: http.StatusRequestedRangeNotSatisfiable, Header: http.Header{"Content-Range": {fmt.Sprintf("bytes */%d", s.Size)}}}, nil
	}
	return web.Streamed{}, gone(r, follow(r, name, s, from))
}

// startOf understands the one form of Range that a growing content can answer: "bytes=N-". Any other is
// ignored, as HTTP allows.
func startOf(header string) int64 {
	text, ok := strings.CutPrefix(header, "bytes=")
	text, open := strings.CutSuffix(strings.TrimSpace(text), "-")
	from, err := strconv.ParseInt(text, 10, 64)
	if !ok || !open || err != nil || from < 0 {
		return 0
	}
	return from
}

// endless stands for the unknown end of a growing content in Content-Range (RFC 8673).
const endless = 1<<53 - 1

// follow sends what is there and then what comes, until the upload ends.
func follow(r *web.Request, name string, s *object.Stream, from int64) error {
	h := r.Writer.Header()
	guard(h, name, s.ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies must pass each piece on
	status := http.StatusOK
	if from > 0 {
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, endless))
	}
	w, flush := r.Writer, http.NewResponseController(r.Writer).Flush
	w.WriteHeader(status)
	if r.HTTP.Method == http.MethodHead {
		return nil
	}
	if err := flush(); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := s.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return fmt.Errorf("follow %s: %w", name, err)
			}
			if s.Waits() {
				if err := flush(); err != nil {
					return fmt.Errorf("follow %s: %w", name, err)
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("follow %s: %w", name, err)
		}
	}
}

func (d door) put(ctx context.Context, r *web.Request) (any, error) {
	id, err := d.store.Holds(object.Write, r.Params["name"], r.Query("token"))
	if err != nil {
		return nil, err
	}
	h := r.HTTP.Header
	encoding := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding")))
	if encoding == "identity" {
		encoding = ""
	}
	if err = d.store.PutContent(ctx, id, h.Get("Content-Type"), encoding, r.HTTP.ContentLength, d.impatient(r)); err != nil {
		return nil, err
	}
	return web.Status{Code: http.StatusOK}, nil
}

func (d door) putPart(ctx context.Context, r *web.Request) (any, error) {
	id, err := d.store.Holds(object.Parts, r.Params["name"], r.Query("token"))
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(r.Query("part"))
	if err != nil || r.Query("sha256") == "" {
		return nil, fault.New(fault.BadArguments, "The query parameters part, from 1 on, and sha256, of the part in hexadecimal, are required.")
	}
	part, err := d.store.PutPart(ctx, id, number, r.Query("sha256"), d.impatient(r))
	if err != nil {
		return nil, err
	}
	return toPart(part), nil
}

func (d door) listParts(ctx context.Context, r *web.Request) (any, error) {
	id, err := d.store.Holds(object.Parts, r.Params["name"], r.Query("token"))
	if err != nil {
		return nil, err
	}
	state, err := d.store.ListParts(ctx, id)
	if err != nil {
		return nil, err
	}
	parts := make([]part, len(state.Parts))
	for i, p := range state.Parts {
		parts[i] = toPart(p)
	}
	return struct {
		PartSize int64  `json:"partSize"`
		Count    int    `json:"count"`
		Parts    []part `json:"parts"`
	}{state.PartSize, state.Count, parts}, nil
}

type part struct {
	Part   int    `json:"part"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func toPart(p store.Part) part { return part{p.Number, p.Size, p.SHA256} }

func (d door) append(ctx context.Context, r *web.Request) (any, error) {
	id, err := d.store.Holds(object.Append, r.Params["name"], r.Query("token"))
	if err != nil {
		return nil, err
	}
	offset, err := strconv.ParseInt(r.Query("offset"), 10, 64)
	if err != nil {
		return nil, fault.New(fault.BadArguments, "The query parameter offset is required: where the piece begins, in bytes.")
	}
	size, fits, err := d.store.AppendContent(ctx, id, offset, d.impatient(r))
	if err != nil {
		return nil, err
	}
	answer := map[string]int64{"size": size}
	if !fits {
		return web.Status{Code: http.StatusConflict, Body: answer}, nil
	}
	return answer, nil
}

// impatient reads a request's body and gives up on a client that sends nothing for a while.
type impatient struct {
	body    io.Reader
	control *http.ResponseController
	idle    time.Duration
}

func (d door) impatient(r *web.Request) impatient {
	i := impatient{r.HTTP.Body, http.NewResponseController(r.Writer), d.idle}
	i.extend(time.Now().Add(i.idle))
	return i
}

// Read implements io.Reader. The limit is taken off at the end of the body only: when a handler
// answers before it, the server reads on for a while, and must not wait for ever either.
func (i impatient) Read(b []byte) (int, error) {
	i.extend(time.Now().Add(i.idle))
	n, err := i.body.Read(b)
	if errors.Is(err, io.EOF) {
		i.extend(time.Time{})
	}
	return n, err
}

func (i impatient) extend(until time.Time) {
	// Connections that know no deadlines exist in tests only; there the limit is not needed.
	_ = i.control.SetReadDeadline(until)
}
