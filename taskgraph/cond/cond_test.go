package cond_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/cond"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

func scope(t testing.TB) *cond.Scope {
	t.Helper()
	p, err := params.FromMap(map[string]any{"level": "3", "project": "x", "tasks_for": "github-pull-request-untrusted", "head_ref": "refs/heads/main",
		"files_changed": []any{"src/a.py", "docs/b.md"}, "extra": map[string]any{"n": int64(4)}}, false)
	if err != nil {
		t.Fatal(err)
	}
	return cond.NewScope(p)
}

func TestEval(t *testing.T) {
	s := scope(t)
	task := map[string]any{"attributes": map[string]any{"n": int64(2)}, "tags": []any{"a"}}
	for source, want := range map[string]bool{
		`level >= 3 && project == 'x'`:                    true,
		`level > 3`:                                       false,
		`branch == "main" and head_ref != branch`:         true,
		`is_pull_request`:                                 true,
		`changed("src/**")`:                               true,
		`changed("tests", "*.md")`:                        false,
		`any(files_changed, # endsWith ".md")`:            true,
		`params.extra.n == 4`:                             true,
		`task.attributes.n == 2 && 'a' in task.tags`:      true,
		`task.missing?.deep == nil`:                       true,
		`kind == 'k' && name matches '^n[0-9]$'`:          true,
		`tasks_for in ['cron', 'action']`:                 false,
		`version == "" && next_version == ""`:             true,
		`project startsWith 'x' ? level == 3 : level < 0`: true,
	} {
		c, err := cond.Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := c.Eval(s, "k", "n1", task); err != nil || got != want {
			t.Errorf("%s: %v, %v", source, got, err)
		}
	}
}

func TestCompileSaysWhereAndWhat(t *testing.T) {
	for source, want := range map[string]string{
		`level >= '3'`:                       `column 7: invalid operation: >= (mismatched types int and string)`,
		`levle > 1`:                          `column 1: unknown name levle`,
		`level >`:                            `column 7: unexpected token EOF`,
		`project`:                            `expected bool, but got string`,
		"level > 1 &&\n  projct == 'x'":      `line 2, column 3: unknown name projct`,
		`now() == now()`:                     `column 1: `,
		`changed(1)`:                         `column 9: cannot use int as argument`,
		strings.Repeat("level > 1 && ", 300): `longer than 2000 bytes`,
		`any(files_changed, any(files_changed, any(files_changed, # == 'x')))`: `predicates nested more than 2 deep`,
		``: `unexpected token EOF`,
	} {
		_, err := cond.Compile(source)
		var e *cond.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v does not say %q", source, err, want)
		}
	}
	if _, err := cond.Compile(`any(files_changed, # == 'x') && any(files_changed, any(files_changed, # == 'x'))`); err != nil {
		t.Errorf("two deep is refused: %v", err)
	}
}

func TestMistakesAreShownWithACaret(t *testing.T) {
	for source, want := range map[string]string{
		"level >= '3'":                    "column 7: invalid operation: >= (mismatched types int and string)\n    level >= '3'\n          ^",
		"level > 1 &&\n  projct == 'x'\n": "line 2, column 3: unknown name projct; is \"project\" meant?\n      projct == 'x'\n      ^",
		"changd('a')":                     "column 1: unknown name changd; is \"changed\" meant?\n    changd('a')\n    ^",
		"shipping_phase == 'x'":           "column 1: unknown name shipping_phase (parameters of the tree's own are in params, as params.shipping_phase)\n    shipping_phase == 'x'\n    ^",
		"'äöü' == projct":                 "column 10: unknown name projct; is \"project\" meant?\n    'äöü' == projct\n             ^",
		"project":                         "expected bool, but got string\n    project",
		strings.Repeat("level > 1 && ", 20) + "x > 1": "column 261: unknown name x",
	} {
		_, err := cond.Compile(source)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\n%v\nis not\n%s", source, err, want)
		}
	}
	_, err := cond.Compile(strings.Repeat("level > 1 && ", 20) + "x > 1")
	lines := strings.Split(err.Error(), "\n")
	if at := strings.Index(lines[2], "^"); len(lines) != 3 || []rune(lines[1])[at] != 'x' {
		t.Errorf("the caret is not below x:\n%v", err)
	}
}

