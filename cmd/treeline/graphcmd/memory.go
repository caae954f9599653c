package graphcmd

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// calmMemory is how much heap a command takes before the collector runs. Graphs of ten thousand tasks
// hardly need more. From largeMemory in use on, the collector is as ever; between the two it lets the
// heap grow to three times what is in use instead of two.
const (
	calmMemory  = 80 << 20
	largeMemory = 256 << 20

	smallestHeap = 4 << 20 // before which the runtime does not collect, at 100 percent
)

// calmCollector keeps the collector from running again and again while the heap is small: a graph
// grows and little of it goes, so that early rounds find nothing. It is told in percent, not by a limit
// of memory: that is still over the limit after a round, and the next would begin before anybody
// could raise it. GOGC or GOMEMLIMIT in the environment are left alone.
func calmCollector() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	const calm = calmMemory / smallestHeap * 100
	usual := debug.SetGCPercent(calm)
	afterCollection(func() (again bool) {
		live := liveMemory()
		percent := usual
		if live < largeMemory {
			percent = min(max(2*usual, int(calmMemory*100/max(live, 1))-100), calm)
		}
		debug.SetGCPercent(percent)
		return live < largeMemory
	})
}

// liveMemory is what the last round of the collector found in use, in bytes.
func liveMemory() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return math.MaxUint64 // a runtime that does not tell: the collector shall be as ever
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
