package hooks_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
)

func TestAnEditOfAnOlderVersionIsAConflict(t *testing.T) {
	fx := newFixture(t)
	first := fx.must(hook("edited"))
	mine, theirs := first, first
	mine.Metadata.Description, theirs.Metadata.Description = "mine", "theirs"
	if _, err := fx.Hooks.Replace(t.Context(), "eve", theirs, first.Version()); err != nil {
		t.Fatal(err)
	}
	if _, err := fx.Hooks.Replace(t.Context(), "ada", mine, first.Version()); !errors.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
	now, err := fx.Hooks.Get(t.Context(), first.Group, first.ID)
	if err != nil || now.Metadata.Description != "theirs" || now.Version() != theirs.Version() {
		t.Errorf("%+v %v", now, err)
	}
	if _, err := fx.Hooks.Replace(t.Context(), "ada", mine, now.Version()); err != nil {
		t.Error(err)
	}
}

func TestAPausedHookFiresOnlyWhenCalledFor(t *testing.T) {
	fx := newFixture(t)
	h := fx.must(hook("paused", daily))
	fx.due("paused", 5*time.Second)
	if err := fx.Hooks.Pause(t.Context(), "ada", h.Group, h.ID); err != nil {
		t.Fatal(err)
	}
	if n := fx.round(); n != 0 {
		t.Errorf("%d fired", n)
	}
	if s := fx.status("paused"); s.Paused == nil || s.PausedBy != "ada" {
		t.Errorf("%+v", s)
	}
	if _, err := fx.Hooks.Fire(t.Context(), hooks.Fire{Group: h.Group, ID: h.ID, By: hooks.TriggerHook}); err != nil {
		t.Error(err)
	}
	if err := fx.Hooks.Resume(t.Context(), "ada", h.Group, h.ID); err != nil {
		t.Fatal(err)
	}
	if s := fx.status("paused"); s.Paused != nil || !s.Next.After(time.Now()) {
		t.Errorf("dates of the pause are made up for: %+v", s)
	}
	if n := fx.round(); n != 0 {
		t.Errorf("%d fired", n)
	}
}

func TestMessagesAreJudgedAsTheyFire(t *testing.T) {
	bindings := []hooks.Binding{{Exchange: "exchange/a", RoutingKeyPattern: "route.garden.#"}, {Exchange: "exchange/b", RoutingKeyPattern: "#"}}
	schema := json.RawMessage(`{"type": "object", "required": ["status"]}`)
	for name, c := range map[string]struct {
		message   hooks.Message
		fires     bool
		concerned bool
		reason    string
	}{
		"another exchange": {hooks.Message{Exchange: "exchange/c", Keys: []string{"x"}}, false, false, "no binding names"},
		"another key":      {hooks.Message{Exchange: "exchange/a", Keys: []string{"primary.x"}}, false, true, "does not fit route.garden.#"},
		"a route's key":    {hooks.Message{Exchange: "exchange/a", Keys: []string{"primary.x", "route.garden.y"}, Payload: json.RawMessage(`{"status": 1}`)}, true, true, "fits route.garden.#"},
		"another payload":  {hooks.Message{Exchange: "exchange/b", Keys: []string{"x"}, Payload: json.RawMessage(`{}`)}, false, true, "does not fit the triggerSchema"},
	} {
		fires, concerned, reason := hooks.Judge(bindings, schema, c.message)
		if fires != c.fires || concerned != c.concerned || !strings.Contains(reason, c.reason) {
			t.Errorf("%s: %v %v %q", name, fires, concerned, reason)
		}
	}
}
