package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/stamp"
	"github.com/treeline-ci/treeline/internal/web"
)

func TestObserve(t *testing.T) {
	var (
		seen  []web.Seen
		lines bytes.Buffer
	)
	log := slog.New(stamp.Handler(slog.NewJSONHandler(&lines, nil)))
	pages := http.NewServeMux()
	pages.HandleFunc("GET /tasks/{task}", func(w http.ResponseWriter, r *http.Request) { log.InfoContext(r.Context(), "in a page") })
	pages.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
	})
	outer := http.NewServeMux()
	outer.Handle("/", pages)
	get := func(name, route string, handle func(context.Context, *web.Request) (any, error)) web.Endpoint {
		return web.Endpoint{Name: name, Method: "GET", Route: route, Title: name, Description: name, Category: "Sample", Stability: "stable", Handle: handle}
	}
	h, err := web.Mount([]web.Service{{Name: "sample", Version: "v1", Title: "Sample", Description: "Sample.", Endpoints: []web.Endpoint{
		get("task", "/task/<taskId>", func(ctx context.Context, _ *web.Request) (any, error) {
			log.InfoContext(ctx, "in a room")
			return struct{}{}, nil
		}),
		get("missing", "/missing", fails(fault.New(fault.NotFound, "gone"))),
	}}}, nil, web.Options{Log: log, Fallback: outer, Observe: func(_ context.Context, s web.Seen) { s.Took = 0; seen = append(seen, s) }})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		lines.Reset()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	for _, c := range []struct {
		name, method, path string
		want               web.Seen
	}{
		{"a call is counted by service and method", "GET", "/api/sample/v1/task/abc", web.Seen{Service: "sample", Name: "task", Method: "GET", Status: 200}},
		{"an error by its status", "GET", "/api/sample/v1/missing", web.Seen{Service: "sample", Name: "missing", Method: "GET", Status: 404}},
		{"a page by its pattern, not by its address", "GET", "/tasks/abc", web.Seen{Service: "ui", Name: "/tasks/{task}", Method: "GET", Status: 200}},
		{"a stream is known as one", "GET", "/stream", web.Seen{Service: "ui", Name: "/stream", Method: "GET", Status: 200, Stream: true}},
		{"what is nowhere has no name", "GET", "/who/knows", web.Seen{Service: "ui", Name: "none", Method: "GET", Status: 404}},
		{"a method that nobody knows has none either", "BREW", "/who/knows", web.Seen{Service: "ui", Name: "none", Method: "other", Status: 404}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen = nil
			ask(c.method, c.path)
			if diff := cmp.Diff([]web.Seen{c.want}, seen); diff != "" {
				t.Error(diff)
			}
		})
	}
	type line struct{ Msg, Request, Trace, Task string }
	read := func(t *testing.T) (list []line) {
		t.Helper()
		for dec := json.NewDecoder(&lines); dec.More(); {
			var l line
			if err := dec.Decode(&l); err != nil {
				t.Fatal(err)
			}
			list = append(list, l)
		}
		return list
	}
	t.Run("the lines of a call have the ids that the caller was told, and the task's", func(t *testing.T) {
		w := ask("GET", "/api/sample/v1/task/abc")
		id, trace := w.Header().Get("X-For-Request-Id"), w.Header().Get("X-For-Trace-Id")
		want := []line{{"in a room", id, trace, "abc"}, {"api", id, trace, "abc"}}
		if diff := cmp.Diff(want, read(t)); diff != "" || id == "" {
			t.Error(diff)
		}
	})
	t.Run("the lines of a page have its id", func(t *testing.T) {
		w := ask("GET", "/tasks/abc")
		id := w.Header().Get("X-For-Request-Id")
		if diff := cmp.Diff([]line{{Msg: "in a page", Request: id}}, read(t)); diff != "" || id == "" {
			t.Error(diff)
		}
	})
}
