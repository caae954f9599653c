package purgecacheapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/purgecache/purgecacheapi"
)

func TestTheDoor(t *testing.T) {
	p := purgecache.New(pgtest.DB(t))
	caller := webtest.As("me", "purge-cache:a/b:c*", "purge-cache:purge-requests::a/b", "purge-cache:all-purge-requests")
	handler, err := web.Mount([]web.Service{purgecacheapi.Service(p)}, caller, web.Options{RootURL: "https://tc.example", CheckOutput: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		want                     string // in the answer
	}{
		{"purge", "POST", "/purge-cache/a%2Fb", `{"cacheName": "c1"}`, 204, ""},
		{"purge with a raw slash", "POST", "/purge-cache/a/b", `{"cacheName": "c2"}`, 204, ""},
		{"purge again", "POST", "/purge-cache/a%2Fb", `{"cacheName": "c1"}`, 204, ""},
		{"another's cache", "POST", "/purge-cache/a%2Fb", `{"cacheName": "x"}`, 403, "purge-cache:a/b:x"},
		{"another's pool", "POST", "/purge-cache/a%2Fx", `{"cacheName": "c"}`, 403, "purge-cache:a/x:c"},
		{"no pool", "POST", "/purge-cache/a", `{"cacheName": "c"}`, 400, "InvalidRequestArguments"},
		{"no cache", "POST", "/purge-cache/a%2Fb", `{}`, 400, "InputValidationError"},
		{"something else", "POST", "/purge-cache/a%2Fb", `{"cacheName": "c", "before": "2026-01-01T00:00:00Z"}`, 400, "InputValidationError"},
		{"a pool's", "GET", "/purge-cache/a%2Fb", "", 200, `"cacheName": "c2"`},
		{"a pool's, with its halves", "GET", "/purge-cache/a/b", "", 200, `"workerType": "b"`},
		{"since then", "GET", "/purge-cache/a%2Fb?since=2100-01-01T00:00:00.000Z", "", 200, `"requests": []`},
		{"since no time", "GET", "/purge-cache/a%2Fb?since=yesterday", "", 400, "InvalidRequestArguments"},
		{"another pool's", "GET", "/purge-cache/a%2Fx", "", 403, "purge-cache:purge-requests::a/x"},
		{"all", "GET", "/purge-cache/list", "", 200, `"provisionerId": "a"`},
		{"all in pages", "GET", "/purge-cache/list?limit=1", "", 200, "continuationToken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), c.method, "https://tc.example/api/purge-cache/v1"+c.path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			handler.ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d, want %d with %q: %s", w.Code, c.status, c.want, w.Body)
			}
			if w.Code == http.StatusNoContent && w.Body.Len() > 0 {
				t.Errorf("no content, but %s", w.Body)
			}
		})
	}
}
