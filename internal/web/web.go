// Package web turns tables of endpoints into an HTTP server that behaves as the field knows it.
//
// A service is a table: one Endpoint a row, with its route, scopes, schemas and handler. Mount makes
// from the tables the router, the checks before a handler (in the order of taskcluster-map 3.1), the
// error bodies, and the machine-readable references and schemas. A handler decodes, asks for what
// could not be checked before it, calls one verb of its room and returns the answer.
//
// Rooms know no HTTP: their errors carry a fault.Kind, and this package alone gives it a status and a
// code.
package web

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web/throttle"
)

// DefaultBody is how many bytes a request's JSON body may have where the endpoint says nothing
// (taskcluster-map 3.1).
const DefaultBody = 10 << 20

// Blob in place of a schema's name means bytes instead of JSON. A blob as input is not read before
// the handler runs: it reads Request.HTTP.Body itself.
const Blob = "blob"

// AllSecret in Endpoint.Secret means that errors repeat nothing of the body: what is secret may stand in
// the wrong place.
const AllSecret = "*"

// Patterns of well-known query parameters.
const (
	LimitPattern = `^[0-9]+$`
	TokenPattern = `^[\x20-\x7e]*$` // continuation tokens are opaque; a bad one is judged where it is read
)

// Service is the table of one service; it is served below /api/<Name>/<Version>.
type Service struct {
	Name, Version      string // "queue", "v1"
	Title, Description string // for the references; Markdown
	// Schemas holds the JSON Schema files, at the root or in a folder "schemas". They refer to each
	// other by file name, or to another service's by /schemas/<service>/<version>/<file>.
	Schemas fs.FS
	// Params maps a route parameter to the anchored regular expression its decoded value must match.
	Params    map[string]string
	Endpoints []Endpoint
}

// Endpoint is one method of a service.
type Endpoint struct {
	Name   string // "createTask"; unique in the service
	Method string // "GET"; HEAD is answered where GET is
	// Route is the path below the service, such as "/task/<taskId>/runs". A parameter stands for one
	// segment, percent-encoded slashes included; one written <name*>, at the end only, for all the
	// rest. References show it as <name>.
	Route string
	// Also are further routes that lead here, such as one whose last parameter is left out. They are
	// not published; a parameter that they lack is "", and is not held against its pattern.
	Also []string
	// Unpublished endpoints are served, but no part of the references: what old clients still call.
	Unpublished                             bool
	Title, Description, Category, Stability string
	Query                                   map[string]string // allowed query parameters: anchored regular expressions
	// Scopes is what the caller must hold; nil is public. When it uses route parameters only, it is
	// checked before anything else; otherwise the handler must call Request.Authorize.
	Scopes        scope.Template
	Input, Output string // schema files, Blob, or "" for none
	MaxBody       int64  // bytes of the JSON body; 0 is DefaultBody
	// Secret names top-level members of the body that errors must not repeat (AllSecret for all), and
	// route parameters that neither errors nor logs may.
	Secret []string
	// Proof is how callers of a public endpoint prove who they are: they count when that does not hold, and not as
	// strangers do. Sender names a header that tells apart those who come from one address; "" for none.
	Proof  Proof
	Sender string
	// Costly is an endpoint that is much work.
	Costly bool
	Handle func(ctx context.Context, r *Request) (any, error)
}

// Proof is what callers without credentials show.
type Proof string

// The proofs that there are.
const (
	SignedURL  Proof = "signed url"  // judged at no cost
	SignedBody Proof = "signed body" // a signature of the body, or a token in it or in the route: judging it costs something
)

// Caller is who made a request.
type Caller struct {
	ClientID string    // "" for an anonymous caller
	Issuer   string    // the client whose access token stands behind it: another one for named temporary credentials
	Scopes   []string  // expanded
	Expires  time.Time // of the credentials
	Since    time.Time // when temporary credentials begin to hold; zero for others
	Scheme   string    // "hawk"; "none" for an anonymous caller
}

// Anonymous reports whether the request came without credentials.
func (c Caller) Anonymous() bool { return c.ClientID == "" || c.Scheme == "none" }

// AuthRequest is what is authenticated (taskcluster-map 3.2).
type AuthRequest struct {
	Method        string // as sent, such as "GET"
	Resource      string // path and query as sent
	Host          string // without port, as the client called us
	Port          int    // as the client called us
	Authorization string // the header; "" when there is none
	SourceIP      string
	// Sparing asks to read nothing for a client that is not known already: a fault.Limited otherwise. Too many
	// credentials from this address were bad.
	Sparing bool
}

// AuthResult is the caller, and the hash that the caller's signature covers; "" when it covers none.
type AuthResult struct {
	Caller
	Hash string // base64 Hawk payload hash, checked against the body here
}

// Authenticator tells who makes a request. One without credentials succeeds, as an anonymous caller
// with the scopes of the anonymous role; bad credentials are a fault.Unauthenticated.
type Authenticator interface {
	Authenticate(ctx context.Context, r AuthRequest) (AuthResult, error)
}

// Options are the settings of Mount.
type Options struct {
	RootURL     string // without trailing slash; stands in references and schemas
	Build       Build  // answered by __version__
	Fallback    http.Handler
	Healthy     func(ctx context.Context) error // whether the deployment can work; nil: always
	Stopping    func() bool                     // whether requests should go to other servers; nil: never
	Log         *slog.Logger
	AccessLevel slog.Level       // level of the line per call; the default is Info
	CheckOutput bool             // answers must fit their schema; for tests
	Proxies     Proxies          // whose X-Forwarded-For is believed
	Limits      *throttle.Limits // how often somebody may ask; nil: as often as they like
	// References are published beside those made from the tables.
	References []Reference
	// Schemas are published below /schemas besides those of the services: of what no endpoint takes, such as the
	// payloads of tasks. Each is named by its path, such as /schemas/generic-worker/v1/payload.json.
	Schemas map[string]json.RawMessage
	// LocalNames answers only requests whose Host header is that of RootURL or names this machine:
	// else a page of another site could, by pointing its own name here, read with a browser what
	// people on this machine may read.
	LocalNames bool
	// Observe is told of each call and page when it has been answered; nil: nobody is. It must be quick.
	Observe func(ctx context.Context, s Seen)
	// Patience is how long a client may take to send a request's body, and to take each piece of an
	// answer, before it is given up; 0 is two minutes.
	Patience time.Duration
	// Linger is for how long a body that was refused unread is still taken and thrown away; 0 means 5 seconds.
	Linger time.Duration
}

// Reference is a machine-readable document about a service that is not made from its table, such as
// that of its exchanges.
type Reference struct {
	Service, Version string // whose it is
	Name             string // file, such as "exchanges.json"
	Content          any    // JSON
	// Schemas are published with those of the service, which they may refer to; nil for none.
	Schemas fs.FS
}

// Build says which program answers.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Source  string `json:"source"`
	Build   string `json:"build"`
}

// Redirect is an answer that sends the caller elsewhere: 303, with Body as JSON beside it.
type Redirect struct {
	Location string
	Body     any
	Header   http.Header
}

// Status is an answer with a status of its own; Body is JSON and may be nil.
type Status struct {
	Code   int
	Body   any
	Header http.Header
}

// Streamed is the answer of a handler that wrote to Request.Writer itself.
type Streamed struct{}
