package taskgraph_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
)

func TestTheSameInputsGiveTheSameBytes(t *testing.T) {
	set := goldentest.Set{Repo: "features", Name: "push"}
	var first []byte
	var digest string
	for _, procs := range []int{1, 8, 2, 8} {
		before := runtime.GOMAXPROCS(procs)
		res, err := taskgraph.Generate(t.Context(), input(t, set), taskgraph.Morphed)
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		record := map[string]explain.Provenance{}
		for label, task := range res.Full.All() {
			record[label] = task.Provenance
		}
		out, err := json.Marshal(map[string]any{"provenance": record, "explain": res.Explain, "warnings": res.Warnings, "ids": res.LabelToTaskID})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range []interface{ MarshalIndent() ([]byte, error) }{res.Full, res.Morphed} {
			b, err := g.MarshalIndent()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b...)
		}
		if first == nil {
			first, digest = out, res.InputDigest
		}
		if !bytes.Equal(first, out) {
			t.Fatalf("with GOMAXPROCS=%d the result differs: %s", procs, cmp.Diff(string(first), string(out)))
		}
		if digest != res.InputDigest {
			t.Fatalf("with GOMAXPROCS=%d the digest of the inputs differs", procs)
		}
	}
}

func TestTheDigestChangesWithEachInput(t *testing.T) {
	digest := func(change func(*taskgraph.Input)) string {
		in := taskgraph.Input{Tree: small("k", succeed+"tasks: {a: {worker-type: succeed, description: d}}"), Parameters: smallParams(t, nil), DecisionTaskID: "D"}
		change(&in)
		res, err := taskgraph.Generate(t.Context(), in, taskgraph.Morphed)
		if err != nil {
			t.Fatal(err)
		}
		return res.InputDigest
	}
	same := digest(func(*taskgraph.Input) {})
	for name, change := range map[string]func(*taskgraph.Input){
		"a file": func(in *taskgraph.Input) {
			in.Tree = small("k", succeed+"tasks: {b: {worker-type: succeed, description: d}}")
		},
		"a file that nothing reads, among those listed": func(in *taskgraph.Input) {
			tree := small("k", succeed+"tasks: {a: {worker-type: succeed, description: d}}")
			tree["taskcluster/kinds/other/README.md"] = &fstest.MapFile{}
			in.Tree = tree
		},
		"a parameter": func(in *taskgraph.Input) { in.Parameters = smallParams(t, map[string]any{"owner": "x@y"}) },
		"the scripts": func(in *taskgraph.Input) { in.Scripts = scripts() },
		"the seed":    func(in *taskgraph.Input) { in.IDSeed = "other" },
	} {
		if digest(change) == same {
			t.Errorf("%s has no part in the digest", name)
		}
	}
	if digest(func(in *taskgraph.Input) {
		in.Tree.(fstest.MapFS)["unread"] = &fstest.MapFile{Data: []byte("x")}
	}) != same {
		t.Error("a file that is not read has a part in the digest")
	}
}

const starTree = `
def label(config, task):
    task["description"] = "level %s of %s" % (config.params["level"], config.kind)
    return task

def twice(config, task):
    out = []
    for half in ["left", "right"]:
        copy = dict(task)
        copy["name"] = task["name"] + "-" + half
        out.append(copy)
    print("split", task["name"])
    return out
`

func TestTransformsOfTheTreeAndConditions(t *testing.T) {
	files := small("k", `loader: taskgraph.loader.transform:loader
transforms: ['taskcluster/x.star:twice', 'taskcluster/x.star:label', taskgraph.transforms.task]
task-defaults: {worker-type: succeed}
tasks:
  always: {}
  never: {if: 'level < 2'}
  maybe: {if: 'changed("src/**") && kind == "k"', attributes: {a: b}}
`, "taskcluster/x.star", starTree)
	res, err := generate(t, files, taskgraph.Morphed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"k-always-left", "k-always-right", "k-maybe-left", "k-maybe-right"}, res.Full.Keys()); diff != "" {
		t.Error(diff)
	}
	task := res.Full.Task("k-maybe-left")
	if task.Description != "level 3 of k" {
		t.Errorf("description %q", task.Description)
	}
	want := explain.Provenance{Kind: "k", File: "taskcluster/kinds/k/kind.yml", Line: 7, Entry: "maybe", Loader: "taskgraph.loader.transform:loader", Steps: []*explain.Step{
		{Transform: "if", Keys: []string{"if"}},
		{Transform: "taskcluster/x.star:twice", Keys: []string{"name"}},
		{Transform: "taskcluster/x.star:label", Keys: []string{"description"}},
		{Transform: "taskgraph.transforms.task:transforms"},
	}}
	got := task.Provenance
	got.Steps = append([]*explain.Step(nil), got.Steps...)
	last := *got.Steps[3]
	got.Steps[3] = &last
	last.Keys = nil // which ones is the transform's own affair
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"split always", "split maybe"}, res.Explain.Prints); diff != "" {
		t.Error(diff)
	}
}

