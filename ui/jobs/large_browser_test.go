package jobs_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestManyJobs goes through what needs many tasks, on a push with 2,000.
func TestManyJobs(t *testing.T) {
	s := uitest.New(t)
	group := uitest.Large(t, s, 2000)
	failed := 0
	counts, err := s.Queue.GroupCounts(t.Context(), []string{group})
	if err != nil {
		t.Fatal(err)
	}
	failed = counts[group][task.Failed]
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/jobs?repo=large")
	tab.Wait(t, `document.querySelectorAll("b.c").length > 10`)
	tab.Inspect(t, "jobs-many")

	t.Run("J3: j visits each failure once, in view, then begins again; k goes back", func(t *testing.T) {
		visit := fmt.Sprintf(`(async () => {
			const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", {bubbles: true, key}));
			const now = async () => { await new Promise(r => requestAnimationFrame(() => setTimeout(r, 0))); const c = document.querySelector("b.c.sel"); if (!c) return "nothing";
				const r = c.getBoundingClientRect(), dock = document.querySelector(".dock")?.getBoundingClientRect().top ?? innerHeight;
				return c.classList.contains("failed") && r.top > 90 && r.bottom <= dock ? c.dataset.id : "bad at " + r.top };
			const seen = [];
			for (let i = 0; i < %d; i++) { press("j"); seen.push(await now()); }
			press("k"); const back = await now();
			return [new Set(seen).size, seen.filter(s => s.startsWith("bad") || s === "nothing").length, Number(seen.at(-1) === seen[0]), Number(back === seen.at(-2))];
		})()`, failed+1)
		got := uitest.Eval[[]int](t, tab, visit)
		if got[0] != failed || got[1] != 0 || got[2] != 1 || got[3] != 1 {
			t.Errorf("visited %d of %d, %d wrong; begins again %d, back %d", got[0], failed, got[1], got[2], got[3])
		}
	})
	t.Run("J9: a group opens by its symbol, and what is only counted agrees with the queue", func(t *testing.T) {
		tab.Go(t, "/jobs?repo=large")
		tab.Wait(t, `document.querySelectorAll(".g-sym").length > 10`)
		tab.Keys(t, "e")
		tab.Wait(t, `location.search.includes("group_state=expanded") && document.querySelectorAll("b.c").length > 300`)
		tab.Shot(t, "jobs-many-expanded")
		before := tab.Count(t, "b.c")
		uitest.Eval[any](t, tab, `document.querySelector(".g-sym").click()`)
		tab.Wait(t, fmt.Sprintf(`document.querySelectorAll("b.c").length < %d && document.querySelector(".g-more") !== null`, before))
		shown := uitest.Eval[int](t, tab, `document.querySelectorAll(".counts .st-failed .num")[0].innerText | 0`)
		if shown != failed {
			t.Errorf("%d failed are counted, the queue has %d", shown, failed)
		}
	})
	t.Run("J8: 500 tasks are pinned at once by dragging, and no more", func(t *testing.T) {
		tab.Go(t, "/jobs?repo=large&group_state=expanded")
		tab.Wait(t, `document.querySelectorAll("b.c").length > 300`)
		took := uitest.Eval[float64](t, tab, `(async () => {
			const cells = [...document.querySelectorAll("b.c")], at = c => { const r = c.getBoundingClientRect(); return {bubbles: true, ctrlKey: true, clientX: r.x + r.width / 2, clientY: r.y + r.height / 2} };
			const visible = cells.filter(c => { const r = c.getBoundingClientRect(); return r.top > 160 && r.bottom < innerHeight - 10 });
			const started = performance.now();
			while (!document.querySelector(".pin-count")?.innerText.startsWith("500")) {
				const list = [...document.querySelectorAll("b.c")].filter(c => { const r = c.getBoundingClientRect(); return r.top > 160 && r.bottom < (document.querySelector(".dock")?.getBoundingClientRect().top ?? innerHeight) - 10 });
				list[0].dispatchEvent(new PointerEvent("pointerdown", at(list[0])));
				list.at(-1).dispatchEvent(new PointerEvent("pointerup", at(list.at(-1))));
				await new Promise(r => requestAnimationFrame(() => setTimeout(r, 0)));
				scrollBy(0, 300); await new Promise(r => requestAnimationFrame(() => setTimeout(r, 0)));
				if (performance.now() - started > 10000) break;
			}
			return performance.now() - started;
		})()`)
		t.Logf("500 pinned in %.0f ms, with the scrolling between", took)
		if got := tab.Text(t, ".pin-count"); got != "500 pinned" {
			t.Errorf("got %q", got)
		}
		tab.Wait(t, `[...document.querySelectorAll(".toast.bad")].some(e => e.innerText.includes("The pinboard holds 500 tasks"))`)
	})
	t.Run("shift-click pins from the last one on", func(t *testing.T) {
		tab.Go(t, "/jobs?repo=large&group_state=expanded")
		tab.Wait(t, `document.querySelectorAll("b.c").length > 300`)
		uitest.Eval[any](t, tab, `(() => { const list = [...document.querySelectorAll("b.c")]; for (const [i, shiftKey, ctrlKey] of [[10, false, true], [14, true, false]]) list[i].dispatchEvent(new MouseEvent("click", {bubbles: true, shiftKey, ctrlKey})) })()`)
		tab.Wait(t, `document.querySelector(".pin-count")?.innerText === "5 pinned"`)
	})
	t.Run("J10: the best of 13,000 labels are there as fast as one types", func(t *testing.T) {
		labels := map[string]any{}
		for i := range 13_000 {
			labels[fmt.Sprintf("test-%s/opt-%s-%d", []string{"linux64", "macosx64", "windows"}[i%3], []string{"mochitest-plain", "reftest", "web-platform"}[i%7%3], i)] = map[string]any{"kind": "test", "task": map[string]any{
				"taskQueueId": "proj/tests", "extra": map[string]any{"treeherder": map[string]any{
					"symbol": fmt.Sprint(i), "groupSymbol": fmt.Sprintf("G%d", i%40), "machine": map[string]any{"platform": fmt.Sprintf("platform%d", i%60)}, "collection": map[string]any{"opt": true},
				}},
			}}
		}
		content, err := json.Marshal(labels)
		if err != nil {
			t.Fatal(err)
		}
		s.Run(t, group)
		s.Artifact(t, group, "public/full-task-graph.json", "application/json", string(content))
		tab.Go(t, "/jobs?repo=large")
		uitest.Eval[any](t, tab, `document.querySelector(".push-menu summary").click()`)
		tab.Wait(t, `document.querySelector("[data-menu=add]") !== null`)
		uitest.Eval[any](t, tab, `document.querySelector("[data-menu=add]").click()`)
		tab.Wait(t, `document.activeElement?.placeholder === "Search 13,000 jobs"`)
		tab.Keys(t, "moch lin")
		tab.Wait(t, `document.querySelectorAll(".job-labels li").length === 50 && document.querySelector(".job-labels li").innerText.includes("linux64/opt-mochitest")`)
		longest := uitest.Eval[float64](t, tab, `Math.max(...performance.getEntriesByName("treeline-fuzzy").map(e => e.duration))`)
		t.Logf("the slowest search took %.0f ms", longest)
		tab.Inspect(t, "jobs-add")
		if got := tab.Text(t, "#add-jobs .why"); !strings.Contains(got, "no action add-new-jobs") {
			t.Errorf("without the action it says %q", got)
		}
	})
	t.Run("jobs that could run stand greyed among the others, are filtered and chosen by keys, and go with escape", func(t *testing.T) { overlay(t, tab) })
	t.Run("J12: older pushes come, the filter still works, and another repository begins without a selection", func(t *testing.T) {
		s.Repository(t, "old")
		for i := range 35 {
			p := s.Record(t, push.Push{Repository: "old", Message: fmt.Sprint(i)})
			if i < 3 {
				s.Decide(t, p, uitest.Job{State: task.Completed, Name: "build", Platform: "linux", Symbol: "B"}, uitest.Job{State: task.Failed, Name: "test", Platform: "mac", Group: "T", Symbol: "1"})
			}
		}
		tab.Go(t, "/jobs?repo=old&platform=mac")
		tab.Wait(t, `document.querySelectorAll("section.push").length === 10`)
		uitest.Eval[any](t, tab, `document.querySelector('[data-older="20"]').click()`)
		tab.Wait(t, `document.querySelectorAll("section.push").length === 30`)
		uitest.Eval[any](t, tab, `document.querySelector('[data-older="10"]').click()`)
		tab.Wait(t, `document.querySelectorAll("section.push").length === 35 && document.querySelector("[data-older]") === null`)
		tab.Keys(t, "j")
		tab.Wait(t, `document.querySelector("b.c.sel")?.getAttribute("aria-label") === "test, failed, not classified, mac opt"`)
		if got := uitest.Eval[bool](t, tab, `[...document.querySelectorAll("b.c")].some(e => !e.getAttribute("aria-label").endsWith("mac opt"))`); got {
			t.Error("tasks of other platforms are shown")
		}
		tab.Go(t, "/jobs?repo=large")
		tab.Wait(t, `document.querySelector("b.c") !== null && document.querySelector("b.c.sel") === null && !location.search.includes("selected")`)
	})
	t.Run("a push far down is read when one comes near it", func(t *testing.T) {
		tab.Go(t, "/jobs?repo=old")
		uitest.Eval[any](t, tab, `document.querySelector('[data-older="50"]').click()`)
		tab.Wait(t, `document.querySelectorAll("section.push").length === 35`)
		tab.Keys(t, "]")
		tab.Wait(t, `document.activeElement.id === "push-34"`)
		tab.Keys(t, "[")
		tab.Wait(t, `document.activeElement.id === "push-35"`)
		uitest.Eval[any](t, tab, `scrollTo(0, document.body.scrollHeight)`)
		tab.Wait(t, `document.querySelectorAll("#push-1 b.c").length === 3`)
	})
}

