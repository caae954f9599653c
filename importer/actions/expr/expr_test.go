package expr_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/taskgraph/cond"
)

func known() *expr.Scope {
	s := expr.NewScope().With("matrix", map[string]any{"os": "ubuntu-latest", "n": 3.0, "on": true, "deep": map[string]any{"a": []any{"x", "y"}}}, true)
	s.Static["github.repository"] = "acme/app"
	s.Means["inputs.ref"] = &expr.Expr{Op: "path", Name: "github.ref"}
	return s
}

func TestTextsAreFilledWithWhatIsKnown(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "${{ matrix.os }}": "ubuntu-latest", "a-${{matrix.n}}-${{ matrix['on'] }}": "a-3-true", "${{ matrix.none }}": "",
		"${{ matrix.deep.a[1] }}": "y", "${{ matrix.n > 2 && 'more' || 'less' }}": "more", "${{ !matrix.on }}": "false",
		"${{ contains(matrix.os, 'UBUNTU') }}": "true", "${{ startsWith('abc', 'B') }}": "false", "${{ endsWith('abc', 'C') }}": "true",
		"${{ format('{0}/{1} {{x}}', matrix.os, 2) }}": "ubuntu-latest/2 {x}", "${{ join(matrix.deep.a, '+') }}": "x+y", "${{ contains(matrix.deep.a, 'y') }}": "true",
		"${{ fromJSON('[1,{\"a\":\"b\"}]')[1].a }}": "b", "${{ 'it''s' }}": "it's", "${{ 1 == '1' }}": "true", "${{ null == '' }}": "true", "${{ 0x10 }}": "16",
		"${{ '}}' }}": "}}", "${{ 'A' == 'a' }}": "true", "${{ 'x' < 'y' }}": "true",
	} {
		if got, ok := known().Fill(in); !ok || got != want {
			t.Errorf("%s: %q %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"${{ github.sha }}", "${{ hashFiles('x') }}", "${{ matrix.os", "${{ a b }}", "${{ 'x }}", "${{ (1 }}", "${{ f(1 }}", "${{ # }}", "${{ a. }}", "${{ a[1 }}", "${{ inputs.ref }}",
		"${{ " + strings.Repeat("(", 100) + "1" + strings.Repeat(")", 100) + " }}", "${{ " + strings.Repeat("!", 1000) + "1 }}", "${{ " + strings.Repeat("a.", 300) + "b }}", "${{ 1" + strings.Repeat(" || 1", 1000) + " }}"} {
		if got, ok := known().Fill(in); ok {
			t.Errorf("%.60s gives %q", in, got)
		}
	}
}

// TestConditionsSayTheSame: what is made of an if compiles as a condition of Treeline.
func TestConditionsSayTheSame(t *testing.T) {
	for in, want := range map[string]string{
		"github.event_name == 'push'":                                        `tasks_for in ["git-push", "github-push", "hg-push"]`,
		"github.event_name != 'pull_request'":                                "!is_pull_request",
		"github.ref == 'refs/heads/main'":                                    `branch == "main" && !is_pull_request`,
		"'refs/heads/main' == github.ref":                                    `branch == "main" && !is_pull_request`,
		"startsWith(github.ref, 'refs/tags/v')":                              `head_tag startsWith "v"`,
		"startsWith(github.ref, 'refs/tags/')":                               `head_tag != ""`,
		"!startsWith(github.ref, 'refs/heads/release/')":                     `!(!is_pull_request && head_tag == "" && branch startsWith "release/")`,
		"github.ref_type == 'tag' || github.ref_name == 'main'":              `head_tag != "" || ((branch == "main" || head_tag == "main") && !is_pull_request)`,
		"github.event_name == 'schedule' && matrix.on":                       `tasks_for == "cron"`,
		"matrix.on == false && github.sha":                                   "false",
		"always()":                                                           "always: true",
		"!cancelled() && github.base_ref == 'main'":                          `always: is_pull_request && trimPrefix(base_ref, "refs/heads/") == "main"`,
		"github.repository == 'acme/app' && success()":                       "true",
		"github.repository_owner == 'acme'":                                  "?",
		"github.actor != 'dependabot[bot]'":                                  `!(owner startsWith "dependabot@")`,
		"contains(github.ref, 'refs/tags/')":                                 `head_tag != ""`,
		"contains(fromJSON('[\"main\",\"dev\"]'), github.ref_name)":          `((branch == "main" || head_tag == "main") && !is_pull_request) || ((branch == "dev" || head_tag == "dev") && !is_pull_request)`,
		"github.event.pull_request.head.repo.full_name == github.repository": `tasks_for != "github-pull-request-untrusted"`,
		"github.event.pull_request.head.repo.fork == true":                   `tasks_for == "github-pull-request-untrusted"`,
		"github.head_ref != ''":                                              "is_pull_request",
		"inputs.ref == 'refs/tags/v1'":                                       `head_tag == "v1"`,
		"github.event_name == 'issues'":                                      "false",
		"failure()":                                                          "?",
		"contains(github.event.head_commit.message, 'x')":                    "?",
		"needs.a.outputs.b == 'true'":                                        "?",
		"github.event.action == 'closed'":                                    "?",
		"vars.X":                                                             "?",
	} {
		e, err := expr.Parse(in)
		if err != nil {
			t.Fatal(in, err)
		}
		got := "?"
		if c, ok := expr.ToCondition(known().Fold(e)); ok {
			if got = c.Text; c.Always {
				got = "always: " + got
			}
			if _, err := cond.Compile(c.Text); err != nil {
				t.Errorf("%s: %v", in, err)
			}
		}
		if got != want {
			t.Errorf("%s:\n is %s\nnot %s", in, got, want)
		}
	}
}

func TestFiltersOfNames(t *testing.T) {
	for _, c := range []struct {
		globs []string
		want  string
	}{
		{[]string{"main"}, `branch == "main"`},
		{[]string{"main", "dev"}, `branch in ["main", "dev"]`},
		{[]string{"main", "release/**"}, `branch == "main" || branch matches "^release/.*$"`},
		{[]string{"v[0-9]+.*"}, `branch matches "^v[0-9]+\\.[^/]*$"`},
		{[]string{"**", "!docs/**"}, `branch matches "^.*$" && !(branch matches "^docs/.*$")`},
		{[]string{"**.é"}, `branch matches "^.*\\.é$"`},
	} {
		got, ok := expr.AnyOf("branch", c.globs)
		if diff := cmp.Diff(c.want, got); diff != "" || !ok {
			t.Errorf("%v: %v %s", c.globs, ok, diff)
		}
		if _, err := cond.Compile(got); err != nil {
			t.Error(err)
		}
	}
	for _, glob := range []string{"*[z-a]", strings.Repeat("*a", 500)} {
		if got, ok := expr.AnyOf("branch", []string{glob}); ok {
			t.Errorf("%s gives %s", glob, got)
		}
	}
}

// FuzzExpressions: reading, computing and translating end, and conditions compile.
func FuzzExpressions(f *testing.F) {
	for _, seed := range []string{"a.b == 'c' && !d()", "format('{0}{0}', matrix.os)", "github.ref == 'refs/heads/\"'", "matrix.deep.a[0] || (1 < 2)", "contains(github.ref_name, 'x')", "((((", "fromJSON('{')"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := expr.Parse(in)
		if err != nil {
			return
		}
		folded := known().Fold(e)
		_ = folded.String()
		c, ok := expr.ToCondition(folded)
		if _, err := cond.Compile(c.Text); ok && err != nil && len(c.Text) < 500 {
			t.Errorf("%q: %s: %v", in, c.Text, err)
		}
	})
}
