package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

// echo answers with the route parameters and the body.
func echo(_ context.Context, r *web.Request) (any, error) {
	return map[string]any{"params": r.Params, "body": r.Body}, nil
}

func fails(err error) func(context.Context, *web.Request) (any, error) {
	return func(context.Context, *web.Request) (any, error) { return nil, err }
}

func answers(v any) func(context.Context, *web.Request) (any, error) {
	return func(context.Context, *web.Request) (any, error) { return v, nil }
}

// sample is a service with one endpoint for each way of the package.
func sample() web.Service {
	get := func(name, route string, handle func(context.Context, *web.Request) (any, error)) web.Endpoint {
		return web.Endpoint{Name: name, Method: "GET", Route: route, Title: name, Description: name,
			Category: "Sample", Stability: "stable", Handle: handle}
	}
	with := func(e web.Endpoint, change func(*web.Endpoint)) web.Endpoint {
		change(&e)
		return e
	}
	post := func(e *web.Endpoint) { e.Method, e.Input = "POST", "thing.json" }
	return web.Service{
		Name: "sample", Version: "v1", Title: "Sample", Description: "A service to test with.",
		Params: map[string]string{"id": `^[a-z]{3}$`, "run": `^[0-9]+$`},
		Schemas: fstest.MapFS{
			"schemas/thing.json": {Data: []byte(`{"type": "object", "required": ["name"], "additionalProperties": false,
				"properties": {"name": {"type": "string", "maxLength": 5}, "token": {"type": "string"}, "at": {"$ref": "part.json#"},
				"ids": {"type": "array", "items": {"type": "string"}}}}`)},
			"schemas/part.json": {Data: []byte(`{"type": "string", "format": "date-time"}`)},
		},
		Endpoints: []web.Endpoint{
			get("echo", "/thing/<id>/run/<run>", echo),
			get("artifact", "/thing/<id>/artifacts/<name*>", echo),
			get("list", "/thing/<id>/artifacts", echo),
			get("literal", "/thing/all/artifacts", answers(map[string]string{"literal": "yes"})),
			get("slash", "/things/", echo),
			with(get("optional", "/some/<id>", echo), func(e *web.Endpoint) { e.Also, e.Scopes = []string{"/some/", "/some"}, scope.Text("sample:some:<id>") }),
			with(get("hidden", "/hidden", echo), func(e *web.Endpoint) { e.Unpublished = true }),
			with(get("query", "/query", echo), func(e *web.Endpoint) {
				e.Query = map[string]string{"limit": web.LimitPattern, "flag": "^(a|b)$"}
			}),
			with(get("create", "/create/<id>", echo), post),
			with(get("guarded", "/guarded/<id>", echo), func(e *web.Endpoint) {
				post(e)
				e.Scopes = scope.Text("sample:guard:<id>")
			}),
			with(get("deferred", "/deferred/<id>", func(ctx context.Context, r *web.Request) (any, error) {
				var body struct{ Name string }
				if err := r.Decode(&body); err != nil {
					return nil, err
				}
				if err := r.Authorize(ctx, map[string]any{"name": body.Name}); err != nil {
					return nil, err
				}
				return echo(ctx, r)
			}), func(e *web.Endpoint) {
				post(e)
				e.Scopes = scope.Text("sample:name:<name>")
			}),
			with(get("forgetful", "/forgetful/<id>", echo), func(e *web.Endpoint) {
				post(e)
				e.Scopes = scope.Text("sample:name:<name>")
			}),
			with(get("secret", "/secret", fails(fault.New(fault.Invalid, "no"))), func(e *web.Endpoint) {
				post(e)
				e.Secret = []string{"token"}
			}),
			with(get("wrong", "/wrong", answers(map[string]int{"name": 1})), func(e *web.Endpoint) { e.Output = "thing.json" }),
			with(get("small", "/small", echo), func(e *web.Endpoint) { post(e); e.MaxBody = 20 }),
			get("nothing", "/nothing", answers(nil)),
			get("redirect", "/redirect", answers(web.Redirect{Location: "https://elsewhere.example/x", Body: map[string]string{"url": "x"}})),
			get("status", "/status", answers(web.Status{Code: 424, Body: map[string]string{"reason": "x"}, Header: http.Header{"x-a": {"b"}}})),
			get("panics", "/panics", func(context.Context, *web.Request) (any, error) { panic("at the disco") }),
			get("gone", "/gone", fails(fault.Wrap(fault.Gone, io.EOF, "It expired."))),
			get("coded", "/coded", fails(&web.CodedError{Code: "NoMatchingMethod", Status: 406, Message: "none"})),
			get("broken", "/broken", fails(errors.New("the password is hunter2"))),
			get("stream", "/stream", func(_ context.Context, r *web.Request) (any, error) {
				_, err := io.WriteString(r.Writer, "a stream")
				return web.Streamed{}, err
			}),
			get("who", "/who", func(ctx context.Context, r *web.Request) (any, error) { return r.Caller(ctx) }),
			get("endless", "/endless", func(ctx context.Context, r *web.Request) (any, error) {
				_, err := io.WriteString(r.Writer, "a beginning")
				<-ctx.Done()
				return web.Streamed{}, err
			}),
			get("long", "/long", answers(strings.Repeat("long ", 5000))),
		},
	}
}

