package taskgraph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// randomTask is an entry of a random kind.
type randomTask struct {
	label  string
	needs  []string // labels of earlier tasks
	ifDeps []string // of those
	text   string   // the entry without its name and indent, one line
}

// randomTree is a tree of several kinds whose tasks depend on each other in every way there is.
type randomTree struct {
	kinds [][]randomTask
	over  map[string]any
	found map[string]optimize.Found
}

func drawTree(t *rapid.T) randomTree {
	tree := randomTree{found: map[string]optimize.Found{}, over: map[string]any{
		"optimize_target_tasks": rapid.Bool().Draw(t, "optimize targets"),
		"enable_always_target":  rapid.SampledFrom([]any{true, false, []any{"k0"}}).Draw(t, "always"),
		"files_changed":         rapid.SampledFrom([][]string{{"src/a"}, {"docs/b"}, {}}).Draw(t, "files"),
	}}
	var labels []string
	for k := range rapid.IntRange(1, 3).Draw(t, "kinds") {
		var kind []randomTask
		for i := range rapid.IntRange(1, 7).Draw(t, "tasks") {
			task := drawTask(t, fmt.Sprintf("k%d-t%d", k, i), labels)
			if rapid.IntRange(0, 3).Draw(t, "indexed") == 0 {
				state := rapid.SampledFrom([]string{"completed", "failed", "running"}).Draw(t, "state")
				tree.found["td."+task.label] = optimize.Found{TaskID: "F" + task.label, State: state, Expires: time.Unix(4e9, 0)}
			}
			kind = append(kind, task)
			labels = append(labels, task.label)
		}
		tree.kinds = append(tree.kinds, kind)
	}
	if rapid.IntRange(0, 3).Draw(t, "existing") == 0 {
		tree.over["existing_tasks"] = map[string]any{rapid.SampledFrom(labels).Draw(t, "which"): "EXISTING"}
	}
	return tree
}

func drawTask(t *rapid.T, label string, earlier []string) randomTask {
	task := randomTask{label: label}
	var edges, names, soft []string
	for _, other := range earlier {
		switch rapid.IntRange(0, 7).Draw(t, "edge") {
		case 0, 1:
			task.needs = append(task.needs, other)
			edges = append(edges, fmt.Sprintf("e-%s: %s", other, other))
			if rapid.IntRange(0, 2).Draw(t, "if") == 0 {
				task.ifDeps = append(task.ifDeps, other)
				names = append(names, "e-"+other)
			}
		case 2:
			soft = append(soft, other)
		}
	}
	parts := []string{
		"description: d", "dependencies: {" + strings.Join(edges, ", ") + "}",
		"run-on-projects: " + rapid.SampledFrom([]string{"[all]", "[all]", "[]"}).Draw(t, "projects"),
		"worker-type: succeed",
		"always-target: " + rapid.SampledFrom([]string{"true", "false", "false"}).Draw(t, "always target"),
	}
	if len(names) > 0 {
		parts = append(parts, "if-dependencies: ["+strings.Join(names, ", ")+"]")
	}
	if len(soft) > 0 {
		parts = append(parts, "soft-dependencies: ["+strings.Join(soft, ", ")+"]")
	}
	optimization := rapid.SampledFrom([]string{"", "", "optimization: {skip-unless-changed: ['src/**']}", "optimization: {skip-unless-changed: ['docs/**']}",
		"optimization: {always: null}", "optimization: {index-search: [td." + label + "]}"}).Draw(t, "optimization")
	if optimization != "" {
		parts = append(parts, optimization)
	}
	task.text = "{" + strings.Join(parts, ", ") + "}"
	return task
}

