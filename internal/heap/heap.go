// Package heap keeps Go's garbage collector from rounds that find little: while the heap is small, one that may grow by what is in
// use is collected again and again.
package heap

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// smallest is the heap in bytes before which the runtime does not collect, at 100 percent.
const smallest = 4 << 20

// Managed tells that the environment says how to collect, by GOGC or GOMEMLIMIT: it has its way.
func Managed() bool { return os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" }

// AtLeast has the collector run when the heap has that many bytes, or twice what is in use if that is more. It is for the
// whole process, until its end, and leaves alone what the environment says.
//
// It is told in percent, not by a limit of memory: that is still over the limit after a round, and the next would begin
// before anybody could raise it.
func AtLeast(bytes uint64) {
	if Managed() {
		return
	}
	percent := max(100, Percent(bytes, Live()))
	debug.SetGCPercent(percent)
	AfterCollection(func() (again bool) {
		// A change stops everything for a moment: small ones are left out.
		if want := max(100, Percent(bytes, Live())); want > percent+percent/16 || want < percent-percent/16 {
			percent = want
			debug.SetGCPercent(percent)
		}
		return true
	})
}

// Percent is what the collector is to be told so that a round begins when the heap has so many bytes, while live bytes are in
// use; it may be negative.
func Percent(bytes, live uint64) int {
	most := int(bytes * 100 / smallest)
	if live == 0 {
		return most
	}
	return min(int(bytes*100/live)-100, most)
}

// Live is how many bytes the last round left in use.
func Live() uint64 { return read("/gc/heap/live:bytes") }

// InUse is how many bytes are taken now, garbage included.
func InUse() uint64 { return read("/memory/classes/heap/objects:bytes") }

// read is a figure of the runtime's, the greatest number from one that does not tell.
func read(name string) uint64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return math.MaxUint64
	}
	return s[0].Value.Uint64()
}

// AfterCollection calls f after each round of the collector, on one goroutine, until it returns false.
func AfterCollection(f func() (again bool)) {
	garbage := new([64]byte) // from the start: the next round finds it
	runtime.AddCleanup(garbage, func(f func() bool) {
		if f() {
			AfterCollection(f)
		}
	}, f)
}
