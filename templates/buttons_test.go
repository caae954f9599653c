package templates_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/templates"
)

func TestButtonsAreRead(t *testing.T) {
	f, err := templates.Parse([]byte(`version: 1
treeline:
  mayStart: {release-promotion: admin}
  buttons:
    failed: [rerun, retrigger, explain]
    passed: []
    aggregate:
      - rerun-failed
      - action: add-new-jobs
        label: All of lint
        description: Runs every linter there is
        input: {tasks: [lint-py, lint-js], times: 2}
      - {own: cancel, label: Stop}
`), "yml")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]templates.Button{
		"failed": {{Own: "rerun", Line: 5}, {Action: "retrigger", Line: 5}, {Own: "explain", Line: 5}},
		"passed": {},
		"aggregate": {
			{Own: "rerun-failed", Line: 8},
			{Action: "add-new-jobs", Label: "All of lint", Description: "Runs every linter there is", Line: 9, Input: map[string]any{"tasks": []any{"lint-py", "lint-js"}, "times": 2.0}},
			{Own: "cancel", Label: "Stop", Line: 13},
		},
	}
	if diff := cmp.Diff(want, f.Extras.Buttons); diff != "" {
		t.Error(diff)
	}
	if f.Extras.MayStart["release-promotion"] != "admin" {
		t.Errorf("%v", f.Extras.MayStart)
	}
}

func TestIdentifiersFitAndDiffer(t *testing.T) {
	seen := map[string]templates.Button{}
	for _, b := range []templates.Button{
		{Own: "rerun"}, {Action: "rerun"}, {Action: "retrigger"}, {Action: "retrigger", Input: map[string]any{"times": 2}}, {Action: "retrigger", Input: map[string]any{"times": 3}},
		{Action: "rebuild-cached-tasks"}, {Action: "rebuild-cached-tasks-of-docker"}, {Action: "rebuild-cached-tasks-of-toolchains"}, {Action: "ünübersichtliche-aktion"},
	} {
		id := b.Identifier()
		if other, twice := seen[id]; twice || len(id) > templates.MaxIdentifier || id == "" || strings.ToValidUTF8(id, "?") != id {
			t.Errorf("%+v and %+v are %q", b, other, id)
		}
		seen[id] = b
	}
	labelled := templates.Button{Action: "retrigger", Label: "Again"}
	if labelled.Identifier() != "retrigger" {
		t.Error("a button that is called otherwise is another one")
	}
}

func TestMistakesInButtonsSayWhereAndHow(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"  buttons: [rerun]", "yml:3: buttons must be a mapping with any of failed, running, passed, aggregate"},
		{"  buttons:\n    green: []", `yml:4: treeline.buttons has no key "green"; known are failed, running, passed, aggregate`},
		{"  buttons:\n    failed: rerun", "yml:4: failed must be a list of at most 3 actions"},
		{"  buttons:\n    failed: [a, b, c, d]", "yml:4: failed must be a list of at most 3 actions"},
		{"  buttons:\n    failed:\n      - 3", "yml:5: a button must be the name of an action"},
		{"  buttons:\n    failed:\n      - {own: retrigger}", `yml:5: Treeline has no button "retrigger" of its own; there are rerun, rerun-failed, cancel, explain`},
		{"  buttons:\n    failed:\n      - {own: rerun, action: x}", "yml:5: a button has either action"},
		{"  buttons:\n    failed:\n      - {label: x}", "yml:5: a button has either action"},
		{"  buttons:\n    failed:\n      - action: x\n        label: " + strings.Repeat("x", 21), "yml:6: label must be a text of at most 20 characters"},
		{"  buttons:\n    failed:\n      - action: x\n        description: " + strings.Repeat("x", 41), "yml:6: description must be a text of at most 40 characters"},
		{"  buttons:\n    failed:\n      - {own: rerun, input: {a: 1}}", "yml:5: input must be a mapping, for an action of the tree"},
		{"  buttons:\n    failed:\n      - {action: x, when: now}", `yml:5: a button has no key "when"`},
		{"  buttons:\n    failed: [rerun-failed]", "yml:4: rerun-failed is not for failed"},
		{"  buttons:\n    aggregate: [explain]", "yml:4: explain is not for aggregate"},
		{"  buttons:\n    passed: [retrigger, retrigger]", "yml:4: retrigger is there twice"},
		{"  mayStart: admin", "yml:3: mayStart must be a mapping"},
		{"  mayStart: {x: read}", "yml:3: who may start x must be one of write, maintain, admin"},
	} {
		_, err := templates.Parse([]byte("version: 1\ntreeline:\n"+c.text+"\n"), "yml")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngives %v\nwant  %s", c.text, err, c.want)
		}
	}
}