// files writes the tree, the entries of each kind in the order that shuffle gives them.
func (tree randomTree) files(shuffle func(n int, swap func(i, j int))) fstest.MapFS {
	var files []string
	var before []string
	for k, kind := range tree.kinds {
		entries := slices.Clone(kind)
		shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		dependencies := slices.Clone(before)
		shuffle(len(dependencies), func(i, j int) { dependencies[i], dependencies[j] = dependencies[j], dependencies[i] })
		var b strings.Builder
		fmt.Fprintf(&b, "kind-dependencies: [%s]\n%stasks:\n", strings.Join(dependencies, ", "), succeed)
		for _, task := range entries {
			_, name, _ := strings.Cut(task.label, "-")
			fmt.Fprintf(&b, "  %s: %s\n", name, task.text)
		}
		name := fmt.Sprintf("k%d", k)
		files = append(files, name, b.String())
		before = append(before, name)
	}
	return small(files...)
}

func (tree randomTree) generate(t *rapid.T, p *params.Parameters, files fstest.MapFS) *taskgraph.Result {
	res, err := taskgraph.Generate(context.Background(), taskgraph.Input{
		Tree: files, Parameters: p, IDSeed: "seed",
		Index: func(_ context.Context, paths []string) (map[string]optimize.Found, error) { return tree.found, nil },
	}, taskgraph.Morphed)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestWhateverATreeSaysItsGraphsHold(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		tree := drawTree(r)
		p := smallParams(t, tree.over)
		res := tree.generate(r, p, tree.files(func(int, func(i, j int)) {}))
		for _, g := range []*graph.Graph{res.Full, res.Target, res.Optimized, res.Morphed} {
			isAcyclic(r, g)
		}
		tree.isClosed(r, res, p)
		isWhole(r, res)
		tree.keepsWhatIsAskedFor(r, res, p)
	})
}

// isAcyclic: in postorder every task comes after all it depends on.
func isAcyclic(t *rapid.T, g *graph.Graph) {
	order, err := g.Postorder()
	if err != nil || len(order) != g.Len() {
		t.Fatalf("%d of %d tasks in order, %v", len(order), g.Len(), err)
	}
	at := map[string]int{}
	for i, key := range order {
		at[key] = i
	}
	for _, e := range g.Edges() {
		if at[e.From] <= at[e.To] {
			t.Fatalf("%s comes before %s, which it depends on", e.From, e.To)
		}
	}
}

// isClosed: the target graph is what was selected or joins every graph, and all that needs.
func (tree randomTree) isClosed(t *rapid.T, res *taskgraph.Result, p *params.Parameters) {
	needs := map[string][]string{}
	for _, kind := range tree.kinds {
		for _, task := range kind {
			needs[task.label] = task.needs
		}
	}
	want := map[string]bool{}
	var visit func(label string)
	visit = func(label string) {
		if want[label] {
			return
		}
		want[label] = true
		for _, n := range needs[label] {
			visit(n)
		}
	}
	for label, task := range res.Full.All() {
		if slices.Contains(res.TargetSet, label) || task.Attributes["always_target"] == true && p.AlwaysTarget(task.Kind) {
			visit(label)
		}
	}
	got := map[string]bool{}
	for _, label := range res.Target.Keys() {
		got[label] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("target graph: %s", diff)
	}
}

// isWhole: no dependency of a kept task is lost: each is kept too, or replaced by another task,
// whose id stands in the definition.
func isWhole(t *rapid.T, res *taskgraph.Result) {
	for id, task := range res.Morphed.All() {
		if res.LabelToTaskID[task.Label] != id || task.TaskID != id {
			t.Fatalf("%s has the ids %s, %s and %s", task.Label, id, task.TaskID, res.LabelToTaskID[task.Label])
		}
		for name, label := range res.Full.Task(task.Label).Dependencies {
			other, known := res.LabelToTaskID[label]
			if !known {
				t.Fatalf("%s is kept, but %s, which it depends on as %s, is neither kept nor replaced", task.Label, label, name)
			}
			if task.Dependencies[name] != other || !slices.Contains(task.Definition["dependencies"].([]any), any(other)) {
				t.Fatalf("%s does not depend on %s (%s): %v, %v", task.Label, label, other, task.Dependencies, task.Definition["dependencies"])
			}
		}
	}
}

