package groups_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func kind(name string) func(*task.Definition) {
	return func(d *task.Definition) { d.Tags = map[string]string{"kind": name} }
}

// fixture is a group with two builds, of which tests wait.
type fixture struct {
	group, build, failed, test string
}

func newGroup(t *testing.T, s *uitest.Site) fixture {
	t.Helper()
	f := fixture{group: slug.New()}
	in := queuetest.In(f.group)
	f.build = s.Task(t, task.Completed, in, uitest.Named("build-linux"), kind("build"))
	f.failed = s.Task(t, task.Failed, in, uitest.Named("build-mac"), kind("build"))
	f.test = s.Task(t, task.Pending, in, uitest.Named("test-linux-1"), kind("test"), queuetest.After(f.build))
	s.Task(t, task.Unscheduled, in, uitest.Named("test-mac-1"), kind("test"), queuetest.After(f.failed))
	return f
}

func TestGroup(t *testing.T) {
	s := uitest.New(t)
	f := newGroup(t, s)
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/tasks/groups/"+f.group)
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	t.Run("tiles filter, and are in the address", func(t *testing.T) {
		tab.Wait(t, `document.querySelectorAll(".v-row").length === 4`)
		tab.Keys(t, "1")
		tab.Wait(t, `document.querySelectorAll(".v-row").length === 1 && location.search === "?state=failed"`)
		tab.Keys(t, "1")
		tab.Wait(t, `document.querySelectorAll(".v-row").length === 4`)
	})
	t.Run("what moves stays in its place while the pointer does, and is sorted in then", func(t *testing.T) {
		s.Run(t, f.test)
		tab.Wait(t, `[...document.querySelectorAll(".v-row")].some(r => r.innerText.includes("test-linux-1") && r.innerText.includes("running"))`)
		tab.Wait(t, `document.querySelectorAll(".v-row")[1].innerText.includes("test-linux-1")`)
		tab.Shot(t, "group-table")
	})
	t.Run("timeline: bars, a list with the same, hover names the bar (GR2)", func(t *testing.T) {
		tab.Keys(t, "v")
		tab.Wait(t, `location.search === "?view=timeline" && document.querySelectorAll(".time-list [role=option]").length === 3 && Number(document.querySelector("canvas").dataset.drawn) > 0`)
		hover := `(() => { const c = document.querySelector("canvas"), r = c.getBoundingClientRect(); c.dispatchEvent(new PointerEvent("pointermove", {clientX: r.left + r.width / 2, clientY: r.top + 22 + 18 + 5, bubbles: true})); return document.querySelector(".bar-tip:not([hidden]) b") !== null })()`
		tab.Wait(t, hover)
		tab.Keys(t, "++f-")
		uitest.Eval[bool](t, tab, `(document.querySelector(".time-list").focus(), true)`)
		tab.Wait(t, `(document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown", bubbles: true, cancelable: true})), document.querySelector(".time-list [aria-selected=true]") !== null)`)
		tab.Shot(t, "group-timeline")
	})
	t.Run("graph of kinds; a kind leads to its tasks; a task to those around it", func(t *testing.T) {
		tab.Go(t, "/tasks/groups/"+f.group+"?view=graph")
		tab.Wait(t, `document.querySelectorAll(".graph .node").length === 2 && document.querySelectorAll(".graph .edge").length === 1`)
		tab.Shot(t, "group-graph")
		uitest.Eval[bool](t, tab, `[...document.querySelectorAll(".graph .node")].find(n => n.textContent.includes("build")).dispatchEvent(new MouseEvent("click", {bubbles: true}))`)
		tab.Wait(t, `location.search.includes("kind=build") && document.querySelectorAll(".v-row").length === 2`)
		tab.Go(t, "/tasks/groups/"+f.group+"?view=graph&focus="+f.build)
		tab.Wait(t, `document.querySelector(".graph .node.now").textContent.includes("build-linux") && document.querySelectorAll(".graph .node").length === 2`)
	})
	t.Run("numbers, with the critical path", func(t *testing.T) {
		tab.Go(t, "/tasks/groups/"+f.group+"?view=stats")
		tab.Wait(t, `document.querySelector(".critical-list a") !== null && document.querySelectorAll(".group-stats tbody tr").length === 4`)
		tab.Shot(t, "group-numbers")
		tab.Size(t, 390, 844)
		for _, view := range []string{"", "?view=timeline", "?view=graph", "?view=stats"} {
			tab.Go(t, "/tasks/groups/"+f.group+view)
			if w := uitest.Eval[int](t, tab, `document.documentElement.scrollWidth`); w > 390 {
				t.Errorf("with %q the page is %d pixels wide", view, w)
			}
		}
		tab.Size(t, 1280, 860)
	})
	t.Run("who asked is told once when it ends (GR6), and cancelling seals first (GR5)", func(t *testing.T) {
		tab.Go(t, "/tasks/groups/"+f.group)
		tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
		uitest.Eval[bool](t, tab, `(window.told = [], window.Notification = class { static permission = "granted"; constructor(head, o) { told.push(head + ": " + o.body) } }, true)`)
		tab.Click(t, "[data-notify]")
		tab.Wait(t, `document.querySelector("[data-notify]").getAttribute("aria-pressed") === "true"`)
		tab.Click(t, "[data-act=cancel]")
		if got := tab.Text(t, ".confirm"); !strings.Contains(got, "not sealed") || !strings.Contains(got, "cancel 2 tasks that have not ended?") || !strings.Contains(got, "Seal and cancel") {
			t.Errorf("asked is %q", got)
		}
		tab.Click(t, "[data-yes=cancel]")
		tab.Wait(t, `told.length === 1 && document.querySelector(".task-head .tag")?.innerText === "sealed"`)
		if got := uitest.Eval[string](t, tab, `told.join()`); !strings.HasSuffix(got, ": 1 of 4 tasks failed.") {
			t.Errorf("told is %q", got)
		}
		if _, err := s.Queue.Rerun(t.Context(), f.build); err != nil {
			t.Fatal(err)
		}
		s.Run(t, f.build)
		tab.Wait(t, `document.querySelector("[data-notify]") !== null`)
		if _, err := s.Queue.ReportCompleted(t.Context(), f.build, 1); err != nil {
			t.Fatal(err)
		}
		tab.Wait(t, `document.querySelector("[data-notify]") === null`)
		if n := uitest.Eval[int](t, tab, `told.length`); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

func TestGroupWithoutScript(t *testing.T) {
	s := uitest.New(t)
	f := newGroup(t, s)
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	for path, want := range map[string][]string{
		"":               {"build-linux", "test-mac-1", "Cancel all: sign in first", "tasks.csv"},
		"?state=failed":  {"build-mac"},
		"?q=test+mac":    {"test-mac-1"},
		"?view=timeline": {"Could run"},
		"?view=graph":    {"test: 2 tasks, needs build"},
		"?view=stats":    {"Statistics", "<td>build</td><td>2</td><td>1</td>"},
		"/tasks.csv":     {"taskId,name,kind", "build-mac,build,"},
		"/profile.json":  {`"preprocessedProfileVersion":47`},
	} {
		status, body := get("/tasks/groups/" + f.group + path)
		for _, text := range want {
			if status != http.StatusOK || !strings.Contains(body, text) {
				t.Errorf("%s: status %d, without %q", path, status, text)
			}
		}
	}
	if status, _ := get("/tasks/groups/" + f.group + "/other.txt"); status != http.StatusNotFound {
		t.Errorf("another file: status %d", status)
	}
	t.Run("who may not cannot cancel", func(t *testing.T) {
		r, err := http.PostForm(s.URL+"/tasks/groups/"+f.group+"/cancel", url.Values{"seal": {"1"}})
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusForbidden {
			t.Errorf("status %d", r.StatusCode)
		}
	})
	t.Run("a push's group leads to the push", func(t *testing.T) {
		s.Repository(t, "app")
		p := s.Record(t, push.Push{Repository: "app", Message: "Teach it"})
		group, _ := s.Decide(t, p)
		if _, body := get("/tasks/groups/" + group); !strings.Contains(body, fmt.Sprintf("/jobs?repo=app&amp;revision=%s", p.Revision)) {
			t.Error("it does not")
		}
	})
}
