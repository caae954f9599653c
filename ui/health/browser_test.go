package health_test

import (
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestInABrowser shares one site and one tab.
func TestInABrowser(t *testing.T) {
	s := newSite(t)
	s.mixed(t)
	s.until(t, "", 3, func(a answer) bool { return a.Reading == 0 && len(a.Groups) == 7 })
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/push/sample/"+rev(3))
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	kinds := `[...document.querySelectorAll(".health-kind")].map(e => e.dataset.kind + e.querySelectorAll(".health-row").length).join()`
	t.Run("H1: kinds stand in their order", func(t *testing.T) {
		if got := uitest.Eval[string](t, tab, kinds); got != "new1,known3,flaky2,infra1" {
			t.Errorf("got %s", got)
		}
		if got := tab.Text(t, ".verdict"); !strings.Contains(got, "1 new failure") || !strings.Contains(got, "3 known failures.") {
			t.Errorf("the verdict is %q", got)
		}
		if got := uitest.Eval[string](t, tab, `document.querySelector(".push-strip").getAttribute("aria-label")`); got != "Of the last 3 pushes it failed on 1 and passed on 1" {
			t.Errorf("the strip says %q", got)
		}
	})
	t.Run("j goes on, enter opens, and both are in the URL", func(t *testing.T) {
		tab.Keys(t, "jj")
		tab.Wait(t, `document.querySelectorAll(".health-row")[1].classList.contains("sel") && new URLSearchParams(location.search).get("failure") === document.querySelectorAll(".health-row")[1].dataset.signature`)
		tab.Keys(t, "k\r")
		tab.Wait(t, `document.querySelector(".health-row.sel .details pre").innerText === "got 1, want 2"`)
		tab.Shot(t, "health")
	})
	t.Run("tabs are in the URL, and a base of one's choice gives other sets", func(t *testing.T) {
		tab.Go(t, "/push/sample/"+rev(3)+"?tab=flaky")
		if got := uitest.Eval[string](t, tab, kinds); got != "flaky2" {
			t.Errorf("got %s", got)
		}
		tab.Go(t, "/push/sample/"+rev(3)+"?base="+rev(1))
		if got := uitest.Eval[string](t, tab, kinds); got != "new4,known1,flaky1,infra1" {
			t.Errorf("got %s", got)
		}
		if got := uitest.Eval[string](t, tab, `document.querySelector("#base").value`); got != rev(1) {
			t.Errorf("it is compared with %s", got)
		}
	})
	t.Run("H5: retrigger five times on two platforms is one request for ten tasks", func(t *testing.T) {
		tab.Go(t, "/push/sample/"+rev(3))
		before := s.size(t, 3)
		uitest.Eval[bool](t, tab, `(() => { window.posts = 0; const send = fetch; window.fetch = (u, o) => { if (o?.method === "POST") window.posts++; return send(u, o) }; return true })()`)
		tab.Keys(t, "jr")
		tab.Wait(t, `document.activeElement.name === "times"`)
		uitest.Eval[bool](t, tab, `(() => { document.activeElement.value = "5"; document.activeElement.form.requestSubmit(); return true })()`)
		tab.Wait(t, `document.querySelector(".toast")?.innerText.includes("10 tasks are made.")`)
		if got := uitest.Eval[int](t, tab, "window.posts"); got != 1 {
			t.Errorf("there were %d requests", got)
		}
		if got := s.size(t, 3); got != before+10 {
			t.Errorf("the push has %d tasks, had %d", got, before)
		}
		tab.Wait(t, `document.querySelector(".verdict").innerText.includes("Not final: 10 running.")`)
	})
	t.Run("H7: a pass makes it flaky, live", func(t *testing.T) {
		s.passNewest(t, 3, "test-a")
		tab.Wait(t, kinds+` === "known3,flaky3,infra1"`)
		if got := tab.Text(t, ".verdict"); !strings.Contains(got, "No new failures so far") {
			t.Errorf("the verdict is %q", got)
		}
	})
	t.Run("time to go, critical path and workers' time are told, and follow what happens", func(t *testing.T) {
		figure := func(name string) string { return tab.Text(t, `[data-figure=`+name+`] dd`) }
		if got := figure("left"); !strings.HasPrefix(got, "about ") {
			t.Errorf("to go: %q", got)
		}
		if got := figure("path"); !strings.Contains(got, "in ") {
			t.Errorf("the critical path: %q", got)
		}
		uitest.Eval[bool](t, tab, `(() => { document.querySelector(".health-figures details").open = true; return true })()`)
		tab.Wait(t, `document.querySelectorAll(".health-path li a").length > 0`)
		tab.Shot(t, "health-figures")
	})
	t.Run("what somebody says is not the push's is known", func(t *testing.T) {
		tab.Go(t, "/push/sample/"+rev(3)+"?tab=flaky")
		tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
		tab.Keys(t, "jx")
		tab.Wait(t, kinds+` === "flaky2"`)
		tab.Go(t, "/push/sample/"+rev(3)+"?tab=known")
		tab.Wait(t, kinds+` === "known4"`)
	})
	tab.Inspect(t, "health")
}

// TestALongPlatformOnAPhone has a failure on a platform, of which no word can be broken, that is wider than a phone.
func TestALongPlatformOnAPhone(t *testing.T) {
	s := newSite(t)
	s.push(t, 1)
	s.fail(t, 1, "unit-1", "windows11-64-2009-hardware-"+strings.Repeat("x", 60), "TestSum", "got 1, want 2")
	s.until(t, "", 1, func(a answer) bool { return a.Reading == 0 && len(a.Groups) == 1 })
	tab := s.Tab(t)
	tab.Go(t, "/push/sample/"+rev(1))
	tab.Wait(t, `document.querySelectorAll(".health-row .tag").length === 1`)
	tab.Inspect(t, "health-long-platform")
}
