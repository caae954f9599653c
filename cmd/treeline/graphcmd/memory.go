package graphcmd

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
)

// calmMemory is how much heap a command takes before the collector runs beside the work; restMemory is where it runs
// between pieces of work. Graphs of ten thousand tasks hardly need more. From largeMemory in use on, the collector is as
// ever; below, it lets the heap grow to three times what is in use instead of two.
const (
	restMemory  = 70 << 20
	calmMemory  = 120 << 20
	largeMemory = 256 << 20

	smallestHeap = 4 << 20 // before which the runtime does not collect, at 100 percent
)

// collector keeps Go's from running again and again while the heap is small: a graph grows and little of it goes, so that
// early rounds find nothing. When a round is due it runs while nobody works: that takes a quarter of the time that a
// round takes beside workers, and what they would make meanwhile does not come on top.
type collector struct {
	pieces sync.RWMutex  // held for writing by a round
	next   atomic.Uint64 // bytes of heap from which on a round is due
}

// newCollector is told in percent, not by a limit of memory: that is still over the limit after a round, and the next would
// begin before anybody could raise it. GOGC or GOMEMLIMIT in the environment are left alone.
func newCollector() *collector {
	c := &collector{}
	c.next.Store(math.MaxUint64)
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return c
	}
	const calm = calmMemory / smallestHeap * 100
	usual := debug.SetGCPercent(calm)
	c.next.Store(restMemory)
	afterCollection(func() (again bool) {
		live := read("/gc/heap/live:bytes")
		if live >= largeMemory {
			debug.SetGCPercent(usual)
			c.next.Store(math.MaxUint64)
			return false
		}
		debug.SetGCPercent(min(max(2*usual, int(calmMemory*100/max(live, 1))-100), calm))
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
	const inUse = "/memory/classes/heap/objects:bytes"
	due := c.next.Load()
	if due == math.MaxUint64 || read(inUse) < due {
		return
	}
	c.pieces.Lock()
	defer c.pieces.Unlock()
	if c.next.CompareAndSwap(due, math.MaxUint64) { // and the round sets the next
		runtime.GC()
	}
}

// read is a figure of the runtime's, the greatest number from one that does not tell.
func read(name string) uint64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return math.MaxUint64
	}
	return s[0].Value.Uint64()
}

// afterCollection calls f after each round of the collector until it returns false.
func afterCollection(f func() (again bool)) {
	garbage := new([64]byte) // from the start: the next round finds it
	runtime.AddCleanup(garbage, func(f func() bool) {
		if f() {
			afterCollection(f)
		}
	}, f)
}
