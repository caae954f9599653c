package line

import (
	"sync"
	"time"
)

// Groups remembers task groups that were seen in the database, so that who adds a task to one need not try
// to create it. It may be wrong: groups vanish.
type Groups struct {
	mu      sync.Mutex
	expires map[string]time.Time
}

const maxGroups = 10000 // more of them, and the memory starts over

// Known reports whether the group was seen, and expires at the time given or later.
func (g *Groups) Known(id string, expires time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.expires[id]
	return ok && !at.Before(expires)
}

// Note remembers a group that was seen.
func (g *Groups) Note(id string, expires time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.expires == nil || len(g.expires) >= maxGroups {
		g.expires = map[string]time.Time{}
	}
	g.expires[id] = expires
}

// Drop forgets groups.
func (g *Groups) Drop(ids ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		delete(g.expires, id)
	}
}
