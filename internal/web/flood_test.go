package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/throttle"
)

// known is an authenticator of clients whose Authorization is their id; those that begin with "new" are not known yet.
type known struct{ lookups map[string]int }

func (k known) Authenticate(_ context.Context, r web.AuthRequest) (web.AuthResult, error) {
	id := r.Authorization
	switch {
	case id == "":
		return web.AuthResult{Caller: web.Caller{Scopes: []string{"read"}, Scheme: "none"}}, nil
	case r.Sparing && !strings.HasPrefix(id, "worker"):
		return web.AuthResult{}, fault.New(fault.Limited, "unknown")
	case strings.HasPrefix(id, "bad"):
		k.lookups[r.SourceIP]++
		return web.AuthResult{}, fault.New(fault.Unauthenticated, "bad")
	}
	return web.AuthResult{Caller: web.Caller{ClientID: id, Scopes: []string{"read"}, Scheme: "hawk"}}, nil
}

// flooded is a server with small limits behind a proxy at 192.0.2.1.
func flooded(t *testing.T) (ask func(from, auth, path string) *httptest.ResponseRecorder, lookups map[string]int, move func(time.Duration)) {
	t.Helper()
	get := func(name, route string, handle func(context.Context, *web.Request) (any, error)) web.Endpoint {
		return web.Endpoint{Name: name, Method: "GET", Route: route, Title: name, Description: name, Category: "Sample", Stability: "stable", Handle: handle}
	}
	guarded, costly, hook := get("guarded", "/guarded", echo), get("costly", "/costly", echo), get("hook", "/hook/<token>", func(ctx context.Context, r *web.Request) (any, error) {
		if r.Params["token"] != "right" {
			return nil, fault.New(fault.Unauthenticated, "the token is wrong")
		}
		return echo(ctx, r)
	})
	guarded.Scopes, costly.Costly, hook.Proof, hook.Sender = scope.Text("read"), true, web.SignedBody, "X-Hook"
	service := web.Service{Name: "sample", Version: "v1", Title: "Sample", Description: "A service to test with.", Endpoints: []web.Endpoint{guarded, get("open", "/open", echo), costly, hook}}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	limits := throttle.New(map[throttle.Kind]throttle.Rate{
		throttle.Anonymous: {PerSecond: 1, Burst: 20}, throttle.Client: {PerSecond: 1, Burst: 30}, throttle.Failures: {PerSecond: 1, Burst: 5}, throttle.Costly: {PerSecond: 1, Burst: 3},
	}, func() time.Time { return now })
	k := known{map[string]int{}}
	handler, err := web.Mount([]web.Service{service}, k, web.Options{
		RootURL: "http://localhost", Limits: limits, Proxies: web.Proxies{netip.MustParsePrefix("192.0.2.1/32")},
	})
	if err != nil {
		t.Fatal(err)
	}
	ask = func(from, auth, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.RemoteAddr = "192.0.2.1:5"
		r.Header.Set("X-Forwarded-For", "6.6.6.6, "+from) // what a client says itself comes first, and is not believed
		if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		if name, hook, ok := strings.Cut(path, "?hook="); ok {
			r.URL.Path, r.URL.RawQuery = name, ""
			r.Header.Set("X-Hook", hook)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	return ask, k.lookups, func(d time.Duration) { now = now.Add(d) }
}

func TestFloods(t *testing.T) {
	ask, lookups, move := flooded(t)
	answered := func(status, times int, from, auth, path string) (n int) {
		for range times {
			if ask(from, auth, "/api/sample/v1"+path).Code == status {
				n++
			}
		}
		return n
	}
	want := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	t.Run("strangers at one address have their burst, all others theirs", func(t *testing.T) {
		want("of a flood", answered(200, 500, "203.0.113.5", "", "/guarded"), 20)
		want("of another address", answered(200, 20, "203.0.113.6", "", "/open"), 20)
		want("of a client at the flood's address", answered(200, 10, "203.0.113.5", "worker/1", "/guarded"), 10)
		want("credentials that nobody looks at make no client", answered(200, 10, "203.0.113.5", "whatever", "/open"), 0)
		want("addresses of one network of IPv6", answered(200, 15, "2001:db8::1", "", "/open")+answered(200, 15, "2001:db8::2", "", "/open"), 20)
		want("of a heartbeat", answered(200, 10, "203.0.113.5", "", "/ping"), 10)
	})
	t.Run("the answer has the API's shape, and says when to come again", func(t *testing.T) {
		w := ask("203.0.113.5", "", "/api/sample/v1/guarded")
		var body web.Failure
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != 429 || body.Code != "TooManyRequests" || body.RequestInfo.Method != "guarded" || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%d %v %s, %v", w.Code, w.Header(), w.Body, err)
		}
		move(time.Second)
		want("afterwards", answered(200, 5, "203.0.113.5", "", "/guarded"), 1)
	})
	t.Run("bad credentials are looked up no more, and hurt no worker at the same address", func(t *testing.T) {
		want("refused for what they are", answered(401, 200, "203.0.113.9", "bad", "/guarded"), 5)
		want("looked up", lookups["203.0.113.9"], 5)
		want("unknown clients are told to wait", answered(429, 3, "203.0.113.9", "newcomer", "/guarded"), 3)
		want("of a worker", answered(200, 20, "203.0.113.9", "worker/2", "/guarded"), 20)
		want("elsewhere", answered(200, 1, "203.0.113.10", "newcomer", "/guarded"), 1)
		move(2 * time.Second)
		want("afterwards", answered(200, 1, "203.0.113.9", "newcomer", "/guarded"), 1)
	})
	t.Run("a client has a limit, wherever it is", func(t *testing.T) {
		total := 0
		for i := range 50 {
			total += answered(200, 1, fmt.Sprintf("203.0.113.%d", 100+i), "worker/3", "/guarded")
		}
		want("of one client", total, 30)
		want("of another", answered(200, 1, "203.0.113.100", "worker/4", "/guarded"), 1)
	})
	t.Run("who proves what they are by a token counts when it is wrong", func(t *testing.T) {
		want("with the right one", answered(200, 100, "203.0.113.20", "", "/hook/right?hook=1"), 100)
		want("with a wrong one", answered(401, 100, "203.0.113.20", "", "/hook/wrong?hook=2"), 5)
		want("the other sender at that address", answered(200, 100, "203.0.113.20", "", "/hook/right?hook=1"), 100)
		want("the one who failed", answered(429, 1, "203.0.113.20", "", "/hook/right?hook=2"), 1)
	})
	t.Run("what is much work has a limit of its own", func(t *testing.T) {
		want("of it", answered(200, 10, "203.0.113.30", "", "/costly"), 3)
		want("of the rest", answered(200, 10, "203.0.113.30", "", "/open"), 10)
	})
}

func TestProxies(t *testing.T) {
	proxies, err := web.ParseProxies("10.0.0.0/8, 2001:db8::7\n127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	service := web.Service{Name: "sample", Version: "v1", Title: "Sample", Description: "A service to test with.", Endpoints: []web.Endpoint{{
		Name: "who", Method: "GET", Route: "/who", Title: "Who", Description: "Who.", Category: "Sample", Stability: "stable",
		Handle: func(_ context.Context, r *web.Request) (any, error) { return r.AuthRequest().SourceIP, nil },
	}}}
	handler, err := web.Mount([]web.Service{service}, known{}, web.Options{RootURL: "http://localhost", Proxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		remote string
		said   []string
		want   string
	}{
		"nobody in between":                       {"203.0.113.1:9", nil, "203.0.113.1"},
		"a stranger who lies":                     {"203.0.113.1:9", []string{"1.1.1.1"}, "203.0.113.1"},
		"a proxy":                                 {"10.1.2.3:9", []string{"203.0.113.1"}, "203.0.113.1"},
		"a proxy that lies beside us":             {"127.0.0.1:9", []string{"203.0.113.1"}, "203.0.113.1"},
		"a stranger who lies to a proxy":          {"10.1.2.3:9", []string{"1.1.1.1, 203.0.113.1"}, "203.0.113.1"},
		"two proxies, each with a header":         {"10.1.2.3:9", []string{"1.1.1.1,203.0.113.1", "10.9.9.9"}, "203.0.113.1"},
		"a proxy of IPv6, a port, brackets":       {"[2001:db8::7]:9", []string{"[2001:db8:5::1]:443"}, "2001:db8:5::1"},
		"a request of a proxy itself":             {"10.1.2.3:9", []string{"10.1.2.4"}, "10.1.2.4"},
		"a proxy that passes on nonsense":         {"10.1.2.3:9", []string{"unknown"}, "10.1.2.3"},
		"nonsense of a client before its address": {"10.1.2.3:9", []string{"<script>, 203.0.113.1"}, "203.0.113.1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/sample/v1/who", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = c.remote, c.said
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if got := strings.Trim(strings.TrimSpace(w.Body.String()), `"`); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	for _, bad := range []string{"proxy.example.com", "10.0.0.0/33", "10.0.0.1:80"} {
		if _, err := web.ParseProxies(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
