package web_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/web/webtest"
)

// FuzzPath sends any path and query: there is always an answer, it is JSON or none, and what an
// artifact's name was comes back as it was sent.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/thing/abc/run/1", "/thing/abc/artifacts/a%2Fb", "/thing//artifacts/", "/%", "/things/?a=%zz", "/query?limit=1;x", "//", "/..%2f"} {
		f.Add(seed, "public/x")
	}
	h := mount(f, webtest.As("someone"))
	f.Fuzz(func(t *testing.T, path, name string) {
		if u, err := url.Parse("/api/sample/v1" + path); err == nil && u.Host == "" && strings.HasPrefix(u.EscapedPath(), "/api/") {
			r := httptest.NewRequest("GET", "/", nil)
			r.URL = u
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code >= 500 && !strings.HasSuffix(u.Path, "/panics") && !strings.HasSuffix(u.Path, "/broken") && !strings.HasSuffix(u.Path, "/wrong") {
				t.Errorf("%q: %d %s", path, w.Code, w.Body)
			}
		}
		if name == "" {
			return
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: "/api/sample/v1/thing/abc/artifacts/" + name, RawPath: "/api/sample/v1/thing/abc/artifacts/" + url.PathEscape(name)}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var got struct{ Params map[string]string }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
			t.Fatalf("%q: %d %v", name, w.Code, err)
		}
		if want := strings.ToValidUTF8(name, "\ufffd"); strings.ToValidUTF8(got.Params["name"], "\ufffd") != want && strings.ToValidUTF8(name, "") == name {
			t.Errorf("%q came back as %q", name, got.Params["name"])
		}
	})
}

// FuzzBody sends any body: it is taken, unchanged in meaning, or refused with 400.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"name":"x"}`, `{"name":1}`, `[`, `[]`, `{"name":"x","name":"toolong"}`, `{"name":"x","at":"2026-01-01T00:00:00Z"}`, "\xff", `1e999`, `{"name":"\ud800"}`} {
		f.Add([]byte(seed))
	}
	h := mount(f, webtest.As("someone"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", "/api/sample/v1/create/abc", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch w.Code {
		case 200:
			if !json.Valid(body) {
				t.Errorf("%q was taken", body)
			}
		case 400:
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("%q: the refusal is not JSON: %s", body, w.Body)
			}
		default:
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