// keepsWhatIsAskedFor: with optimize_target_tasks false all targets run; a task that stays has
// been asked for, or is needed by one that stays or, near or far, by one with if-dependencies: those go
// last, when what else they need has been kept for them, as in the field (taskgraph-map 14.2).
func (tree randomTree) keepsWhatIsAskedFor(t *rapid.T, res *taskgraph.Result, p *params.Parameters) {
	kept := map[string]bool{}
	for _, task := range res.Optimized.All() {
		kept[task.Label] = true
	}
	for _, label := range res.TargetSet {
		if !p.Bool("optimize_target_tasks") && !kept[label] {
			t.Fatalf("%s must not be optimized away", label)
		}
	}
	neededBy := map[string]bool{}
	var needs func(label string, far bool)
	needs = func(label string, far bool) {
		for _, n := range res.Full.Needs(label) {
			if far && !neededBy[n] {
				neededBy[n] = true
				needs(n, true)
			}
			neededBy[n] = true
		}
	}
	for label, task := range res.Target.All() {
		if len(task.IfDependencies) > 0 {
			needs(label, true)
		}
	}
	for label := range kept {
		needs(label, false)
	}
	for label := range kept {
		task := res.Full.Task(label)
		asked := slices.Contains(res.TargetSet, label) || task.Attributes["always_target"] == true && p.AlwaysTarget(task.Kind)
		if !asked && !neededBy[label] {
			t.Fatalf("%s was not asked for, and nothing that stays needs it", label)
		}
	}
}

// The order in which things stand in files, and how many processors there are, change nothing.
func TestOrderAndProcessorsDoNotMatter(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	rapid.Check(t, func(r *rapid.T) {
		tree := drawTree(r)
		p := smallParams(t, tree.over)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		var first []byte
		for _, procs := range []int{1, 2, 8} {
			runtime.GOMAXPROCS(procs)
			b := allOf(r, tree.generate(r, p, tree.files(random.Shuffle)))
			if first == nil {
				first = b
			}
			if !bytes.Equal(first, b) {
				r.Fatalf("with GOMAXPROCS=%d and another order: %s", procs, cmp.Diff(string(first), string(b)))
			}
		}
	})
}

// allOf is everything that a generation gives but lines of files.
func allOf(t *rapid.T, res *taskgraph.Result) []byte {
	out, err := json.Marshal([]any{res.TargetSet, res.LabelToTaskID, res.Kinds, res.Explain.Selections, res.Explain.Optimizations, res.Explain.Morphs})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []*graph.Graph{res.Full, res.Target, res.Optimized, res.Morphed} {
		b, err := g.MarshalIndent()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	list, err := res.Submissions(time.Unix(1767225600, 0), "D")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return append(out, b...)
}

// A chain of 100,000 tasks goes through every stage: nothing recurses once per dependency.
func TestALongChainGoesThroughEveryStage(t *testing.T) {
	const n = 100_000
	var b strings.Builder
	b.WriteString(succeed + "task-defaults: {worker-type: succeed, description: d, run-on-projects: []}\ntasks:\n")
	for i := range n {
		fmt.Fprintf(&b, "  t%06d: {", i)
		if i > 0 {
			fmt.Fprintf(&b, "dependencies: {up: k-t%06d}", i-1)
		}
		if i == n-1 {
			b.WriteString(", run-on-projects: [all]")
		}
		b.WriteString("}\n")
	}
	res, err := generate(t, small("k", b.String()), taskgraph.Morphed)
	if err != nil {
		t.Fatal(err)
	}
	list, err := res.Submissions(time.Unix(0, 0), "D")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != n || list[0].Label != "k-t000000" || list[n-1].Label != fmt.Sprintf("k-t%06d", n-1) {
		t.Errorf("%d submissions, from %s to %s", len(list), list[0].Label, list[len(list)-1].Label)
	}
	if diff := cmp.Diff([]any{list[n-2].TaskID}, list[n-1].Definition["dependencies"]); diff != "" {
		t.Error(diff)
	}
}
