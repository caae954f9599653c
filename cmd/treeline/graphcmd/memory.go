package graphcmd

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/treeline-ci/treeline/internal/heap"
)

// calmMemory is how much heap a command takes before the collector runs beside the work; restMemory is where it runs
// between pieces of work. Graphs of ten thousand tasks hardly need more. From largeMemory in use on, the collector is as
// ever; below, it lets the heap grow to three times what is in use instead of two.
const (
	restMemory  = 70 << 20
	calmMemory  = 120 << 20
	largeMemory = 256 << 20
)

// collector keeps Go's from running again and again while the heap is small: a graph grows and little of it goes, so that
// early rounds find nothing. When a round is due it runs while nobody works: that takes a quarter of the time that a
// round takes beside workers, and what they would make meanwhile does not come on top.
type collector struct {
	pieces sync.RWMutex  // held for writing by a round
	next   atomic.Uint64 // bytes of heap from which on a round is due
}

// newCollector leaves GOGC or GOMEMLIMIT in the environment alone.
func newCollector() *collector {
	c := &collector{}
	c.next.Store(math.MaxUint64)
	if heap.Managed() {
		return c
	}
	usual := debug.SetGCPercent(heap.Percent(calmMemory, 0))
	c.next.Store(restMemory)
	heap.AfterCollection(func() (again bool) {
		live := heap.Live()
		if live >= largeMemory {
			debug.SetGCPercent(usual)
			c.next.Store(math.MaxUint64)
			return false
		}
		debug.SetGCPercent(max(2*usual, heap.Percent(calmMemory, live)))
		c.next.Store(max(restMemory, 2*live))
		return true
	})
	return c
}

// work does a piece of work, and a round of the collector if one is due then, when the pieces that others do have ended.
// Nil does the piece.
func (c *collector) work(piece func()) {
	if c == nil {
		piece()
		return
	}
	func() {
		c.pieces.RLock()
		defer c.pieces.RUnlock()
		piece()
	}()
	due := c.next.Load()
	if due == math.MaxUint64 || heap.InUse() < due {
		return
	}
	c.pieces.Lock()
	defer c.pieces.Unlock()
	if c.next.CompareAndSwap(due, math.MaxUint64) { // and the round sets the next
		runtime.GC()
	}
}
