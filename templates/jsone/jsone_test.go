package jsone_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/templates/jsone"
)

func decode(t testing.TB, text string) any {
	t.Helper()
	v, err := jsone.DecodeJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOwnCases(t *testing.T) {
	file, err := os.Open("testdata/cases.yml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	passed, failed, err := jsone.RunSpec(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failed {
		t.Error(f)
	}
	if passed < 20 {
		t.Errorf("only %d cases ran", passed)
	}
}

func TestRunSpecReportsWhatFails(t *testing.T) {
	const cases = "section: s\n---\ntitle: t\ntemplate: {$eval: '1+1'}\ncontext: {}\nresult: 3\n---\ntitle: e\ntemplate: 1\nerror: true\n" +
		"---\ntitle: text\ntemplate: {$eval: 1}\nerror: 'TemplateError: other'\n"
	passed, failed, err := jsone.RunSpec(strings.NewReader(cases))
	if err != nil || passed != 0 || len(failed) != 3 {
		t.Fatalf("passed %d, failed %v, %v", passed, failed, err)
	}
	want := jsone.SpecFailure{Section: "s", Title: "t", Line: 2, Want: "3", Got: "2"}
	if diff := cmp.Diff(want, failed[0]); diff != "" {
		t.Error(diff)
	}
}

func TestHostileTemplatesMeetALimit(t *testing.T) {
	nest := func(open, inner, end string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	tests := map[string]string{
		"a huge range":         `{"$eval": "range(0, 1000000000000)"}`,
		"a range of nothing":   `{"$eval": "len(range(0, 2 ** 1000))"}`,
		"nested $map":          nest(`{"$map": {"$eval": "range(0, 100)"}, "each(x)": `, `1`, `}`, 6),
		"doubling a string":    `{"$reduce": {"$eval": "range(0, 60)"}, "initial": "x", "each(a,b)": {"$eval": "a + a"}}`,
		"doubling a text":      `{"$reduce": {"$eval": "range(0, 60)"}, "initial": "x", "each(a,b)": "${a}${a}"}`,
		"sharing a list":       `{"$reduce": {"$eval": "range(0, 60)"}, "initial": [], "each(a,b)": {"$eval": "[a, a]"}}`,
		"printing shared":      `{"$json": {"$reduce": {"$eval": "range(0, 60)"}, "initial": [], "each(a,b)": {"$eval": "[a, a]"}}}`,
		"comparing shared":     `{"$let": {"l": {"$reduce": {"$eval": "range(0, 60)"}, "initial": [], "each(a,b)": {"$eval": "[a, a]"}}}, "in": {"$eval": "l == l && l in [l]"}}`,
		"flattening shared":    `{"$flattenDeep": {"$reduce": {"$eval": "range(0, 60)"}, "initial": [], "each(a,b)": {"$eval": "[a, a]"}}}`,
		"joining shared":       `{"$eval": "join([range(0, 300000), range(0, 300000), range(0, 300000), range(0, 300000)], 'separatorseparator') + join(range(0, 400000), 'separatorseparatorseparatorseparatorseparatorseparatorseparatorseparatorseparatorseparator')"}`,
		"a deep result":        `{"$reduce": {"$eval": "range(0, 5000)"}, "initial": [], "each(a,b)": {"$eval": "[a]"}}`,
		"a deep expression":    `{"$eval": "` + nest("(", "1", ")", 5000) + `"}`,
		"many signs":           `{"$eval": "` + nest("-", "1", "", 100000) + `"}`,
		"many powers":          `{"$eval": "` + nest("1 ** ", "1", "", 5000) + `"}`,
		"a long sum":           `{"$eval": "` + nest("1 + ", "1", "", 5000) + `"}`,
		"a deep template":      nest("[", "1", "]", 3000),
		"growing by $flatten":  `{"$reduce": {"$eval": "range(0, 60)"}, "initial": [1], "each(a,b)": {"$flatten": [{"$eval": "a"}, {"$eval": "a"}]}}`,
		"growing by mergeDeep": `{"$reduce": {"$eval": "range(0, 60)"}, "initial": {"l": [1]}, "each(a,b)": {"$mergeDeep": [{"$eval": "a"}, {"$eval": "a"}]}}`,
	}
	for name, template := range tests {
		t.Run(name, func(t *testing.T) {
			var v any
			v, err := jsone.DecodeJSON([]byte(template))
			if err != nil {
				if name == "a deep template" && strings.Contains(err.Error(), "levels deep") {
					return
				}
				t.Fatal(err)
			}
			start := time.Now()
			_, err = jsone.Render(v, nil, jsone.Options{})
			var e *jsone.Error
			if !errors.As(err, &e) || e.Class != jsone.LimitError && e.Class != jsone.BuiltinError {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestPathLeadsToTheFault(t *testing.T) {
	tests := []struct{ template, where, text string }{
		{`{"tasks": {"$if": "true", "then": [{"a": {"$eval": "nope"}}]}}`, "tasks.then[0].a.$eval",
			"InterpreterError at template.tasks[0].a: unknown context value nope"},
		{`[{"$let": {"x": 1}, "in": {"k": "${x + }"}}]`, "[0].in.k", "SyntaxError at template[0].k: an operand is missing"},
		{`{"$map": [1], "each(x)": {"${x.y}": 1}}`, "each(x).${x.y}", "InterpreterError: infix: . expects objects"},
		{`{"$merge": [{"$switch": {"1 +": 2}}]}`, `$merge[0].$switch.1 +`, "SyntaxError at template[0]: Unexpected end of input"},
		{`{"$if": "1", "other": 2}`, "other", "TemplateError: $if has undefined properties: other"},
	}
	for _, tt := range tests {
		_, err := jsone.Render(decode(t, tt.template), nil, jsone.Options{})
		var e *jsone.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", tt.template, err)
			continue
		}
		if got := strings.NewReplacer(`["`, `.`, `"]`, ``).Replace(e.Where()); got != tt.where || e.Error() != tt.text {
			t.Errorf("%s:\n got %s, %s\nwant %s, %s", tt.template, got, e, tt.where, tt.text)
		}
	}
}

func TestRenderLeavesItsInputsAlone(t *testing.T) {
	list := []any{1.0, 2.0}
	template, err := jsone.Compile(map[string]any{"r": map[string]any{"$reverse": map[string]any{"$eval": "l"}},
		"i": map[string]any{"$reverse": map[string]any{"$reduce": []any{}, "initial": []any{1.0, 2.0}, "each(a,b)": nil}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := template.Render(map[string]any{"l": list}, jsone.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if text := string(jsone.AppendJSON(nil, got)); text != `{"i":[2,1],"r":[2,1]}` {
			t.Error(text)
		}
	}
	if diff := cmp.Diff([]any{1.0, 2.0}, list); diff != "" {
		t.Error(diff)
	}
}

func TestContextFunctions(t *testing.T) {
	double := &jsone.Function{Name: "double", Call: func(args []any) (any, error) {
		if len(args) != 1 {
			return nil, errors.New("double wants one argument")
		}
		return []any{args[0], args[0]}, nil
	}}
	context := map[string]any{"double": double}
	got, err := jsone.Render(decode(t, `{"$eval": "double({a: 1})"}`), context, jsone.Options{})
	if text := string(jsone.AppendJSON(nil, got)); err != nil || text != `[{"a":1},{"a":1}]` {
		t.Errorf("%s, %v", text, err)
	}
	_, err = jsone.Render("${double()}", context, jsone.Options{})
	if err == nil || err.Error() != "BuiltinError: double wants one argument" {
		t.Errorf("got %v", err)
	}
}

func TestTimeNeedsAClock(t *testing.T) {
	for _, template := range []string{`{"$fromNow": "1 day"}`, `{"$eval": "fromNow('1 day')"}`, `{"$eval": "now"}`} {
		if v, err := jsone.Render(decode(t, template), nil, jsone.Options{}); err == nil {
			t.Errorf("%s gives %v without a time", template, v)
		}
	}
}

func BenchmarkRenderDecision(b *testing.B) {
	template, err := jsone.Compile(decode(b, benchmarkTemplate))
	if err != nil {
		b.Fatal(err)
	}
	context := map[string]any{"event": map[string]any{"repo": "a"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := template.Render(context, jsone.Options{Now: jsone.SpecTime}); err != nil {
			b.Fatal(err)
		}
	}
}

const benchmarkTemplate = `{"$let": {"trusted": {"$eval": "event.repo in ['a', 'b']"}}, "in": {
	"tasks": {"$map": {"$eval": "range(0, 20)"}, "each(i)": {"$if": "i >= 0 && trusted", "then": {
		"name": "task-${i} of ${event.repo}", "env": {"$merge": [{"A": "${i + 1}"}, {"$if": "trusted", "then": {"LEVEL": "3"}, "else": {}}]},
		"created": {"$fromNow": ""}, "deadline": {"$fromNow": "1 day"}}}}}}`

// FuzzRender renders any template data; it must end in a result or a typed error, within the limits.
func FuzzRender(f *testing.F) {
	for _, seed := range []string{benchmarkTemplate, `"${a + 'b'}"`, `{"$eval": "a[1:-1][0].b(c, -d) in {x: 1}"}`,
		`{"$sort": [1, 2], "by(x)": "-x"}`, `{"$switch": {"true": 1}}`, `["$${x}", "${"]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := jsone.DecodeJSON(text)
		if err != nil {
			return
		}
		context := map[string]any{"a": "text", "b": []any{1.0, "x"}, "event": map[string]any{"repo": "a"}}
		result, err := jsone.Render(v, context, jsone.Options{Now: jsone.SpecTime, Limits: jsone.Limits{Steps: 20000, Output: 1 << 20}})
		var e *jsone.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("an untyped error: %v", err)
		}
		if err == nil {
			if _, err := jsone.DecodeJSON(jsone.AppendJSON(nil, result)); err != nil {
				t.Fatalf("the result is no JSON: %v", err)
			}
		}
	})
}
