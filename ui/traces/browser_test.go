package traces_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/traceid"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func kind(name string) func(*task.Definition) {
	return func(d *task.Definition) { d.Tags = map[string]string{"kind": name} }
}

// aPush is a push whose build a test waits for, and whose lint failed.
func aPush(t *testing.T, s *uitest.Site) (p push.Push, group, build string) {
	t.Helper()
	s.Repository(t, "sample")
	p = s.Record(t, push.Push{Repository: "sample", Message: "Teach it"})
	group, _ = s.Decide(t, p)
	in := queuetest.In(group)
	s.Run(t, group)
	build = s.Task(t, task.Completed, in, uitest.Named("build-linux"), kind("build"))
	s.Task(t, task.Failed, in, uitest.Named("lint"), kind("lint"))
	s.Task(t, task.Running, in, uitest.Named("test-linux"), kind("test"), queuetest.After(build))
	// Times as if all that had taken a while.
	for _, sql := range []string{
		`UPDATE pushes SET pushed = now() - interval '10 minutes', decision_millis = 20000`,
		`UPDATE task_groups SET created = now() - interval '10 minutes'`,
		`UPDATE definitions SET created = now() - interval '9 minutes 30 seconds'`,
		`UPDATE runs SET scheduled = now() - interval '9 minutes 55 seconds', started = now() - interval '9 minutes 50 seconds' WHERE task_id = (SELECT task_group_id FROM tasks LIMIT 1)`,
		`UPDATE runs r SET scheduled = now() - interval '9 minutes', started = now() - interval '8 minutes', resolved = now() - interval '5 minutes' FROM definitions d WHERE d.task_id = r.task_id AND d.metadata->>'name' IN ('build-linux', 'lint')`,
		`UPDATE runs r SET scheduled = now() - interval '5 minutes', started = now() - interval '3 minutes' FROM definitions d WHERE d.task_id = r.task_id AND d.metadata->>'name' = 'test-linux'`,
	} {
		if _, err := s.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return p, group, build
}

func TestTrace(t *testing.T) {
	s := uitest.New(t)
	p, group, build := aPush(t, s)
	path := "/push/sample/" + p.Revision + "/trace"
	tab := s.Tab(t)
	t.Run("a waterfall, with the critical path and why things waited", func(t *testing.T) {
		tab.Go(t, path)
		tab.Wait(t, `document.querySelectorAll(".wf-lines [role=option]").length === 5`)
		if got := tab.Text(t, "h1"); got != "Trace of Teach it" {
			t.Errorf("the page is called %q", got)
		}
		for _, bar := range []string{".wf-decision", ".wf-needs", ".wf-worker", ".wf-run.st-passed", ".wf-run.st-failed", ".wf-run.st-running.open", ".wf-critical"} {
			if tab.Count(t, ".wf-lines "+bar) == 0 {
				t.Errorf("there is no %s", bar)
			}
		}
		if said := uitest.Eval[string](t, tab, `[...document.querySelectorAll(".wf-lines [role=option]")].at(-1).textContent`); !strings.Contains(said, "test-linux, running, on the critical path") || !strings.Contains(said, "until it could run: waited for build-linux") {
			t.Errorf("the line says %q", said)
		}
		tab.Inspect(t, "trace")
	})
	t.Run("keys choose, zoom and go along the critical path; the line tells of itself", func(t *testing.T) {
		tab.Go(t, path)
		uitest.Eval[bool](t, tab, `(document.querySelector(".wf-lines").focus(), true)`)
		tab.Wait(t, `(document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "End", bubbles: true, cancelable: true})), document.querySelector(".wf-lines [aria-selected=true]")?.textContent.startsWith("test-linux"))`)
		tab.Wait(t, `document.querySelector("section.wf-detail").innerText.includes("waited for build-linux")`)
		tab.Click(t, "section.wf-detail li button")
		tab.Wait(t, `document.querySelector(".wf-lines [aria-selected=true]")?.textContent.startsWith("build-linux")`)
		tab.Keys(t, "n")
		tab.Wait(t, `document.querySelector(".wf-lines [aria-selected=true]")?.textContent.startsWith("test-linux")`)
		before := uitest.Eval[string](t, tab, `document.querySelector(".wf-axis").innerText`)
		tab.Keys(t, "+++")
		tab.Wait(t, `document.querySelector(".wf-axis").innerText !== `+quoted(before))
		tab.Keys(t, "f")
		tab.Wait(t, `document.querySelector(".wf-axis").innerText === `+quoted(before))
	})
	t.Run("search, the critical path only, and kinds that fold up are in the address", func(t *testing.T) {
		tab.Go(t, path+"?q=lint")
		tab.Wait(t, `document.querySelectorAll(".wf-lines [role=option]").length === 1`)
		tab.Go(t, path)
		tab.Click(t, "[data-critical]")
		tab.Wait(t, `document.querySelectorAll(".wf-lines [role=option]").length === 4 && location.search === "?critical=1"`)
		tab.Click(t, "[data-critical]")
		tab.Click(t, "[data-grouped]")
		tab.Wait(t, `document.querySelectorAll(".wf-lines .kind").length === 4 && location.search === "?by=kind"`)
		tab.Click(t, "[data-fold]")
		tab.Wait(t, `document.querySelectorAll(".wf-lines [role=option]").length === 4 && document.querySelectorAll(".wf-lines .wf-hull").length === 4`)
		tab.Click(t, ".wf-lines .kind")
		tab.Wait(t, `document.querySelectorAll(".wf-lines [role=option]").length === 5`)
	})
	t.Run("it moves as tasks do", func(t *testing.T) {
		tab.Go(t, path)
		tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
		id := s.Task(t, task.Pending, queuetest.In(group), uitest.Named("added"), kind("test"))
		tab.Wait(t, `[...document.querySelectorAll(".wf-lines [role=option]")].some(e => e.textContent.startsWith("added"))`)
		if id == build {
			t.Error("it is another one")
		}
	})
	t.Run("the pages of the push and of the group lead there", func(t *testing.T) {
		for _, from := range []string{"/push/sample/" + p.Revision, "/tasks/groups/" + group} {
			tab.Go(t, from)
			tab.Wait(t, `document.querySelector('a[href$="/trace"]') !== null`)
		}
		tab.Go(t, "/tasks/groups/"+group+"/trace")
		tab.Wait(t, `document.querySelectorAll(".wf-lines [role=option]").length === 6`)
	})
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a text always can be written
	return string(b)
}

func TestTraceWithoutScript(t *testing.T) {
	s := uitest.New(t)
	p, group, _ := aPush(t, s)
	get := func(path string) (int, string) {
		t.Helper()
		resp, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	code, body := get("/push/sample/" + p.Revision + "/trace")
	for _, want := range []string{"Critical path", "Slowest tasks", "waited for build-linux", "trace.otlp.json", "the push was decided"} {
		if !strings.Contains(body, want) {
			t.Errorf("%d without %q", code, want)
		}
	}
	_, body = get("/push/sample/" + p.Revision + "/trace.otlp.json")
	if !strings.Contains(body, traceid.OfGroup(group).String()) || !strings.Contains(body, `"cicd.pipeline.task.name"`) {
		t.Errorf("the file is %.300s", body)
	}
	if code, body = get("/ui/api/groups/" + group + "/trace"); code != http.StatusOK || !strings.Contains(body, `"critical"`) {
		t.Errorf("the data is %d %.300s", code, body)
	}
	for _, path := range []string{"/push/sample/0000/trace", "/tasks/groups/" + slug.New() + "/trace"} {
		if code, _ := get(path); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
	failed := s.Record(t, push.Push{Repository: "sample"})
	s.Fail(t, failed, push.Error{Code: "yaml-syntax", Message: "It is wrong."})
	if code, body = get("/push/sample/" + failed.Revision + "/trace"); code != http.StatusOK || !strings.Contains(body, "There are no tasks.") {
		t.Errorf("a push without tasks: %d", code)
	}
}
