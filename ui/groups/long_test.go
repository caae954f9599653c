//go:build uilong

package groups_test

import (
	"testing"
	"time"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestLargeGroup looks at 10,000 tasks (GR1, GR2). The bounds are for a busy machine; BenchmarkGroup has the figures.
func TestLargeGroup(t *testing.T) {
	s := uitest.New(t)
	group := uitest.Large(t, s, 10_000)
	spreadOut(t, s, group)
	tab := s.Tab(t)
	started := time.Now()
	tab.Go(t, "/tasks/groups/"+group)
	tab.Wait(t, `document.querySelectorAll(".v-row").length > 10`)
	if took := time.Since(started); took > 8*time.Second {
		t.Errorf("the table is there after %v", took)
	}
	if n := tab.Count(t, ".v-row"); n > 120 {
		t.Errorf("%d rows are in the page", n)
	}
	tab.Go(t, "/tasks/groups/"+group+"?view=timeline")
	tab.Wait(t, `Number(document.querySelector("canvas")?.dataset.drawn) > 0`)
	pan := frames(t, tab, 60, `document.querySelector("canvas").dispatchEvent(new WheelEvent("wheel", {deltaX: 5, deltaY: i % 20 < 10 ? 12 : -12, bubbles: true, cancelable: true}))`)
	if p50 := pan[len(pan)/2]; p50 > 100 {
		t.Errorf("half of the frames took longer than %v ms", p50)
	}
	tab.Shot(t, "timeline-10000")
	uitest.Eval[bool](t, tab, `(document.querySelector(".time-list").focus(), document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "End", bubbles: true, cancelable: true})))`)
	tab.Wait(t, `[...document.querySelectorAll(".time-list [role=option]")].at(-1).matches("[aria-selected=true]")`)
	tab.Go(t, "/tasks/groups/"+group+"?view=graph")
	tab.Wait(t, `document.querySelector(".graph .node") !== null`)
	tab.Dark(t, true)
	tab.Go(t, "/tasks/groups/"+group+"?view=timeline&lanes=kind")
	tab.Wait(t, `Number(document.querySelector("canvas")?.dataset.drawn) > 0`)
	tab.Shot(t, "timeline-10000-dark")
}
