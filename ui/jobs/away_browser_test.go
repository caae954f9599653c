package jobs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// away lets a test hide the page, and makes long waits of the page short, only those.
const away = `
	let hidden = false;
	Object.defineProperty(document, "visibilityState", { get: () => hidden ? "hidden" : "visible" });
	Object.defineProperty(document, "hidden", { get: () => hidden });
	window.hide = (yes) => { hidden = yes; document.dispatchEvent(new Event("visibilitychange")); return true };
	const later = window.setTimeout;
	window.setTimeout = (f, ms, ...rest) => later(f, ms === 30 * 60_000 ? 50 : ms, ...rest);
`

// A page that nobody looked at for half an hour lets go of its stream; looked at again, it shows what happened meanwhile.
func TestAPageThatWasHiddenForLong(t *testing.T) {
	s := uitest.New(t)
	_, ids := uitest.Sample(t, s)
	tab := s.Tab(t)
	tab.Before(t, away)
	tab.Go(t, "/jobs?repo=sample")
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	running := ids["test-macosx64-unit-1"]
	tab.Wait(t, cellIs(running, "running"))
	uitest.Eval[bool](t, tab, `hide(true)`)
	tab.Wait(t, `document.querySelector("#live").dataset.live === "catching"`)
	for end := time.Now().Add(time.Minute); s.Streams() > 0; <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d streams are open", s.Streams())
		}
	}
	if _, err := s.Queue.ReportFailed(t.Context(), running, 0); err != nil {
		t.Fatal(err)
	}
	uitest.Eval[bool](t, tab, `hide(false)`)
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	tab.Wait(t, cellIs(running, "failed"))
}

// Who walks quickly through tasks sees the details of the last one, even where those of an earlier one come later.
func TestAnswersThatComeTooLateAreIgnored(t *testing.T) {
	s := uitest.New(t)
	_, ids := uitest.Sample(t, s)
	tab := s.Tab(t)
	tab.Go(t, "/jobs?repo=sample")
	tab.Wait(t, `document.querySelectorAll("b.c").length === 13`)
	// The earlier a question was, the later it is answered; and being told that nobody wants the answer changes nothing.
	uitest.Eval[bool](t, tab, `(() => {
		window.asked = []; window.answered = 0;
		const real = window.fetch;
		window.fetch = async (address, options) => {
			const id = /^\/ui\/api\/tasks\/([\w-]{22})$/.exec(address)?.[1];
			if (!id) return real(address, options);
			const place = asked.push(id);
			const answer = await real(address, { ...options, signal: undefined });
			await new Promise(go => setTimeout(go, Math.max(0, 1500 - 200 * place)));
			answered++;
			return answer;
		};
		return true })()`)
	tab.Keys(t, "j")
	tab.Wait(t, `document.querySelector("b.c.sel") !== null`)
	for i := range 20 {
		tab.Keys(t, []string{kb.ArrowRight, kb.ArrowRight, "j", kb.ArrowLeft, "k"}[i%5])
		if i%4 == 0 { // the details of a task that is passed quickly are not asked for
			tab.Wait(t, fmt.Sprintf(`asked.length > %d`, i/4))
		}
	}
	name := uitest.Eval[string](t, tab, selectedName)
	tab.Wait(t, fmt.Sprintf(`asked.at(-1) === %q && answered === asked.length`, ids[name]))
	tab.Wait(t, fmt.Sprintf(`document.querySelector(".panel h2")?.innerText === %q`, name))
	panel := uitest.Eval[string](t, tab, `document.querySelector(".panel").innerHTML`)
	if !strings.Contains(panel, ids[name]) {
		t.Errorf("the panel has nothing of %s", name)
	}
	for other, id := range ids {
		if other != name && strings.Contains(panel, id) {
			t.Errorf("the panel of %s has something of %s", name, other)
		}
	}
}
