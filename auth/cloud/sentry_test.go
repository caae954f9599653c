package cloud_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/internal/fault"
)

// sentryServer keeps projects and keys as Sentry's API shows them, two keys a page.
type sentryServer struct {
	*httptest.Server
	mu       sync.Mutex
	projects map[string][]map[string]any
	next     int
	down     bool
}

func newSentryServer(t *testing.T) *sentryServer {
	s := &sentryServer{projects: map[string][]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/0/organizations/us/projects/", s.listProjects)
	mux.HandleFunc("POST /api/0/teams/us/all/projects/", s.createProject)
	mux.HandleFunc("GET /api/0/projects/us/{project}/keys/", s.listKeys)
	mux.HandleFunc("POST /api/0/projects/us/{project}/keys/", s.createKey)
	mux.HandleFunc("DELETE /api/0/projects/us/{project}/keys/{key}/", s.deleteKey)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case r.Header.Get("Authorization") != "Bearer token-1":
			w.WriteHeader(http.StatusUnauthorized)
		case s.down:
			w.WriteHeader(http.StatusBadGateway)
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *sentryServer) listProjects(w http.ResponseWriter, _ *http.Request) {
	list := []map[string]string{}
	for slug := range s.projects {
		list = append(list, map[string]string{"slug": slug})
	}
	answer(w, 200, list)
}

func (s *sentryServer) createProject(w http.ResponseWriter, r *http.Request) {
	var in struct{ Name, Slug string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Name != in.Slug {
		answer(w, 400, nil)
		return
	}
	s.projects[in.Slug] = nil
	s.add(in.Slug, "Default")
	answer(w, 201, in)
}

// add makes a key; Sentry puts the newest first.
func (s *sentryServer) add(project, label string) map[string]any {
	s.next++
	key := map[string]any{"id": fmt.Sprint("k", s.next), "label": label, "name": label, "dsn": map[string]string{
		"secret": fmt.Sprintf("https://k%d:hush@sentry.example/1", s.next), "public": fmt.Sprintf("https://k%d@sentry.example/1", s.next),
	}}
	s.projects[project] = append([]map[string]any{key}, s.projects[project]...)
	return key
}

func (s *sentryServer) listKeys(w http.ResponseWriter, r *http.Request) {
	keys, ok := s.projects[r.PathValue("project")]
	if !ok {
		answer(w, 404, nil)
		return
	}
	from := 0
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		_, _ = fmt.Sscanf(cursor, "0:%d:0", &from)
	}
	to := min(from+2, len(keys))
	w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="previous"; results="false"; cursor="0:0:1", <%s>; rel="next"; results="%t"; cursor="0:%d:0"`, r.URL, r.URL, to < len(keys), to))
	answer(w, 200, append([]map[string]any{}, keys[from:to]...))
}

func (s *sentryServer) createKey(w http.ResponseWriter, r *http.Request) {
	var in struct{ Name string }
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		answer(w, 400, nil)
		return
	}
	answer(w, 201, s.add(r.PathValue("project"), in.Name))
}

func (s *sentryServer) deleteKey(w http.ResponseWriter, r *http.Request) {
	p := r.PathValue("project")
	s.projects[p] = slices.DeleteFunc(s.projects[p], func(k map[string]any) bool { return k["id"] == r.PathValue("key") })
	w.WriteHeader(http.StatusNoContent)
}

func (s *sentryServer) labels(project string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, key := range s.projects[project] {
		out = append(out, key["label"].(string))
	}
	return out
}

func TestSentry(t *testing.T) {
	s := newSentryServer(t)
	config := cloud.SentryConfig{URL: s.URL, Token: "token-1", Organization: "us", Team: "all", KeyPrefix: "ours"}
	c := newCloud(t, cloud.Config{Sentry: config})
	ctx := t.Context()

	first, err := c.Sentry(ctx, now, "website")
	if err != nil {
		t.Fatal(err)
	}
	want := cloud.DSN{Secret: "https://k2:hush@sentry.example/1", Public: "https://k2@sentry.example/1", Expires: now.Add(48 * time.Hour)}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
	label := "ours managed (expires-at:2026-11-23T12:30:15.000Z)"
	if diff := cmp.Diff([]string{label, "Default"}, s.labels("website")); diff != "" {
		t.Error(diff)
	}
	t.Run("a key that lasts is given again, on whichever page it stands", func(t *testing.T) {
		s.mu.Lock()
		for _, foreign := range []string{"ours", "ours managed (expires-at:never)", "theirs managed (expires-at:2099-01-01T00:00:00.000Z)"} {
			s.add("website", foreign)
		}
		s.mu.Unlock()
		again, err := newCloud(t, cloud.Config{Sentry: config}).Sentry(ctx, now.Add(22*time.Hour), "website")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a key that ends within a day and an hour is not", func(t *testing.T) {
		later, err := c.Sentry(ctx, now.Add(23*time.Hour+time.Second), "website")
		if err != nil || later.Secret == first.Secret || !later.Expires.After(first.Expires) {
			t.Errorf("%v, %v", later, err)
		}
	})
	t.Run("expired keys are removed from every project, and no others", func(t *testing.T) {
		s.mu.Lock()
		s.projects["other"] = nil
		s.add("other", "ours managed (expires-at:2020-01-01T00:00:00.000Z)")
		s.add("other", "theirs managed (expires-at:2020-01-01T00:00:00.000Z)")
		s.mu.Unlock()
		c.Start(ctx)
		defer c.Stop()
		deadline := time.After(20 * time.Second)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for len(s.labels("other")) > 1 {
			select {
			case <-deadline:
				t.Fatalf("still there: %v", s.labels("other"))
			case <-tick.C:
			}
		}
		if got := s.labels("other"); !strings.HasPrefix(got[0], "theirs") {
			t.Errorf("left %v", got)
		}
	})
	t.Run("faults", func(t *testing.T) {
		wrong := config
		wrong.Token = "hush"
		if _, err := newCloud(t, cloud.Config{Sentry: wrong}).Sentry(ctx, now, "website"); fault.KindOf(err) != fault.Internal || strings.Contains(err.Error(), "hush") {
			t.Errorf("a token that is refused: %v", err)
		}
		s.mu.Lock()
		s.down = true
		s.mu.Unlock()
		if _, err := c.Sentry(ctx, now, "website"); !errors.Is(err, fault.Unavailable) {
			t.Errorf("a fault that may pass: %v", err)
		}
	})
}