func TestMatrixAndChunksAreTold(t *testing.T) {
	files := small("k", `transforms: [taskgraph.transforms.matrix, taskgraph.transforms.chunking]
tasks:
  a:
    matrix: {os: [lin, win], arch: [arm], substitution-fields: [description]}
    chunk: {total-chunks: 2, substitution-fields: [name]}
    name: x
    description: "on {matrix[os]}"
    worker-type: b-linux
    worker: {docker-image: x, max-run-time: 1}
    run: {using: run-task, command: c}
`)
	files["taskcluster/kinds/k/kind.yml"].Data = bytes.ReplaceAll(files["taskcluster/kinds/k/kind.yml"].Data, []byte("  a:\n"), []byte("  \"a-{this_chunk}\":\n"))
	res, err := generate(t, files, taskgraph.Full)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"k-a-1-lin-arm", "k-a-1-win-arm", "k-a-2-lin-arm", "k-a-2-win-arm"}, res.Full.Keys()); diff != "" {
		t.Fatal(diff)
	}
	var notes []string
	for _, s := range res.Full.Task("k-a-2-win-arm").Provenance.Steps {
		for _, d := range s.Cell {
			notes = append(notes, s.Transform+": "+d.Name+"="+d.Value)
		}
		if s.Note != "" {
			notes = append(notes, s.Transform+": "+s.Note)
		}
	}
	if diff := cmp.Diff([]string{"taskgraph.transforms.matrix:transforms: os=win", "taskgraph.transforms.matrix:transforms: arch=arm", "taskgraph.transforms.chunking:transforms: chunk 2 of 2"}, notes); diff != "" {
		t.Error(diff)
	}
}

func TestSubmissions(t *testing.T) {
	files := small("k", succeed+`task-defaults: {worker-type: succeed, description: d, deadline-after: 2 hours}
tasks:
  a: {attributes: {task_duplicates: 2}}
  b: {dependencies: {up: k-a}, extra: {me: {task-reference: "<self> <up> <decision>"}}}
`)
	decision := slug.FromBytes([16]byte{1})
	res, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: smallParams(t, nil), DecisionTaskID: decision}, taskgraph.Morphed)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	list, err := res.Submissions(now, decision)
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, s := range list {
		labels = append(labels, s.Label)
		if !slug.Valid(s.TaskID) || strings.HasPrefix(s.TaskID, "-") {
			t.Errorf("%s has the id %q", s.Label, s.TaskID)
		}
		if s.Definition["taskGroupId"] != decision || s.Definition["schedulerId"] != "td-level-3" || s.Definition["deadline"] != "2026-01-02T05:04:05.000Z" {
			t.Errorf("%s: %v %v %v", s.Label, s.Definition["taskGroupId"], s.Definition["schedulerId"], s.Definition["deadline"])
		}
	}
	if diff := cmp.Diff([]string{"k-a", "k-a", "k-b"}, labels); diff != "" {
		t.Fatal(diff)
	}
	a, twin, b := list[0], list[1], list[2]
	if a.TaskID == twin.TaskID || a.TaskID != taskgraph.TaskID(decision, "k-a") {
		t.Errorf("ids %s and %s", a.TaskID, twin.TaskID)
	}
	if diff := cmp.Diff([]any{decision}, a.Definition["dependencies"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{a.TaskID}, b.Definition["dependencies"]); diff != "" {
		t.Error(diff)
	}
	extra := b.Definition["extra"].(map[string]any)
	if want := b.TaskID + " " + a.TaskID + " " + decision; extra["me"] != want || extra["parent"] != decision {
		t.Errorf("extra %v, want me %q", extra, want)
	}
	if _, err := (&taskgraph.Result{}).Submissions(now, decision); err == nil {
		t.Error("an unfinished graph was submitted")
	}
}

func TestTargetKindsBringWhatTheyNeed(t *testing.T) {
	entry := succeed + "tasks: {a: {worker-type: succeed, description: d}}\n"
	files := small("one", entry, "two", "kind-dependencies: [one]\n"+entry, "three", entry)
	res, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: smallParams(t, nil), TargetKinds: []string{"two"}}, taskgraph.Full)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "two"}, res.Kinds); diff != "" {
		t.Error(diff)
	}
	_, err = taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: smallParams(t, nil), TargetKinds: []string{"twoo"}}, taskgraph.Full)
	if err == nil || !strings.Contains(err.Error(), `there is no kind "twoo"; is "two" meant?`) {
		t.Error(err)
	}
}
