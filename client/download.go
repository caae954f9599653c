package client

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

const (
	unknownSize  = -1
	maxRedirects = 8
	stallTime    = 60 * time.Second // a transfer that does not move for so long is begun anew
)

// Download says where to read an artifact from.
type Download struct {
	TaskID   string
	RunID    int // LatestRun for the newest
	Name     string
	Progress func(done, total int64) // called now and then, total -1 when not known; may be nil
}

// Downloaded says what was read.
type Downloaded struct {
	Size        int64
	SHA256      string // of what was written
	Verified    bool   // the server named a sha256 and it was the same
	ContentType string
}

// DownloadArtifact writes an artifact's content to w. A broken transfer is resumed where it
// broke. When the server knows the content's sha256 or length, content that differs is an error;
// what was written until then is not to be trusted.
func (c *Client) DownloadArtifact(ctx context.Context, down Download, w io.Writer) (Downloaded, error) {
	d := download{c: c, size: unknownSize, progress: down.Progress, hash: sha256.New()}
	d.locate = func(ctx context.Context) (string, string, error) { return c.locate(ctx, down) }
	if err := d.run(ctx, w); err != nil {
		return Downloaded{}, fmt.Errorf("client: download %s of task %s: %w", down.Name, down.TaskID, err)
	}
	out := Downloaded{Size: d.at, SHA256: hex.EncodeToString(d.hash.Sum(nil)), ContentType: d.contentType}
	if d.sum != "" {
		out.Verified = d.sum == out.SHA256
		if !out.Verified {
			return out, fault.New(fault.Internal, "artifact %s of task %s: the bytes that arrived have sha256 %s, it should be %s",
				down.Name, down.TaskID, out.SHA256, d.sum)
		}
	}
	return out, nil
}

// locate returns the URL that holds an artifact's bytes and, when the server knows it, their
// sha256.
func (c *Client) locate(ctx context.Context, down Download) (address, sum string, err error) {
	var where struct {
		StorageType, URL, Name, Reason, Message string
		Credentials                             TaskCredentials
	}
	err = c.Call(ctx, queueService, http.MethodGet, artifactPath(down.TaskID, down.RunID, "artifact-content", down.Name), nil, nil, &where)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusNotFound && e.Code == "" {
		// The server has no such endpoint; the plain one redirects.
		err = c.Call(ctx, queueService, http.MethodGet, artifactPath(down.TaskID, down.RunID, "artifacts", down.Name), nil, nil, &where)
		return where.URL, "", err
	}
	if err != nil {
		return "", "", err
	}
	switch where.StorageType {
	case "error":
		return "", "", fault.New(fault.NotFound, "the task could not provide artifact %s (%s): %s", down.Name, where.Reason, where.Message)
	case "object":
		return c.locateObject(ctx, where.Name, where.Credentials)
	}
	return where.URL, "", nil
}

func (c *Client) locateObject(ctx context.Context, name string, creds TaskCredentials) (address, sum string, err error) {
	reader := c
	if creds.ClientID != "" {
		reader = c.WithCredentials(creds.Hawk())
	}
	in := map[string]any{"acceptDownloadMethods": map[string]any{"getUrl": true, "simple": true}}
	var out struct {
		Method string            `json:"method"`
		URL    string            `json:"url"`
		Hashes map[string]string `json:"hashes"`
	}
	err = reader.Call(ctx, objectService, http.MethodPut, Path("start-download", name), nil, in, &out)
	return out.URL, out.Hashes["sha256"], err
}

// download is a transfer that resumes.
type download struct {
	c           *Client
	locate      func(context.Context) (address, sum string, err error) // nil: address is given
	address     string
	sum         string
	at, size    int64 // how far, of how much (unknownSize when not known)
	endless     bool  // the content may grow: ask again at its end
	etag        string
	contentType string
	progress    func(done, total int64)
	hash        hash.Hash // of what was written; nil for none
}

// finalError is an error that trying again does not cure.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func (d *download) run(ctx context.Context, w io.Writer) error {
	moved := time.Now()
	for attempt := 0; ; attempt++ {
		before := d.at
		done, err := d.once(ctx, w)
		if done {
			return nil
		}
		if e, ok := errors.AsType[finalError](err); ok {
			return e.error
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d.at > before {
			moved, attempt = time.Now(), 0
		}
		if err != nil && time.Since(moved) >= d.c.patience {
			return err
		}
		if err == nil {
			continue // a clean end of content that may grow: ask whether there is more
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d.c.pause(attempt)):
		}
	}
}

// once asks for the rest of the content and copies it as far as it comes.
func (d *download) once(ctx context.Context, w io.Writer) (done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if d.locate != nil {
		if d.address, d.sum, err = d.locate(ctx); err != nil {
			return false, finalError{err} // calls have their own retries
		}
	}
	resp, err := d.open(ctx)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && d.at > 0:
		return true, nil // nothing behind what we have
	case resp.StatusCode >= 300:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // a shorter message is still a message
		e := newError(http.MethodGet, d.address, &Reply{Status: resp.StatusCode, Body: text})
		if d.locate != nil && d.at > 0 && (e.Status == http.StatusForbidden || e.Status == http.StatusGone) {
			return false, e // the URL ran out in the middle: locate again
		}
		return false, finalError{e}
	}
	if err := d.adopt(resp); err != nil {
		return false, finalError{err}
	}
	before := d.at
	if err := d.copy(cancel, resp, w); err != nil {
		return false, err
	}
	if d.endless {
		return d.at == before, nil
	}
	if d.size >= 0 && d.at != d.size {
		return false, io.ErrUnexpectedEOF
	}
	return true, nil
}

