package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

const (
	partsAtOnce = 3 // each is in memory while it is sent
	maxPart     = 1 << 30
	partsBegun  = 4 // times that an upload in parts may have to be begun
)

type partsMethod struct {
	URL      string    `json:"url"`
	PartSize int64     `json:"partSize"`
	Expires  task.Time `json:"expires"`
}

// partsUpload is the sending of a content in numbered parts, each of which the server verifies and
// keeps, so that what was sent before a crash of either side is not sent again.
type partsUpload struct {
	o       *objectUpload
	method  *partsMethod
	content io.ReaderAt
	size    int64
	mu      sync.Mutex
	done    int64
}

// partsGone is an answer to a part that says that the upload or its URL has ended.
type partsGone struct{ error }

func (p partsGone) Unwrap() error { return p.error }

// sendParts sends the content in parts; done is false when the server does not know how.
func (o *objectUpload) sendParts(ctx context.Context, content io.ReaderAt, size int64) (done bool, err error) {
	for range partsBegun {
		var method uploadMethod
		method, err = o.propose(ctx, map[string]any{"parts": map[string]any{"contentType": o.up.ContentType, "contentLength": size}})
		if refused(err) || err == nil && method.Parts == nil {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if method.Parts.PartSize <= 0 || method.Parts.PartSize > maxPart {
			return false, fault.New(fault.Internal, "the server asks for parts of %d bytes", method.Parts.PartSize)
		}
		p := &partsUpload{o: o, method: method.Parts, content: content, size: size}
		err = p.send(ctx)
		if _, gone := err.(partsGone); !gone { //nolint:errorlint // it is never wrapped
			return err == nil, err
		}
		if err := o.renew(ctx, o.c); err != nil {
			return false, err
		}
	}
	return false, err
}

// send sends the parts that the server has not got, or has got with other bytes.
func (p *partsUpload) send(ctx context.Context) error {
	there, err := p.list(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(partsAtOnce)
	for number := 1; int64(number-1)*p.method.PartSize < p.size; number++ {
		group.Go(func() error { return p.sendPart(ctx, number, there[number]) })
	}
	return group.Wait()
}

// list returns the sha256 of the parts that the server has.
func (p *partsUpload) list(ctx context.Context) (map[int]string, error) {
	reply, err := p.call(ctx, http.MethodGet, p.method.URL, nil)
	if err != nil {
		return nil, err
	}
	var state struct {
		Parts []struct {
			Part   int    `json:"part"`
			SHA256 string `json:"sha256"`
		} `json:"parts"`
	}
	if err := json.Unmarshal(reply.Body, &state); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the server gave an unreadable list of the parts of %s", p.o.up.Name)
	}
	there := map[int]string{}
	for _, part := range state.Parts {
		there[part.Part] = part.SHA256
	}
	return there, nil
}

func (p *partsUpload) sendPart(ctx context.Context, number int, there string) error {
	from := int64(number-1) * p.method.PartSize
	piece := make([]byte, min(p.method.PartSize, p.size-from))
	if _, err := io.ReadFull(io.NewSectionReader(p.content, from, int64(len(piece))), piece); err != nil {
		return fmt.Errorf("client: upload %s: read: %w", p.o.up.Name, err)
	}
	sum := sha256.Sum256(piece)
	hash := hex.EncodeToString(sum[:])
	if hash != there {
		address, err := url.Parse(p.method.URL)
		if err != nil {
			return fmt.Errorf("client: upload %s: the server gave an unreadable URL", p.o.up.Name)
		}
		q := address.Query()
		q.Set("part", strconv.Itoa(number))
		q.Set("sha256", hash)
		address.RawQuery = q.Encode()
		if _, err := p.call(ctx, http.MethodPut, address.String(), piece); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += int64(len(piece))
	p.o.progress(p.done, p.size)
	return nil
}

func (p *partsUpload) call(ctx context.Context, method, address string, piece []byte) (*Reply, error) {
	x := exchange{method: method, url: address, header: http.Header{"Content-Type": {"application/octet-stream"}}, via: p.o.c.bulk}
	if piece != nil {
		x.body = func() (io.Reader, error) { return bytes.NewReader(piece), nil }
	}
	reply, err := p.o.c.exchange(ctx, x)
	if err != nil {
		return nil, err
	}
	switch reply.Status {
	case http.StatusOK:
		return reply, nil
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusGone:
		return nil, partsGone{newError(method, address, reply)}
	}
	return nil, newError(method, address, reply)
}
