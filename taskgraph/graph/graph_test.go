package graph_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// parse reads "a: b c; b:" as tasks a (needing b and c) and b.
func parse(text string) []*graph.Task {
	var out []*graph.Task
	for i, part := range strings.Split(text, ";") {
		label, needs, _ := strings.Cut(strings.TrimSpace(part), ":")
		t := &graph.Task{Label: label, Kind: "k", Dependencies: map[string]string{}, Provenance: explain.Provenance{File: "kind.yml", Line: i + 1}}
		for _, n := range strings.Fields(needs) {
			t.Dependencies["edge-"+n] = n
		}
		out = append(out, t)
	}
	return out
}

func TestWalks(t *testing.T) {
	g, err := graph.FromTasks(parse("d: b c; b: a; c: a; a:; e:"))
	if err != nil {
		t.Fatal(err)
	}
	post, err := g.Postorder()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "e", "b", "c", "d"}, post); diff != "" {
		t.Error("postorder:", diff)
	}
	pre, err := g.Preorder()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"d", "e", "b", "c", "a"}, pre); diff != "" {
		t.Error("preorder:", diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, g.Closure([]string{"b", "nobody"}).Keys()); diff != "" {
		t.Error("closure:", diff)
	}
	if diff := cmp.Diff([]string{"b", "c"}, g.Users("a")); diff != "" {
		t.Error("users:", diff)
	}
}

func TestFaults(t *testing.T) {
	cases := []struct{ name, graph, want string }{
		{"a cycle shows its path", "a: b; b: c; c: d; d: b", "kind.yml:2: task b: tasks depend on each other in a circle: b -> c -> d -> b"},
		{"a task that needs itself is a cycle", "a: a", "kind.yml:1: task a: tasks depend on each other in a circle: a -> a"},
		{"a missing dependency names both labels and the likely one", "build-linux:; test: build-linus",
			`kind.yml:2: task test: depends on "build-linus" (as "edge-build-linus"), but there is no task of this label; is "build-linux" meant?`},
		{"a label used twice names the other place", "a:; a:", `kind.yml:2: task a: two tasks have this label; the other comes from kind "k" (kind.yml:1)`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g, err := graph.FromTasks(parse(c.graph))
			if err == nil {
				_, err = g.Postorder()
			}
			var e *graph.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *graph.Error", err)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAChainOfAHundredThousandIsWalked(t *testing.T) {
	const n = 100_000
	tasks := make([]*graph.Task, n)
	for i := range tasks {
		tasks[i] = &graph.Task{Label: fmt.Sprintf("t%06d", i)}
		if i > 0 {
			tasks[i].Dependencies = map[string]string{"prev": tasks[i-1].Label}
		}
	}
	tasks[0].Dependencies = map[string]string{"prev": tasks[n-1].Label}
	g, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Postorder(); err == nil {
		t.Fatal("the circle of all tasks was not found")
	}
	tasks[0].Dependencies = nil
	if g, err = graph.FromTasks(tasks); err != nil {
		t.Fatal(err)
	}
	post, err := g.Postorder()
	if err != nil || len(post) != n || !slices.IsSorted(post) {
		t.Fatalf("postorder of the chain: %d keys, %v", len(post), err)
	}
	if got := g.Closure(post[n-1:]).Len(); got != n {
		t.Fatalf("closure has %d tasks", got)
	}
}

func TestWalksKeepOrderWhateverTheInputOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "tasks")
		tasks := make([]*graph.Task, n)
		for i := range tasks {
			tasks[i] = &graph.Task{Label: fmt.Sprintf("t%02d", i), Dependencies: map[string]string{}}
			for j := range i {
				if rapid.IntRange(0, 4).Draw(t, "edge") == 0 {
					tasks[i].Dependencies[fmt.Sprint("e", j)] = tasks[j].Label
				}
			}
		}
		g, err := graph.FromTasks(tasks)
		if err != nil {
			t.Fatal(err)
		}
		post, err := g.Postorder()
		if err != nil {
			t.Fatal(err)
		}
		at := map[string]int{}
		for i, key := range post {
			at[key] = i
		}
		for _, e := range g.Edges() {
			if at[e.To] >= at[e.From] {
				t.Fatalf("%s comes before %s, which it needs", e.From, e.To)
			}
		}
		shuffled := slices.Clone(tasks)
		rand.Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		again, err := graph.FromTasks(shuffled)
		if err != nil {
			t.Fatal(err)
		}
		other, err := again.Postorder()
		if err != nil || !slices.Equal(post, other) {
			t.Fatalf("order changed: %v, %v", post, other)
		}
	})
}

func TestJSONReadsBack(t *testing.T) {
	tasks := parse("a:; b: a")
	tasks[1].Definition = map[string]any{
		"text": "naïve <ünï> \U0001f600 \"quoted\" \x7f\x01\n", "int": int64(1 << 53), "float": 1.0, "small": 1e-7,
		"list": []any{}, "nested": []any{map[string]any{"k": nil}}, "empty": map[string]any{},
	}
	tasks[1].Optimization = map[string]any{"skip-unless-changed": []any{"src/**"}}
	tasks[1].SoftDependencies = []string{"x"}
	g, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	out, err := g.MarshalIndent()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"{\n  \"a\": {\n    \"attributes\": {},", `"text": "na\u00efve <\u00fcn\u00ef> \ud83d\ude00 \"quoted\" \u007f\u0001\n"`,
		`"float": 1.0`, `"small": 1e-07`, `"int": 9007199254740992`, `"list": [],`,
	} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	back, err := graph.Parse(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	again, err := back.MarshalIndent()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(out), string(again)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]graph.Edge{{From: "b", To: "a", Name: "edge-a"}}, back.Edges()); diff != "" {
		t.Error(diff)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"description", "dependencies", "worker-type", "worker", "run"}
	for word, want := range map[string]string{"desciption": "description", "worker_type": "worker-type", "zzz": "", "rum": "run", "run": "", "wroker": "worker", "rnu": "run"} {
		if got := graph.Nearest(word, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}
