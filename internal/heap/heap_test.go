package heap_test

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/heap"
)

func TestPercent(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		bytes, live uint64
		want        int
	}{
		{64 * mib, 0, 1600},
		{64 * mib, 1 * mib, 1600}, // the runtime's smallest heap is meant for 100
		{64 * mib, 16 * mib, 300},
		{64 * mib, 32 * mib, 100},
		{64 * mib, 128 * mib, -50},
	} {
		if got := heap.Percent(tt.bytes, tt.live); got != tt.want {
			t.Errorf("%d MiB, %d in use: %d percent, want %d", tt.bytes/mib, tt.live/mib, got, tt.want)
		}
	}
}

// percent reads the collector's percentage, and leaves it.
func percent() int {
	now := debug.SetGCPercent(100)
	debug.SetGCPercent(now)
	return now
}

func TestTheHeapGrowsBeforeItIsCollected(t *testing.T) {
	before := percent()
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Setenv("GOGC", "100")
	heap.AtLeast(1 << 30)
	if got := percent(); got != before {
		t.Fatalf("with GOGC in the environment it is %d percent", got)
	}
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	heap.AtLeast(256 << 20)
	if got := percent(); got < 1000 {
		t.Fatalf("it is %d percent before the first round", got)
	}
	held := make([]byte, 100<<20) // of 256 MiB: about 150 percent
	for deadline := time.Now().Add(30 * time.Second); ; {
		runtime.GC()
		if got := percent(); got > 100 && got < 160 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("with 100 MiB in use it is %d percent", got)
		}
	}
	runtime.KeepAlive(held)
}

func TestAfterCollection(t *testing.T) {
	var calls atomic.Int32
	heap.AfterCollection(func() bool { return calls.Add(1) < 3 })
	for deadline := time.Now().Add(30 * time.Second); calls.Load() < 3; {
		if runtime.GC(); time.Now().After(deadline) {
			t.Fatalf("it was called %d times", calls.Load())
		}
	}
	runtime.GC()
	runtime.GC()
	if got := calls.Load(); got != 3 {
		t.Errorf("it was called %d times, and wanted no more after 3", got)
	}
}
