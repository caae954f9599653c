package combine

import (
	"sync"
	"time"
)

// Gate bounds how many batches run at the same time, of all combiners that have it. Whoever waits there gathers
// calls meanwhile: a batch costs as much as several of its calls, so more batches at once than there are processors
// make less of them. It can be used concurrently; a nil Gate lets everybody through.
type Gate struct {
	slots  chan struct{}
	atMost time.Duration
}

// NewGate returns a gate for so many batches. It slows down, but never shuts: who has waited there for atMost goes on
// all the same, for those inside may be waiting too, for a database far away.
func NewGate(batches int, atMost time.Duration) *Gate {
	return &Gate{slots: make(chan struct{}, batches), atMost: atMost}
}

// enter waits for a place and returns what gives it back, once.
func (g *Gate) enter() (leave func()) {
	if g == nil {
		return func() {}
	}
	leave = sync.OnceFunc(func() { <-g.slots })
	select {
	case g.slots <- struct{}{}:
		return leave
	default:
	}
	t := time.NewTimer(g.atMost)
	defer t.Stop()
	select {
	case g.slots <- struct{}{}:
		return leave
	case <-t.C:
		return func() {}
	}
}
