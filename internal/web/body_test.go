package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

// counted is a body that tells how much of it was read.
type counted struct {
	io.Reader
	read int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	return n, err
}

func (c *counted) Close() error { return nil }

// bulk is a service whose endpoints take bodies of up to 8 MiB.
func bulk() web.Service {
	handle := func(ctx context.Context, r *web.Request) (any, error) {
		return map[string]int{"size": len(r.Body)}, r.Authorize(ctx, map[string]any{"what": "x"})
	}
	row := func(name string, scopes scope.Template) web.Endpoint {
		return web.Endpoint{Name: name, Method: "POST", Route: "/" + name + "/<id>", Title: name, Description: name, Category: "Bulk", Stability: "stable",
			Input: "any.json", MaxBody: 8 << 20, Scopes: scopes, Handle: handle}
	}
	return web.Service{
		Name: "bulk", Version: "v1", Title: "Bulk", Description: "Large bodies.",
		Schemas:   fstest.MapFS{"schemas/any.json": {Data: []byte(`{"type": "object"}`)}},
		Endpoints: []web.Endpoint{row("open", nil), row("early", scope.Text("bulk:<id>")), row("late", scope.Text("bulk:<id>:<what>"))},
	}
}

func TestLargeBodiesWaitForTheirSendersRight(t *testing.T) {
	const large = 4 << 20
	for _, c := range []struct {
		name, way     string
		who           web.Authenticator
		authorization string
		told          bool // the length stands in the header
		size, status  int
		atMost        int64 // bytes read
	}{
		{"everybody may send what a public endpoint takes", "open", webtest.As(""), "", true, large, 200, large},
		{"who holds the scope may send much", "early", webtest.As("me", "bulk:*"), "", true, large, 200, large},
		{"who does not is refused unread", "early", webtest.As("me"), "", true, large, 403, 0},
		{"and so when the length is not told", "early", webtest.As("me"), "", false, large, 403, 0},
		{"a small body is read first, and shown in the error", "early", webtest.As("me"), "", true, 1 << 10, 403, 1 << 10},
		{"where the scopes depend on the body, it is enough to be somebody", "late", webtest.As("me", "bulk:*"), "", true, large, 200, large},
		{"bad credentials are refused unread", "late", webtest.As("me", "bulk:*"), "bad", true, large, 401, 0},
		{"strangers may send a mebibyte", "late", webtest.As("", "bulk:*"), "", true, 1 << 20, 200, 1 << 20},
		{"and not more", "late", webtest.As("", "bulk:*"), "", true, large, 413, 0},
		{"nor when the length is not told", "late", webtest.As("", "bulk:*"), "", false, large, 413, 1<<20 + 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			handler, err := web.Mount([]web.Service{bulk()}, c.who, web.Options{RootURL: "http://tc"})
			if err != nil {
				t.Fatal(err)
			}
			text := `{"a": "` + strings.Repeat("x", c.size-9) + `"}`
			body := &counted{Reader: strings.NewReader(text)}
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/bulk/v1/"+c.way+"/abc", body)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", c.authorization)
			if c.told {
				req.ContentLength = int64(len(text))
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, req)
			if w.Code != c.status || body.read > c.atMost {
				t.Errorf("status %d with %d bytes read, want %d and at most %d: %.300s", w.Code, body.read, c.status, c.atMost, w.Body)
			}
		})
	}
}

func TestServersOfOneMachineAnswerToItsNamesOnly(t *testing.T) {
	for _, c := range []struct {
		host   string
		status int
	}{
		{"127.0.0.1:8080", 200}, {"127.1.2.3", 200}, {"[::1]:8080", 200}, {"localhost:9999", 200}, {"ci.localhost", 200}, {"LocalHost", 200},
		{"dev.example:8080", 200}, {"Dev.Example", 200},
		{"evil.example:8080", 421}, {"192.0.2.1:8080", 421}, {"127.0.0.1.evil.example", 421}, {"localhost.evil.example", 421}, {"evillocalhost", 421}, {"", 421},
	} {
		for _, path := range []string{"/api/bulk/v1/ping", "/ping", "/references/manifest.json", "/page"} {
			t.Run(fmt.Sprintf("%s at %q is %d", path, c.host, c.status), func(t *testing.T) {
				page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
				handler, err := web.Mount([]web.Service{bulk()}, webtest.As(""), web.Options{RootURL: "http://dev.example:8080", LocalNames: true, Fallback: page})
				if err != nil {
					t.Fatal(err)
				}
				req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
				req.Host = c.host
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, req)
				if w.Code != c.status {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
			})
		}
	}
}

func TestAccessLogNamesTheScopesUsed(t *testing.T) {
	var log bytes.Buffer
	handler, err := web.Mount([]web.Service{bulk()}, webtest.As("me", "other:*", "bulk:abc:*", "bulk:*"), web.Options{
		RootURL: "http://tc", Log: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/bulk/v1/late/abc", strings.NewReader("{}"))
	req.Header.Set("Content-Type", "application/json")
	handler.ServeHTTP(httptest.NewRecorder(), req)
	if !strings.Contains(log.String(), `"satisfyingScopes":["bulk:abc:*"]`) {
		t.Errorf("the log is %s", log.String())
	}
}
