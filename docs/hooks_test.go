package docs_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/queue/draft"
)

func TestTheHookExampleMakesTasks(t *testing.T) {
	ring, err := crypt.NewRing(crypt.Key{Secret: make([]byte, crypt.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	var commands [][][]string
	h := hooks.New(hooks.Deps{Pool: pgtest.DB(t), Ring: ring, Create: func(_ context.Context, c hooks.Creation) error {
		n := draft.Task{ID: c.TaskID}
		if err := json.Unmarshal(c.Definition, &n.Definition); err != nil {
			return err
		}
		var payload struct{ Command [][]string }
		if err := json.Unmarshal(n.Definition.Payload, &payload); err != nil {
			return err
		}
		commands = append(commands, payload.Command)
		return n.Prepare()
	}})
	hook := hooks.Hook{Group: "project-a", ID: "sweep"}
	if err := json.Unmarshal([]byte(example(t, "how-to/fire-a-hook.md", "json")), &hook); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Create(t.Context(), "me", hook); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"days": 7}`, `{}`} {
		if _, err := h.Fire(t.Context(), hooks.Fire{Group: "project-a", ID: "sweep", By: hooks.TriggerHook, Payload: json.RawMessage(body)}); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{"echo sweeping what is older than 7 days", "echo sweeping what is older than 30 days"} {
		if got := commands[i][0][2]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if _, err := h.Fire(t.Context(), hooks.Fire{Group: "project-a", ID: "sweep", By: hooks.TriggerHook, Payload: json.RawMessage(`{"days": 0}`)}); err == nil {
		t.Error("zero days fit")
	}
}
