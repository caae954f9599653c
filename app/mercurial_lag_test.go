package app

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/treeline-ci/treeline/push"
)

// TestARevisionThatIsNotThereYetIsWaitedFor has a server tell of pushes, and then not know their revisions for a while,
// as one of several machines does that lags behind.
func TestARevisionThatIsNotThereYetIsWaitedFor(t *testing.T) {
	var mu sync.Mutex
	left := 3
	l := newLeveledBehind(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			lag := strings.HasPrefix(r.URL.Path, "/json-manifest/") && left > 0
			if lag {
				left--
			}
			mu.Unlock()
			if lag {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	p := l.decided("low", "a push", treeOf("low", "1"))
	if p.State != push.Decided || left != 0 {
		t.Errorf("%s %+v, %d answers left", p.State, p.Error, left)
	}
	t.Run("a branch that is not ASCII is decided, or told why not", func(t *testing.T) {
		l.repos["low"].Run("branch", "-q", "Zweig-ä")
		p := l.decided("low", "another push", treeOf("low", "1"))
		if p.State != push.Failed || p.Error == nil || !strings.Contains(p.Error.Message, "Zweig-ä") {
			t.Errorf("%s %+v", p.State, p.Error)
		}
	})
}

// newLeveledBehind has the requests to the Mercurial servers go through a handler.
func newLeveledBehind(t *testing.T, wrap func(http.Handler) http.Handler) *leveled {
	return newLeveledAt(t, func(address string) string {
		to, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(wrap(httputil.NewSingleHostReverseProxy(to)))
		t.Cleanup(s.Close)
		return s.URL
	})
}
