package uitest

import "github.com/treeline-ci/treeline/app/tracing"

// Traces makes traces of what the site knows.
func (s *Site) Traces() tracing.Rooms {
	return tracing.Rooms{Queue: s.Queue, Push: s.Push, RootURL: s.URL}
}
