// Package trackertest runs servers for tests that speak the parts of the APIs of Bugzilla and of GitHub's issues that search
// and file bugs, as their documentation has them: with tokens, checks of what is sent, and errors.
package trackertest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Token is the one that both take.
const Token = "tracker-token-of-a-test-0123456789"

// Bug is a bug of the tracker.
type Bug struct {
	ID                   int
	Summary, Description string
	Closed               bool
	Fields               map[string]string // what else was sent with it
}

// Server is a tracker.
type Server struct {
	URL string // of its root

	mu      sync.Mutex
	bugs    []Bug
	broken  int
	queries []string
}

func start(t testing.TB, bugs []Bug, handler func(*Server) http.Handler) *Server {
	s := &Server{bugs: bugs}
	inner := handler(s)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.broken > 0 {
			s.broken--
			http.Error(w, "the tracker is being maintained", http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Break has the next n requests fail.
func (s *Server) Break(n int) { s.mu.Lock(); s.broken = n; s.mu.Unlock() }

// Bugs returns all bugs, those filed last at the end, and what was searched for.
func (s *Server) Bugs() (bugs []Bug, queries []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Bug{}, s.bugs...), append([]string{}, s.queries...)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away needs none
}

func (s *Server) find(words []string) (found []Bug) {
	for _, b := range s.bugs {
		all := true
		for _, word := range words {
			all = all && strings.Contains(strings.ToLower(b.Summary), strings.ToLower(word))
		}
		if all {
			found = append(found, b)
		}
	}
	return found
}

// Bugzilla starts a Bugzilla with the product "Core" and its component "General".
func Bugzilla(t testing.TB, bugs ...Bug) *Server {
	refuse := func(w http.ResponseWriter, status, code int, message string) {
		answer(w, status, map[string]any{"error": true, "code": code, "message": message, "documentation": "https://bmo.readthedocs.io/"})
	}
	return start(t, bugs, func(s *Server) http.Handler {
		mux := http.NewServeMux()
		authorized := func(w http.ResponseWriter, r *http.Request) bool {
			if key := r.Header.Get("X-BUGZILLA-API-KEY"); key != "" && key != Token {
				refuse(w, http.StatusBadRequest, 306, "The API key you specified is invalid. Please check that you typed it correctly.")
				return false
			}
			return true
		}
		mux.HandleFunc("GET /rest/bug", func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if !authorized(w, r) {
				return
			}
			if q.Get("short_desc") == "" || q.Get("short_desc_type") != "allwordssubstr" {
				refuse(w, http.StatusBadRequest, 1000, "You must provide search criteria.")
				return
			}
			s.queries = append(s.queries, q.Get("short_desc"))
			list := []map[string]any{}
			for _, b := range s.find(strings.Fields(q.Get("short_desc"))) {
				status, resolution := "NEW", ""
				if b.Closed {
					status, resolution = "RESOLVED", "FIXED"
				}
				list = append(list, map[string]any{"id": b.ID, "summary": b.Summary, "status": status, "resolution": resolution})
			}
			if limit, err := strconv.Atoi(q.Get("limit")); err == nil && limit > 0 {
				list = list[:min(limit, len(list))]
			}
			answer(w, http.StatusOK, map[string]any{"bugs": list})
		})
		mux.HandleFunc("POST /rest/bug", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-BUGZILLA-API-KEY") == "" {
				refuse(w, http.StatusUnauthorized, 410, "You must log in before using this part of Bugzilla.")
				return
			}
			if !authorized(w, r) {
				return
			}
			var fields map[string]string
			if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
				refuse(w, http.StatusBadRequest, 32000, "The JSON of the request cannot be read.")
				return
			}
			for _, needed := range []string{"product", "component", "summary", "version"} {
				if fields[needed] == "" {
					refuse(w, http.StatusBadRequest, 50, "You must select/enter a "+needed+".")
					return
				}
			}
			if fields["product"] != "Core" || fields["component"] != "General" {
				refuse(w, http.StatusBadRequest, 51, "There is no component named '"+fields["component"]+"' in the '"+fields["product"]+"' product.")
				return
			}
			b := Bug{ID: 1_900_000 + len(s.bugs), Summary: fields["summary"], Description: fields["description"], Fields: fields}
			s.bugs = append(s.bugs, b)
			answer(w, http.StatusOK, map[string]any{"id": b.ID})
		})
		return mux
	})
}

// GitHub starts a GitHub Enterprise Server with the repository acme/app; its API is at /api/v3/.
func GitHub(t testing.TB, bugs ...Bug) *Server {
	return start(t, bugs, func(s *Server) http.Handler {
		mux := http.NewServeMux()
		issue := func(b Bug) map[string]any {
			state := "open"
			if b.Closed {
				state = "closed"
			}
			return map[string]any{"id": 9_000_000 + b.ID, "number": b.ID, "title": b.Summary, "body": b.Description, "state": state, "html_url": s.URL + "/acme/app/issues/" + strconv.Itoa(b.ID)}
		}
		authorized := func(w http.ResponseWriter, r *http.Request) bool {
			if a := r.Header.Get("Authorization"); a != "" && a != "Bearer "+Token {
				answer(w, http.StatusUnauthorized, map[string]any{"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest", "status": "401"})
				return false
			}
			return true
		}
		mux.HandleFunc("GET /api/v3/search/issues", func(w http.ResponseWriter, r *http.Request) {
			if !authorized(w, r) {
				return
			}
			q := r.URL.Query().Get("q")
			s.queries = append(s.queries, q)
			var words []string
			repo := false
			for _, part := range strings.Fields(q) {
				switch part {
				case "repo:acme/app":
					repo = true
				case "is:issue", "in:title":
				default:
					words = append(words, strings.Trim(part, `"`))
				}
			}
			if !repo {
				answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed", "errors": []any{map[string]any{"message": "The listed users and repositories cannot be searched either because the resources do not exist or you do not have permission to view them.", "resource": "Search", "field": "q", "code": "invalid"}}})
				return
			}
			items := []map[string]any{}
			for _, b := range s.find(words) {
				items = append(items, issue(b))
			}
			answer(w, http.StatusOK, map[string]any{"total_count": len(items), "incomplete_results": false, "items": items})
		})
		mux.HandleFunc("POST /api/v3/repos/acme/app/issues", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				answer(w, http.StatusUnauthorized, map[string]any{"message": "Requires authentication", "status": "401"})
				return
			}
			if !authorized(w, r) {
				return
			}
			var sent struct{ Title, Body string }
			if err := json.NewDecoder(r.Body).Decode(&sent); err != nil || sent.Title == "" {
				answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed", "errors": []any{map[string]any{"resource": "Issue", "field": "title", "code": "missing_field"}}})
				return
			}
			b := Bug{ID: 100 + len(s.bugs), Summary: sent.Title, Description: sent.Body}
			s.bugs = append(s.bugs, b)
			answer(w, http.StatusCreated, issue(b))
		})
		return mux
	})
}