// open sends the request and follows redirects, never signing: the URLs carry what they need.
func (d *download) open(ctx context.Context) (*http.Response, error) {
	address := d.address
	for range maxRedirects {
		var resp *http.Response
		header := http.Header{}
		if d.at > 0 {
			header.Set("Range", "bytes="+strconv.FormatInt(d.at, 10)+"-")
		}
		keep := func(r *http.Response) error { resp = r; return nil }
		if err := d.c.do(ctx, d.c.bulk, http.MethodGet, address, header, nil, false, keep); err != nil {
			return nil, finalError{err}
		}
		location := resp.Header.Get("Location")
		if resp.StatusCode < 300 || resp.StatusCode >= 400 || location == "" {
			return resp, nil
		}
		resp.Body.Close()
		next, err := resp.Request.URL.Parse(location)
		if err != nil || next.Scheme != "http" && next.Scheme != "https" {
			return nil, finalError{fault.New(fault.Invalid, "%s redirects to something that is no web address", redacted(address))}
		}
		address = next.String()
	}
	return nil, finalError{fault.New(fault.Invalid, "%s redirects more than %d times", redacted(d.address), maxRedirects)}
}

// adopt learns size and identity of the content from an answer, and checks that a resumed
// transfer still speaks of the same content.
func (d *download) adopt(resp *http.Response) error {
	etag := resp.Header.Get("ETag")
	// With a hash to verify at the end, another store may go on with the same content.
	if d.at > 0 && d.etag != "" && etag != "" && etag != d.etag && !d.endless && d.sum == "" {
		return fault.New(fault.Conflict, "the content of %s changed during the transfer", redacted(d.address))
	}
	d.etag, d.contentType = etag, resp.Header.Get("Content-Type")
	if d.endless || resp.Header.Get("Content-Encoding") != "" || resp.ContentLength < 0 {
		return nil
	}
	d.size = resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		d.size += d.at
		if from, ok := rangeStart(resp.Header.Get("Content-Range")); ok && from != d.at {
			return fault.New(fault.Internal, "%s answered with bytes from %d on, asked for was %d", redacted(d.address), from, d.at)
		}
	}
	return nil
}

func rangeStart(contentRange string) (int64, bool) {
	rest, ok := strings.CutPrefix(contentRange, "bytes ")
	from, _, ok2 := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(from, 10, 64)
	return n, ok && ok2 && err == nil
}

// copy moves the body to w; a stalled body is given up, content that may grow apart.
func (d *download) copy(cancel context.CancelFunc, resp *http.Response, w io.Writer) error {
	var body io.Reader = resp.Body
	if resp.StatusCode == http.StatusOK && d.at > 0 {
		// The server does not know ranges: skip what we have.
		if _, err := io.CopyN(io.Discard, body, d.at); err != nil {
			return err
		}
	}
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		unzipped, err := gzip.NewReader(body)
		if err != nil || d.at > 0 {
			return finalError{fault.New(fault.Unavailable, "the compressed content of %s broke off and cannot be resumed", redacted(d.address))}
		}
		body = unzipped
	}
	stall := time.AfterFunc(stallTime, cancel)
	defer stall.Stop()
	if d.endless {
		stall.Stop()
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		if !d.endless {
			stall.Reset(stallTime)
		}
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return finalError{fmt.Errorf("write: %w", err)}
			}
			d.count(buf[:n])
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (d *download) count(p []byte) {
	d.at += int64(len(p))
	if d.hash != nil {
		d.hash.Write(p)
	}
	if d.progress != nil {
		d.progress(d.at, d.size)
	}
}

// ArtifactURL returns the address of an artifact, which redirects to its content.
func (c *Client) ArtifactURL(taskID string, runID int, name string) string {
	return c.URL(queueService, artifactPath(taskID, runID, "artifacts", name), url.Values{})
}

// Fetch writes what stands at any web address to w, following redirects and resuming; nothing is
// signed. sum is the sha256 it must have, "" for any.
func (c *Client) Fetch(ctx context.Context, address, sum string, w io.Writer) (Downloaded, error) {
	d := download{c: c, address: address, size: unknownSize, hash: sha256.New()}
	if err := d.run(ctx, w); err != nil {
		return Downloaded{}, fmt.Errorf("client: fetch: %w", err)
	}
	out := Downloaded{Size: d.at, SHA256: hex.EncodeToString(d.hash.Sum(nil)), ContentType: d.contentType}
	if out.Verified = sum != "" && sum == out.SHA256; sum != "" && !out.Verified {
		return out, fault.New(fault.Invalid, "%s has sha256 %s, it should be %s", redacted(address), out.SHA256, sum)
	}
	return out, nil
}
