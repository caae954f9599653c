package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/taskgraph/explain"
)

// enterWhy makes a push on project mine that changes one file of src.
func enterWhy(t *testing.T) {
	t.Helper()
	enterTree(t, txtar.Parse([]byte(decisionTree+"-- push.yml --\nproject: mine\nbase_rev: 'b'\nfiles_changed: [src/a.txt]\noptimize_target_tasks: true\n")))
}

func TestWhyNotTellsWhatWouldHelp(t *testing.T) {
	enterWhy(t)
	got := must(t, "taskgraph", "why-not", "-q", "-p", "push.yml", "k-skipped", "k-docs", "k-dox", "k-hello")
	want := `k-skipped: optimized away
  from taskcluster/kinds/k/kind.yml:24 entry "skipped", read by taskgraph.loader.transform:loader
  selected by target_tasks_method: default: runs for this project and event
  remove: removed, none of 1 changed files matches [skip-unless-changed ["docs/**"]], optimization at taskcluster/kinds/k/kind.yml:26
  would run if one of these files changed: docs/**
`
	if !strings.HasPrefix(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	for _, part := range []string{
		"k-docs: no kind makes it\n  taskcluster/kinds/k/kind.yml:21 entry \"docs\" was left out: its condition does not hold: changed('docs/**') (taskcluster/kinds/k/kind.yml:23)\n",
		"k-dox: no kind makes it\n", "is k-docs meant?", "k-hello: runs as task ",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in\n%s", part, got)
		}
	}
}

func TestWhyTellsEachChange(t *testing.T) {
	enterWhy(t)
	got := must(t, "taskgraph", "why", "-q", "-p", "push.yml", "k-skipped")
	for _, part := range []string{
		"  taskgraph.transforms.task:transforms changed ", "    + attributes.kind: \"k\"\n", "    - name: \"skipped\"\n", "    + label: \"k-skipped\"\n", "    + task.workerType: \"test\"\n",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in\n%s", part, got)
		}
	}
	out, stderr, code := treeline(t, "taskgraph", "why", "-q", "-p", "push.yml", "k-dogs", "k-hello")
	if code != 1 || !strings.Contains(stderr, `there is no task "k-dogs"`) || !strings.Contains(out, "k-dogs: no kind makes it") || !strings.Contains(out, "k-hello: runs as task") {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
	if _, stderr, code := treeline(t, "taskgraph", "why"); code != 1 || !strings.Contains(stderr, "name a LABEL") {
		t.Errorf("without a label: exit %d: %s", code, stderr)
	}
}

func TestExplainTellsEverythingAsData(t *testing.T) {
	enterWhy(t)
	var all struct {
		Tasks  map[string]explain.Story
		Drops  []explain.Drop
		Prints []string
	}
	if err := json.Unmarshal([]byte(must(t, "taskgraph", "explain", "--json", "-q", "-p", "push.yml")), &all); err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]string{}
	for label, s := range all.Tasks {
		outcomes[label] = s.Outcome
		for _, c := range s.Counterfactuals {
			if !c.Seen {
				t.Errorf("%s %s: was not tried", label, c)
			}
		}
	}
	if diff := cmp.Diff(map[string]string{"k-hello": "created", "k-again": "created", "k-after": "created", "k-skipped": "removed"}, outcomes); diff != "" {
		t.Error(diff)
	}
	if len(all.Drops) != 1 || all.Drops[0].Label != "k-docs" || len(all.Prints) != 4 {
		t.Errorf("%+v %q", all.Drops, all.Prints)
	}
	if got := must(t, "taskgraph", "explain", "-q", "-p", "push.yml", "k-h*"); !strings.HasPrefix(got, "k-hello: runs as task") || strings.Contains(got, "k-after:") {
		t.Error(got)
	}
}
