package ghfake

func textOf(o obj, key string) string { s, _ := o[key].(string); return s }

// LoseRun removes a check run, as GitHub does with the oldest of a thousand of one name.
func (s *Server) LoseRun(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, id)
}

// MarkStale completes a check run as GitHub does when it was on for 14 days.
func (s *Server) MarkStale(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[id]; r != nil {
		r.status, r.conclusion, r.completed = "completed", "stale", s.Now()
	}
}

// Annotations returns the annotations of a check run: path and message of each.
func (s *Server) Annotations(id int64) (out [][2]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[id]; r != nil {
		for _, item := range r.annotations {
			if a, ok := item.(obj); ok {
				out = append(out, [2]string{textOf(a, "path"), textOf(a, "message")})
			}
		}
	}
	return out
}
