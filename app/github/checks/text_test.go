package checks_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/task"
)

func TestAFailedTaskShowsWhy(t *testing.T) {
	w := newWorld(t)
	var offered []checks.Task
	w.server(func(d *checks.Deps) {
		d.Why = func(_ context.Context, _, name string) (string, error) {
			return "**Why it runs:** somebody wants " + name, nil
		}
		d.Offer = func(_ context.Context, c checks.Check, tasks []checks.Task) ([]checks.Action, string, error) {
			if c.Kind == checks.Aggregate {
				return nil, "", nil
			}
			offered = tasks
			return []checks.Action{{Label: "Rerun", Description: "Run it again", Identifier: "rerun"}}, "[Retrigger …](https://ci.example.com/form)", nil
		}
	})
	x := ids(2)
	w.build(x[0])
	w.create(x[0], x[1], "unit", func(d *task.Definition) { d.Metadata.Description = "Tests for @everybody" })
	var log strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&log, "[task 2026-01-02T03:04:05.678Z] line %d\n", i)
	}
	log.WriteString("[task 2026-01-02T03:04:05.678Z] \x1b[31merror: it does not fit\x1b[0m\n" + strings.Repeat("z", 5000) + "\n```\n[taskcluster:error] exit status 1\n")
	w.artifact(x[1], 0, "public/logs/live_backing.log", log.String())
	w.artifact(x[1], 0, "public/github/customCheckRunText.md", "## Coverage\n\n12 %")
	w.end(x[1], false)
	r := w.shows("unit", "completed", "failure")
	for _, want := range []string{
		"[Task](https://ci.example.com/tasks/" + x[1] + ")", "[live log](https://ci.example.com/tasks/" + x[1] + "/runs/0/logs/public/logs/live.log)", "[task group](",
		"| 0 | failed | `test-group/test-worker-1` |", "## Coverage", "3001: error: it does not fit", "<summary>The end of the log</summary>", "line 2999", "[Retrigger …](https://ci.example.com/form)",
	} {
		if !strings.Contains(r.Text, want) {
			t.Errorf("there is no %q in\n%s", want, r.Text)
		}
	}
	if strings.Contains(r.Text, "\x1b") || strings.Contains(r.Text, strings.Repeat("z", 600)) || len(r.Text) > 30_000 || strings.Contains(r.Summary, "@everybody") {
		t.Errorf("%d bytes:\n%s\n%s", len(r.Text), r.Summary, r.Text)
	}
	if !strings.Contains(r.Summary, "**Why it runs:** somebody wants unit") || len(r.Actions) != 1 || r.Actions[0] != "rerun" {
		t.Errorf("%+v", r)
	}
	if len(offered) != 1 || offered[0] != (checks.Task{ID: x[1], Name: "unit", State: task.Failed, Reason: task.ReasonFailed}) {
		t.Errorf("%+v", offered)
	}
}

