package why_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// record is what a decision wrote down about one task of each fate.
func record(made string) *explain.Record {
	at := func(line int) explain.Provenance {
		return explain.Provenance{Kind: "test", File: "taskcluster/kinds/test/kind.yml", Line: line, Entry: "unit"}
	}
	r := &explain.Record{Kinds: []string{"test"}, Tasks: map[string]explain.Recorded{
		"test-unit": {Provenance: at(3), TaskID: made}, "test-docs": {Provenance: at(9)}, "test-nightly": {Provenance: at(15)}, "test-cached": {Provenance: at(21)},
	}}
	for _, label := range []string{"test-unit", "test-docs", "test-cached"} {
		r.Select(explain.Selection{Label: label, Filter: "target_tasks_method: default", Kept: true, Rule: "runs for this project and event"})
	}
	r.Select(explain.Selection{Label: "test-nightly", Filter: "target_tasks_method: default", Rule: "cron: runs only when cron asks for it", Input: "cron: true"})
	r.Optimize(explain.Optimization{Label: "test-unit", Phase: "remove", Outcome: explain.Kept, Strategy: "skip-unless-changed", Reason: "changed file src/a.c matches src/**"})
	r.Optimize(explain.Optimization{Label: "test-docs", Phase: "remove", Outcome: explain.Removed, Strategy: "skip-unless-changed", Reason: "none of 1 changed files matches"})
	r.Optimize(explain.Optimization{Label: "test-cached", Phase: "replace", Outcome: explain.Replaced, Strategy: "index-search", TaskID: "Ck6H5RzFTomOeX9C8lZOHA", Reason: "found at td.v1.cached"})
	return r
}

func TestWhy(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "sample")
	err := s.Push.Register(t.Context(), push.Repository{Name: "forge", Kind: push.GitHub, URL: "https://github.com/acme/forge", Level: 1, DefaultBranch: "main"})
	if err != nil {
		t.Fatal(err)
	}
	p := s.Record(t, push.Push{Repository: "forge", Revision: strings.Repeat("ab", 20)})
	group, ids := s.Decide(t, p, uitest.Job{State: task.Pending, Name: "test-unit", Changes: []func(*task.Definition){func(d *task.Definition) {
		d.Tags = map[string]string{"label": "test-unit"}
	}}})
	s.Explain(t, group, record(ids[0]))
	lone := s.Task(t, task.Pending, uitest.Named("nobody decided it"), queuetest.OnQueue("test/lone"))
	get := func(path string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	for _, c := range []struct {
		name, path string
		code       int
		want       []string
	}{
		{"a task that runs names the rule, where it stands, and why it waits", "/ui/api/why/" + ids[0], 200, []string{
			"runs for this project and event, and changed file src/a.c matches src/** (skip-unless-changed).", `"rule":"taskcluster/kinds/test/kind.yml:3"`,
			`"source":"https://github.com/acme/forge/blob/` + strings.Repeat("ab", 20) + `/taskcluster/kinds/test/kind.yml#L3"`, `"link":"/why/` + group + `?label=test-unit"`,
			`"waits":"It is next in line. No worker asked for work`,
		}},
		{"a task without a record has no rule, and says why it waits", "/ui/api/why/" + lone, 200, []string{`"text":""`, `"waits":"It is next in line.`}},
		{"the decision task is there because of the push", "/ui/api/why/" + group, 200, []string{`It runs because Ada Lovelace pushed to main`, `"link":"/why/` + group + `"`}},
		{"one that was left out", "/why/" + group + "?label=test-docs", 200, []string{"<b>left out</b>: It was left out: none of 1 changed files matches (skip-unless-changed).", "kind.yml:9</code></a>"}},
		{"one that was not wanted", "/why/" + group + "?label=test-nightly", 200, []string{"<b>not wanted</b>: It was not wanted", "cron: runs only when cron asks for it (cron: true)."}},
		{"one that another task stands in for", "/why/" + group + "?label=test-cached", 200, []string{"<b>replaced</b>: Task Ck6H5RzFTomOeX9C8lZOHA stands in for it: found at td.v1.cached", `href="/tasks/Ck6H5RzFTomOeX9C8lZOHA"`}},
		{"one that no kind makes", "/why/" + group + "?label=test-unti", 404, []string{"<b>not made</b>", "test-unit"}},
		{"all of them, those of one outcome, and a filter", "/why/" + group + "?outcome=removed&q=DOCS", 200, []string{"It was left out", `run <span class="n">1</span>`, `replaced <span class="n">1</span>`}},
		{"a group that recorded nothing", "/why/" + lone, 404, []string{"recorded no graph"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, body := get(c.path)
			if code != c.code {
				t.Errorf("the answer is %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(body, want) {
					t.Errorf("%q is not in %s", want, body)
				}
			}
		})
	}
}
