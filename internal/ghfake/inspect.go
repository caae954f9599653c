package ghfake

import (
	"fmt"
	"net/http"
)

// Inspector holds requests, and the double's answers, against what GitHub says of its API; package ghspec has one. The
// route is one of Routes.
type Inspector interface {
	Request(route string, r *http.Request, body []byte) error
	Answer(route string, r *http.Request, status int, header http.Header, body []byte) error
}

// Routes returns the endpoints of the API that are served, as "GET /repos/{owner}/{repo}".
func Routes() []string {
	var out []string
	for _, r := range (&Server{}).routes() {
		out = append(out, r.pattern)
	}
	return out
}

// Complaints returns what the inspector found, in order: requests that were refused for it, and answers of the double
// that are not as GitHub's.
func (s *Server) Complaints() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.complaints...)
}

// inspectRequest returns the refusal of a request that is not as GitHub wants it; nil when it is.
func (s *Server) inspectRequest(route string, r *http.Request, text []byte) *answer {
	if s.Inspector == nil {
		return nil
	}
	err := s.Inspector.Request(route, r, text)
	if err == nil {
		return nil
	}
	s.complain(fmt.Sprintf("request: %v", err))
	a := errorAnswer(&apiError{Status: http.StatusUnprocessableEntity, Message: "Invalid request.\n\n" + err.Error()})
	return &a
}

func (s *Server) inspectAnswer(route string, r *http.Request, a answer) {
	if s.Inspector == nil {
		return
	}
	if err := s.Inspector.Answer(route, r, a.status, a.header, a.data); err != nil {
		s.complain(fmt.Sprintf("answer: %v", err))
	}
}

func (s *Server) complain(text string) {
	s.Log.Error("not as GitHub", "what", text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complaints = append(s.complaints, text)
}
