package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/metrics"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web/throttle"
	"github.com/treeline-ci/treeline/ui/page"
)

// walked is a server that people reach by https, all its routes, and somebody who has signed in.
type walked struct {
	t       *testing.T
	app     *App
	address string
	cookie  *http.Cookie
	http    http.Client
}

// way is one route: a method and a path that leads to it.
type way struct{ method, path, pattern string }

func walk(t *testing.T) *walked {
	t.Helper()
	dir := t.TempDir()
	secrets, err := LoadSecrets(filepath.Join(dir, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, err := Start(t.Context(), Config{
		RootURL: "https://ci.example.com", Listener: listener, DatabaseURL: pgtest.URL(t), DataDir: filepath.Join(dir, "objects"), Secrets: secrets,
		Log: slog.New(slog.DiscardHandler), InternalURL: "http://" + listener.Addr().String(), FreshSignIn: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	w := &walked{t: t, app: a, address: "http://" + listener.Addr().String()}
	w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp := w.send(way{"POST", "/login", "POST /login"}, url.Values{"clientId": {RootClient}, "accessToken": {secrets.RootToken}}.Encode(), nil) //nolint:bodyclose // send closes it
	for _, c := range resp.Cookies() {
		if strings.HasSuffix(c.Name, "treeline_session") {
			w.cookie = c
		}
	}
	if w.cookie == nil {
		t.Fatalf("signing in: %s %v", resp.Status, resp.Header)
	}
	return w
}

// send makes a request and reads no more than the beginning of the answer's body, which may never end.
func (w *walked) send(to way, body string, header map[string]string) *http.Response {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, to.method, w.address+to.path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if to.method != http.MethodGet {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp, err := w.http.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", to.method, to.path, err)
	}
	resp.Body.Close()
	return resp
}

var holes = regexp.MustCompile(`\{[^}]*\}|<[^>]*>`)

// doors are the routes that are no endpoints of the API.
func (w *walked) doors() []way {
	var list []way
	for _, pattern := range w.app.patterns {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok {
			method, path = "GET", pattern+"nowhere"
		}
		path = holes.ReplaceAllStringFunc(path, func(hole string) string {
			if hole == "{$}" {
				return ""
			}
			return "x"
		})
		list = append(list, way{method, path, pattern})
	}
	return list
}

// endpoints are the routes of the API, and what else package web serves.
func (w *walked) endpoints() []way {
	var list []way
	for _, s := range w.app.services {
		for _, e := range s.Endpoints {
			path := "/api/" + s.Name + "/" + s.Version + e.Route
			list = append(list, way{e.Method, holes.ReplaceAllString(path, "x"), e.Method + " " + path})
		}
		list = append(list, way{"GET", "/api/" + s.Name + "/" + s.Version + "/ping", "ping"})
	}
	for _, path := range []string{"/ping", "/__version__", "/__heartbeat__", "/__lbheartbeat__", "/robots.txt", "/references", "/schemas", "/references/queue/v1/api.json", "/schemas/x", "/api/nowhere"} {
		list = append(list, way{"GET", path, path})
	}
	return append(list, way{"OPTIONS", "/api/queue/v1/task/x", "options"})
}

func TestEveryRoute(t *testing.T) {
	w := walk(t)
	doors, endpoints := w.doors(), w.endpoints()
	if len(doors) < 150 || len(endpoints) < 200 {
		t.Fatalf("only %d doors and %d endpoints are found", len(doors), len(endpoints))
	}
	session := map[string]string{"Cookie": w.cookie.Name + "=" + w.cookie.Value}
	with := func(more ...string) map[string]string {
		h := map[string]string{"Cookie": session["Cookie"]}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	t.Run("every answer has the headers of security, and keeps cookies to itself", func(t *testing.T) {
		for _, to := range append(slices.Clone(doors), endpoints...) {
			for who, header := range map[string]map[string]string{"stranger": nil, "operator": session} {
				for _, problem := range insecure(w.send(to, "", header)) { //nolint:bodyclose // send closes it
					t.Errorf("%s, for a %s: %s", to.pattern, who, problem)
				}
			}
		}
	})
	t.Run("every form is refused without the token of its page", func(t *testing.T) {
		forms := 0
		for _, to := range doors {
			if to.method == http.MethodGet || programs[to.pattern] != "" || page.Unguarded(to.pattern) != "" {
				continue
			}
			forms++
			for what, header := range map[string]map[string]string{"nothing": session, "a wrong token": with("X-CSRF", "AAAA"), "JSON": with("Content-Type", "application/json")} {
				if resp := w.send(to, "act=save&do=save", header); resp.StatusCode != http.StatusForbidden { //nolint:bodyclose // send closes it
					t.Errorf("%s with %s: %s", to.pattern, what, resp.Status)
				}
			}
		}
		if forms < 25 {
			t.Errorf("only %d forms are found", forms)
		}
	})
	t.Run("forms that are taken without it do nothing when they come so", func(t *testing.T) {
		before := w.records(t)
		for _, to := range doors {
			if to.method == http.MethodGet || page.Unguarded(to.pattern) == "" {
				continue
			}
			for _, act := range []string{"save", "create", "delete", "disable", "enable", "reset", "review", "pause", "fire", "run"} {
				form := url.Values{"act": {act}, "do": {act}, "id": {"x"}, "name": {"x"}, "description": {"x"}, "scopes": {"a"}, "value": {"{}"}, "expires": {"2100-01-01"}}
				if resp := w.send(to, form.Encode(), session); resp.StatusCode == http.StatusSeeOther && to.pattern != "POST /ui/theme" { //nolint:bodyclose // send closes it
					t.Errorf("%s with act=%s: %s", to.pattern, act, resp.Status)
				}
			}
		}
		if after := w.records(t); after != before {
			t.Errorf("the audit log has %d records more", after-before)
		}
	})
	t.Run("no list of exceptions names what is not there", func(t *testing.T) {
		for _, pattern := range append(slices.Collect(maps.Keys(programs)), page.UnguardedPatterns()...) {
			if !slices.Contains(w.app.patterns, pattern) {
				t.Errorf("%s is no route", pattern)
			}
		}
	})
	t.Run("no page takes what another site sends", func(t *testing.T) {
		for _, to := range doors {
			if to.method == http.MethodGet || programs[to.pattern] != "" {
				continue
			}
			for name, header := range map[string]map[string]string{"Sec-Fetch-Site": with("Sec-Fetch-Site", "cross-site"), "Origin": with("Origin", "https://evil.example")} {
				if resp := w.send(to, "", header); resp.StatusCode != http.StatusForbidden { //nolint:bodyclose // send closes it
					t.Errorf("%s by %s: %s", to.pattern, name, resp.Status)
				}
			}
		}
	})
	t.Run("what the limits refuse is counted", func(t *testing.T) {
		for w.app.limits.Take(throttle.SignIn, "192.0.2.1") == nil {
		}
		out := httptest.NewRecorder()
		w.app.metrics.Handler("", slog.New(slog.DiscardHandler)).ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, metrics.Path, nil))
		if got := out.Body.String(); !strings.Contains(got, "treeline_limits_refused_total{kind=\"sign-in\"} 1\n") || !strings.Contains(got, "treeline_limits_refused_total{kind=\"client\"} 0\n") {
			t.Errorf("a scrape says:\n%s", got)
		}
	})
	t.Run("no route takes a body without end", func(t *testing.T) { w.tooLarge(t, append(slices.Clone(doors), endpoints...), session) })
	t.Run("no route takes JSON that nests without end", func(t *testing.T) { w.tooDeep(t, session) })
	t.Run("what nests as deep as may be is kept", w.deepIsKept)
	t.Run("no route takes headers without end", func(t *testing.T) {
		for _, to := range []way{doors[0], endpoints[0], {"GET", "/", "/"}} {
			resp := w.send(to, "", map[string]string{"X-Much": strings.Repeat("x", 80<<10)}) //nolint:bodyclose // send closes it
			if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%s: %s", to.pattern, resp.Status)
			}
		}
		if w.app.server.ReadHeaderTimeout <= 0 || w.app.server.IdleTimeout <= 0 {
			t.Error("a connection may send its headers for ever")
		}
	})
}

// programs are routes that programs post to, with what stands in place of a page's token.
var programs = map[string]string{
	"POST /login/oauth/token":          "a code that only the site has",
	"OPTIONS /login/oauth/token":       "changes nothing",
	"OPTIONS /login/oauth/credentials": "changes nothing",
	"POST /login/cli/redeem":           "a code that only the program has",
	"POST /login/cli/revoke":           "the credentials that are given back",
	"POST /git/{repo}/git-upload-pack": "changes nothing; the credentials, which browsers do not add by themselves",
}

// insecure says what an answer lacks.
func insecure(resp *http.Response) (problems []string) {
	h := resp.Header
	for name, allowed := range map[string][]string{
		"X-Content-Type-Options": {"nosniff"}, "X-Frame-Options": {"DENY", "SAMEORIGIN"}, "Cross-Origin-Opener-Policy": {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin", "cross-origin"}, "Referrer-Policy": {"same-origin", "no-referrer"}, "Strict-Transport-Security": {hstsYear},
	} {
		if !slices.Contains(allowed, h.Get(name)) {
			problems = append(problems, fmt.Sprintf("%s is %q", name, h.Get(name)))
		}
	}
	policy := h.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") && !strings.Contains(policy, "default-src 'self'") || !strings.Contains(policy, "frame-ancestors 'none'") && !strings.Contains(policy, "frame-ancestors 'self'") ||
		strings.Contains(policy, "unsafe-eval") || strings.Contains(policy, "script-src 'unsafe-inline'") {
		problems = append(problems, fmt.Sprintf("the policy of contents is %q", policy))
	}
	if h.Get("Cross-Origin-Resource-Policy") == "cross-origin" && len(h.Values("Set-Cookie")) > 0 {
		problems = append(problems, "an answer for other sites sets a cookie")
	}
	for _, c := range resp.Cookies() {
		if !c.Secure || c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
			problems = append(problems, "the cookie "+c.Name+" lacks Secure or SameSite, or has a domain")
		}
		if c.Name != "treeline_theme" && !c.HttpOnly {
			problems = append(problems, "scripts can read the cookie "+c.Name)
		}
		if strings.Contains(c.Name, "session") && !strings.HasPrefix(c.Name, "__Host-") {
			problems = append(problems, "other hosts of the domain can set the cookie "+c.Name)
		}
	}
	return problems
}

const hstsYear = "max-age=31536000"

// records counts the audit log.
func (w *walked) records(t *testing.T) (n int) {
	t.Helper()
	if err := w.app.pool.QueryRow(t.Context(), "SELECT count(*) FROM auth_audit").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// tooLarge sends a body of 200 MB, as far as the server reads it.
func (w *walked) tooLarge(t *testing.T, list []way, session map[string]string) {
	for _, to := range list {
		if to.method == http.MethodGet || to.method == http.MethodOptions {
			continue
		}
		sent := &counted{left: 200 << 20}
		r, err := http.NewRequestWithContext(t.Context(), to.method, w.address+to.path, sent)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if strings.HasPrefix(to.path, "/api/") {
			r.Header.Set("Content-Type", "application/json")
		} else {
			r.Header.Set("Cookie", session["Cookie"])
		}
		// A server that has read enough answers and closes, which may reach us as an error of writing.
		if resp, err := w.http.Do(r); err == nil {
			resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("%s: %s", to.pattern, resp.Status)
			}
		}
		if sent.n > 90<<20 {
			t.Errorf("%s: %d bytes were read", to.pattern, sent.n)
		}
	}
}

// counted is a body that counts how much of it was taken.
type counted struct{ n, left int64 }

func (c *counted) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), c.left)
	for i := range p[:n] {
		p[i] = 'a'
	}
	c.n, c.left = c.n+n, c.left-n
	return int(n), nil
}
