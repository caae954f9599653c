package hookview_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// nightly is a hook that runs, with a form.
func nightly() hooks.Hook {
	return hooks.Hook{
		Group: "garden", ID: "nightly/all", Schedule: []string{"0 3 * * 1-5", "30 15 L * *"},
		Bindings: []hooks.Binding{{Exchange: "exchange/taskcluster-queue/v1/task-failed", RoutingKeyPattern: "route.garden.#"}},
		Metadata: hooks.Metadata{Name: "Nightly of everything", Description: "Builds **all** of it.", Owner: "ada@example.com", EmailOnError: true},
		Task: json.RawMessage(`{"taskQueueId": "garden/linux", "schedulerId": "hooks", "payload": {"$eval": "payload"}, "deadline": {"$fromNow": "1 hour"},
			"metadata": {"name": "nightly", "description": "d", "owner": "ada@example.com", "source": "https://example.com"}}`),
		TriggerSchema: json.RawMessage(`{"type": "object", "properties": {"count": {"type": "integer", "title": "How many", "minimum": 1, "maximum": 9}, "kind": {"type": "string", "enum": ["debug", "release"]}}, "required": ["count"], "additionalProperties": false}`),
	}
}

// hookSite has a hook that works, one that keeps failing, and one nobody fired.
func hookSite(t *testing.T) *uitest.Site {
	t.Helper()
	s := uitest.New(t)
	quiet := nightly()
	quiet.ID, quiet.Schedule, quiet.Bindings, quiet.TriggerSchema, quiet.Metadata.Name = "quiet", nil, nil, nil, "quiet"
	broken := nightly()
	broken.Group, broken.ID, broken.Schedule, broken.TriggerSchema, broken.Metadata.Name = "orchard", "broken", []string{"* * * * *"}, nil, "Apples"
	broken.Task = json.RawMessage(`{"payload": {"$eval": "payload.apples"}}`)
	for _, h := range []hooks.Hook{nightly(), quiet, broken} {
		if err := s.Hooks.Ensure(t.Context(), "ada", h); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 7 {
		fired, err := s.Hooks.Fire(t.Context(), hooks.Fire{Group: "garden", ID: "nightly/all", By: hooks.TriggerHook, Payload: json.RawMessage(fmt.Sprintf(`{"count": %d}`, i+1))})
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if _, err := s.Queue.Cancel(t.Context(), fired.TaskID); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 4 {
		if _, err := s.Pool.Exec(t.Context(), `UPDATE hook_definitions SET next_date = now() - interval '1 second', due = now() - interval '1 second' WHERE hook_id = 'broken'`); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Hooks.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestHookPages(t *testing.T) {
	s := hookSite(t)
	tab := s.Tab(t)
	t.Run("everybody may look", func(t *testing.T) {
		tab.Go(t, "/hooks")
		text := tab.Text(t, "main")
		for _, want := range []string{"garden", "nightly/all", "Nightly of everything", "at 03:00 on Monday to Friday (UTC)", "on messages", "orchard", "failed 4 times in a row", "when called for"} {
			if !strings.Contains(text, want) {
				t.Errorf("the list has no %q: %s", want, text)
			}
		}
		tab.Shot(t, "hooks")
		tab.Go(t, "/hooks?state=failing")
		if text := tab.Text(t, "main"); !strings.Contains(text, "broken") || strings.Contains(text, "nightly") {
			t.Error(text)
		}
		tab.Go(t, "/hooks?q=Everything")
		if text := tab.Text(t, "main"); !strings.Contains(text, "nightly/all") || strings.Contains(text, "broken") {
			t.Error(text)
		}
	})
	t.Run("a hook says when it fires, and what became of it", func(t *testing.T) {
		tab.Click(t, `a[href="/hooks/garden/nightly/all"]`)
		tab.Wait(t, `document.querySelector("h1").innerText === "Nightly of everything"`)
		if n := tab.Count(t, "ol.times li"); n != 5 {
			t.Errorf("%d next times", n)
		}
		if n, strip := tab.Count(t, "#fires tbody tr"), tab.Count(t, ".fire-strip a"); n != 7 || strip != 7 {
			t.Error(n, strip)
		}
		text := tab.Text(t, "main")
		for _, want := range []string{"at 15:30 on the last day of the month (UTC)", "route.garden.#", "cancelled", "pending", "hook-id:garden/nightly/all", "You may not fire it", "$fromNow"} {
			if !strings.Contains(text, want) {
				t.Errorf("the page has no %q: %s", want, text)
			}
		}
		if tab.Count(t, "#fire:disabled") != 1 {
			t.Error("somebody without scopes may fire it")
		}
	})
	t.Run("a hook that keeps failing says so", func(t *testing.T) {
		tab.Go(t, "/hooks/orchard/broken")
		text := tab.Text(t, "#failing")
		if !strings.Contains(text, "failed 4 times in a row") || !strings.Contains(text, "fired less often") || !strings.Contains(text, "unknown context value payload") {
			t.Error(text)
		}
		tab.Shot(t, "hook-failing")
	})
	t.Run("who may fires it with a form", func(t *testing.T) { fireByForm(t, s) })
	t.Run("one that is not there", func(t *testing.T) {
		tab.Expect("404")
		tab.Go(t, "/hooks/garden/none")
		if text := tab.Text(t, "main"); !strings.Contains(text, "There is no hook garden/none") {
			t.Error(text)
		}
	})
}

func fireByForm(t *testing.T, s *uitest.Site) {
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/hooks/garden/nightly/all")
	tab.Shot(t, "hook")
	tab.Dark(t, true)
	tab.Size(t, 420, 900)
	tab.Shot(t, "hook-narrow-dark")
	tab.Go(t, "/hooks")
	tab.Shot(t, "hooks-narrow-dark")
	tab.Size(t, 1280, 900)
	tab.Dark(t, false)
	tab.Go(t, "/hooks/garden/nightly/all")
	tab.Type(t, `#trigger input[type="number"]`, "5")
	tab.Click(t, "#fire")
	tab.Wait(t, `location.pathname.startsWith("/tasks/")`)
	id := strings.TrimPrefix(uitest.Eval[string](t, tab, "location.pathname"), "/tasks/")
	d, err := s.Queue.Task(t.Context(), id)
	if err != nil || string(d.Payload) != `{"count":5}` {
		t.Errorf("%s %v", d.Payload, err)
	}
	fires, err := s.Hooks.LastFires(t.Context(), "garden", "nightly/all", hooks.Mark{}, 1)
	if err != nil || fires[0].TaskID != id || fires[0].By != hooks.TriggerHook || fires[0].State != task.Pending {
		t.Error(fires, err)
	}
	t.Run("what the template says wrong stands in the form", func(t *testing.T) {
		tab.Expect("400")
		tab.Go(t, "/hooks/orchard/broken")
		tab.Click(t, "#fire")
		tab.Wait(t, `document.querySelector("#trigger .notice")?.innerText.includes("cannot be rendered")`)
	})
	if _, err := s.Hooks.Get(t.Context(), "garden", "none"); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func TestAPageWithoutHooks(t *testing.T) {
	tab := uitest.New(t).Tab(t)
	tab.Go(t, "/hooks")
	if text := tab.Text(t, "main"); !strings.Contains(text, "No hook yet") {
		t.Error(text)
	}
	tab.Shot(t, "hooks-empty")
}
