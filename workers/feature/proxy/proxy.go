// Package proxy lets a task call the API without holding a secret: a listener on the loopback
// address that signs the task's requests with the run's own credentials, limited to the task's
// scopes (taskcluster-map 16.4 and 17.2). Each task has a path of its own that others cannot
// guess.
package proxy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
)

const loopback = "127.0.0.1"

const bewitTime = 15 * time.Minute

// Server serves the tasks of one worker.
type Server struct {
	address string
	http    *http.Server
	log     *slog.Logger
	sign    Signer // of tasks that are created; nil: they go as they are

	mu    sync.RWMutex
	tasks map[string]func() *client.Client // by secret path
}

// Start listens on a free port of the loopback address.
func Start(log *slog.Logger) (*Server, error) {
	listener, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	s := &Server{address: listener.Addr().String(), log: log, tasks: map[string]func() *client.Client{}}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("task proxy ended", "error", err)
		}
	}()
	return s, nil
}

// Close stops listening; open requests are cut.
func (s *Server) Close() error { return s.http.Close() }

// Add opens a path for a task and returns its URL, which the task gets as TASKCLUSTER_PROXY_URL, and the function
// that closes it. current gives a client with the credentials of the moment.
func (s *Server) Add(current func() *client.Client) (proxyURL string, remove func()) {
	secret := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks[secret] = current
	return "http://" + s.address + "/" + secret, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.tasks, secret)
	}
}

// AddAt does so at another address of this machine, by which the task's sandbox reaches it.
func (s *Server) AddAt(ctx context.Context, address string, current func() *client.Client) (proxyURL string, remove func(), err error) {
	here, forget := s.Add(current)
	if address == loopback {
		return here, forget, nil
	}
	at, end, err := s.listen(ctx, address)
	if err != nil {
		forget()
		return "", nil, err
	}
	return strings.Replace(here, s.address, at, 1), func() { end(); forget() }, nil
}

// listen serves at another address as well: the one of the machine in a network of containers, which may be there
// only when the first of them starts.
func (s *Server) listen(ctx context.Context, address string) (at string, end func(), err error) {
	config := net.ListenConfig{Control: anyAddress}
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return "", nil, fmt.Errorf("proxy: %w", err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("task proxy ended", "error", err)
		}
	}()
	return listener.Addr().String(), func() { _ = server.Close() }, nil // open requests are cut
}

// ServeHTTP forwards /<secret>/api/<service>/<version>/..., and signs a URL for POST
// /<secret>/bewit.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secret, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	s.mu.RLock()
	current, ok := s.tasks[secret]
	s.mu.RUnlock()
	switch {
	case !ok:
		fail(w, http.StatusNotFound, "ResourceNotFound", "no task has this path: use TASKCLUSTER_PROXY_URL")
	case rest == "bewit" && r.Method == http.MethodPost:
		s.bewit(w, r, current())
	case strings.HasPrefix(rest, "api/"):
		s.forward(w, r, current(), "/"+rest)
	default:
		fail(w, http.StatusNotFound, "ResourceNotFound", "the proxy serves /api/<service>/<version>/... and /bewit")
	}
}

func (s *Server) forward(w http.ResponseWriter, r *http.Request, c *client.Client, path string) {
	target := c.RootURL() + path
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	to, err := url.Parse(target)
	if err != nil {
		fail(w, http.StatusBadRequest, "InvalidRequestArguments", "the path cannot be read")
		return
	}
	if err := s.signed(r, path); err != nil {
		fail(w, http.StatusBadRequest, "InputError", fault.Message(err))
		return
	}
	forward := &httputil.ReverseProxy{
		Transport: c.Transport(),
		ErrorLog:  slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL, p.Out.Host = to, ""
			p.Out.Header.Del("Authorization")
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Set("X-Taskcluster-Endpoint", c.RootURL()+path)
			resp.Header.Set("X-Taskcluster-Proxy-Temp-ClientId", c.Credentials().ClientID)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				fail(w, http.StatusBadGateway, "ServiceUnavailable", "the server does not answer the task proxy: "+err.Error())
			}
		},
	}
	forward.ServeHTTP(w, r)
}

// bewit answers with a signed form of the URL in the body, as Location and as JSON.
func (s *Server) bewit(w http.ResponseWriter, r *http.Request, c *client.Client) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<10))
	address := strings.TrimSpace(string(body))
	if err != nil || !strings.HasPrefix(address, c.RootURL()+"/") {
		fail(w, http.StatusBadRequest, "InputError", "the body must be a URL below "+c.RootURL())
		return
	}
	signed, err := c.SignURL(address, bewitTime)
	if err != nil {
		fail(w, http.StatusBadRequest, "InputError", "the URL cannot be signed")
		return
	}
	w.Header().Set("Location", signed)
	answer(w, http.StatusSeeOther, map[string]string{"url": signed})
}

func fail(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]string{"code": code, "message": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the task may have gone away
}
