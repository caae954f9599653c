package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

const (
	objectService = "object"
	maxInline     = 8 << 10  // bytes that may travel inside the createUpload call (taskcluster-map 11)
	resumableFrom = 8 << 20  // larger content is sent in parts, so that a broken transfer resumes
	uploadPause   = 24 << 10 // read size of the hashing pass
)

// Upload describes an artifact to be made of content.
type Upload struct {
	TaskID      string
	RunID       int
	Name        string
	ContentType string
	Expires     task.Time
	Progress    func(done, total int64) // called now and then; may be nil
}

// Uploaded says what the server now holds.
type Uploaded struct {
	SHA256 string // lower-case hexadecimal
	Size   int64
}

// UploadArtifact makes an artifact of the size bytes of content. The server keeps it only if the
// bytes that arrived have the sha256 that was computed here. The content must not change
// meanwhile. Repeating an upload of the same bytes is no error.
func (c *Client) UploadArtifact(ctx context.Context, up Upload, content io.ReaderAt, size int64) (Uploaded, error) {
	sum, err := hashOf(content, size)
	if err != nil {
		return Uploaded{}, fmt.Errorf("client: upload %s: read: %w", up.Name, err)
	}
	o, err := c.beginObject(ctx, up, &size)
	if err != nil {
		return Uploaded{}, err
	}
	done := Uploaded{SHA256: sum, Size: size}
	if err := o.send(ctx, content, size); err != nil {
		return Uploaded{}, err
	}
	return done, o.finish(ctx, sum)
}

func hashOf(content io.ReaderAt, size int64) (string, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, io.NewSectionReader(content, 0, size), make([]byte, uploadPause))
	if err != nil {
		return "", err
	}
	if n != size {
		return "", fmt.Errorf("it has %d bytes, %d were expected: it changed meanwhile", n, size)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// objectUpload is an artifact between createArtifact and finishArtifact.
type objectUpload struct {
	c      *Client // with the task's credentials
	up     Upload
	length *int64
	ticket objectTicket
}

func (c *Client) beginObject(ctx context.Context, up Upload, length *int64) (*objectUpload, error) {
	o := &objectUpload{c: c, up: up, length: length}
	return o, o.renew(ctx, c)
}

// renew asks for the upload again, which gives fresh upload credentials; caller has the task's
// credentials of the moment.
func (o *objectUpload) renew(ctx context.Context, caller *Client) error {
	o.c = caller
	in := artifactRequest{StorageType: "object", ContentType: o.up.ContentType, Expires: o.up.Expires, ContentLength: o.length}
	if err := o.c.createArtifact(ctx, o.up.TaskID, o.up.RunID, o.up.Name, in, &o.ticket); err != nil {
		return fmt.Errorf("client: create artifact %s: %w", o.up.Name, err)
	}
	if o.ticket.UploadID == "" {
		return fault.New(fault.Internal, "the server did not offer an object upload for artifact %s", o.up.Name)
	}
	return nil
}

// asUploader is the client that the object service takes the content from.
func (o *objectUpload) asUploader() *Client {
	if o.ticket.Credentials.ClientID == "" {
		return o.c
	}
	return o.c.WithCredentials(o.ticket.Credentials.Hawk())
}

type putMethod struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Expires task.Time         `json:"expires"`
}

type appendMethod struct {
	AppendURL string    `json:"appendUrl"`
	StreamURL string    `json:"streamUrl"`
	Expires   task.Time `json:"expires"`
}

type uploadMethod struct {
	DataInline bool          `json:"dataInline"`
	PutURL     *putMethod    `json:"putUrl"`
	Parts      *partsMethod  `json:"parts"`
	Append     *appendMethod `json:"append"`
}

// propose starts the upload by the proposed methods and returns the one the server chose.
func (o *objectUpload) propose(ctx context.Context, proposed map[string]any) (uploadMethod, error) {
	in := map[string]any{
		"projectId": o.ticket.ProjectID, "uploadId": o.ticket.UploadID, "expires": o.ticket.Expires,
		"proposedUploadMethods": proposed,
	}
	var out struct {
		UploadMethod uploadMethod `json:"uploadMethod"`
	}
	err := o.asUploader().Call(ctx, objectService, http.MethodPut, Path("upload", o.ticket.Name), nil, in, &out)
	return out.UploadMethod, err
}

