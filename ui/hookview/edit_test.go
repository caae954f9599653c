package hookview_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// K1 and K2, pause, history, copy and delete.
func TestAHookIsEdited(t *testing.T) {
	s := hookSite(t)
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	open := func(path string) {
		t.Helper()
		tab.Go(t, path)
		tab.Wait(t, `document.body.dataset.editor === "island" && document.body.dataset.checked !== undefined`)
	}
	set := func(selector, text string) {
		t.Helper()
		uitest.Eval[bool](t, tab, fmt.Sprintf(`(document.querySelector(%q).value = %q, document.body.dataset.checked = "", document.querySelector(%q).dispatchEvent(new Event("input", {bubbles: true})), true)`, selector, text, selector))
		tab.Wait(t, `document.body.dataset.checked !== ""`)
	}
	t.Run("cron in words, and the next five times", func(t *testing.T) {
		open("/hooks/garden/nightly/all?tab=edit")
		set("#cron", "0 */6 * * 1-5")
		if text := tab.Text(t, "#when"); !strings.Contains(text, "Monday to Friday") || tab.Count(t, "#when .times li") != 5 {
			t.Error(text)
		}
		set("#cron", "0 25 * * *")
		if text := tab.Text(t, "#problems"); !strings.Contains(text, "schedule, line 1") {
			t.Error(text)
		}
		set("#cron", "0 */6 * * 1-5")
		tab.Inspect(t, "hook-edit")
	})
	t.Run("the task for a sample", func(t *testing.T) {
		set("#sample", "count: 4")
		if text := tab.Text(t, "#made"); !strings.Contains(text, "count: 4") {
			t.Error(text)
		}
		set("#sample", "count: many")
		if text := tab.Text(t, "#made"); !strings.Contains(text, "count") || tab.Count(t, "#made .why") != 1 {
			t.Error(text)
		}
	})
	t.Run("the difference is what changed, and is saved", func(t *testing.T) {
		tab.Click(t, "#review-button")
		tab.Wait(t, `document.querySelector("#review .plus") !== null`)
		plus := uitest.Eval[string](t, tab, `[...document.querySelectorAll("#review .plus, #review .minus")].map((l) => l.textContent.trim()).join("|")`)
		if plus != "-   - 0 3 * * 1-5|-   - 30 15 L * *|+   - 0 */6 * * 1-5" {
			t.Errorf("%q", plus)
		}
		other, err := s.Hooks.Get(t.Context(), "garden", "nightly/all")
		if err != nil {
			t.Fatal(err)
		}
		other.Metadata.Name = "By somebody else"
		if _, err := s.Hooks.Update(t.Context(), "eve", other); err != nil {
			t.Fatal(err)
		}
		tab.Expect("409")
		tab.Click(t, "#save")
		tab.Wait(t, `document.querySelector("#problem") !== null`)
		text := tab.Text(t, "#problem")
		if !strings.Contains(text, "changed by somebody else") || !strings.Contains(text, "By somebody else") {
			t.Error(text)
		}
		if v := uitest.Eval[string](t, tab, `document.querySelector("#cron").value.trim()`); v != "0 */6 * * 1-5" {
			t.Errorf("what was written is lost: %q", v)
		}
		tab.Click(t, "#review-button")
		tab.Wait(t, `document.querySelector("#save") !== null`)
		tab.Click(t, "#save")
		tab.Wait(t, `location.pathname === "/hooks/garden/nightly/all" && location.search === ""`)
		h, err := s.Hooks.Get(t.Context(), "garden", "nightly/all")
		if err != nil || len(h.Schedule) != 1 || h.Metadata.Name != "Nightly of everything" {
			t.Errorf("%+v %v", h, err)
		}
	})
	t.Run("a pause", func(t *testing.T) {
		tab.Click(t, "#pause")
		tab.Wait(t, `document.querySelector("#paused") !== null`)
		tab.Inspect(t, "hook-paused")
		tab.Click(t, "#pause")
		tab.Wait(t, `document.querySelector("#paused") === null`)
	})
	t.Run("its history", func(t *testing.T) {
		tab.Go(t, "/hooks/garden/nightly/all?tab=audit")
		if text := tab.Text(t, "main"); !strings.Contains(text, "paused") || !strings.Contains(text, "0 */6 * * 1-5") || !strings.Contains(text, "by eve") {
			t.Error(text)
		}
		tab.Inspect(t, "hook-audit")
	})
	t.Run("a copy is made, and removed", func(t *testing.T) {
		open("/hooks/create?from=garden/quiet")
		tab.Click(t, "#review-button")
		tab.Wait(t, `document.querySelector("#save") !== null`)
		tab.Click(t, "#save")
		tab.Wait(t, `location.pathname === "/hooks/garden/quiet-copy"`)
		tab.Click(t, "details.confirm summary")
		tab.Click(t, "#delete")
		tab.Wait(t, `location.pathname === "/hooks"`)
		if _, err := s.Hooks.Get(t.Context(), "garden", "quiet-copy"); err == nil {
			t.Error("it is still there")
		}
	})
	t.Run("a failing fire is two clicks from the list, with its text", func(t *testing.T) { // K4
		tab.Click(t, `a[href="/hooks/orchard/broken"]`)
		tab.Wait(t, `document.querySelector("#failing")?.innerText.includes("unknown context value payload")`)
	})
	t.Run("a fire appears by itself", func(t *testing.T) {
		tab.Go(t, "/hooks/garden/nightly/all")
		tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
		before := tab.Count(t, "#fires tbody tr")
		if _, err := s.Hooks.Fire(t.Context(), hooks.Fire{Group: "garden", ID: "nightly/all", By: hooks.TriggerHook, Payload: json.RawMessage(`{"count": 9}`)}); err != nil {
			t.Fatal(err)
		}
		tab.Wait(t, fmt.Sprintf(`document.querySelectorAll("#fires tbody tr").length === %d`, before+1))
	})
}

