package graphcmd

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// calmMemory is how much memory a command takes before the collector runs. Graphs of ten thousand
// tasks hardly need more.
const calmMemory = 108 << 20

// calmCollector keeps the collector from running again and again while the heap is small: a graph
// grows and little of it goes, so that early rounds find nothing. Once half of calmMemory stays in use,
// the collector is as ever. GOGC or GOMEMLIMIT in the environment are left alone.
func calmCollector() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	usual := debug.SetGCPercent(-1)
	debug.SetMemoryLimit(calmMemory)
	afterCollection(func() (again bool) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if live[0].Value.Kind() == metrics.KindUint64 && live[0].Value.Uint64() < calmMemory/2 {
			return true
		}
		debug.SetGCPercent(usual)
		debug.SetMemoryLimit(math.MaxInt64)
		return false
	})
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
