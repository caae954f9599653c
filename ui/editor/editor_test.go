package editor_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/ui/editor"
)

func TestProblemsHaveTheirLines(t *testing.T) {
	for name, c := range map[string]struct {
		text, says string
		line       int
	}{
		"nothing":           {"", "nothing here yet", 1},
		"a tab":             {"a:\n\tb: 1\n", "tab", 2},
		"an open bracket":   {"a: 1\nb: [1,\nc: 2\n", "no YAML", 2},
		"a key twice":       {"a: 1\nb: 2\na: 3\n", "stands here twice", 3},
		"a number of none":  {"a: .nan\n", "no number", 1},
		"a tag of somebody": {"a: !x 1\n", "not known", 1},
	} {
		doc, problems := editor.Parse(c.text)
		if doc != nil || len(problems) != 1 || problems[0].Line != c.line || !strings.Contains(problems[0].Message, c.says) {
			t.Errorf("%s: %+v", name, problems)
		}
	}
}

func TestAliasesMakeNoGalaxy(t *testing.T) {
	text := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		at := string(rune('a' + i))
		text += string(rune('b'+i)) + ": &" + string(rune('b'+i)) + " [" + strings.TrimSuffix(strings.Repeat("*"+at+", ", 10), ", ") + "]\n"
	}
	if doc, problems := editor.Parse(text); doc != nil || len(problems) != 1 {
		t.Errorf("%+v", problems)
	}
}

func TestEditsLeaveTheRestAlone(t *testing.T) {
	const text = "# what it does\nname: x # of the task\npayload:\n  env: {}\n  list: [a, b]\n"
	doc, problems := editor.Parse(text)
	if doc == nil {
		t.Fatal(problems)
	}
	e, err := doc.Edit(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Set("true", "payload", "env", "LENT"); err != nil {
		t.Fatal(err)
	}
	e.Keep(func(v any) bool { return v == "b" }, "payload", "list")
	got, err := e.Text()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("# what it does\nname: x # of the task\npayload:\n  env:\n    LENT: \"true\"\n  list: [b]\n", got); diff != "" {
		t.Error(diff)
	}
}

func TestLinesKnowTheirPlace(t *testing.T) {
	doc, _ := editor.Parse("a:\n  b: 1\n  c:\n    - x\n    - d: |\n        text\n        more\n")
	if diff := cmp.Diff([]string{"a", "a/b", "a/c", "a/c/0", "a/c/1/d", "a/c/1/d", "a/c/1/d"}, doc.Lines(7)); diff != "" {
		t.Error(diff)
	}
}

func TestSchemasSayWhere(t *testing.T) {
	s, err := editor.Of(json.RawMessage(`{"type": "object", "required": ["name"], "additionalProperties": false, "properties": {
		"name": {"type": "string", "description": "Its name."}, "more": {"type": "array", "items": {"type": "object", "properties": {"n": {"enum": [1, 2]}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := editor.Parse("more:\n  - n: 3\nother: 1\n")
	var got []string
	for _, p := range s.Check(doc) {
		got = append(got, p.Path+" "+strings.SplitN(p.Message, ":", 2)[0])
	}
	if diff := cmp.Diff([]string{` The definition lacks "name".`, "more/0/n more.0.n", `other The key "other" is not known here.`}, got); diff != "" {
		t.Error(diff)
	}
	var paths []string
	for _, h := range s.Help("") {
		paths = append(paths, h.Path)
	}
	if diff := cmp.Diff([]string{"name", "more", "more/*", "more/*/n"}, paths); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a: 1", "{\"a\": [1, 2]}", "a: &a [*a]", "<<: {a: 1}\nb: 2", "\t- x", "- - -", "? [a]\n: b", "a: 1e400", "%YAML 1.2\n---\na: 2020-01-01"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, problems := editor.Parse(text)
		if doc == nil {
			if len(problems) == 0 {
				t.Error("neither a document nor a problem")
			}
			return
		}
		doc.Lines(20)
		if _, err := doc.JSON(); err != nil {
			t.Error(err)
		}
		if out, err := doc.JSONText(); err == nil && !json.Valid([]byte(out)) {
			t.Errorf("%q becomes %q", text, out)
		}
	})
}
