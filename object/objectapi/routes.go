// Package objectapi is the HTTP door of object: uploads, downloads, and the signed URLs under which
// content comes and goes (taskcluster-map 11 and appendix A).
package objectapi

import (
	"embed"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/object"
)

//go:embed schemas/*.json
var schemas embed.FS

// door answers the endpoints.
type door struct {
	store *object.Store
	idle  time.Duration // see idleLimit
}

const tokenPattern = `^[A-Za-z0-9._-]{1,200}$`

// Service is the table of endpoints of the service object.
func Service(s *object.Store) web.Service {
	return door{s, idleLimit}.service()
}

func (d door) service() web.Service {
	return web.Service{
		Name: "object", Version: "v1", Title: "Object",
		Description: "Keeps what tasks upload, under names, until it expires.",
		Schemas:     schemas,
		Params:      map[string]string{"name": `^[\x20-\x7e]+$`},
		Endpoints:   append(append(d.uploads(), d.downloads()...), d.contents()...),
	}
}

func (d door) uploads() []web.Endpoint {
	may := scope.Text("object:upload:<projectId>:<name>")
	return []web.Endpoint{
		{
			Name: "createUpload", Method: "PUT", Route: "/upload/<name>", Scopes: may, Category: "Upload", Stability: "stable",
			Input: "create-upload-request.json", Output: "create-upload-response.json", Handle: d.createUpload, Title: "Begin an upload",
			Description: "Begins an upload and agrees on how the content comes. It may be called again, with the same `uploadId`, `projectId` and `expires`, " +
				"to propose other ways or to get fresh URLs. As long as nobody else knows the `uploadId`, nobody else can upload under this name. " +
				"An upload that is not finished within a day of the last call, or of the last piece, ends.",
		},
		{
			Name: "finishUpload", Method: "POST", Route: "/finish-upload/<name>", Scopes: may, Category: "Upload", Stability: "stable",
			Input: "finish-upload-request.json", Handle: d.finishUpload, Title: "Finish an upload",
			Description: "Makes the object readable and unchangeable. A sha256 or sha512 that was given and is not that of the content is refused. " +
				"Finishing again is fine.",
		},
	}
}

func (d door) downloads() []web.Endpoint {
	may := scope.Text("object:download:<name>")
	return []web.Endpoint{
		{
			Name: "startDownload", Method: "PUT", Route: "/start-download/<name>", Scopes: may, Category: "Download", Stability: "stable",
			Input: "download-object-request.json", Output: "download-object-response.json", Handle: d.startDownload, Title: "Begin a download",
			Description: "Agrees on how the content is downloaded; 406 when none of the ways accepted is possible.",
		},
		{
			Name: "object", Method: "GET", Route: "/metadata/<name>", Scopes: may, Category: "Objects", Stability: "stable",
			Output: "get-object-response.json", Handle: d.object, Title: "Get an object's metadata",
			Description: "What is known of an object, without its content.",
		},
		{
			Name: "download", Method: "GET", Route: "/download/<name>", Scopes: may, Category: "Download", Stability: "stable",
			Handle: d.download, Title: "Download an object",
			Description: "Redirects to a URL that serves the content: for browsers, curl and the like, also with a bewit.",
		},
	}
}

// contents are the signed URLs. They ask for no scopes: the token in them is the right.
func (d door) contents() []web.Endpoint {
	query := map[string]string{"token": tokenPattern}
	return []web.Endpoint{
		{
			Name: "content", Method: "GET", Route: "/content/<name>", Proof: web.SignedURL, Query: query, Output: web.Blob, Handle: d.content,
			Category: "Content", Stability: "experimental", Title: "Read content", Description: "Serves the content of an object, whole or in ranges.",
		},
		{
			Name: "streamContent", Method: "GET", Route: "/stream/<name>", Proof: web.SignedURL, Query: query, Output: web.Blob, Handle: d.stream,
			Category: "Content", Stability: "experimental", Title: "Follow content",
			Description: "Serves an upload by pieces while it grows, until it is finished; `Range: bytes=N-` goes on where a reader was. Afterwards it serves the object.",
		},
		{
			Name: "putContent", Method: "PUT", Route: "/put/<name>", Proof: web.SignedURL, Query: query, Input: web.Blob, Handle: d.put,
			Category: "Content", Stability: "experimental", Title: "Send content", Description: "Takes the whole content of an upload.",
		},
		{
			Name: "putPart", Method: "PUT", Route: "/parts/<name>", Proof: web.SignedURL, Input: web.Blob, Output: "part.json", Handle: d.putPart, Category: "Content",
			Query:     map[string]string{"token": tokenPattern, "part": `^[0-9]{1,5}$`, "sha256": `^[0-9a-f]{64}$`},
			Stability: "experimental", Title: "Send a part",
			Description: "Takes the part `part`, from 1 on, of an upload in parts. All but the last have the size that createUpload named. When it answers, the part " +
				"is durable and has the given `sha256`. Parts may come in any order, several at a time, and again.",
		},
		{
			Name: "listParts", Method: "GET", Route: "/parts/<name>", Proof: web.SignedURL, Query: query, Output: "parts.json", Handle: d.listParts,
			Category: "Content", Stability: "experimental", Title: "List parts",
			Description: "Says which parts of an upload in parts are there, so that it can go on after a crash of either side.",
		},
		{
			Name: "appendContent", Method: "POST", Route: "/append/<name>", Proof: web.SignedURL, Query: map[string]string{"token": tokenPattern, "offset": `^[0-9]{1,18}$`},
			Input: web.Blob, Output: "append-response.json", Handle: d.append, Category: "Content", Stability: "experimental", Title: "Append content",
			Description: "Takes a piece of the content that begins at `offset`. The answer is the size of the upload: with 200 it ends with the piece or lies beyond it, " +
				"with 409 the piece did not fit. A piece that is there already may be sent again.",
		},
	}
}
