package diff_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/diff"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
)

var update = flag.Bool("update", false, "write the golden files anew")

// taskOf makes a task that depends on others and has scopes.
func taskOf(label string, seconds int, deps []string, scopes ...string) *graph.Task {
	list := []any{}
	for _, s := range scopes {
		list = append(list, s)
	}
	t := &graph.Task{
		Kind: "k", Label: label, Description: label, Attributes: map[string]any{"kind": "k"}, Dependencies: map[string]string{},
		Definition: map[string]any{"scopes": list, "payload": map[string]any{"maxRunTime": int64(seconds), "image": "debian:12", "command": []any{"make", label}}},
	}
	for _, d := range deps {
		t.Dependencies[d] = d
	}
	return t
}

func graphOf(t testing.TB, tasks ...*graph.Task) *graph.Graph {
	t.Helper()
	g, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// image gives a task another image.
func image(t *graph.Task, name string) *graph.Task {
	t.Definition["payload"].(map[string]any)["image"] = name
	return t
}

// revisions are two graphs that differ in every way there is.
func revisions(t testing.TB) (base, head *graph.Graph) {
	var a, b []*graph.Task
	a = append(a, taskOf("build", 1200, nil, "cache:a"), taskOf("old", 600, nil, "secrets:get:old"), taskOf("same", 60, nil))
	b = append(b, taskOf("build", 1800, nil, "cache:a", "secrets:get:signing"), taskOf("sign", 300, []string{"build"}, "cache:a", "signing:*"), taskOf("same", 60, nil))
	for i := range 12 {
		label := fmt.Sprintf("test-%02d", i)
		a = append(a, taskOf(label, 900, []string{"build"}))
		b = append(b, image(taskOf(label, 900, []string{"build"}), "debian:13"))
	}
	b[len(b)-1].Attributes["`odd` | key"] = "with\nlines"
	return graphOf(t, a...), graphOf(t, b...)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}

func report(t testing.TB) *diff.Report {
	base, head := revisions(t)
	return &diff.Report{Base: "main", Head: "5f0a1c2", Stage: "target-graph", Sets: []diff.Set{
		{Name: "push", Diff: diff.Compare(base, head, nil)},
		{Name: "cron", Diff: diff.Compare(base, base, nil)},
	}}
}

func TestReportsAreTheGoldenOnes(t *testing.T) {
	r := report(t)
	var text, colour strings.Builder
	if err := r.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", text.String())
	golden(t, "report.md", r.Markdown())
	js, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", string(js)+"\n")
	if err := r.WriteText(&colour, true); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[1;31m! NEW SCOPE secrets:get:signing\x1b[0m"; !strings.Contains(colour.String(), want) {
		t.Errorf("a new scope is not in red: %q", colour.String())
	}
	plain := colour.String()
	for _, code := range []string{"31", "32", "33", "1", "1;31", "0"} {
		plain = strings.ReplaceAll(plain, "\x1b["+code+"m", "")
	}
	if d := cmp.Diff(text.String(), plain); d != "" {
		t.Errorf("colours change the text: %s", d)
	}
}

func TestScopesAreGainedOnlyWhereNothingCoversThem(t *testing.T) {
	for _, c := range []struct {
		name       string
		base, head []string
		gained     string
		lost       string
	}{
		{"the same", []string{"a:b"}, []string{"a:b"}, "", ""},
		{"a part of what was held", []string{"a:*"}, []string{"a:b"}, "", "a:* new=true"},
		{"more than was held", []string{"a:b"}, []string{"a:*"}, "a:* new=true", ""},
		{"another", []string{"a:b"}, []string{"a:c"}, "a:c new=true", "a:b new=true"},
		{"what another task has", []string{}, []string{"other:x"}, "other:x new=false", ""},
		{"the same twice", []string{"a"}, []string{"a", "a"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			other := taskOf("other", 1, nil, "other:*")
			d := diff.Compare(graphOf(t, taskOf("t", 1, nil, c.base...), other), graphOf(t, taskOf("t", 1, nil, c.head...), other), nil)
			text := func(list []diff.Scope) string {
				var out []string
				for _, s := range list {
					out = append(out, fmt.Sprintf("%s new=%v", s.Scope, s.New))
				}
				return strings.Join(out, ", ")
			}
			if got := text(d.Gained); got != c.gained {
				t.Errorf("gained %q, not %q", got, c.gained)
			}
			if got := text(d.Lost); got != c.lost {
				t.Errorf("lost %q, not %q", got, c.lost)
			}
		})
	}
}

func TestCostsComeFromEarlierRunsWhereThereAreAny(t *testing.T) {
	g := graphOf(t, taskOf("a", 100, nil), taskOf("b", 100, []string{"a"}), taskOf("c", 150, []string{"a"}), taskOf("d", 1, []string{"b", "c"}), taskOf("alone", 240, nil))
	known := &history.Table{Labels: map[string]history.Label{"b": {Runs: 3, Median: 300}}}
	for _, c := range []struct {
		name     string
		known    history.Durations
		want     diff.Size
		wantPath string
	}{
		{"by limit", nil, diff.Size{Tasks: 5, Time: seconds(591), Longest: seconds(251), Limited: 5}, "a c d"},
		{"by history", known, diff.Size{Tasks: 5, Time: seconds(791), Longest: seconds(401), Measured: 1, Limited: 4}, "a b d"},
	} {
		got := diff.Compare(g, g, c.known).Head
		c.want.Path = strings.Fields(c.wantPath)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func seconds(n int) diff.Seconds { return diff.Seconds(time.Duration(n) * time.Second) }

func TestGraphsByTaskIDAreComparedByLabel(t *testing.T) {
	byID := func(prefix string, tasks ...*graph.Task) *graph.Graph {
		m := map[string]*graph.Task{}
		var edges []graph.Edge
		for _, t := range tasks {
			c := t.Clone()
			c.TaskID = prefix + t.Label
			for name, label := range t.Dependencies {
				c.Dependencies[name] = prefix + label
				edges = append(edges, graph.Edge{From: c.TaskID, To: prefix + label, Name: name})
			}
			m[c.TaskID] = c
		}
		g, err := graph.New(m, edges)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	a, b := taskOf("a", 1, nil), taskOf("b", 1, []string{"a"})
	if d := diff.Compare(byID("x", a, b), byID("y", a, b), nil); !d.Empty() || d.Head.Longest != seconds(2) {
		t.Errorf("%+v", d)
	}
}

func TestMarkdownFitsACheckRun(t *testing.T) {
	var a, b []*graph.Task
	for i := range 5000 {
		b = append(b, taskOf(fmt.Sprintf("a-task-of-a-rather-long-name-%d", i), 1, nil, fmt.Sprintf("scope:%d", i)))
	}
	r := &diff.Report{Base: "a", Head: "b", Stage: "full", Sets: []diff.Set{{Name: "p", Diff: diff.Compare(graphOf(t, a...), graphOf(t, b...), nil)}}}
	md := r.Markdown()
	if len(md) > diff.MaxMarkdown || !strings.Contains(md, "There is more than fits here") || !strings.Contains(md, "5000 added") {
		t.Errorf("%d bytes: %.300s", len(md), md)
	}
}

// Two graphs of a thousand tasks are to be compared in a second; this takes a hundredth of it.
func TestLargeGraphsAreComparedSoon(t *testing.T) {
	many := func(n int, img string) *graph.Graph {
		tasks := make([]*graph.Task, n)
		for i := range tasks {
			tasks[i] = image(taskOf(fmt.Sprintf("t%05d", i), 60, nil, "s"), img)
			if i > 0 {
				tasks[i].Dependencies["before"] = tasks[i-1].Label
			}
		}
		return graphOf(t, tasks...)
	}
	base, head := many(10_000, "a"), many(10_000, "b")
	start := time.Now()
	d := diff.Compare(base, head, nil)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("10,000 tasks took %v", took)
	}
	if len(d.Changed) != 1 || d.ChangedTasks() != 10_000 || len(d.Head.Path) != 10_000 {
		t.Errorf("%d groups of %d tasks", len(d.Changed), d.ChangedTasks())
	}
}

func BenchmarkCompare(b *testing.B) {
	tasks := func(img string) *graph.Graph {
		list := make([]*graph.Task, 1000)
		for i := range list {
			list[i] = image(taskOf(fmt.Sprintf("t%05d", i), 60, nil, "s"), img)
		}
		return graphOf(b, list...)
	}
	base, head := tasks("a"), tasks("b")
	for b.Loop() {
		diff.Compare(base, head, nil)
	}
}
