package web

import (
	"net/http"
	"slices"
)

// Router is where rooms hang addresses of their own.
type Router interface {
	Handle(pattern string, h http.Handler)
	HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request))
}

// Mux is an http.ServeMux that can tell its patterns, so that a test can hold each to the rules that all keep. Patterns
// are added before the first request.
type Mux struct {
	mux      http.ServeMux
	patterns []string
}

// Handle adds a pattern.
func (m *Mux) Handle(pattern string, h http.Handler) {
	m.mux.Handle(pattern, h)
	m.patterns = append(m.patterns, pattern)
}

// HandleFunc adds a pattern.
func (m *Mux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(h))
}

// ServeHTTP implements http.Handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Patterns lists what was added.
func (m *Mux) Patterns() []string { return slices.Clone(m.patterns) }

// Handler is the handler of a request, and the pattern that it matches.
func (m *Mux) Handler(r *http.Request) (http.Handler, string) { return m.mux.Handler(r) }
