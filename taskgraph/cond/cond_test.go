package cond_test

import (
	"errors"
	"strings"
	"testing"

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
