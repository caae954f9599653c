package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

var tester = hawk.Credentials{ClientID: "tester", AccessToken: "no-secret"}

// serve runs a server with one handler and returns a client of it.
func serve(t *testing.T, patience time.Duration, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return connect(t, server.URL, patience)
}

func connect(t *testing.T, root string, patience time.Duration) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{RootURL: root, Credentials: tester, Patience: patience, MaxDelay: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(err)
	}
}

func TestNewRefusesBadRootURL(t *testing.T) {
	for _, root := range []string{"", "example.org", "ftp://example.org", "http://", "http://[::"} {
		if _, err := client.New(client.Config{RootURL: root}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", root, err)
		}
	}
}

func TestCallSignsEachAttempt(t *testing.T) {
	var attempts atomic.Int32
	nonces := make(chan string, 3)
	c := serve(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		auth, err := hawk.ParseAuthorization(r.Header.Get("Authorization"))
		if err != nil {
			t.Errorf("authorization: %v", err)
			return
		}
		host, _, _ := net.SplitHostPort(r.Host)
		port := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).Port
		err = auth.Verify(tester.AccessToken, hawk.Request{Method: r.Method, Resource: r.RequestURI, Host: host, Port: port}, time.Now())
		if err != nil || auth.ID != tester.ClientID {
			t.Errorf("%s signed by %s: %v", r.RequestURI, auth.ID, err)
		}
		nonces <- auth.Nonce
		if r.RequestURI != "/api/queue/v1/claim-work/a%2Fb?x=y" {
			t.Errorf("asked for %s", r.RequestURI)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"n":1}` {
			t.Errorf("attempt %d has body %s, %v", attempts.Load(), body, err)
		}
		if attempts.Add(1) < 3 {
			reply(w, http.StatusServiceUnavailable, map[string]string{"message": "not now"})
			return
		}
		reply(w, http.StatusOK, map[string]int{"m": 2})
	})
	var out struct{ M int }
	err := c.Call(t.Context(), "queue", http.MethodPost, client.Path("claim-work", "a/b"), url.Values{"x": {"y"}}, map[string]int{"n": 1}, &out)
	if err != nil || out.M != 2 || attempts.Load() != 3 {
		t.Fatalf("out = %+v after %d attempts, %v", out, attempts.Load(), err)
	}
	if a, b := <-nonces, <-nonces; a == b {
		t.Error("two attempts have one nonce")
	}
}

func TestCallWaitsForTheServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // the server is down for now

	t.Run("without patience the call fails at once, as unavailable", func(t *testing.T) {
		c := connect(t, "http://"+address, -1)
		err := c.Call(t.Context(), "queue", http.MethodGet, "/ping", nil, nil, nil)
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("%v", err)
		}
	})
	t.Run("with patience it succeeds when the server comes back", func(t *testing.T) {
		c := connect(t, "http://"+address, time.Minute)
		done := make(chan error, 1)
		go func() {
			done <- c.Call(context.WithoutCancel(t.Context()), "queue", http.MethodGet, "/ping", nil, nil, nil)
		}()
		again, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server := &httptest.Server{Listener: again, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusOK, map[string]bool{"alive": true})
		})}}
		server.Start()
		defer server.Close()
		if err := <-done; err != nil {
			t.Errorf("%v", err)
		}
	})
	t.Run("a call ends with its context", func(t *testing.T) {
		c := connect(t, "http://127.0.0.1:1", time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := c.Call(ctx, "queue", http.MethodGet, "/ping", nil, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   any
		kind   fault.Kind
		text   string
	}{
		{"the code decides what a 400 means", 400, map[string]any{"code": "InputValidationError", "message": "bad\n\n---\n\n* method: x", "requestInfo": map[string]any{"method": "x"}},
			fault.BadInput, "InputValidationError (400): bad"},
		{"not found", 404, map[string]any{"code": "ResourceNotFound", "message": "no such task"}, fault.NotFound, "ResourceNotFound (404): no such task"},
		{"conflict", 409, map[string]any{"code": "RequestConflict", "message": "canceled"}, fault.Conflict, "RequestConflict (409): canceled"},
		{"forbidden", 403, map[string]any{"code": "InsufficientScopes", "message": "scopes"}, fault.Forbidden, "InsufficientScopes (403)"},
		{"an error artifact has its own shape", 424, map[string]any{"reason": "file-missing-on-worker", "message": "gone"}, fault.NotFound, "file-missing-on-worker (424): gone"},
		{"unknown routes have their own shape", 404, map[string]any{"error": "Not found"}, fault.NotFound, "HTTP Not Found (404): Not Found"},
		{"5xx keeps its message when patience is over", 500, map[string]any{"code": "InternalServerError", "message": "incident 1"}, fault.Internal, "InternalServerError (500): incident 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := serve(t, -1, func(w http.ResponseWriter, _ *http.Request) { reply(w, c.status, c.body) })
			err := cl.Call(t.Context(), "queue", http.MethodGet, "/task/x", nil, nil, nil)
			e, ok := errors.AsType[*client.Error](err)
			if !ok || e.Status != c.status {
				t.Fatalf("%v", err)
			}
			if !errors.Is(err, c.kind) || fault.KindOf(err) != c.kind {
				t.Errorf("kind %v, want %v", fault.KindOf(err), c.kind)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("%q lacks %q", err, c.text)
			}
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	c := serve(t, -1, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "elsewhere") {
			t.Error("the redirect was followed")
		}
		w.Header().Set("Location", "/elsewhere")
		reply(w, http.StatusSeeOther, map[string]string{"url": "/elsewhere"})
	})
	var out struct{ URL string }
	if err := c.Call(t.Context(), "queue", http.MethodGet, "/x", nil, nil, &out); err != nil || out.URL != "/elsewhere" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestPaging(t *testing.T) {
	c := serve(t, -1, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("continuationToken") {
		case "":
			reply(w, 200, map[string]any{"tasks": []any{map[string]any{"taskId": "a"}, map[string]any{"taskId": "b"}}, "continuationToken": "t1"})
		case "t1": // an empty page with a successor
			reply(w, 200, map[string]any{"tasks": []any{}, "continuationToken": "t2"})
		case "t2":
			reply(w, 200, map[string]any{"tasks": []any{map[string]any{"taskId": "c"}}})
		}
	})
	var got []string
	for entry, err := range c.IndexedTasks(t.Context(), "some.namespace") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry.TaskID)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCredentialsThatCannotSign(t *testing.T) {
	c := serve(t, time.Hour, func(http.ResponseWriter, *http.Request) { t.Error("an unsigned request was sent") })
	c = c.WithCredentials(hawk.Credentials{ClientID: "x", AccessToken: "y", Certificate: "{no json"})
	err := c.Call(t.Context(), "queue", http.MethodGet, "/ping", nil, nil, nil)
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

func TestCallWaitsAsLongAsTheServerAsks(t *testing.T) {
	var attempts atomic.Int32
	var first, second time.Time
	busy := func(after string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if attempts.Add(1) == 1 {
				first = time.Now()
				w.Header().Set("Retry-After", after)
				reply(w, http.StatusTooManyRequests, map[string]string{"code": "TooManyRequests", "message": "too many"})
				return
			}
			second = time.Now()
			reply(w, http.StatusOK, map[string]string{})
		}
	}
	t.Run("it comes again no sooner", func(t *testing.T) {
		c := serve(t, time.Minute, busy("1"))
		if err := c.Call(t.Context(), "queue", http.MethodGet, "/ping", nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		if waited := second.Sub(first); waited < time.Second {
			t.Errorf("it came again after %v", waited)
		}
	})
	t.Run("a wait beyond its patience is an error at once", func(t *testing.T) {
		attempts.Store(0)
		c := serve(t, time.Minute, busy("3600"))
		err := c.Call(t.Context(), "queue", http.MethodGet, "/ping", nil, nil, nil)
		if !errors.Is(err, fault.Unavailable) || attempts.Load() != 1 {
			t.Errorf("%d attempts: %v", attempts.Load(), err)
		}
	})
}
