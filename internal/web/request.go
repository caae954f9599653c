package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
)

// Request is one call of an endpoint, checked as far as the table says. It belongs to its handler's
// goroutine.
type Request struct {
	Params map[string]string   // route parameters, decoded and checked
	Body   json.RawMessage     // the body, checked against the input schema; nil without one
	HTTP   *http.Request       // for streaming endpoints
	Writer http.ResponseWriter // for handlers that answer with Streamed

	site       *site
	endpoint   *endpoint
	raw        []byte // the body as sent
	isJSON     bool
	taken      bool // raw and isJSON hold
	asked      bool // caller and callerErr hold
	caller     Caller
	callerErr  error
	hash       string // of the body, as the caller signed it; "" when they did not
	authorized bool
	granted    scope.Expr // what was asked of the caller last, and satisfied
}

// Query returns a query parameter, "" when it is absent.
func (r *Request) Query(name string) string { return r.HTTP.URL.Query().Get(name) }

// HasQuery reports whether a query parameter was given, if only as the empty string.
func (r *Request) HasQuery(name string) bool { return r.HTTP.URL.Query().Has(name) }

// Decode reads the body into v.
func (r *Request) Decode(v any) error {
	err := jsonv1.Unmarshal(r.Body, v)
	if err != nil {
		if plain, changed := whole(r.Body); changed {
			err = jsonv1.Unmarshal(plain, v)
		}
	}
	if err != nil && len(r.endpoint.Secret) > 0 {
		return fault.New(fault.BadInput, "The request's body cannot be used.") // the cause may repeat of it
	}
	if err != nil {
		return fault.Wrap(fault.BadInput, err, "The request's body cannot be used: %v", err)
	}
	return nil
}

// Caller tells who calls. The credentials are checked at the first call; an endpoint without scopes
// that never asks ignores bad ones (taskcluster-map 3.2).
func (r *Request) Caller(ctx context.Context) (Caller, error) {
	if !r.asked {
		r.caller, r.callerErr = r.authenticate(ctx)
		r.asked = true
	}
	return r.caller, r.callerErr
}

// AuthRequest is what of the request an Authenticator looks at.
func (r *Request) AuthRequest() AuthRequest {
	host, port := hostPort(r.HTTP)
	resource := r.HTTP.RequestURI // net/url writes some characters another way, such as the | of a client's id
	if !strings.HasPrefix(resource, "/") {
		resource = r.HTTP.URL.RequestURI() // a whole address, as proxies are asked
	}
	return AuthRequest{
		Method: r.HTTP.Method, Resource: resource, Host: host, Port: port,
		Authorization: r.HTTP.Header.Get("Authorization"), SourceIP: sourceIP(r.HTTP),
	}
}

func (r *Request) authenticate(ctx context.Context) (Caller, error) {
	result, err := r.authenticated(ctx)
	if err != nil {
		return Caller{}, err
	}
	if result.Hash != "" && r.endpoint.Input == Blob {
		return Caller{}, fault.New(fault.Unauthenticated, "A payload hash cannot be checked on this endpoint; leave it out.")
	}
	r.hash = result.Hash
	return result.Caller, r.checkHash()
}

// checkHash holds the body, once it is taken in, to the hash that the caller signed.
func (r *Request) checkHash() error {
	if r.hash == "" || !r.taken {
		return nil
	}
	want := payloadHash(r.HTTP.Header.Get("Content-Type"), r.raw)
	if subtle.ConstantTimeCompare([]byte(want), []byte(r.hash)) != 1 {
		return fault.New(fault.Unauthenticated, "The payload hash of the credentials does not fit the request's body.")
	}
	return nil
}

// payloadHash is Hawk's hash of a body: its normalized content type and its bytes.
func payloadHash(contentType string, body []byte) string {
	kind, _, _ := strings.Cut(contentType, ";")
	sum := sha256.New()
	sum.Write([]byte("hawk.1.payload\n" + strings.ToLower(strings.TrimSpace(kind)) + "\n"))
	sum.Write(body)
	sum.Write([]byte("\n"))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// Authorize checks the endpoint's scopes. Handlers call it where the template needs more than route
// parameters; extra gives the rest and wins over them.
func (r *Request) Authorize(ctx context.Context, extra map[string]any) error {
	if r.endpoint.Scopes == nil {
		return nil
	}
	params := make(map[string]any, len(r.Params)+len(extra))
	for name, value := range r.Params {
		params[name] = value
	}
	for name, value := range extra {
		params[name] = value
	}
	want, err := r.endpoint.Scopes.Render(params)
	if err != nil {
		return err
	}
	return r.AuthorizeExpr(ctx, want)
}

// AuthorizeExpr checks scopes that the handler worked out itself.
func (r *Request) AuthorizeExpr(ctx context.Context, want scope.Expr) error {
	caller, err := r.Caller(ctx)
	if err != nil {
		return err
	}
	if err := scope.Check(caller.ClientID, caller.Anonymous(), caller.Scopes, want); err != nil {
		return err
	}
	r.authorized, r.granted = true, want
	return nil
}

// hostPort is where the client called us, as its signature has it (taskcluster-map 3.2).
func hostPort(r *http.Request) (string, int) {
	host, port := r.Host, ""
	if h, p, err := net.SplitHostPort(r.Host); err == nil {
		host, port = h, p
	}
	if p := r.Header.Get("X-Forwarded-Port"); p != "" {
		port = p
	}
	if n, err := strconv.Atoi(port); err == nil && n > 0 && n < 1<<16 {
		return host, n
	}
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		return host, 443
	}
	return host, 80
}

// isContainer reports whether JSON text is an object or an array.
func isContainer(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}