// send moves the content by the method that fits its size.
func (o *objectUpload) send(ctx context.Context, content io.ReaderAt, size int64) error {
	if size <= maxInline {
		return o.sendInline(ctx, content, size)
	}
	if size >= resumableFrom {
		if done, err := o.sendParts(ctx, content, size); done || err != nil {
			return err
		}
	}
	return o.sendPut(ctx, content, size)
}

func (o *objectUpload) sendInline(ctx context.Context, content io.ReaderAt, size int64) error {
	data := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(content, 0, size), data); err != nil {
		return fmt.Errorf("client: upload %s: read: %w", o.up.Name, err)
	}
	method, err := o.propose(ctx, map[string]any{"dataInline": map[string]any{
		"contentType": o.up.ContentType, "objectData": base64.StdEncoding.EncodeToString(data),
	}})
	if err == nil && !method.DataInline {
		return o.sendPut(ctx, content, size)
	}
	o.progress(size, size)
	return err
}

func (o *objectUpload) sendPut(ctx context.Context, content io.ReaderAt, size int64) error {
	method, err := o.propose(ctx, map[string]any{"putUrl": map[string]any{"contentType": o.up.ContentType, "contentLength": size}})
	if err != nil {
		return err
	}
	if method.PutURL == nil {
		return fault.New(fault.Internal, "the object service offers no way to upload %s", o.up.Name)
	}
	header := http.Header{}
	for name, value := range method.PutURL.Headers {
		header.Set(name, value)
	}
	// Each attempt reads the content anew.
	body := func() (io.Reader, error) {
		return &reporter{r: io.NewSectionReader(content, 0, size), total: size, report: o.up.Progress}, nil
	}
	return o.c.transfer(ctx, http.MethodPut, method.PutURL.URL, header, body)
}

func (o *objectUpload) progress(done, total int64) {
	if o.up.Progress != nil {
		o.up.Progress(done, total)
	}
}

// finish makes the object final and the artifact visible.
func (o *objectUpload) finish(ctx context.Context, sum string) error {
	in := map[string]any{
		"projectId": o.ticket.ProjectID, "uploadId": o.ticket.UploadID, "hashes": map[string]string{"sha256": sum},
	}
	err := o.asUploader().Call(ctx, objectService, http.MethodPost, Path("finish-upload", o.ticket.Name), nil, in, nil)
	if err != nil {
		return fmt.Errorf("client: finish upload of %s: %w", o.up.Name, err)
	}
	if err := o.c.finishArtifact(ctx, o.up.TaskID, o.up.RunID, o.up.Name, o.ticket.UploadID); err != nil {
		return fmt.Errorf("client: finish artifact %s: %w", o.up.Name, err)
	}
	return nil
}

// refused says that a server does not know a method of upload: it violates its schema, or none of
// the proposed methods suits it.
func refused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Code == "InputValidationError" || e.Status == http.StatusNotAcceptable)
}

// transfer sends content to a signed URL of some storage, which must not get our own signature.
func (c *Client) transfer(ctx context.Context, method, address string, header http.Header, body any) error {
	reply, err := c.exchange(ctx, exchange{method: method, url: address, header: header, body: body, via: c.bulk})
	if err != nil {
		return err
	}
	if reply.Status >= 300 {
		return newError(method, address, reply)
	}
	return nil
}

// reporter tells how far a body has been read, ten times a second at most.
type reporter struct {
	r           io.Reader
	done, total int64
	last        time.Time
	report      func(done, total int64)
}

// Len is what makes the content's length known to the request.
func (r *reporter) Len() int { return int(r.total - r.done) }

func (r *reporter) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.done += int64(n)
	if r.report != nil && (r.done == r.total || time.Since(r.last) > 100*time.Millisecond) {
		r.last = time.Now()
		r.report(r.done, r.total)
	}
	return n, err
}
