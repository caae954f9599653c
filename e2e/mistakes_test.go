package e2e_test

import (
	"context"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
)

// errorOn is the part of a push's page that shows what is wrong with it.
func (m *machine) errorOn(revision string) string {
	m.t.Helper()
	page, err := m.get(m.t.Context(), "/jobs?repo="+m.repoName()+"&revision="+url.QueryEscape(revision))
	if err != nil {
		m.t.Fatal(err)
	}
	_, notice, ok := strings.Cut(page, `class="notice push-error`)
	if !ok {
		m.t.Fatalf("the page of %s shows no error", revision)
	}
	notice, _, _ = strings.Cut(notice, `class="push-body"`)
	return html.UnescapeString(notice)
}

// lineOf returns the number of the line of text that holds part.
func lineOf(t *testing.T, text, part string) int {
	t.Helper()
	before, _, ok := strings.Cut(text, part)
	if !ok {
		t.Fatalf("no line has %q", part)
	}
	return strings.Count(before, "\n") + 1
}

// TestMistakesAreShownWithTheirPlace pushes one mistake after the other and looks at what the
// pusher sees: the push with the error, its file and line, and no half of a graph.
func TestMistakesAreShownWithTheirPlace(t *testing.T) {
	const config, build, script = ".taskcluster.yml", "taskcluster/kinds/build/kind.yml", "taskcluster/pebble.star"
	for _, c := range []struct {
		name     string
		file     string
		old, new string   // what the mistake replaces; the whole file when old is ""
		at       string   // text in the line that the page must name
		want     []string // in the message
	}{
		{"YAML syntax", config, "", "version: 1\ntasks:\n  - {a: [\n", "", []string{"yaml"}},
		{"a template error", config, "${push.owner}", "${push.ownr}", "${push.ownr}", []string{"ownr"}},
		{"an unknown version", config, "version: 1", "version: 7", "version: 7", []string{"version"}},
		{"an unknown field of a task", config, "          payload:", "          payloat: {}\n          payload:", "payloat", []string{"payloat"}},
		{"an unknown option of the decision", config, "root: taskcluster", "roof: taskcluster", "", []string{"roof"}},
		{"a scope that is not held", config, `["assume:${repository.role}:branch:${push.branch}"]`, `["secrets:get:everything"]`, "- schedulerId:", []string{"secrets:get:everything"}},
		{"YAML syntax in a kind", build, "tasks:", "tasks: [", "", []string{}},
		{"an unknown key in a kind", build, "    description:", "    descripton: x\n    description:", "descripton: x", []string{"descripton", "build-site"}},
		{"an unknown transform", build, "taskgraph.transforms.run:transforms", "taskgraph.transforms.rum:transforms", "transforms.rum", []string{"taskgraph.transforms.rum"}},
		{"a missing dependency", build, "    worker:", "    dependencies: {none: no-such-task}\n    worker:", "site:", []string{"no-such-task", "build-site"}},
		{"a cycle", build, "    worker:", "    dependencies: {self-made: build-site}\n    worker:", "site:", []string{"build-site -> build-site"}},
		{"a scope in the graph that the branch does not hold", build, "    worker:", "    scopes: ['secrets:get:everything']\n    worker:", "site:", []string{"secrets:get:everything", "build-site"}},
		{"a Starlark error in a call", script, "", "def defaults(config, tasks):\n    print('seen', config.kind)\n    return [symbol(t) for t in tasks]\n\ndef symbol(task):\n    return task['nonsense']\n", "nonsense",
			[]string{`key "nonsense" not in dict`, "in defaults", "in symbol", "The task was then", `"description"`}},
		{"a Starlark error", script, "", "def defaults(config, tasks):\n    return nonsense\n", "nonsense", []string{"nonsense"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := shared(t)
			text := git(t, m.repo(), "show", m.first+":"+c.file) + "\n"
			if c.old != "" && !strings.Contains(text, c.old) {
				t.Fatalf("the sample's %s no longer has %q", c.file, c.old)
			}
			if text = strings.Replace(text, c.old, c.new, 1); c.old == "" {
				text = c.new
			}
			revision := m.onBranch("mistake/"+strings.ReplaceAll(c.name, " ", "-"), "Mistake: "+c.name, map[string]string{c.file: text})
			p := m.outcome(revision)
			if p.State != push.Failed || p.Error == nil {
				t.Fatalf("the push is %s: %+v", p.State, p)
			}
			shown := m.errorOn(revision)
			place := `<code class="error-place">` + c.file
			if c.at != "" {
				place += fmt.Sprintf(":%d</code>", lineOf(t, text, c.at))
			}
			for _, want := range append(c.want, place, p.Error.Code) {
				if !strings.Contains(strings.ToLower(shown), strings.ToLower(want)) {
					t.Errorf("the page does not say %q but:\n%s", want, shown)
				}
			}
			if c.at == "" && c.name != "an unknown option of the decision" && p.Error.Line == 0 {
				t.Errorf("no line: %+v", p.Error)
			}
			if p.GroupID == "" {
				return // not even the decision task was made
			}
			m.eventually(time.Minute, "the decision fails, and is alone", func(ctx context.Context) error {
				list, err := m.tasks(ctx, p.GroupID)
				if err == nil && (len(list) != 1 || list[0].Status.TaskID != p.GroupID || list[0].Status.State != task.Failed) {
					err = fmt.Errorf("%+v", list)
				}
				return err
			})
			if log := m.cli("task", "log", p.GroupID); !strings.Contains(log, strings.Split(p.Error.Message, "\n")[0]) {
				t.Errorf("the decision's log does not say %q:\n%s", p.Error.Message, log)
			} else if strings.Contains(text, "print(") && (!strings.Contains(log, "print: seen build") || !strings.Contains(log, "in symbol")) {
				t.Errorf("the decision's log does not say what was printed, and the calls:\n%s", log)
			}
		})
	}
	t.Run("and the next good commit is green", func(t *testing.T) {
		m := shared(t)
		m.green(m.onBranch("mended", "All is well", map[string]string{"README.md": "# Pebble, mended\n"}), time.Minute)
	})
}
