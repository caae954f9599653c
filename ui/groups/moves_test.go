package groups_test

import (
	"fmt"
	"testing"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// hideable lets a test hide the page, as if another tab was looked at.
const hideable = `
	let hidden = false;
	Object.defineProperty(document, "visibilityState", { get: () => hidden ? "hidden" : "visible" });
	Object.defineProperty(document, "hidden", { get: () => hidden });
	window.hide = (yes) => { hidden = yes; document.dispatchEvent(new Event("visibilitychange")); return true };
	window.touched = () => { let n = 0; new MutationObserver((l) => n += l.length).observe(document.querySelector(".v-body"), { subtree: true, childList: true, characterData: true, attributes: true }); return () => n };
	window.row = (name) => [...document.querySelectorAll(".v-row")].find((r) => r.children[0].innerText === name);
	window.is = (name, state) => row(name)?.children[1].innerText === state;
`

// TestAGroupThatMoves: what is shown is what is so when it comes to rest, and rows of tasks in which nothing happens are left
// alone, since to draw them would keep the browser busy and take the focus away.
func TestAGroupThatMoves(t *testing.T) {
	s := uitest.New(t)
	group := slug.New()
	in := queuetest.In(group)
	const tasks = 90
	ids := make([]string, tasks)
	for i := range ids {
		ids[i] = s.Task(t, task.Pending, in, uitest.Named(fmt.Sprintf("test-%d", i)))
	}
	running := s.Task(t, task.Running, in, uitest.Named("a-build"))
	tab := s.Tab(t)
	tab.Before(t, hideable)
	tab.Go(t, "/tasks/groups/"+group+"?sort=name")
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live" && is("a-build", "running") && is("test-0", "pending")`)
	uitest.Eval[bool](t, tab, `(window.first = row("test-0"), window.link = first.querySelector("a"), link.focus(), true)`)
	t.Run("how long a task runs goes on without anything else", func(t *testing.T) {
		uitest.Eval[bool](t, tab, `(window.ran = row("a-build").children[4].innerText, true)`)
		tab.Wait(t, `row("a-build").children[4].innerText !== ran`)
	})
	t.Run("all that moved is shown", func(t *testing.T) {
		for i, id := range ids {
			if i%3 == 0 {
				continue
			}
			if _, err := s.Queue.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		tab.Wait(t, `document.querySelectorAll(".tile b")[6].innerText === "60"`)
		right := fmt.Sprintf(`[...document.querySelectorAll(".v-row")].every((r) => {
			const n = r.children[0].innerText.replace("test-", "");
			return n === "a-build" || n < %d && r.children[1].innerText === (n %% 3 === 0 ? "pending" : "cancelled") && (r.children[5].innerText !== "") === (n %% 3 !== 0);
		})`, tasks)
		tab.Wait(t, right)
		for _, to := range []string{"1e6", "0"} {
			tab.Wait(t, fmt.Sprintf(`(document.querySelector(".v-body").scrollTop = %s, row(%q) !== undefined)`, to, map[string]string{"1e6": "test-89", "0": "test-0"}[to]))
			tab.Wait(t, right)
		}
	})
	t.Run("what did not move stays, with the focus", func(t *testing.T) {
		tab.Wait(t, `(window.first = row("test-0"), window.link = first.querySelector("a"), link.focus(), true)`)
		if _, err := s.Queue.Cancel(t.Context(), ids[3]); err != nil {
			t.Fatal(err)
		}
		tab.Wait(t, `is("test-3", "cancelled")`)
		if !uitest.Eval[bool](t, tab, `row("test-0") === first && document.activeElement === link`) {
			t.Error("the row of a task that did not move was made anew")
		}
	})
	t.Run("hidden, only the title moves; seen again, the rows are right", func(t *testing.T) {
		uitest.Eval[bool](t, tab, `(hide(true), window.n = touched(), true)`)
		if _, err := s.Queue.ReportFailed(t.Context(), running, 0); err != nil {
			t.Fatal(err)
		}
		tab.Wait(t, `document.title.startsWith("[1] ")`)
		if n := uitest.Eval[int](t, tab, `n()`); n != 0 {
			t.Errorf("%d changes were made to rows that nobody could see", n)
		}
		uitest.Eval[bool](t, tab, `hide(false)`)
		tab.Wait(t, `is("a-build", "failed")`)
	})
	t.Run("what is sorted in between others takes its place", func(t *testing.T) {
		tab.Go(t, "/tasks/groups/"+group)
		tab.Wait(t, `document.querySelector("#live").dataset.live === "live" && is("test-87", "pending")`)
		if _, err := s.Queue.Cancel(t.Context(), ids[87]); err != nil {
			t.Fatal(err)
		}
		// Of those that are cancelled it follows its neighbour by name.
		tab.Wait(t, `(document.querySelector(".v-body").scrollTop = 1e6, is("test-87", "cancelled") && row("test-87").previousElementSibling === row("test-86"))`)
		rows := uitest.Eval[[]int](t, tab, `[...document.querySelectorAll(".v-row")].map((r) => Number(r.getAttribute("aria-rowindex")))`)
		for i, n := range rows {
			if n != rows[0]+i {
				t.Fatalf("the rows have the places %v", rows)
			}
		}
	})
}
