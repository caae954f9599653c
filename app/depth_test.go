package app

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
)

// client is the operator's.
func (w *walked) client() *client.Client {
	w.t.Helper()
	c, err := client.New(client.Config{RootURL: w.address, Credentials: hawk.Credentials{ClientID: RootClient, AccessToken: w.app.config.Secrets.RootToken}})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// levels is a JSON list in a list, and so on.
func levels(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// filled are values for parameters of routes: the first that fits the parameter's pattern is taken.
var filled = []string{slug.New(), "0", "1", "x", "aaaa-aaaa/bbbb-bbbb", "a-a/b-b", "main"}

// path is a route with parameters that fit.
func path(s web.Service, e web.Endpoint) string {
	return "/api/" + s.Name + "/" + s.Version + holes.ReplaceAllStringFunc(e.Route, func(hole string) string {
		name := strings.Trim(hole, "<>*")
		for _, value := range filled {
			if ok, err := regexp.MatchString(s.Params[name], value); err == nil && ok {
				return url.PathEscape(value)
			}
		}
		return "x"
	})
}

// tooDeep sends lists in lists to every route that takes a body, as an operator: a million that are never closed, and the most
// that is JSON to others. Each is refused, with its reason where there is a schema, and takes little memory.
func (w *walked) tooDeep(t *testing.T, session map[string]string) {
	bodies := map[string]string{"a million brackets": strings.Repeat("[", 1_000_000), "9,000 lists": levels(9000)}
	c := w.client()
	measured := func(what string, send func()) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		send()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 50<<20 {
			t.Errorf("%s: %d MB were taken", what, n>>20)
		}
	}
	refused := 0
	for _, s := range w.app.services {
		for _, e := range s.Endpoints {
			for what, body := range bodies {
				if e.Method == http.MethodGet {
					continue
				}
				what = e.Name + " with " + what
				measured(what, func() {
					_, err := c.CallRaw(t.Context(), e.Method, w.address+path(s, e), []byte(body))
					said, is := errors.AsType[*client.Error](err)
					switch {
					case err != nil && !is || is && said.Status >= 500:
						t.Errorf("%s: %v", what, err)
					case !is && e.Input != "" && e.Input != web.Blob:
						t.Errorf("%s was taken", what)
					case is && strings.Contains(said.Message, "nest more than 1000 levels deep"):
						refused++
					}
				})
			}
		}
	}
	if refused < 50 {
		t.Errorf("only %d requests are refused for their depth", refused)
	}
	for _, to := range w.doors() {
		for what, body := range bodies {
			if to.method == http.MethodGet || to.method == http.MethodOptions {
				continue
			}
			what = to.pattern + " with " + what
			measured(what, func() {
				if resp := w.send(to, body, map[string]string{"Cookie": session["Cookie"], "Content-Type": "application/json"}); resp.StatusCode >= 500 { //nolint:bodyclose // send closes it; pages that judge what they are sent answer 200
					t.Errorf("%s: %s", what, resp.Status)
				}
			})
		}
	}
}

// deepIsKept stores what nests as deep as may be, and refuses one level more.
func (w *walked) deepIsKept(t *testing.T) {
	c := w.client()
	for _, tt := range []struct {
		what, service, method, path, body string
		around                            int // levels that stand around %s
	}{
		{"a secret", "secrets", http.MethodPut, "/secret/deep", `{"expires": "2100-01-01T00:00:00.000Z", "secret": {"a": %s}}`, 2},
		{"the payload of a hook", "hooks", http.MethodPut, "/hooks/deep/hook", `{"metadata": {"name": "n", "description": "d", "owner": "o@example.com"}, "task": {"a": %s}, "schedule": []}`, 2},
	} {
		for _, n := range []int{1000 - tt.around, 1001 - tt.around} {
			body := fmt.Sprintf(tt.body, levels(n))
			_, err := c.CallRaw(t.Context(), tt.method, w.address+"/api/"+tt.service+"/v1"+tt.path, []byte(body))
			e, refused := errors.AsType[*client.Error](err)
			if deep := n+tt.around > 1000; deep != refused || refused && (e.Status != http.StatusBadRequest || !strings.Contains(e.Message, "nest more than 1000 levels deep")) || err != nil && !refused {
				t.Errorf("%s with %d levels: %v", tt.what, n+tt.around, err)
			}
		}
		if reply, err := c.CallRaw(t.Context(), http.MethodGet, w.address+"/api/"+tt.service+"/v1"+tt.path, nil); err != nil || strings.Count(string(reply.Body), "[") < 990 {
			t.Errorf("%s cannot be read again: %v", tt.what, err)
		}
	}
}
