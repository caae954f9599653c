package buttons_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/app/github/buttons"
	"github.com/treeline-ci/treeline/templates"
)

func schema(required []any, properties map[string]any) map[string]any {
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

var (
	text  = map[string]any{"type": "string"}
	times = map[string]any{"type": "integer", "default": 1.0}
	names = map[string]any{"type": "array", "items": text}
)

// registry is what a decision offers on a task.
var registry = []actions.Offer{
	{Name: "retrigger", Title: "Retrigger", Description: "Create a clone of the task.\n\nIt costs.", Schema: schema(nil, map[string]any{"times": times}), Allowed: true},
	{Name: "create-interactive", Title: "Create Interactive Task", Allowed: true},
	{Name: "add-new-jobs", Title: "Add new jobs", Schema: schema(nil, map[string]any{"tasks": names, "times": times}), Allowed: true},
	{Name: "release-promotion", Title: "Release Promotion of Everything", Schema: schema([]any{"version"}, map[string]any{"version": text}), Allowed: true},
	{Name: "backfill", Title: "Backfill"},
	{Name: "rerun", Title: "The tree's own", Allowed: true},
}

var digest = regexp.MustCompile(`-[0-9a-f]{8}$`)

func TestWhichButtonsThereAre(t *testing.T) {
	task := func(what string) buttons.Place {
		return buttons.Place{For: what, TaskGroupID: "G", TaskID: "T", Bad: 1, Going: what == templates.ForRunning}
	}
	whole := buttons.Place{For: templates.ForAggregate, TaskGroupID: "G", Bad: 2, Going: true}
	wish := func(what, list string) *templates.File {
		f, err := templates.Parse([]byte("version: 1\ntreeline: {buttons: {"+what+": "+list+"}}\n"), "yml")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, c := range map[string]struct {
		file  *templates.File
		place buttons.Place
		there []actions.Offer
		want  []string
		forms []string
	}{
		"a failed task": {nil, task(templates.ForFailed), registry, []string{"Rerun=rerun", "Retrigger=retrigger", "Loaner=create-interactive"}, nil},
		"a failed task of a tree without actions": {nil, task(templates.ForFailed), nil, []string{"Rerun=rerun"}, nil},
		"a running task": {nil, task(templates.ForRunning), registry, []string{"Cancel=cancel"}, nil},
		"a green task":   {nil, task(templates.ForPassed), registry[:1], []string{"Retrigger=retrigger", "Explain=explain"}, nil},
		"a build":        {nil, whole, append([]actions.Offer{{Name: "run-missing-tests", Title: "Run Missing Tests", Allowed: true}}, registry...), []string{"Rerun failed=rerun-failed", "Cancel=cancel", "Run all=run-missing-tests"}, nil},
		"a build of which nothing failed and all ended": {nil, buttons.Place{For: templates.ForAggregate, TaskGroupID: "G"}, registry, nil, nil},
		"none wished":                            {wish("failed", "[]"), task(templates.ForFailed), registry, nil, nil},
		"other places are as usual":              {wish("failed", "[]"), task(templates.ForRunning), registry, []string{"Cancel=cancel"}, nil},
		"one that the role may not start":        {wish("failed", "[backfill, rerun]"), task(templates.ForFailed), registry, []string{"Rerun=rerun"}, nil},
		"one that the tree lacks":                {wish("failed", "[frobnicate, rerun]"), task(templates.ForFailed), registry, []string{"Rerun=rerun"}, nil},
		"one that needs an input":                {wish("failed", "[release-promotion]"), task(templates.ForFailed), registry, nil, []string{"Release Promotion of Everything https://tc.example/actions/G/release-promotion?task=T"}},
		"one whose list is to be filled in":      {wish("aggregate", "[add-new-jobs]"), whole, registry, nil, []string{"Add new jobs https://tc.example/actions/G/add-new-jobs"}},
		"one with its input":                     {wish("failed", "[{action: release-promotion, input: {version: 1.0.0}}]"), task(templates.ForFailed), registry, []string{"Release Promotion o…=release-pro-…"}, nil},
		"the tree's own where ours has the name": {wish("failed", "[rerun, {action: rerun, label: By the tree}]"), task(templates.ForFailed), registry, []string{"Rerun=rerun", "By the tree=rerun-…"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := buttons.Choose(buttons.Wished(c.file, c.place, c.there), c.place, c.there, "https://tc.example")
			var list, forms []string
			for _, b := range got.Buttons {
				list = append(list, b.Label+"="+digest.ReplaceAllString(b.Identifier, "-…"))
				if utf8.RuneCountInString(b.Label) > 20 || utf8.RuneCountInString(b.Description) > 40 || len(b.Identifier) > 20 || b.Description == "" {
					t.Errorf("%+v", b)
				}
				if again, ok := got.Find(b.Identifier); !ok || again.Label != b.Label {
					t.Errorf("%s is found as %+v", b.Identifier, again)
				}
			}
			for _, f := range got.Forms {
				forms = append(forms, f.Title+" "+f.URL)
			}
			if diff := cmp.Diff(c.want, list); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.forms, forms); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, ok := (buttons.Offer{}).Find("rerun"); ok {
		t.Error("a button that is not offered is found")
	}
}

func TestCommandsAreRead(t *testing.T) {
	all := schema(nil, map[string]any{
		"times": times, "ratio": map[string]any{"type": "number"}, "downstream": map[string]any{"type": "boolean"}, "tasks": names, "note": text,
		"counts": map[string]any{"type": "array", "items": map[string]any{"type": "integer"}}, "more": map[string]any{"type": "object"}, "flavor": map[string]any{"enum": []any{"ship", 3.0}},
	})
	for command, want := range map[string]any{
		"retrigger":         nil,
		"retrigger times=3": map[string]any{"times": 3.0},
		"retrigger on test-linux downstream=true": map[string]any{"downstream": true},
		"add tasks=a,b tasks=c times=2":           map[string]any{"tasks": []any{"a", "b", "c"}, "times": 2.0},
		"add counts=1,2 ratio=0.5":                map[string]any{"counts": []any{1.0, 2.0}, "ratio": 0.5},
		`add "note=two words" flavor=3`:           map[string]any{"note": "two words", "flavor": 3.0},
		`add note="a \"quoted\" word"`:            map[string]any{"note": `a "quoted" word`},
		"add note=a=b":                            map[string]any{"note": "a=b"},
		`add more="{deep: {x: 1}}" tasks=[a]`:     map[string]any{"more": map[string]any{"deep": map[string]any{"x": 1.0}}, "tasks": []any{"a"}},
		"add {tasks: [a, b], times: 2}":           map[string]any{"tasks": []any{"a", "b"}, "times": 2.0},
		`add {"note": "x"}`:                       map[string]any{"note": "x"},
	} {
		c, err := buttons.ParseCommand(command)
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		got, err := c.Input(all)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", command, err, diff)
		}
		if wantLabel := map[bool]string{true: "test-linux"}[strings.Contains(command, " on ")]; c.Label != wantLabel {
			t.Errorf("%s: label %q", command, c.Label)
		}
	}
}

func TestWrongCommandsSayWhatIsWrong(t *testing.T) {
	one := schema(nil, map[string]any{"times": times, "tasks": names, "on": map[string]any{"type": "boolean"}})
	for command, want := range map[string]string{
		"":                          "which action?",
		"re/trigger":                "which action?",
		"retrigger on":              "after `on` the label of a task must follow",
		"retrigger on times=3":      "after `on` the label of a task must follow",
		"retrigger times":           "`times` is not of the form key=value",
		"retrigger =3":              "`=3` is not of the form key=value",
		"retrigger times=three":     "`times`: \"three\" is not a whole number",
		"retrigger on x on=maybe":   "`on`: \"maybe\" is not true or false",
		"retrigger time=3":          "the action retrigger has no input `time`; it has `on`, `tasks`, `times`",
		"retrigger times=3 times=4": "`times` is given twice",
		`retrigger note="open`:      "a quotation mark is not closed",
		"retrigger {a: [}":          "the input cannot be read",
		"retrigger tasks=[a":        "`tasks`: \"[a\" cannot be read",
		"retrigger " + strings.Repeat("x", 10_000): "more than 10000 bytes",
	} {
		c, err := buttons.ParseCommand(command)
		if err == nil {
			_, err = c.Input(one)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", command, err, want)
		}
	}
	c, err := buttons.ParseCommand("cancel-all x=1")
	if err == nil {
		_, err = c.Input(nil)
	}
	if err == nil || err.Error() != "the action cancel-all takes no input" {
		t.Error(err)
	}
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{"retrigger on a times=3", `x {"a": [1]}`, `x a="b \" c" d=1,2`, "x {a: &a [*a]}", "x {? : }", "x a=[[[["} {
		f.Add(s)
	}
	all := schema(nil, map[string]any{"a": names, "times": times, "d": map[string]any{"type": "object"}})
	f.Fuzz(func(t *testing.T, s string) {
		c, err := buttons.ParseCommand(s)
		if err != nil {
			return
		}
		if c.Action == "" || strings.ContainsAny(c.Action+c.Label, " \t\n") {
			t.Errorf("%q is action %q on %q", s, c.Action, c.Label)
		}
		input, err := c.Input(all)
		if err != nil {
			return
		}
		if _, err := json.Marshal(input); err != nil {
			t.Errorf("%q gives what no request can hold: %v", s, err)
		}
	})
}
