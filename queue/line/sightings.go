package line

import (
	"sync"
	"time"
)

// Sightings remembers which workers this process has noted lately, so that a poll need not write.
type Sightings struct {
	mu sync.Mutex
	at map[Sighting]time.Time
}

// Sighting is a worker that asked for a task queue's work.
type Sighting struct{ Queue, Group, Worker string }

const (
	sightEvery   = time.Minute
	maxSightings = 20000
)

// Due reports whether the worker must be noted again.
func (s *Sightings) Due(w Sighting, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil || len(s.at) >= maxSightings {
		s.at = map[Sighting]time.Time{}
	}
	if now.Sub(s.at[w]) < sightEvery {
		return false
	}
	s.at[w] = now
	return true
}
