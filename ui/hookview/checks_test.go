package hookview_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// Schedules are in UTC; where clocks are changed meanwhile, people see the next times as their clock will show them.
func TestNextTimesOverAChangeOfClocks(t *testing.T) {
	s := uitest.New(t)
	h := nightly()
	h.ID, h.Schedule, h.TriggerSchema = "clocks", []string{"0 */6 28,29 3 *"}, nil
	if err := s.Hooks.Ensure(t.Context(), "ada", h); err != nil {
		t.Fatal(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	// On the last Sunday of March, between the first and the second of these times, Berlin goes from UTC+1 to UTC+2, if
	// that Sunday is the 28th or 29th; in other years both are after the change or before it.
	now := time.Now().UTC()
	first := time.Date(now.Year(), 3, 28, 0, 0, 0, 0, time.UTC)
	if !first.After(now) {
		first = first.AddDate(1, 0, 0)
	}
	var want []string
	for i := range 5 {
		want = append(want, first.Add(time.Duration(i)*6*time.Hour).In(berlin).Format("Mon, Jan 2, 2006, 15:04 "))
	}
	tab := s.Tab(t)
	tab.Zone(t, "Europe/Berlin")
	tab.Go(t, "/hooks/garden/clocks")
	tab.Wait(t, `[...document.querySelectorAll("ol.times time")].every(e => e.title)`)
	got := uitest.Eval[[]string](t, tab, `[...document.querySelectorAll("ol.times time")].map(e => e.innerText)`)
	for i, text := range got {
		if i < len(want) && !strings.HasPrefix(text, want[i]+"GMT+") {
			t.Errorf("%d: %s, want %s", i+1, text, want[i])
		}
	}
	if len(got) != 5 {
		t.Error(got)
	}
	if title := uitest.Eval[string](t, tab, `document.querySelector("ol.times time").title`); !strings.Contains(title, first.Format("15:04")) || !strings.HasSuffix(title, "UTC") {
		t.Error(title)
	}
}

// The form of a schema with parts of parts: what is wrong is marked at its field and fires nothing.
func TestAFormOfPartsOfParts(t *testing.T) {
	s := uitest.New(t)
	h := nightly()
	h.ID, h.Schedule = "parts", nil
	h.TriggerSchema = json.RawMessage(`{"type": "object", "additionalProperties": false, "required": ["target"], "properties": {
		"target": {"type": "object", "title": "Target", "required": ["host"], "additionalProperties": false, "properties": {
			"host": {"type": "string", "title": "Host", "pattern": "^h"},
			"limits": {"type": "object", "title": "Limits", "properties": {"cores": {"type": "integer", "title": "Cores", "minimum": 1, "maximum": 8, "default": 2}}}}},
		"mode": {"type": "string", "title": "Mode", "enum": ["debug", "release"], "default": "release"}}}`)
	if err := s.Hooks.Ensure(t.Context(), "ada", h); err != nil {
		t.Fatal(err)
	}
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/hooks/garden/parts")
	values := func() []string {
		return uitest.Eval[[]string](t, tab, `["in/target/host", "in/target/limits/cores", "in/mode"].map(n => document.querySelector("[name='" + n + "']")?.value ?? "none")`)
	}
	if got := values(); !slices.Equal(got, []string{"", "2", "release"}) {
		t.Fatalf("a fresh form has %q", got)
	}
	tab.Expect("400")
	tab.Type(t, `[name="in/target/host"]`, "elsewhere")
	uitest.Eval[bool](t, tab, `(document.querySelector("[name='in/target/limits/cores']").value = "9", document.querySelector("[name='in/mode']").value = "debug", document.querySelector("#trigger form, form#trigger").noValidate = true)`)
	tab.Click(t, "#fire")
	tab.Wait(t, `document.querySelector(".field-error") !== null`)
	tab.Shot(t, "hook-form-faults")
	for field, says := range map[string]string{"in/target/host": "does not match pattern '^h'", "in/target/limits/cores": "8"} {
		if text := uitest.Eval[string](t, tab, `document.querySelector("[name='`+field+`']").closest(".field").querySelector(".field-error")?.innerText ?? ""`); !strings.Contains(text, says) {
			t.Errorf("at %s stands %q", field, text)
		}
	}
	if fires, err := s.Hooks.LastFires(t.Context(), "garden", "parts", hooks.Mark{}, 5); !errors.Is(err, fault.NotFound) {
		t.Error(fires, err)
	}
	if got := values(); !slices.Equal(got, []string{"elsewhere", "9", "debug"}) {
		t.Errorf("the form has %q now", got)
	}
	uitest.Eval[bool](t, tab, `(document.querySelector("[name='in/target/host']").value = "here", document.querySelector("[name='in/target/limits/cores']").value = "8", true)`)
	tab.Click(t, "#fire")
	tab.Wait(t, `location.pathname.startsWith("/tasks/")`)
	id := strings.TrimPrefix(uitest.Eval[string](t, tab, "location.pathname"), "/tasks/")
	if d, err := s.Queue.Task(t.Context(), id); err != nil || string(d.Payload) != `{"mode":"debug","target":{"host":"here","limits":{"cores":8}}}` {
		t.Errorf("%s %v", d.Payload, err)
	}
}