// K5: however many messages come, the last 500 are kept, the page stays quick, and stop stops.
func TestMessagesAreJudged(t *testing.T) {
	s := hookSite(t)
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/hooks/garden/nightly/all?tab=bindings")
	tab.Click(t, "#all")
	tab.Click(t, "#listen")
	tab.Wait(t, `document.querySelector("#heard").innerText.includes("Listening")`)
	uitest.Eval[bool](t, tab, `(globalThis.frames50 = [], (function f(last) { requestAnimationFrame((now) => { globalThis.frames50.push(now - last); if (globalThis.frames50.length < 2000) f(now); }); })(performance.now()), true)`)
	send := func(n int) {
		t.Helper()
		err := pg.Tx(t.Context(), s.Pool, func(ctx context.Context, tx pgx.Tx) error {
			for i := range n {
				if err := event.Append(ctx, tx, event.Event{Kind: "hook-updated", Topic: "garden/other", Payload: json.RawMessage(fmt.Sprintf(`{"hookGroupId": "garden", "hookId": "other-%d"}`, i))}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Feed.Wake()
	}
	began := time.Now()
	for range 10 {
		send(100)
	}
	tab.Wait(t, `document.querySelector("#heard").innerText.startsWith("1000 messages")`)
	if text := tab.Text(t, "#heard"); text != "1000 messages, the last 500 below" {
		t.Errorf("it says %q", text)
	}
	if n, of := tab.Count(t, "#rows .v-row"), uitest.Eval[string](t, tab, `document.querySelector(".heard").getAttribute("aria-rowcount")`); n == 0 || n > 100 || of != "500" {
		t.Errorf("%d rows of %s are in the page", n, of)
	}
	p95 := uitest.Eval[float64](t, tab, `(() => { const f = [...frames50].sort((a, b) => a - b); return f[Math.floor(f.length * 0.95)]; })()`)
	t.Logf("1,000 messages in %v; frames: p95 %.1f ms", time.Since(began).Round(time.Millisecond), p95)
	if text := tab.Text(t, "#rows .v-row"); !strings.Contains(text, "no binding names its exchange") {
		t.Error(text)
	}
	t.Run("who reads an older message keeps it in view", func(t *testing.T) {
		const drawn = `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(document.querySelector("#rows").scrollTop))))`
		uitest.Eval[int](t, tab, `document.querySelector("#rows").scrollTop = 3400`)
		before := uitest.Eval[int](t, tab, drawn)
		send(7)
		tab.Wait(t, `document.querySelector("#heard").innerText.startsWith("1007 messages")`)
		if after := uitest.Eval[int](t, tab, drawn); before != 3400 || after != before+7*34 {
			t.Errorf("it stood at %d, and after seven messages at %d", before, after)
		}
	})
	t.Run("what comes while the connection is away is not missed", func(t *testing.T) {
		tab.Expect("net::ERR_")
		s.Down(true)
		tab.Wait(t, `document.querySelector("#heard").innerText.includes("The connection is lost")`)
		send(3)
		s.Down(false)
		tab.Wait(t, `document.querySelector("#heard").innerText.startsWith("1010 messages")`)
	})
	tab.Click(t, "#listen")
	send(5)
	tab.Wait(t, `new Promise((done) => setTimeout(() => done(document.querySelector("#heard").innerText.startsWith("1010 messages")), 300))`)
	tab.Inspect(t, "hook-messages")
}