func mount(t testing.TB, auth web.Authenticator) http.Handler {
	t.Helper()
	h, err := web.Mount([]web.Service{sample()}, auth, web.Options{
		RootURL: "https://ci.example/", CheckOutput: true, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), AccessLevel: slog.LevelDebug,
		Fallback: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

type call struct {
	method, path, body string
	header             map[string]string
}

func (c call) do(h http.Handler) *httptest.ResponseRecorder {
	method := c.method
	if method == "" {
		method = "GET"
	}
	r := httptest.NewRequest(method, "http://ci.example"+c.path, strings.NewReader(c.body))
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAnswers(t *testing.T) {
	const api = "/api/sample/v1"
	h := mount(t, webtest.As("someone", "sample:guard:abc", "sample:name:me"))
	post := func(path, body string) call { return call{method: "POST", path: path, body: body} }
	for _, tt := range []struct {
		name   string
		call   call
		status int
		want   []string // parts of the answer's body
	}{
		{"parameters are decoded", call{path: api + "/thing/abc/run/12"}, 200, []string{`"id": "abc"`, `"run": "12"`}},
		{"all bad parameters are named", call{path: api + "/thing/ABC/run/x"}, 400, []string{"InvalidRequestArguments", `\"id\"`, `\"run\"`}},
		{"the tail takes slashes", call{path: api + "/thing/abc/artifacts/public/a/b.txt"}, 200, []string{`"name": "public/a/b.txt"`}},
		{"the tail takes escaped slashes", call{path: api + "/thing/abc/artifacts/public%2F%2Fa%20b"}, 200, []string{`"name": "public//a b"`}},
		{"a segment keeps escaped slashes", call{path: api + "/create/a%2Fb"}, 404, []string{`"error": "Not found"`}},
		{"an escaped slash is part of a parameter", call{method: "POST", path: api + "/create/a%2F", body: `{"name":"x"}`}, 400, []string{`a/`}},
		{"a literal wins over a parameter", call{path: api + "/thing/all/artifacts"}, 200, []string{"literal"}},
		{"a parameter is found beside a literal", call{path: api + "/thing/all/run/1"}, 200, []string{`"id": "all"`}},
		{"a trailing slash is found", call{path: api + "/things/"}, 200, nil},
		{"and may be missing", call{path: api + "/things"}, 200, nil},
		{"or be one too many", call{path: api + "/thing/abc/run/12/"}, 200, []string{`"id": "abc"`, `"run": "12"`}},
		{"not two", call{path: api + "/thing/abc/run/12//"}, 404, nil},
		{"nor one more than there is", call{path: api + "/things//"}, 404, nil},
		{"case counts", call{path: api + "/Things/"}, 404, nil},
		{"an empty tail is none", call{path: api + "/thing/abc/artifacts/"}, 404, nil},
		{"another method is not found", call{method: "DELETE", path: api + "/things/"}, 404, []string{"Not found"}},
		{"dots are not cleaned away", call{path: api + "/thing/../things/"}, 404, nil},

		{"a query that cannot be read is none to ignore", call{path: api + "/query?limit=5;flag=a"}, 400, []string{"InvalidRequestArguments", "semicolon", "%3B"}},
		{"nor is one with a broken escape", call{path: api + "/query?limit=%zz"}, 400, []string{"InvalidRequestArguments", "%zz", "%25"}},
		{"known query parameters pass", call{path: api + "/query?limit=5&flag=a&bewit=x"}, 200, nil},
		{"an unknown one does not", call{path: api + "/query?nope=1"}, 400, []string{"InvalidRequestArguments", "nope"}},
		{"nor a bad value", call{path: api + "/query?flag=c"}, 400, []string{"InvalidRequestArguments"}},
		{"nor two values", call{path: api + "/query?flag=a&flag=b"}, 400, []string{"2 times"}},

		{"a body that fits passes", post(api+"/create/abc", `{"name": "x", "at": "2026-01-02T03:04:05.000Z"}`), 200, []string{`"name": "x"`}},
		{"a body that does not fit is refused", post(api+"/create/abc", `{"name": "too long", "more": 1, "at": "now"}`), 400,
			[]string{"InputValidationError", "body/name", "more", "body/at", "https://ci.example/schemas/sample/v1/thing.json"}},
		{"a body that is not JSON is malformed", post(api+"/create/abc", `{`), 400, []string{"MalformedPayload"}},
		{"nor is one with something behind it", post(api+"/create/abc", `{"name": "x"} {}`), 400, []string{"MalformedPayload"}},
		{"a scalar is malformed", post(api+"/create/abc", `"x"`), 400, []string{"MalformedPayload"}},
		{"a missing body is malformed", call{method: "POST", path: api + "/create/abc"}, 400, []string{"MalformedPayload"}},
		{"another content type is malformed", call{method: "POST", path: api + "/create/abc", body: `{"name":"x"}`,
			header: map[string]string{"Content-Type": "text/plain"}}, 400, []string{"MalformedPayload"}},
		{"a large body is refused", post(api+"/small", `{"name": "x", "token": "yyyyyyyyyyyyyyyyyyyy"}`), 413, []string{"InputTooLarge", "20 bytes"}},
		{"a parameter's error comes before the body's", post(api+"/create/ABC", `{`), 400, []string{"InvalidRequestArguments"}},

		{"scopes that suffice pass", post(api+"/guarded/abc", `{"name": "x"}`), 200, nil},
		{"missing scopes win over bad arguments", post(api+"/guarded/NOPE?x=1", `{`), 403, []string{"InsufficientScopes", "sample:guard:NOPE"}},
		{"deferred scopes pass", post(api+"/deferred/abc", `{"name": "me"}`), 200, nil},
		{"deferred scopes are missing", post(api+"/deferred/abc", `{"name": "you"}`), 403, []string{"sample:name:you"}},
		{"bad arguments win over deferred scopes", post(api+"/deferred/abc", `{`), 400, []string{"MalformedPayload"}},
		{"a handler that does not ask is a defect", post(api+"/forgetful/abc", `{"name": "me"}`), 500, []string{"InternalServerError"}},
		{"bad credentials are refused", call{path: api + "/guarded/abc", method: "POST", body: `{"name": "x"}`,
			header: map[string]string{"Authorization": "bad"}}, 401, []string{"AuthenticationFailed"}},
		{"public endpoints do not look at them", call{path: api + "/things/", header: map[string]string{"Authorization": "bad"}}, 200, nil},
		{"unless they ask", call{path: api + "/who", header: map[string]string{"Authorization": "bad"}}, 401, nil},

		{"secrets are not repeated", post(api+"/secret", `{"name": "x", "token": "hunter2"}`), 400, []string{"OMITTED", `"name": "x"`}},
		{"no answer is 204", call{path: api + "/nothing"}, 204, nil},
		{"a redirect has a body", call{path: api + "/redirect"}, 303, []string{`"url": "x"`}},
		{"a status of its own", call{path: api + "/status"}, 424, []string{`"reason": "x"`}},
		{"a stream", call{path: api + "/stream"}, 200, []string{"a stream"}},
		{"a panic is an internal error", call{path: api + "/panics"}, 500, []string{"InternalServerError", "incident"}},
		{"an error by meaning", call{path: api + "/gone"}, 410, []string{"ResourceExpired", "It expired."}},
		{"an error with a code of its own", call{path: api + "/coded"}, 406, []string{"NoMatchingMethod"}},
		{"an answer that does not fit its schema is a defect", call{path: api + "/wrong"}, 500, []string{"InternalServerError"}},

		{"ping", call{path: api + "/ping"}, 200, []string{`"alive": true`, `"uptime"`}},
		{"version", call{path: api + "/__version__"}, 200, []string{`"commit"`}},
		{"heartbeats", call{path: api + "/__heartbeat__"}, 200, []string{"{}"}},
		{"ping at the root", call{path: "/ping"}, 200, []string{`"alive": true`}},
		{"heartbeat at the root", call{path: "/__lbheartbeat__"}, 200, []string{"{}"}},
		{"the rest is not ours", call{path: "/anything"}, http.StatusTeapot, nil},
		{"robots are sent away", call{path: "/robots.txt"}, 200, []string{"Disallow: /"}},
		{"unknown services", call{path: "/api/other/v1/ping"}, 404, []string{`"error": "Not found"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.call.do(h)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			for _, part := range tt.want {
				if !strings.Contains(w.Body.String(), part) {
					t.Errorf("no %q in %s", part, w.Body)
				}
			}
			if strings.Contains(w.Body.String(), "hunter2") || strings.Contains(w.Body.String(), "disco") {
				t.Errorf("the answer tells too much: %s", w.Body)
			}
		})
	}
}

func TestErrorShape(t *testing.T) {
	h := mount(t, webtest.As(""))
	w := call{method: "POST", path: "/api/sample/v1/guarded/abc", body: `{"name":"x"}`}.do(h)
	var got web.Failure
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	at := got.RequestInfo.Time
	got.RequestInfo.Time = ""
	if want := (web.RequestInfo{Method: "guarded", Params: map[string]string{"id": "abc"}, Payload: map[string]any{"name": "x"}}); !cmp.Equal(got.RequestInfo, want) {
		t.Error(cmp.Diff(want, got.RequestInfo))
	}
	text, list, ok := strings.Cut(got.Message, "\n\n---\n\n")
	if !ok || !strings.Contains(text, "```\nsample:guard:abc\n```") {
		t.Errorf("message %q", got.Message)
	}
	want := "* method:     guarded\n* errorCode:  InsufficientScopes\n* statusCode: 403\n* time:       " + at
	if list != want {
		t.Error(cmp.Diff(want, list))
	}
}

func TestHeaders(t *testing.T) {
	h := mount(t, webtest.As("someone"))
	t.Run("every answer carries the fixed ones", func(t *testing.T) {
		w := call{path: "/api/sample/v1/things/"}.do(h)
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Max-Age": "900", "X-Content-Type-Options": "nosniff",
			"Cache-Control": "no-store no-cache must-revalidate", "Content-Type": "application/json; charset=utf-8",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if w.Header().Get("X-For-Trace-Id") == "" || w.Header().Get("X-For-Request-Id") == "" {
			t.Error("no trace")
		}
	})
	t.Run("a trace id is kept, unless it is odd", func(t *testing.T) {
		for id, kept := range map[string]bool{"0f8fad5b-d9cb-469f-a165-70867728950e": true, "a b": false, strings.Repeat("x", 101): false} {
			w := call{path: "/api/sample/v1/things/", header: map[string]string{"X-Taskcluster-Trace-Id": id}}.do(h)
			if got := w.Header().Get("X-For-Trace-Id"); (got == id) != kept {
				t.Errorf("trace %q became %q", id, got)
			}
		}
	})
	t.Run("OPTIONS is answered for a browser", func(t *testing.T) {
		w := call{method: "OPTIONS", path: "/api/sample/v1/create/abc"}.do(h)
		if w.Code != 200 || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	})
	t.Run("a refusal names the scheme", func(t *testing.T) {
		w := call{path: "/api/sample/v1/who", header: map[string]string{"Authorization": "bad"}}.do(h)
		if w.Header().Get("WWW-Authenticate") != "hawk" {
			t.Error(w.Header())
		}
	})
	t.Run("headers of an answer are passed on", func(t *testing.T) {
		if w := (call{path: "/api/sample/v1/status"}).do(h); w.Header().Get("X-A") != "b" {
			t.Error(w.Header())
		}
		if w := (call{path: "/api/sample/v1/redirect"}).do(h); w.Header().Get("Location") != "https://elsewhere.example/x" {
			t.Error(w.Header())
		}
	})
}

func TestOverTheWire(t *testing.T) {
	srv := httptest.NewServer(mount(t, webtest.As("someone")))
	defer srv.Close()
	t.Run("HEAD is answered where GET is, without a body", func(t *testing.T) {
		resp, err := http.Head(srv.URL + "/api/sample/v1/things/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || len(body) != 0 || err != nil {
			t.Errorf("%d %q %v", resp.StatusCode, body, err)
		}
	})
	t.Run("long answers are compressed for who can take it", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/api/sample/v1/long", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		zip, err := gzip.NewReader(resp.Body)
		if err != nil {
			t.Fatal(err, resp.Header)
		}
		body, err := io.ReadAll(zip)
		if err != nil || len(body) != 25002 {
			t.Errorf("%d bytes, %v", len(body), err)
		}
	})
}

func TestReferences(t *testing.T) {
	h := mount(t, webtest.As("someone"))
	get := func(t *testing.T, path string) map[string]any {
		t.Helper()
		w := call{path: path}.do(h)
		var doc map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
			t.Fatal(path, w.Code, err)
		}
		return doc
	}
	t.Run("the manifest lists the services", func(t *testing.T) {
		want := map[string]any{"$schema": "https://ci.example/schemas/common/manifest-v3.json#",
			"references": []any{"https://ci.example/references/sample/v1/api.json"}}
		if got := get(t, "/references/manifest.json"); !cmp.Equal(got, want) {
			t.Error(cmp.Diff(want, got))
		}
	})
	t.Run("an entry says all of an endpoint", func(t *testing.T) {
		entries := map[string]any{}
		for _, e := range get(t, "/references/sample/v1/api.json")["entries"].([]any) {
			entries[e.(map[string]any)["name"].(string)] = e
		}
		want := map[string]any{"type": "function", "name": "guarded", "method": "post", "route": "/guarded/<id>", "args": []any{"id"},
			"query": []any{}, "title": "guarded", "description": "guarded", "category": "Sample", "stability": "stable",
			"input": "v1/thing.json#", "scopes": "sample:guard:<id>"}
		if !cmp.Equal(entries["guarded"], any(want)) {
			t.Error(cmp.Diff(any(want), entries["guarded"]))
		}
		if got := entries["artifact"].(map[string]any)["route"]; got != "/thing/<id>/artifacts/<name>" {
			t.Errorf("route of a tail: %v", got)
		}
		if entries["ping"] == nil {
			t.Error("no ping")
		}
	})
	t.Run("schemas carry their place", func(t *testing.T) {
		doc := get(t, "/schemas/sample/v1/part.json")
		if doc["$id"] != "https://ci.example/schemas/sample/v1/part.json#" || doc["format"] != "date-time" {
			t.Error(doc)
		}
	})
	t.Run("the bundle is relative", func(t *testing.T) {
		w := call{path: "/references/references.json"}.do(h)
		if !bytes.Contains(w.Body.Bytes(), []byte(`"filename": "schemas/sample/v1/thing.json"`)) || bytes.Contains(w.Body.Bytes(), []byte("ci.example")) {
			t.Error("not as expected")
		}
	})
	t.Run("nothing else is there", func(t *testing.T) {
		if w := (call{path: "/schemas/sample/v1/none.json"}).do(h); w.Code != 404 {
			t.Error(w.Code)
		}
	})
}

func TestMountRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*web.Service)
		want   string
	}{
		{"a double route", func(s *web.Service) { s.Endpoints = append(s.Endpoints, s.Endpoints[0]) }, "echo"},
		{"two names for one place", func(s *web.Service) { s.Endpoints[1].Route = "/thing/<other>/run/<run>" }, "same route"},
		{"a missing schema", func(s *web.Service) { s.Endpoints[0].Input = "none.json" }, "none.json"},
		{"a bad pattern", func(s *web.Service) { s.Params["id"] = "(" }, "missing closing"},
		{"a tail in the middle", func(s *web.Service) { s.Endpoints[0].Route = "/a/<b*>/c" }, "only the last"},
		{"a parameter that is half a segment", func(s *web.Service) { s.Endpoints[0].Route = "/a/b<c>" }, "whole segment"},
		{"no handler", func(s *web.Service) { s.Endpoints[0].Handle = nil }, "no handler"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sample()
			tt.change(&s)
			_, err := web.Mount([]web.Service{s}, webtest.As(""), web.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestToken(t *testing.T) {
	token, err := web.Token("2026-01-01T00:00:00Z", 12)
	if err != nil {
		t.Fatal(err)
	}
	var at string
	var n int
	if !web.ReadToken(token, &at, &n) || at != "2026-01-01T00:00:00Z" || n != 12 {
		t.Error(token, at, n)
	}
	for _, bad := range []string{"", "!", "eA", "W10", token + "x", token[:len(token)-3]} {
		if web.ReadToken(bad, &at, &n) {
			t.Errorf("%q was read", bad)
		}
	}
}

// BenchmarkCall measures what the package costs a call: routing, authorization, validation, answer.
func BenchmarkCall(b *testing.B) {
	h := mount(b, webtest.As("someone", "sample:guard:abc"))
	c := call{method: "POST", path: "/api/sample/v1/guarded/abc", body: `{"name": "x", "at": "2026-01-02T03:04:05.000Z"}`}
	for b.Loop() {
		if w := c.do(h); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}

func TestFurtherAndUnpublishedRoutes(t *testing.T) {
	h := mount(t, webtest.As("someone", "sample:some:", "sample:some:abc"))
	for path, id := range map[string]string{"/some/abc": "abc", "/some/": "", "/some": ""} {
		r := httptest.NewRequest("GET", "/api/sample/v1"+path, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var got struct{ Params map[string]string }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || !cmp.Equal(got.Params, map[string]string{"id": id}) {
			t.Errorf("%s: %d %v %v", path, w.Code, got, err)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/api/sample/v1/hidden", nil))
	if w.Code != 200 {
		t.Errorf("an unpublished endpoint answers %d", w.Code)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/references/sample/v1/api.json", nil))
	if body := w.Body.String(); strings.Contains(body, "hidden") || !strings.Contains(body, `"/some/<id>"`) || strings.Contains(body, `"/some"`) {
		t.Errorf("the reference says %s", body)
	}
}

func TestAStreamEndsWhereOnlyItsHeadIsWanted(t *testing.T) {
	server := httptest.NewServer(mount(t, webtest.As("someone")))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 3 { // on one connection
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, server.URL+"/api/sample/v1/endless", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, %v", resp, err)
		}
		resp.Body.Close()
	}
}
