package web_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
)

// remembering keeps what of the last request was to be authenticated.
type remembering struct{ last web.AuthRequest }

func (r *remembering) Authenticate(_ context.Context, q web.AuthRequest) (web.AuthResult, error) {
	r.last = q
	return web.AuthResult{Caller: web.Caller{ClientID: "someone", Scopes: []string{"*"}, Scheme: "hawk"}}, nil
}

func TestAddressesOnTheWire(t *testing.T) {
	auth := &remembering{}
	h, err := web.Mount([]web.Service{{Name: "named", Version: "v1", Title: "Named", Description: "Of names.", Endpoints: []web.Endpoint{{
		Name: "go", Method: "GET", Route: "/to/<name*>", Title: "Go", Description: "Goes.", Category: "Named", Stability: "stable", Scopes: scope.Text("go:<name>"),
		Query: map[string]string{"q": ".*"},
		Handle: func(_ context.Context, r *web.Request) (any, error) {
			return web.Redirect{Location: "https://x.example/" + r.Params["name"]}, nil
		},
	}}}}, auth, web.Options{RootURL: "https://tc.example"})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	for _, c := range []struct{ target, signed, location string }{
		{"/api/named/v1/to/github/1|ann", "/api/named/v1/to/github/1|ann", "https://x.example/github/1|ann"},
		{"/api/named/v1/to/github%2F1%7Cann?q=a|b", "/api/named/v1/to/github%2F1%7Cann?q=a|b", "https://x.example/github/1|ann"},
		{"/api/named/v1/to/{a}^`b`", "/api/named/v1/to/{a}^`b`", "https://x.example/{a}^`b`"},
		{"/api/named/v1/to/caf\u00e9%22%C3%A9", "/api/named/v1/to/caf\u00e9%22%C3%A9", "https://x.example/caf%C3%A9%22%C3%A9"},
		{srv.URL + "/api/named/v1/to/a%7Cb", "/api/named/v1/to/a%7Cb", "https://x.example/a|b"},
	} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: tc.example\r\n\r\n", c.target); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if at := resp.Header.Get("Location"); auth.last.Resource != c.signed || at != c.location || resp.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %d to %q, signed %q", c.target, resp.StatusCode, at, auth.last.Resource)
		}
	}
}
