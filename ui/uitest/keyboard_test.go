package uitest_test

import (
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// With the tab key alone one comes past the skip link through everything on a page and out again, and always sees where
// one is.
func TestTabGoesThroughThePage(t *testing.T) {
	s := uitest.New(t)
	_, ids := sample(t, s)
	tab := s.Tab(t)
	for _, path := range []string{"/", "/tasks/" + ids["test-linux64-unit-2"], "/tasks/groups", "/hooks"} {
		t.Run(path, func(t *testing.T) {
			tab.Go(t, path)
			tab.Keys(t, kb.Tab)
			if got := uitest.Eval[string](t, tab, `document.activeElement.className + " " + (document.activeElement.getBoundingClientRect().left >= 0)`); got != "skip true" {
				t.Fatalf("the first is %q, want the skip link in view", got)
			}
			const all = `document.querySelectorAll("a[href], button:not(:disabled), input:not([type=hidden]), select, textarea, summary, [tabindex='0']").length`
			most := uitest.Eval[int](t, tab, all) + 5
			for n := 1; ; n++ {
				tab.Keys(t, kb.Tab)
				at := uitest.Eval[string](t, tab, `(e => e === document.body ? "" : e.closest(".foot") ? "foot" : e.tagName + "." + e.className + "#" + e.id)(document.activeElement)`)
				if at == "foot" {
					break
				}
				if at == "" || n > most {
					t.Fatalf("after %d steps the focus is at %q and the footer was not reached", n, at)
				}
				if style := uitest.Eval[string](t, tab, `(s => s.outlineStyle + " " + s.outlineWidth + " " + s.boxShadow)(getComputedStyle(document.activeElement))`); style == "none 0px none" {
					t.Errorf("nothing shows that the focus is at %s", at)
				}
			}
		})
	}
}
