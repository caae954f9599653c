// Package ghfake is a double of GitHub for tests: a real HTTP server with the REST API that a GitHub App uses, clones
// over git's HTTP, and webhooks signed as GitHub signs them. Its repositories are bare git repositories, so revisions,
// comparisons, refs/pull/N/head and merges are genuine.
//
// Apps sign in as they do at GitHub: a JSON web token of at most ten minutes, then installation tokens that expire,
// carry permissions and reach the installation's repositories only. Answers have ETags, Link headers and rate limits;
// request bodies are held against what GitHub takes, and refused in its words.
//
// People act by methods: Push, Fork, OpenPull, Comment, Enqueue, Release, ClickAction and so on. Each changes what the
// API answers and sends the webhooks that GitHub sends, with the same fields. Faults come on command: Outage, Slow,
// FailNext, LimitRequests, SecondaryLimit, and deliveries that fail or vanish.
//
// It is not complete: GraphQL, search, workflows and everything that an App for continuous integration does not ask
// for is missing, requests without a token are refused, and nothing is kept when the server is closed.
package ghfake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake/trouble"
	"github.com/treeline-ci/treeline/internal/ghfake/webhook"
)

// Options are the settings of a double; the zero value of each has a default.
type Options struct {
	Dir     string           // where its repositories stand; a directory of its own that Close removes when ""
	Listen  string           // 127.0.0.1:0 when ""
	Now     func() time.Time // its clock; time.Now when nil
	Timeout time.Duration    // of a webhook delivery; 10 seconds, as GitHub's, when 0
	Log     *slog.Logger     // what it is asked and what it sends; nothing when nil

	// Site makes what answers browsers beside the API, package ghpage's for one; nothing when nil.
	Site func(*Server) http.Handler

	Inspector Inspector // refuses what GitHub would not take; nil looks at nothing beyond the double's own checks
}

// Server is a running double. It is safe for concurrent use.
type Server struct {
	Options
	root     string
	temp     string // removed by Close
	http     *http.Server
	ended    chan error
	sender   *webhook.Sender
	failures trouble.Faults

	mu            sync.Mutex
	ids           int64
	users         map[string]*User // by login in lower case
	repos         map[int64]*Repository
	apps          map[int64]*App
	installations map[int64]*Installation
	tokens        map[string]*accessToken
	suites        []*checkSuite
	runs          map[int64]*checkRun
	calls         []Call
	complaints    []string
	asked         map[string]*asked // by code
	archives      map[string]archive
}

// Call is a request that the API answered.
type Call struct {
	Method, Path string // below the API's root, with the query
	Route        string // the pattern that matched, such as GET /repos/{owner}/{repo}
	Status       int
	Installation int64 // 0 without an installation token
}

// Start runs a double until Close.
func Start(o Options) (_ *Server, err error) {
	s := &Server{
		Options: o, ids: 5_000_000_000, // beyond 32 bits, as GitHub's are
		users: map[string]*User{}, repos: map[int64]*Repository{}, apps: map[int64]*App{}, installations: map[int64]*Installation{},
		tokens: map[string]*accessToken{}, asked: map[string]*asked{}, archives: map[string]archive{}, runs: map[int64]*checkRun{}, ended: make(chan error, 1),
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Timeout == 0 {
		s.Timeout = 10 * time.Second
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Dir == "" {
		if s.temp, err = os.MkdirTemp("", "ghfake-"); err != nil {
			return nil, fmt.Errorf("ghfake: %w", err)
		}
		s.Dir = s.temp
	}
	listen := s.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ghfake: %w", err), os.RemoveAll(s.temp))
	}
	s.root = "http://" + listener.Addr().String()
	s.sender = webhook.Start(&webhook.Sender{Now: s.Now, Log: s.Log, Target: s.target}, s.Timeout)
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { s.ended <- s.http.Serve(listener) }()
	return s, nil
}

// Close ends the double; deliveries not sent yet are not sent.
func (s *Server) Close() error {
	s.sender.Close()
	err := s.http.Close()
	if ended := <-s.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if s.temp != "" {
		err = errors.Join(err, os.RemoveAll(s.temp))
	}
	if err != nil {
		return fmt.Errorf("ghfake: %w", err)
	}
	return nil
}

// URL is the address of the site: clones are made from URL/owner/name.git.
func (s *Server) URL() string { return s.root }

// APIURL is the root of the REST API, with the prefix of GitHub Enterprise and a slash at its end.
func (s *Server) APIURL() string { return s.root + "/api/v3/" }

// Calls returns the requests answered so far, in order.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// CountCalls returns how many requests a route answered: CountCalls("POST /repos/{owner}/{repo}/check-runs").
func (s *Server) CountCalls(route string) int {
	n := 0
	for _, c := range s.Calls() {
		if c.Route == route {
			n++
		}
	}
	return n
}

// nextID returns a new id; ids are never used twice, whatever they are of.
func (s *Server) nextID() int64 {
	s.ids++
	return s.ids
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		mux.Handle(method+" /api/v3"+path, s.serve(r))
	}
	mux.HandleFunc("/api/v3/", func(w http.ResponseWriter, r *http.Request) {
		s.write(w, r, errorAnswer(&apiError{Status: http.StatusNotFound, Message: "Not Found"}))
		s.note(r, "", http.StatusNotFound, 0)
	})
	mux.HandleFunc("GET /codeload/{owner}/{repo}/{rest...}", s.serveArchive)
	mux.HandleFunc("POST /settings/apps/new", s.askForApp)
	mux.HandleFunc("POST /organizations/{org}/settings/apps/new", s.askForApp)
	mux.HandleFunc("POST /settings/apps/confirm", s.confirmApp)
	site := http.NotFoundHandler()
	if s.Site != nil {
		site = s.Site(s)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		parts := strings.SplitN(r.URL.Path, "/", 4)
		if len(parts) < 4 || !strings.HasSuffix(parts[2], ".git") {
			site.ServeHTTP(w, r)
			return
		}
		r.SetPathValue("owner", parts[1])
		r.SetPathValue("file", parts[2])
		s.serveGit(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) note(r *http.Request, route string, status int, installation int64) {
	path := strings.TrimPrefix(r.URL.RequestURI(), "/api/v3")
	s.mu.Lock()
	s.calls = append(s.calls, Call{Method: r.Method, Path: path, Route: route, Status: status, Installation: installation})
	s.mu.Unlock()
	s.Log.Debug("request", "method", r.Method, "path", path, "status", status)
}

func (s *Server) gitDir(id int64) string { return filepath.Join(s.Dir, fmt.Sprintf("%d.git", id)) }

// Drain waits until all webhooks of what happened so far were sent, or ctx ends.
func (s *Server) Drain(ctx context.Context) error { return s.sender.Drain(ctx) }
