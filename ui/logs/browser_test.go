package logs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

const viewer = "/runs/0/logs/public/logs/live.log"

const texts = `[...document.querySelectorAll(".ln > span")].map(e => e.textContent)`

// inView is whether the marked line can be seen.
const inView = `(() => { const e = document.querySelector(".ln.in"); if (!e) return false; const r = e.getBoundingClientRect(), b = document.querySelector(".log").getBoundingClientRect(); return r.top >= b.top && r.bottom <= b.bottom })()`

func TestViewer(t *testing.T) {
	s := uitest.New(t)
	tab := s.Tab(t)
	t.Run("grows", func(t *testing.T) { testGrowing(t, s, tab) })
	t.Run("search", func(t *testing.T) { testSearch(t, s, tab) })
	t.Run("marks", func(t *testing.T) { testSelection(t, s, tab) })
	t.Run("sections", func(t *testing.T) { testSections(t, s, tab) })
	t.Run("long", func(t *testing.T) { testLongLine(t, s, tab) })
	t.Run("cut", func(t *testing.T) { testCut(t, s, tab) })
	t.Run("high", func(t *testing.T) { testHigh(t, s, tab) })
	t.Run("task", func(t *testing.T) { testTaskPage(t, s, tab) })
}

func testGrowing(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	id := s.Task(t, task.Running, uitest.Named("test-linux64-unit-1"))
	log := s.Log(t, id)
	tab.Go(t, "/tasks/"+id+viewer)
	t.Run("an empty log says so (#1123)", func(t *testing.T) {
		tab.Wait(t, `document.querySelector(".log-note").innerText === "No output yet."`)
	})
	log.Write(t, "\x1b[1m$ go test ./...\x1b[0m\n\x1b[32mok\x1b[0m   first <img src=x onerror=alert(1)>\nprogress 10%\rprogress 100%\n\x1b]8;;javascript:alert(1)\x1b\\no\x1b]8;;https://example.com/\x1b\\link\x1b]8;;\x1b\\")
	t.Run("colours, links to the web only, and nothing that acts (L6)", func(t *testing.T) {
		tab.Wait(t, `document.querySelectorAll(".ln").length === 4`)
		want := []string{"$ go test ./...", "ok   first <img src=x onerror=alert(1)>", "progress 100%", "nolink"}
		if diff := cmp.Diff(want, uitest.Eval[[]string](t, tab, texts)); diff != "" {
			t.Error(diff)
		}
		if tab.Count(t, ".ln .f2") != 1 || tab.Count(t, ".ln .a-b") != 1 || tab.Count(t, ".log img") != 0 {
			t.Error("the colours are not there, or markup is")
		}
		links := uitest.Eval[[]string](t, tab, `[...document.querySelectorAll(".ln > span a")].map(a => a.href + " " + a.rel)`)
		if diff := cmp.Diff([]string{"https://example.com/ noopener noreferrer nofollow"}, links); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("what is written appears, the last line too, and the end stays in view", func(t *testing.T) {
		log.Write(t, " goes on")
		tab.Wait(t, texts+`.at(-1) === "nolink goes on"`)
		var many strings.Builder
		for i := 5; i <= 3000; i++ {
			fmt.Fprintf(&many, "\nline %d of the log", i)
		}
		log.Write(t, many.String())
		tab.Wait(t, texts+`.at(-1) === "line 3000 of the log"`)
		if got := tab.Count(t, ".ln"); got > 300 {
			t.Errorf("%d lines are in the page", got)
		}
	})
	t.Run("who scrolls up stays there to the pixel, and is told of what comes (L5, #908)", func(t *testing.T) {
		uitest.Eval[bool](t, tab, `(document.querySelector(".log-scroll").scrollTop -= 7007, true)`)
		tab.Wait(t, `document.querySelector(".chip[aria-pressed=false] ~ *") !== null && ![...document.querySelectorAll(".chip")].find(c => c.innerText === "follow").matches("[aria-pressed=true]")`)
		tab.Wait(t, texts+`.every(t => t !== "")`)
		top := uitest.Eval[float64](t, tab, `document.querySelector(".ln").getBoundingClientRect().top`)
		first := uitest.Eval[string](t, tab, texts+`[0]`)
		log.Write(t, strings.Repeat("\nmore", 1204))
		tab.Wait(t, `document.querySelector(".log-new")?.innerText === "1,204 new lines"`)
		if now := uitest.Eval[float64](t, tab, `document.querySelector(".ln").getBoundingClientRect().top`); now != top || uitest.Eval[string](t, tab, texts+`[0]`) != first {
			t.Errorf("the lines moved from %v to %v", top, now)
		}
		tab.Keys(t, ":")
		tab.Type(t, "dialog.log-line input", "1200\r")
		tab.Wait(t, inView+` && location.hash === "#L1200"`)
		tab.Click(t, ".log-new")
		tab.Wait(t, texts+`.at(-1) === "more"`)
	})
	t.Run("the same log goes on when the task has ended", func(t *testing.T) {
		log.Write(t, "\nthe end\n")
		log.Finish(t, task.Completed)
		tab.Wait(t, `document.querySelector(".log-size").innerText.startsWith("4,205 lines") && !document.querySelector(".log-size").innerText.includes("so far")`)
	})
}

// finished makes a log of a run that ended.
func finished(t *testing.T, s *uitest.Site, text string, end task.State) (id string) {
	t.Helper()
	id = s.Task(t, task.Running, uitest.Named("test"))
	log := s.Log(t, id)
	log.Write(t, text)
	log.Finish(t, end)
	return id
}

func testSearch(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	var b strings.Builder
	for i := 1; i <= 40_000; i++ {
		if i%100 == 0 {
			b.WriteString("a \x1b[31mNee\x1b[1mdle\x1b[0m, and a needle\n")
		} else {
			fmt.Fprintf(&b, "line %d of hay\n", i)
		}
	}
	id := finished(t, s, b.String(), task.Completed)
	tab.Go(t, "/tasks/"+id+viewer)
	hits := func(want string) {
		t.Helper()
		tab.Wait(t, fmt.Sprintf(`document.querySelector(".hits").innerText === %q`, want))
	}
	tab.Wait(t, `document.querySelectorAll(".ln").length > 20`)
	tab.Keys(t, "/")
	if !uitest.Eval[bool](t, tab, `document.activeElement?.matches("[data-find], #search")`) {
		t.Error("/ leads to no search")
	}
	tab.Type(t, ".log-tools [data-find]", "needle")
	hits("1 of 800")
	tab.Wait(t, `document.querySelector("mark.now")?.parentElement.parentElement.parentElement.querySelector("a").textContent === "100"`)
	tab.Type(t, ".log-tools [data-find]", "\r\r")
	hits("3 of 800")
	uitest.Eval[bool](t, tab, `document.querySelector("[data-find]").dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", shiftKey: true, bubbles: true}))`)
	hits("2 of 800")
	for range 2 {
		uitest.Eval[bool](t, tab, `document.querySelector("[data-find]").dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", shiftKey: true, bubbles: true}))`)
	}
	hits("800 of 800")
	tab.Wait(t, `[...document.querySelectorAll(".ln > a")].some(a => a.textContent === "40000")`)
	tab.Shot(t, "log-search")
	t.Run("capital letters, expressions, only matches, and all of it in the address", func(t *testing.T) {
		tab.Click(t, `.log-tools [aria-label="Capital letters differ"]`)
		hits("1 of 400")
		tab.Click(t, "[data-only]")
		tab.Wait(t, `[...document.querySelectorAll(".ln > a")].slice(0, 3).map(a => a.textContent).join() === "100,200,300"`)
		tab.Go(t, "/tasks/"+id+viewer+"?q=^line+[0-9]99+of&regex=1&only=1")
		hits("0 of 9")
		tab.Wait(t, `[...document.querySelectorAll(".ln > a")].slice(0, 2).map(a => a.textContent).join() === "199,299"`)
		tab.Expect("400 (Bad Request)")
		tab.Go(t, "/tasks/"+id+viewer+"?q=(&regex=1")
		tab.Wait(t, `document.querySelector(".hits").innerText.startsWith("The regular expression cannot be used")`)
	})
	t.Run("ctrl+f is the page's own search", func(t *testing.T) {
		tab.Go(t, "/tasks/"+id+viewer)
		first := `(() => { const e = new KeyboardEvent("keydown", {key: "f", ctrlKey: true, bubbles: true, cancelable: true}); document.activeElement.dispatchEvent(e); return e.defaultPrevented })()`
		if !uitest.Eval[bool](t, tab, first) || uitest.Eval[bool](t, tab, first) {
			t.Error("the first time is the page's, the second the browser's")
		}
	})
}

func testSelection(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	var b strings.Builder
	for i := 1; i <= 5000; i++ {
		fmt.Fprintf(&b, "\x1b[3%dmline %d\x1b[0m\n", i%8, i)
	}
	id := finished(t, s, b.String(), task.Completed)
	t.Run("a link to lines opens at them (L4)", func(t *testing.T) {
		tab.Go(t, "/tasks/"+id+viewer+"#L1200-1204")
		tab.Wait(t, `document.querySelectorAll(".ln.in").length === 5 && document.querySelector(".ln.in a").textContent === "1200"`)
		tab.Wait(t, inView)
	})
	t.Run("clicks on numbers mark lines, with shift a range, which is copied without codes and numbers (L4)", func(t *testing.T) {
		uitest.Eval[bool](t, tab, `(document.querySelector('.ln > a[data-n="1197"]').click(), true)`)
		tab.Wait(t, `location.hash === "#L1198"`)
		uitest.Eval[bool](t, tab, `document.querySelector('.ln > a[data-n="1217"]').dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true, shiftKey: true}))`)
		tab.Wait(t, `location.hash === "#L1198-1218"`)
		uitest.Eval[bool](t, tab, `(window.copied = "", Object.defineProperty(navigator, "clipboard", {value: {writeText: async t => { window.copied = t }}}), true)`)
		tab.Keys(t, "c")
		tab.Wait(t, `copied.split("\n").length === 21`)
		if got := uitest.Eval[string](t, tab, `copied`); !strings.HasPrefix(got, "line 1198\nline 1199\n") || !strings.HasSuffix(got, "\nline 1218") {
			t.Errorf("copied %q", got)
		}
		tab.Keys(t, "y")
		tab.Wait(t, `copied.endsWith("live.log#L1198-1218")`)
	})
	t.Run("Treeherder's address leads there", func(t *testing.T) {
		tab.Go(t, "/logviewer?job_id=1&repo=x&task="+id+".0&lineNumber=3000-3001")
		tab.Wait(t, `location.hash === "#L3000-3001" && document.querySelectorAll(".ln.in").length === 2`)
	})
}

func testSections(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	var b strings.Builder
	b.WriteString("[taskcluster 2026-01-02T03:00:00.000Z] Task, run 0\n[vcs 2026-01-02T03:00:01.000Z] cloning\n[vcs 2026-01-02T03:00:05.000Z] done\n[task 2026-01-02T03:00:06.000Z] ##[group]Compile\n")
	for range 200 {
		b.WriteString("[task 2026-01-02T03:00:07.000Z] gcc\r\n")
	}
	b.WriteString("[task 2026-01-02T03:01:06.000Z] ##[endgroup]\n[task 2026-01-02T03:01:07.000Z] ========= Started mochitest (results: 0) =========\n")
	b.WriteString("[task 2026-01-02T03:01:17.500Z] TypeError: x is null\n[task 2026-01-02T03:01:18.000Z] ========= Finished mochitest (results: 2) =========\n")
	b.WriteString(strings.Repeat("[task 2026-01-02T03:01:19.000Z] after\n", 100))
	id := finished(t, s, b.String(), task.Failed)
	tab.Go(t, "/tasks/"+id+viewer)
	t.Run("a failed run's log opens at the first line that tells why, which is listed and marked", func(t *testing.T) {
		tab.Wait(t, `location.hash === "#L207" && `+inView)
		if got := tab.Text(t, ".log-side"); !strings.Contains(got, "207 TypeError: x is null") || !strings.Contains(got, "mochitest (failed) 11s") || !strings.Contains(got, "Checkout 5s") {
			t.Errorf("beside the log stands %q", got)
		}
		red := uitest.Eval[int](t, tab, `(() => { const c = document.querySelector(".log-marks"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n })()`)
		if red == 0 || tab.Count(t, ".ln.err") != 1 {
			t.Errorf("%d pixels beside the scroll bar are marked, and %d lines", red, tab.Count(t, ".ln.err"))
		}
		tab.Shot(t, "log-failed")
	})
	t.Run("sections fold", func(t *testing.T) {
		tab.Click(t, `[data-section="4"]`)
		tab.Wait(t, `document.querySelector('[data-fold="3"]') !== null`)
		uitest.Eval[bool](t, tab, `(document.querySelector('[data-fold="3"]').click(), true)`)
		tab.Wait(t, `document.querySelector('[data-fold="3"]').getAttribute("aria-expanded") === "false" && [...document.querySelectorAll(".ln > a")].map(a => a.textContent).join().includes("4,206,207")`)
		if got := tab.Text(t, `.ln:has([data-fold="3"])`); !strings.Contains(got, "Compile") || strings.Contains(got, "##[group]") || !strings.Contains(got, "201 lines, 1m 00s") {
			t.Errorf("the fold says %q", got)
		}
	})
	t.Run("times can be left out, or say how long the line before took", func(t *testing.T) {
		uitest.Eval[bool](t, tab, `(() => { const s = document.querySelector(".log-tools select"); s.value = "elapsed"; return s.dispatchEvent(new Event("change", {bubbles: true})) })()`)
		tab.Wait(t, `location.search.includes("ts=d") && [...document.querySelectorAll(".ln")].some(l => l.innerText.includes("TypeError") && l.querySelector(".gap.long")?.innerText === "+10s")`)
	})
	t.Run("at 390 pixels nothing sticks out, in the dark", func(t *testing.T) {
		tab.Size(t, 390, 844)
		tab.Dark(t, true)
		tab.Go(t, "/tasks/"+id+viewer)
		tab.Wait(t, `document.querySelectorAll(".ln").length > 5`)
		if w := uitest.Eval[int](t, tab, `document.documentElement.scrollWidth`); w > 390 {
			t.Errorf("the page is %d pixels wide", w)
		}
		tab.Shot(t, "log-narrow-dark")
		tab.Size(t, 1280, 860)
		tab.Dark(t, false)
	})
}

func testLongLine(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	id := finished(t, s, "before\n"+strings.Repeat("0123456789", 500_000)+"\nafter\n", task.Completed)
	tab.Go(t, "/tasks/"+id+viewer)
	tab.Wait(t, `document.querySelector(".ln .cut")?.textContent.includes("5.0 MB")`)
	tab.Click(t, "[data-whole]")
	tab.Wait(t, `document.querySelector("dialog.log-whole .text")?.textContent.length === 5000000`)
	if got := tab.Text(t, "dialog.log-whole h2"); got != "Line 2, 5,000,000 characters" {
		t.Errorf("the head says %q", got)
	}
	uitest.Eval[bool](t, tab, `(document.querySelector("dialog.log-whole").close(), true)`)
	tab.Keys(t, "w")
	tab.Wait(t, `location.search.includes("wrap=1") && document.querySelectorAll(".ln")[1].offsetHeight > 18`)
	tab.Keys(t, "w")
}

func testCut(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	id := s.Task(t, task.Running, uitest.Named("test"))
	log := s.Log(t, id)
	log.Write(t, "one\ntwo\nthr")
	tab.Go(t, "/tasks/"+id+viewer)
	tab.Wait(t, `document.querySelectorAll(".ln").length === 3`)
	if _, err := s.Queue.ReportException(t.Context(), id, 0, task.ReasonWorkerShutdown); err != nil {
		t.Fatal(err)
	}
	tab.Wait(t, `document.querySelector(".log-cut time[datetime]") !== null`)
	tab.Go(t, "/tasks/"+id+viewer)
	tab.Wait(t, `document.querySelector(".log-cut time[datetime]") !== null`)
	tab.Wait(t, texts+`.join() === "one,two,thr"`)
}

// testHigh: 3 million rows of 18 pixels are more than a browser can scroll (L11).
func testHigh(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	id := finished(t, s, strings.Repeat("x\n", 2_999_999)+"the last\n", task.Completed)
	tab.Go(t, "/tasks/"+id+viewer)
	tab.Wait(t, `document.querySelector(".log-size").innerText.startsWith("3,000,000 lines")`)
	tab.Keys(t, "G")
	tab.Wait(t, `[...document.querySelectorAll(".ln")].at(-1)?.innerText.includes("the last")`)
	tab.Wait(t, lastIs(3_000_000))
	t.Run("a window of another height stays at the end", func(t *testing.T) {
		tab.Size(t, 1280, 700)
		tab.Wait(t, "innerHeight === 700 && "+lastIs(3_000_000))
		tab.Size(t, 1280, 860)
		tab.Wait(t, "innerHeight === 860 && "+lastIs(3_000_000))
	})
	// While the server reads the log its tools say "so far", which may take a row of the window.
	tab.Wait(t, `!document.querySelector(".log-size").innerText.includes("so far")`)
	uitest.Eval[bool](t, tab, `document.querySelector(".log-scroll").dispatchEvent(new WheelEvent("wheel", {deltaY: -180, bubbles: true, cancelable: true}))`)
	tab.Wait(t, lastIs(2_999_990))
}

// lastIs is whether a line is the last in view, give or take one: a row's end may stand a pixel off.
func lastIs(line int) string {
	return fmt.Sprintf(`(() => { const b = document.querySelector(".log").getBoundingClientRect(); const seen = [...document.querySelectorAll(".ln")].filter(l => { const r = l.getBoundingClientRect(); return r.top > b.top && r.bottom <= b.bottom + 1 }); return seen.length > 0 && Math.abs(Number(seen.at(-1).querySelector("a").textContent) - %d) <= 1 })()`, line)
}

func testTaskPage(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	id := finished(t, s, strings.Repeat("a line\n", 100), task.Completed)
	tab.Go(t, "/tasks/"+id+"?tab=log")
	tab.Wait(t, `document.querySelectorAll(".ln").length > 10`)
	tab.Shot(t, "task-log")
	tab.Go(t, "/tasks/"+id+"?tab=artifacts")
	if got := tab.Count(t, "table.list tbody tr"); got != 2 {
		t.Errorf("%d artifacts are shown, want 2", got)
	}
}