// overlay shows the 13,000 jobs of the push's graph in its grid. The site offers no actions: what can be done is told.
func overlay(t *testing.T, tab *uitest.Tab) {
	tab.Go(t, "/jobs?repo=large")
	tab.Wait(t, `document.querySelectorAll("b.c").length > 10`)
	tab.Keys(t, "+")
	tab.Wait(t, `document.activeElement?.name === "words" && document.querySelector(".adding")?.innerText.includes("13,000 jobs")`)
	tab.Wait(t, `document.querySelector(".g-more.ghost") !== null`)
	t.Logf("13,000 jobs were put into the grid in %.0f ms", uitest.Eval[float64](t, tab, `performance.getEntriesByName("treeline-overlay")[0].duration`))
	if got := uitest.Eval[int](t, tab, `document.querySelectorAll("b.c").length`); got > 3000 {
		t.Errorf("%d cells are in the page", got)
	}
	tab.Shot(t, "jobs-overlay")
	tab.Keys(t, "mochitest linux64 platform6")
	tab.Wait(t, `/^\d+ of 13,000 jobs$/.test(document.querySelector(".adding .num").innerText)`)
	tab.Shot(t, "jobs-overlay-filter")
	tab.Wait(t, `document.querySelectorAll("b.c.ghost").length > 3 && [...document.querySelectorAll("b.c.ghost")].every(e => /^test-linux64.*mochitest.*not scheduled on this push, platform6/.test(e.getAttribute("aria-label")))`)
	tab.Keys(t, kb.ArrowDown)
	tab.Wait(t, `document.activeElement.classList.contains("ghost")`)
	tab.Keys(t, " "+kb.ArrowRight+"x")
	tab.Wait(t, `document.querySelectorAll("b.c.ghost.chosen").length === 2 && document.querySelector("[data-add]").innerText === "Trigger 2 jobs"`)
	tab.Wait(t, `document.querySelectorAll('b.c.ghost[aria-selected="true"]').length === 2 && document.querySelector("b.c.sel") === null`)
	tab.Keys(t, "x")
	tab.Wait(t, `document.querySelector("[data-add]").innerText === "Trigger 1 job"`)
	tab.Wait(t, `document.querySelector("[data-add]").disabled && document.querySelector(".adding .why").innerText.includes("no action add-new-jobs")`)
	tab.Inspect(t, "jobs-overlay")
	tab.Keys(t, kb.Escape)
	tab.Wait(t, `document.querySelector(".adding") === null && document.querySelector("b.c.ghost") === null && document.querySelector(".g-more.ghost") === null`)
}
