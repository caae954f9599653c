package ghspec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Spec is GitHub's description of some routes. It is safe for concurrent use.
type Spec struct {
	doc    *openapi3.T
	routes map[string]*routers.Route // by shape
}

// unknown are routes that GitHub answers and does not describe: redirects after a rename lead there.
var unknown = map[string]bool{"GET /repositories/{}": true}

// Load reads the description of routes, such as ghfake.Routes gives. A route that GitHub does not describe is an error.
func Load(ctx context.Context, served []string) (*Spec, error) {
	text, err := Install(ctx, served)
	if err != nil {
		return nil, err
	}
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("ghspec: %w", err)
	}
	s := &Spec{doc: doc, routes: map[string]*routers.Route{}}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			operation.Security = openapi3.NewSecurityRequirements() // tokens are the double's business
			s.routes[shape(method+" "+path)] = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: operation}
		}
	}
	var missing []error
	for _, r := range served {
		if s.routes[shape(r)] == nil && !unknown[shape(r)] {
			missing = append(missing, fmt.Errorf("ghspec: GitHub describes no %s", r))
		}
	}
	return s, errors.Join(missing...)
}

// exchange is a request as the validator wants it; nil for a route that is not described.
func (s *Spec) exchange(route string, r *http.Request, body []byte) (*openapi3filter.RequestValidationInput, error) {
	of := s.routes[shape(route)]
	if of == nil {
		if unknown[shape(route)] {
			return nil, nil
		}
		return nil, fmt.Errorf("GitHub describes no %s", route)
	}
	copied := r.Clone(r.Context())
	copied.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) > 0 && copied.Header.Get("Content-Type") == "" {
		copied.Header.Set("Content-Type", "application/json")
	}
	// The double's names stand at the same places as GitHub's.
	params := map[string]string{}
	_, pattern, _ := strings.Cut(route, " ")
	ours, theirs := names(pattern), names(of.Path)
	for i, name := range theirs {
		params[name] = r.PathValue(strings.TrimSuffix(ours[i], "..."))
	}
	o := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true}
	o.WithCustomSchemaErrorFunc(func(err *openapi3.SchemaError) string {
		return "/" + strings.Join(err.JSONPointer(), "/") + ": " + err.Reason // without the schema, which fills pages
	})
	return &openapi3filter.RequestValidationInput{Request: copied, PathParams: params, QueryParams: r.URL.Query(), Route: of, Options: o}, nil
}

func names(pattern string) (out []string) {
	for _, part := range strings.Split(pattern, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		out = append(out, name)
	}
	return out
}

// Request says what is wrong with a request; nil when nothing is.
func (s *Spec) Request(route string, r *http.Request, body []byte) error {
	if string(bytes.TrimSpace(body)) == "null" {
		body = nil // what ghinstallation sends for nothing; GitHub takes it
	}
	in, err := s.exchange(route, r, body)
	if err != nil || in == nil {
		return err
	}
	if in.Route.Operation.RequestBody != nil && !in.Route.Operation.RequestBody.Value.Required && len(body) == 0 {
		in.Options.ExcludeRequestBody = true
	}
	if err := openapi3filter.ValidateRequest(context.WithoutCancel(r.Context()), in); err != nil {
		return fmt.Errorf("%s: %w", route, err)
	}
	return nil
}

// Answer says what is wrong with an answer of the double; nil when nothing is, and for answers that GitHub does not
// describe beyond their form: refusals for too many requests and outages.
func (s *Spec) Answer(route string, r *http.Request, status int, header http.Header, body []byte) error {
	in, err := s.exchange(route, r, nil)
	if err != nil || in == nil {
		return err
	}
	if status >= 400 && in.Route.Operation.Responses.Status(status) == nil {
		return nil
	}
	if kind := header.Get("Content-Type"); kind != "" && !strings.HasPrefix(kind, "application/json") {
		return nil // raw files, revisions and archives: media types that the description leaves out
	}
	if len(body) == 0 && status != http.StatusOK && status != http.StatusCreated {
		in.Options.ExcludeResponseBody = true
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: status, Header: header, Options: in.Options}
	out.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(context.WithoutCancel(r.Context()), out); err != nil {
		return fmt.Errorf("%s: answer %d: %w", route, status, err)
	}
	return nil
}
