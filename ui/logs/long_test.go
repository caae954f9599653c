//go:build uilong

package logs_test

import (
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestHugeLog looks at a log of a million lines and 100 MB (L1, L3). BenchmarkHugeLog has the times.
func TestHugeLog(t *testing.T) {
	s := uitest.New(t)
	id := hugeLog(t, s)
	tab := s.Tab(t)
	tab.Go(t, "/tasks/"+id+viewer+"#L500000")
	tab.Wait(t, `document.querySelector(".ln.in > a")?.textContent === "500000" && document.querySelector(".ln.in > span").textContent.includes("line  500000 of")`)
	tab.Wait(t, inView)
	tab.Wait(t, `document.querySelector(".log-size").innerText.startsWith("1,000,000 lines")`)
	if n := tab.Count(t, ".ln"); n > 500 {
		t.Errorf("%d lines are in the page", n)
	}
	if kb := uitest.Eval[float64](t, tab, `performance.getEntriesByType("resource").reduce((n, e) => n + e.transferSize, 0) / 1000`); kb > 2000 {
		t.Errorf("%.0f KB were moved", kb)
	}
	hits := func(want string) { t.Helper(); tab.Wait(t, `document.querySelector(".hits").innerText === "`+want+`"`) }
	tab.Type(t, ".log-tools [data-find]", "needle!")
	hits("1 of 12,345")
	tab.Type(t, ".log-tools [data-find]", strings.Repeat("\r", 5))
	hits("6 of 12,345")
	back := `document.querySelector("[data-find]").dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", shiftKey: true, bubbles: true}))`
	for range 6 {
		uitest.Eval[bool](t, tab, back)
	}
	hits("12,345 of 12,345")
	tab.Wait(t, `document.querySelector("mark.now")?.closest(".ln").querySelector("a").textContent === "999945"`)
	uitest.Eval[bool](t, tab, `document.querySelector("[data-find]").dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true}))`)
	hits("1 of 12,345")
}
