package objectapi

import (
	"context"

	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/task"
)

type inlineBody struct {
	ContentType string `json:"contentType"`
	ObjectData  string `json:"objectData"`
}

type announcement struct {
	ContentType   string `json:"contentType"`
	ContentLength int64  `json:"contentLength"`
}

// uploadRequest is what createUpload takes.
type uploadRequest struct {
	ProjectID string            `json:"projectId"`
	UploadID  string            `json:"uploadId"`
	Expires   task.Time         `json:"expires"`
	Hashes    map[string]string `json:"hashes"`
	Proposed  struct {
		DataInline *inlineBody   `json:"dataInline"`
		PutURL     *announcement `json:"putUrl"`
		Parts      *announcement `json:"parts"`
		Append     *announcement `json:"append"`
	} `json:"proposedUploadMethods"`
}

func (in uploadRequest) request(name string) object.UploadRequest {
	r := object.UploadRequest{Name: name, ProjectID: in.ProjectID, UploadID: in.UploadID, Expires: in.Expires.Time, Hashes: in.Hashes}
	switch p := in.Proposed; {
	case p.DataInline != nil:
		r.Inline = &object.InlineUpload{ContentType: p.DataInline.ContentType, Data: p.DataInline.ObjectData}
	case p.PutURL != nil:
		r.Put = &object.PutUpload{ContentType: p.PutURL.ContentType, ContentLength: p.PutURL.ContentLength}
	case p.Parts != nil:
		r.Parts = &object.PartsUpload{ContentType: p.Parts.ContentType, ContentLength: p.Parts.ContentLength}
	case p.Append != nil:
		r.Append = &object.AppendUpload{ContentType: p.Append.ContentType}
	}
	return r
}

// putMethod, partsMethod and appendMethod are how to go on with an upload.
type putMethod struct {
	URL     string            `json:"url"`
	Expires task.Time         `json:"expires"`
	Headers map[string]string `json:"headers"`
}

type partsMethod struct {
	URL      string    `json:"url"`
	PartSize int64     `json:"partSize"`
	Expires  task.Time `json:"expires"`
}

type appendMethod struct {
	AppendURL string    `json:"appendUrl"`
	StreamURL string    `json:"streamUrl"`
	Expires   task.Time `json:"expires"`
}

type uploadMethod struct {
	DataInline bool          `json:"dataInline,omitempty"`
	PutURL     *putMethod    `json:"putUrl,omitempty"`
	Parts      *partsMethod  `json:"parts,omitempty"`
	Append     *appendMethod `json:"append,omitempty"`
}

func toMethod(u object.Upload) uploadMethod {
	m := uploadMethod{DataInline: u.Inline}
	if u.Put != nil {
		m.PutURL = &putMethod{u.Put.URL, task.At(u.Put.Expires), u.Put.Headers}
	}
	if u.Parts != nil {
		m.Parts = &partsMethod{u.Parts.URL, u.Parts.PartSize, task.At(u.Parts.Expires)}
	}
	if u.Append != nil {
		m.Append = &appendMethod{u.Append.AppendURL, u.Append.StreamURL, task.At(u.Append.Expires)}
	}
	return m
}

func (d door) createUpload(ctx context.Context, r *web.Request) (any, error) {
	var in uploadRequest
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, map[string]any{"projectId": in.ProjectID}); err != nil {
		return nil, err
	}
	u, err := d.store.CreateUpload(ctx, in.request(r.Params["name"]))
	if err != nil {
		return nil, err
	}
	return struct {
		ProjectID    string       `json:"projectId"`
		UploadID     string       `json:"uploadId"`
		Expires      task.Time    `json:"expires"`
		UploadMethod uploadMethod `json:"uploadMethod"`
	}{in.ProjectID, in.UploadID, task.At(u.Expires), toMethod(u)}, nil
}

func (d door) finishUpload(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		ProjectID string            `json:"projectId"`
		UploadID  string            `json:"uploadId"`
		Hashes    map[string]string `json:"hashes"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, map[string]any{"projectId": in.ProjectID}); err != nil {
		return nil, err
	}
	return nil, d.store.FinishUpload(ctx, r.Params["name"], in.ProjectID, in.UploadID, in.Hashes)
}

func (d door) startDownload(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		Accept struct{ GetURL, Simple bool } `json:"acceptDownloadMethods"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	reader := d.reader(r)
	reader.Gzip = in.Accept.GetURL || reader.Gzip // who takes getUrl takes gzip
	o, address, until, err := d.store.Download(ctx, r.Params["name"], reader)
	if err != nil {
		return nil, err
	}
	switch {
	case in.Accept.GetURL:
		return struct {
			Method  string            `json:"method"`
			URL     string            `json:"url"`
			Expires task.Time         `json:"expires"`
			Hashes  map[string]string `json:"hashes"`
		}{"getUrl", address, task.At(until), o.Hashes}, nil
	case in.Accept.Simple:
		return map[string]string{"method": "simple", "url": address}, nil
	}
	return nil, &web.CodedError{Code: "NoMatchingMethod", Status: 406, Message: "The object can be downloaded by getUrl and simple; neither is accepted."}
}

func (d door) object(ctx context.Context, r *web.Request) (any, error) {
	o, err := d.store.Get(ctx, r.Params["name"])
	if err != nil {
		return nil, err
	}
	return struct {
		ProjectID string            `json:"projectId"`
		Expires   task.Time         `json:"expires"`
		Hashes    map[string]string `json:"hashes"`
	}{o.ProjectID, task.At(o.Expires), o.Hashes}, nil
}

func (d door) download(ctx context.Context, r *web.Request) (any, error) {
	_, address, _, err := d.store.Download(ctx, r.Params["name"], d.reader(r))
	if err != nil {
		return nil, err
	}
	return web.Redirect{Location: address}, nil
}