func TestAnnotationsAreToldOnce(t *testing.T) {
	list := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,{"path": "src/a.go", "start_line": %d, "end_line": %d, "start_column": 3, "annotation_level": "warning", "message": "message %d"}`, i+1, i+1+i%2, i)
		}
		return "[" + strings.TrimPrefix(b.String(), ",") + "]"
	}
	for name, tt := range map[string]struct {
		extra, artifact, text string
		want                  int
		trouble               func(*world, int) // at the nth changing request
		note                  string
	}{
		"a few":             {artifact: list(3), want: 3},
		"in requests of 50": {artifact: list(120), want: 120},
		"an answer is lost between them": {artifact: list(120), want: 120, trouble: func(w *world, n int) {
			if n == 2 {
				w.gh.FailNextAfter(4, http.StatusBadGateway) // and its repetitions, which repeat nothing
			}
		}},
		"by another name": {extra: `{"github": {"customCheckRun": {"annotationsArtifactName": "public/own.json"}}}`, text: "public/own.json", artifact: list(2), want: 2},
		"not public":      {extra: `{"github": {"customCheckRun": {"annotationsArtifactName": "private/own.json"}}}`, text: "private/own.json", artifact: list(2), want: 0},
		"no JSON":         {artifact: "[", want: 0, note: "it is not a JSON list of annotations"},
		"some are wrong":  {artifact: `[{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "loud", "message": "m"}, {"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}]`, want: 1, note: "1 of 2 annotations"},
		"far too many":    {artifact: list(700), want: 500, note: "200 of 700 annotations"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var mu sync.Mutex
			n := 0
			w.server(func(d *checks.Deps) {
				d.Client = w.client(beforeWire{http.DefaultTransport, func(r *http.Request) {
					if r.Method == http.MethodGet || !strings.Contains(r.URL.Path, "check-runs") {
						return
					}
					mu.Lock()
					defer mu.Unlock()
					if n++; tt.trouble != nil {
						tt.trouble(w, n)
					}
				}})
			})
			x := ids(2)
			extra := tt.extra
			if extra == "" {
				extra = "{}"
			}
			if tt.text == "" {
				tt.text = "public/github/customCheckRunAnnotations.json"
			}
			w.create(x[0], x[1], "unit", named("unit", extra))
			w.artifact(x[1], 0, tt.text, tt.artifact)
			w.end(x[1], false)
			w.build(x[0], func(b *buildRow) { b.reporting.Tasks = "task" })
			r := w.shows("unit", "completed", "failure")
			w.until("the annotations", func() bool {
				var open int
				w.must(w.pool.QueryRow(t.Context(), `SELECT count(*) FROM github_checks WHERE sent < wanted`).Scan(&open))
				return open == 0
			})
			seen := map[string]bool{}
			got := w.gh.Annotations(r.ID)
			for _, a := range got {
				if tt.want > 1 && seen[a[1]] {
					t.Errorf("%s is told twice", a[1])
				}
				seen[a[1]] = true
			}
			if len(got) != tt.want {
				t.Errorf("%d annotations, want %d", len(got), tt.want)
			}
			if !strings.Contains(w.newest("unit").Text, tt.note) {
				t.Errorf("there is no %q in\n%s", tt.note, w.newest("unit").Text)
			}
		})
	}
}

func TestADecisionThatFailedShowsFileAndLine(t *testing.T) {
	w := newWorld(t)
	w.server()
	x := ids(2)
	w.build(x[0])
	w.create(x[0], x[0], "decision")
	w.artifact(x[0], 0, "public/decision-errors.json", `{"errors": [{"file": "taskcluster/kinds/test/kind.yml", "line": 12, "label": "unit", "message": "no such platform"}, {"message": "another"}]}`)
	w.end(x[0], false)
	r := w.shows("Treeline", "completed", "failure")
	if !strings.HasPrefix(r.Title, "taskcluster/kinds/test/kind.yml:12: ") || !strings.Contains(r.Title, "no such platform") || !strings.Contains(r.Summary, "another") {
		t.Errorf("%q\n%s", r.Title, r.Summary)
	}
	if got := w.gh.Annotations(r.ID); len(got) != 1 || got[0][0] != "taskcluster/kinds/test/kind.yml" {
		t.Errorf("%v", got)
	}
	// What was told to us beside the task counts the same.
	w.sha = w.push("second")
	w.build(x[1])
	w.exec(`UPDATE github_builds SET trouble = '{"code": "bad-graph", "file": "taskcluster/config.yml", "line": 3, "message": "graph-config is wrong"}' WHERE task_group_id = $1`, x[1])
	w.create(x[1], x[1], "decision")
	w.end(x[1], false)
	if r := w.shows("Treeline", "completed", "failure"); r.Title != "taskcluster/config.yml:3: graph-config is wrong" {
		t.Error(r.Title)
	}
	// One that asked for nothing ended well.
	w.sha = w.push("third")
	group := ids(1)[0]
	w.build(group)
	w.create(group, group, "decision")
	w.end(group, true)
	if r := w.shows("Treeline", "completed", "success"); r.Title != "Nothing to do" || !strings.Contains(r.Summary, "asked for no other task") {
		t.Errorf("%+v", r)
	}
}
