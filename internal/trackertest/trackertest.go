// Package trackertest runs servers for tests that speak the parts of the APIs of Bugzilla and of GitHub's issues that search
// and file bugs, as their documentation has them: with tokens, checks of what is sent, and errors.
package trackertest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Token is the one that both take.
const Token = "tracker-token-of-a-test-0123456789"

// Bug is a bug of the tracker.
type Bug struct {
	ID                   int
	Summary, Description string
	Closed               bool
	Fields               map[string]string // what else was sent with it
	Created              time.Time
}

// Server is a tracker.
type Server struct {
	URL string // of its root

	mu      sync.Mutex
	bugs    []Bug
	broken  int
	lost    int
	holding chan struct{}
	held    chan struct{}
	queries []string
}

func start(t testing.TB, bugs []Bug, handler func(*Server) http.Handler) *Server {
	s := &Server{bugs: bugs}
	inner := handler(s)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.wait(r)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.broken > 0 {
			s.broken--
			http.Error(w, "the tracker is being maintained", http.StatusServiceUnavailable)
			return
		}
		if s.lost > 0 && r.Method == http.MethodPost {
			s.lost--
			inner.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Break has the next n requests fail.
func (s *Server) Break(n int) { s.mu.Lock(); s.broken = n; s.mu.Unlock() }

// Lose has it do what the next n requests to file ask for, and break the connection instead of answering.
func (s *Server) Lose(n int) { s.mu.Lock(); s.lost = n; s.mu.Unlock() }

// Hold has the next request to file wait, before it is done, until release is called; held is closed when one waits.
func (s *Server) Hold() (held <-chan struct{}, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.holding = make(chan struct{}), make(chan struct{})
	holding := s.holding
	return s.held, sync.OnceFunc(func() { close(holding) })
}

func (s *Server) wait(r *http.Request) {
	s.mu.Lock()
	held, holding := s.held, s.holding
	if r.Method == http.MethodPost {
		s.held, s.holding = nil, nil
	}
	s.mu.Unlock()
	if r.Method == http.MethodPost && held != nil {
		close(held)
		<-holding
	}
}

// Resolve marks a bug as done with.
func (s *Server) Resolve(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.bugs {
		s.bugs[i].Closed = s.bugs[i].Closed || s.bugs[i].ID == id
	}
}

// newest returns those with a summary that were made since then, the last first.
func (s *Server) newest(summary string, since time.Time) (found []Bug) {
	for _, b := range slices.Backward(s.bugs) {
		if b.Summary == summary && !b.Created.Before(since) {
			found = append(found, b)
		}
	}
	return found
}

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

// shown is how a Bugzilla shows bugs.
func shown(found []Bug) []map[string]any {
	list := []map[string]any{}
	for _, b := range found {
		status, resolution := "NEW", ""
		if b.Closed {
			status, resolution = "RESOLVED", "FIXED"
		}
		list = append(list, map[string]any{"id": b.ID, "summary": b.Summary, "status": status, "resolution": resolution})
	}
	return list
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
			if q.Get("f1") == "short_desc" && q.Get("o1") == "equals" && q.Get("f2") == "creation_ts" && q.Get("o2") == "greaterthaneq" {
				since, err := time.Parse(time.DateTime, q.Get("v2"))
				if err != nil {
					refuse(w, http.StatusBadRequest, 107, "The 'v2' parameter is no time.")
					return
				}
				answer(w, http.StatusOK, map[string]any{"bugs": shown(s.newest(q.Get("v1"), since))})
				return
			}
			if q.Get("short_desc") == "" || q.Get("short_desc_type") != "allwordssubstr" {
				refuse(w, http.StatusBadRequest, 1000, "You must provide search criteria.")
				return
			}
			s.queries = append(s.queries, q.Get("short_desc"))
			list := shown(s.find(strings.Fields(q.Get("short_desc"))))
			if limit, err := strconv.Atoi(q.Get("limit")); err == nil && limit > 0 {
				list = list[:min(limit, len(list))]
			}
			answer(w, http.StatusOK, map[string]any{"bugs": list})
		})
		mux.HandleFunc("GET /rest/bug/{id}", func(w http.ResponseWriter, r *http.Request) {
			for _, b := range s.bugs {
				if strconv.Itoa(b.ID) == r.PathValue("id") && authorized(w, r) {
					answer(w, http.StatusOK, map[string]any{"bugs": shown([]Bug{b})})
					return
				}
			}
			refuse(w, http.StatusNotFound, 101, "Bug #"+r.PathValue("id")+" does not exist.")
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
			b := Bug{ID: 1_900_000 + len(s.bugs), Summary: fields["summary"], Description: fields["description"], Fields: fields, Created: time.Now()}
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
			return map[string]any{"id": 9_000_000 + b.ID, "number": b.ID, "title": b.Summary, "body": b.Description, "state": state, "created_at": b.Created.UTC().Format(time.RFC3339), "html_url": s.URL + "/acme/app/issues/" + strconv.Itoa(b.ID)}
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
		mux.HandleFunc("GET /api/v3/repos/acme/app/issues", func(w http.ResponseWriter, r *http.Request) {
			if !authorized(w, r) {
				return
			}
			q := r.URL.Query()
			since, err := time.Parse(time.RFC3339, q.Get("since"))
			if err != nil || q.Get("state") != "all" || q.Get("sort") != "created" || q.Get("direction") != "desc" {
				answer(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed"})
				return
			}
			list := []map[string]any{}
			for _, b := range slices.Backward(s.bugs) {
				if !b.Created.Before(since) {
					list = append(list, issue(b))
				}
			}
			answer(w, http.StatusOK, list)
		})
		mux.HandleFunc("GET /api/v3/repos/acme/app/issues/{number}", func(w http.ResponseWriter, r *http.Request) {
			for _, b := range s.bugs {
				if strconv.Itoa(b.ID) == r.PathValue("number") && authorized(w, r) {
					answer(w, http.StatusOK, issue(b))
					return
				}
			}
			answer(w, http.StatusNotFound, map[string]any{"message": "Not Found", "status": "404"})
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
			b := Bug{ID: 100 + len(s.bugs), Summary: sent.Title, Description: sent.Body, Created: time.Now()}
			s.bugs = append(s.bugs, b)
			answer(w, http.StatusCreated, issue(b))
		})
		return mux
	})
}