func TestOnlyWhatIsListedCanBeCalled(t *testing.T) {
	for _, source := range []string{
		`now() == now()`, `repeat("a", 3) == ""`, `join(files_changed, "") == ""`, `toJSON(task) == ""`, `reduce(files_changed, #acc + #, "") == ""`, `len(concat(files_changed, files_changed)) > 0`,
		`flatten([[1]]) == [1]`, `string(task) == ""`, `replace(project, "a", "b") == ""`, `fromJSON("1") == 1`, `sortBy(files_changed, #) == []`, `groupBy(files_changed, #) == {}`, `sum(files_changed, len(#)) > 0`, `sort(files_changed) == []`, `date("2020-01-01") == nil`,
	} {
		if _, err := cond.Compile(source); err == nil {
			t.Errorf("%s is accepted", source)
		}
	}
	args := map[string]string{
		"abs": "(-1) == 1", "all": "(files_changed, # != '')", "any": "(files_changed, # != '')", "changed": "('src')", "count": "(files_changed, # != '') > 0", "filter": "(files_changed, # != '') != []",
		"find": "(files_changed, # != '') != nil", "findIndex": "(files_changed, # != '') == 0", "first": "(files_changed) != nil", "float": "(level) > 0.0", "get": "(task, 'n') == 1", "hasPrefix": "('ab', 'a')",
		"hasSuffix": "('ab', 'b')", "indexOf": "('ab', 'b') == 1", "int": "('1') == 1", "keys": "(task) != []", "last": "(files_changed) != nil", "lastIndexOf": "('ab', 'b') == 1", "len": "(files_changed) > 0",
		"lower": "('A') == 'a'", "map": "(files_changed, len(#)) != []", "max": "(1, 2) == 2", "min": "(1, 2) == 1", "none": "(files_changed, # == '')", "one": "(files_changed, # endsWith '.py')", "split": "('a-b', '-') == ['a', 'b']",
		"trim": "(' a') == 'a'", "trimPrefix": "('ab', 'a') == 'b'", "trimSuffix": "('ab', 'b') == 'a'", "type": "(task) == 'map'", "upper": "('a') == 'A'", "values": "(task) != []",
	}
	s := scope(t)
	for _, name := range cond.Functions() {
		c, err := cond.Compile(name + args[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if ok, err := c.Eval(s, "k", "n", map[string]any{"n": int64(1)}); !ok || err != nil {
			t.Errorf("%s: %v, %v", name+args[name], ok, err)
		}
	}
	if names := cond.Names(); len(names) != 26 || names[0] != "base_ref" {
		t.Errorf("names are %v", names)
	}
}

func TestConditionsEndSoon(t *testing.T) {
	files := make([]any, 3_000)
	for i := range files {
		files[i] = fmt.Sprintf("src/%d/file.py", i)
	}
	p, err := params.FromMap(map[string]any{"files_changed": files}, false)
	if err != nil {
		t.Fatal(err)
	}
	s := cond.NewScope(p)
	for source, ends := range map[string]bool{
		`any(files_changed, # endsWith ".md")`: false, `any(files_changed, # == "src/2999/file.py")`: false, `len(filter(files_changed, # startsWith "src/1")) > 3`: false,
		`changed("docs/**")`: false, `any(files_changed, # in ["a", "b"])`: false, `any(split(project, "-"), # in files_changed)`: false,
		`any(files_changed, any(files_changed, # == "x"))`: true, `any(files_changed, "x" + # in files_changed)`: true, `all(files_changed, changed(#))`: true,
		`count(files_changed, indexOf(#, "z") > 0 || # + "x" in params.files_changed) > 0`: true, `all(files_changed, len(split(#, "")) < len(map(files_changed, #)))`: true,
		`len(map(1..2000000, files_changed)) == 0`: true,
	} {
		c, err := cond.Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		began := time.Now()
		_, err = c.Eval(s, "k", "n", map[string]any{})
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s took %v", source, took)
		}
		if long := err != nil && (strings.Contains(err.Error(), "takes too long") || strings.Contains(err.Error(), "memory budget")); long != ends {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestEvalFaults(t *testing.T) {
	s := scope(t)
	for source, want := range map[string]string{
		`task.text`:                    "invalid operation: bool(string)",
		`task.text > 3`:                "",
		`len(1..100000000) > 0`:        "memory budget exceeded",
		`any(1..100000000, # == 0)`:    "memory budget exceeded",
		`name matches task.expression`: "error parsing regexp",
	} {
		c, err := cond.Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		_, err = c.Eval(s, "k", "n", map[string]any{"text": "a", "expression": "("})
		var e *cond.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", source, err, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{`level >= 3 && project == 'x'`, `any(files_changed, # endsWith ".md")`, `map(1..9, repeat("a", #))[0] == ""`, `params["a"]?.b ?? true`, `let x = 1; x > 0`} {
		f.Add(s)
	}
	s := scope(f)
	f.Fuzz(func(t *testing.T, source string) {
		c, err := cond.Compile(source)
		if err != nil {
			var e *cond.Error
			if !errors.As(err, &e) {
				t.Fatalf("%T", err)
			}
			return
		}
		c.Eval(s, "k", "n", map[string]any{"a": "b"}) // must only end
	})
}
