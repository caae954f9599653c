package form_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/ui/form"
)

const every = `{
  "type": "object", "required": ["flavor", "count"],
  "definitions": {"job": {"type": "object", "properties": {"label": {"type": "string"}, "times": {"type": "integer", "default": 1}, "force": {"type": "boolean"}}}},
  "properties": {
    "flavor": {"type": "string", "enum": ["promote", "ship"], "title": "Flavor", "description": "Which **phase**."},
    "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
    "ratio": {"type": "number"},
    "dry": {"type": "boolean", "default": true},
    "kinds": {"type": "array", "items": {"type": "string"}, "default": ["a", "b"]},
    "parts": {"type": "array", "items": {"enum": [1, 2, 3]}},
    "jobs": {"type": "array", "items": {"$ref": "#/definitions/job"}, "maxItems": 2},
    "where": {"type": "object", "properties": {"host": {"type": "string", "pattern": "^h"}, "deep": {"type": "object", "properties": {"er": {"type": "string", "maxLength": 9000}}}}},
    "free": {"oneOf": [{"type": "string"}, {"type": "object"}]},
    "a/b": {"type": "string"}
  }
}`

func schema(t testing.TB, text string) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// outline is a form in lines.
func outline(f *form.Field, indent string) string {
	line := fmt.Sprintf("%s%s %s %q", indent, f.Kind, f.Name, f.Value)
	if len(f.Values) > 0 || len(f.Options) > 0 {
		line += fmt.Sprintf(" %v of %v", f.Values, f.Options)
	}
	if f.Required {
		line += " required"
	}
	if f.Min+f.Max != "" {
		line += " " + f.Min + ".." + f.Max
	}
	for _, e := range f.Errors {
		line += " !" + e
	}
	out := line + "\n"
	for _, c := range f.Fields {
		out += outline(c, indent+"  ")
	}
	return out
}

func TestAFormHasAFieldForEachPartOfTheSchema(t *testing.T) {
	want := `group in "" required
  number in/count "3" required 1..9
  choice in/flavor "" [] of [promote ship] required
  text in/a%2Fb ""
  switch in/dry "true"
  yaml in/free ""
  list in/jobs ""
    group in/jobs/0 ""
      switch in/jobs/0/force ""
      text in/jobs/0/label ""
      number in/jobs/0/times "1"
  lines in/kinds "a\nb"
  choices in/parts "" [] of [1 2 3]
  number in/ratio ""
  group in/where ""
    group in/where/deep ""
      area in/where/deep/er ""
    text in/where/host ""
`
	if diff := cmp.Diff(want, outline(form.New(schema(t, every), nil), "")); diff != "" {
		t.Error(diff)
	}
}

func TestWhatTheBrowserSendsIsTheValueAgain(t *testing.T) {
	s := schema(t, every)
	sent := url.Values{
		"in/count": {"4"}, "in/flavor": {"ship"}, "in/a%2Fb": {"x"}, "in/dry?": {""}, "in/free": {"{a: [1, 2.5, null]}"},
		"in/jobs#": {"3"}, "in/jobs/0/force?": {""}, "in/jobs/0/times": {"1"}, "in/jobs/1/label": {"build"}, "in/jobs/1/times": {"2"}, "in/jobs/1/force?": {""}, "in/jobs/1/force": {"true"},
		"in/kinds": {"one\r\n\r\n two \r\n"}, "in/parts": {"2", "3"}, "in/ratio": {"0.5"}, "in/where/deep/er": {"a\r\nb"}, "in/nobody": {"asked"},
	}
	got, problems := form.Read(s, sent)
	want := map[string]any{
		"count": int64(4), "flavor": "ship", "a/b": "x", "dry": false, "free": map[string]any{"a": []any{int64(1), 2.5, nil}},
		"jobs":  []any{map[string]any{"label": "build", "times": int64(2), "force": true}},
		"kinds": []any{"one", "two"}, "parts": []any{2.0, 3.0}, "ratio": 0.5, "where": map[string]any{"deep": map[string]any{"er": "a\nb"}},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(problems) > 0 {
		t.Error(diff, problems)
	}
	again := outline(form.New(s, got), "")
	for _, line := range []string{`number in/count "4"`, `choice in/flavor "ship"`, `switch in/dry "false"`, `text in/jobs/0/label "build"`, `choices in/parts "" [2 3]`, `lines in/kinds "one\ntwo"`} {
		if !strings.Contains(again, line) {
			t.Errorf("the form that is shown again lacks %s:\n%s", line, again)
		}
	}
}

func TestComplaintsStandAtTheirFields(t *testing.T) {
	s := schema(t, every)
	got, problems := form.Read(s, url.Values{"in/count": {"many"}, "in/ratio": {"1e999"}, "in/free": {"[1"}, "in/flavor": {"none"}})
	f := form.New(s, got)
	for _, p := range problems {
		f.Complain(p.Path, p.Message)
	}
	f.Complain([]string{"where", "host"}, "is wrong")
	f.Complain([]string{"jobs", "7", "label"}, "is missing")
	f.Complain(nil, "is no good")
	text := outline(f, "")
	for _, line := range []string{`count "3" required 1..9 !"many" is no number`, `ratio "" !"1e999" is no number`, `in/where/host "" !is wrong`, `list in/jobs "" !7.label: is missing`, `group in "" required !is no good`, "in/free \"\" !line 1"} {
		if !strings.Contains(text, line) {
			t.Errorf("there is no %s in\n%s", line, text)
		}
	}
	if !f.Faulty() {
		t.Error("it is not faulty")
	}
}

func TestTheWholeValueAsText(t *testing.T) {
	s := schema(t, every)
	if got := form.Raw(s, nil).Value; !strings.Contains(got, "count: 3\n") || !strings.Contains(got, "- a\n") {
		t.Errorf("%s", got)
	}
	got, problems := form.ReadRaw(url.Values{"in": {"flavor: ship\ncount: 2\n"}})
	if diff := cmp.Diff(map[string]any{"flavor": "ship", "count": int64(2)}, got); diff != "" || len(problems) > 0 {
		t.Error(diff, problems)
	}
	for name, text := range map[string]string{"a tab": "a:\n\t- b", "a date": "a: 2020-01-01", "no number": "a: .inf", "a bomb": "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g,*g]"} {
		began := time.Now()
		if _, problems := form.ReadRaw(url.Values{"in": {text}}); len(problems) != 1 {
			t.Errorf("%s: %v", name, problems)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// Whatever a schema says and a browser sends, there is a form, and reading ends.
func FuzzForm(f *testing.F) {
	f.Add(every, "in/count=4&in/jobs%23=3&in/jobs/0/label=x")
	f.Add(`{"$ref": "#", "properties": {"a": {"$ref": "#"}}}`, "in=x")
	f.Add(`{"properties": {"a": {"items": {"properties": {"a": {"type": "array", "items": {"$ref": "#"}}}}, "type": "array"}}}`, "in/a%23=99999999")
	f.Add(`{"properties": {"a": {"type": "array", "items": {"$ref": "#/properties/a"}}}}`, "in/a=x")
	f.Add(`{"type": "array", "items": true, "enum": [null, {}]}`, "in=[")
	f.Fuzz(func(t *testing.T, text, query string) {
		var s map[string]any
		values, err := url.ParseQuery(query)
		if json.Unmarshal([]byte(text), &s) != nil || s == nil || err != nil {
			return
		}
		form.New(s, nil)
		form.Raw(s, nil)
		got, _ := form.Read(s, values)
		form.New(s, got)
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("%v cannot be sent: %v", got, err)
		}
	})
}
