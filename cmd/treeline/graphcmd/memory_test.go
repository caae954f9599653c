package graphcmd

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

func rounds() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

func TestARoundOfTheCollectorRunsBetweenPieces(t *testing.T) {
	c := &collector{}
	c.next.Store(1) // byte in use
	began, done := rounds(), 0
	c.work(func() {
		done++
		if rounds() != began {
			t.Error("a round ran before the piece")
		}
	})
	if rounds() != began+1 {
		t.Errorf("%d rounds ran after the piece", rounds()-began)
	}
	c.work(func() { done++ })
	if rounds() != began+1 || done != 2 {
		t.Errorf("%d pieces, %d rounds; the next was not due", done, rounds()-began)
	}
	(*collector)(nil).work(func() { done++ })
	if done != 3 {
		t.Error("without a collector the piece was not done")
	}
}

func TestTheEnvironmentHasItsWayWithTheCollector(t *testing.T) {
	t.Setenv("GOGC", "100")
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	if c := newCollector(); c.next.Load() != math.MaxUint64 {
		t.Errorf("rounds are due at %d bytes", c.next.Load())
	}
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("the percentage is %d", got)
	}
}
