// Package transformtest tests transforms by examples: entries of a kind in, what becomes of them
// out.
//
// The examples of a package stand in testdata/examples.txtar. The files of an example are in a
// directory of its name:
//
//	in.yml        entries by name, as under "tasks" in kind.yml
//	want.json     the items that come out, in order unless they have labels, or
//	error         lines that the error must have
//	warnings      what Treeline warns of
//	kind.yml      settings: kind, kind-dependencies, params, and tasks, the finished tasks of
//	              other kinds by label, each with kind, attributes and task
//	config.yml    in place of that of the archive
//	tree/…        files of the repository
//
// A config.yml outside of directories is for all examples. What is wanted is what the field's own
// transforms (24.2.0) make of the same entries, but for examples whose name ends in "(ours)".
package transformtest

import (
	"encoding/json"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/taskgraph/cond"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/source"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Run checks all examples of the package against the transform.
func Run(t *testing.T, tr transform.Transform, archive string) {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", archive))
	if err != nil {
		t.Fatal(err)
	}
	common := map[string]string{}
	examples := map[string]map[string]string{}
	var order []string
	for _, f := range a.Files {
		name, file, inside := strings.Cut(f.Name, "/")
		if !inside {
			common[f.Name] = string(f.Data)
			continue
		}
		if examples[name] == nil {
			examples[name] = map[string]string{}
			order = append(order, name)
		}
		examples[name][file] = string(f.Data)
	}
	if len(order) == 0 {
		t.Fatal("no examples")
	}
	for _, name := range order {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(common)
			maps.Copy(files, examples[name])
			check(t, tr, files)
		})
	}
}

func check(t *testing.T, tr transform.Transform, files map[string]string) {
	t.Helper()
	c, warnings := kind(t, files)
	items, err := transform.Run(t.Context(), c, []transform.Transform{tr}, entries(t, c, files["in.yml"]))
	if want, failing := files["error"]; failing {
		if err == nil {
			t.Fatalf("no error; want %s", want)
		}
		for line := range strings.Lines(want) {
			if line = strings.TrimSuffix(line, "\n"); !strings.Contains(err.Error(), line) {
				t.Errorf("got  %v\nwant %s", err, line)
			}
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	got := make([]any, len(items))
	for i, it := range items {
		got[i] = it.Values()
	}
	var want []any
	if err := json.Unmarshal([]byte(files["want.json"]), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(byLabel(want), byLabel(plain(t, got))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(strings.TrimSpace(files["warnings"]), strings.Join(warnings(), "\n")); diff != "" {
		t.Error(diff)
	}
}

// byLabel sorts items that have labels: the field's own order changes from run to run then.
func byLabel(items []any) []any {
	slices.SortStableFunc(items, func(a, b any) int {
		return strings.Compare(value.String(a.(map[string]any), "label"), value.String(b.(map[string]any), "label"))
	})
	return items
}

// plain is v after a turn through JSON, so that numbers compare.
func plain(t *testing.T, v []any) []any {
	t.Helper()
	b, err := graph.AppendJSON(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	var out []any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func parse(t *testing.T, name, text string) (map[string]any, *source.File) {
	t.Helper()
	f, err := source.Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Map()
	if err != nil {
		t.Fatal(err)
	}
	return m, f
}

// kind makes the surroundings of an example.
func kind(t *testing.T, files map[string]string) (c *transform.Config, warnings func() []string) {
	t.Helper()
	settings, _ := parse(t, "kind.yml", files["kind.yml"])
	name := value.String(settings, "kind")
	if name == "" {
		name = "k"
	}
	tree := fstest.MapFS{"taskcluster/config.yml": {Data: []byte(files["config.yml"])}}
	for file, text := range files {
		if p, ok := strings.CutPrefix(file, "tree/"); ok {
			tree[p] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
		}
	}
	g, err := config.Load(tree, "taskcluster")
	if err != nil {
		t.Fatal(err)
	}
	p := parameters(t, value.Map(settings, "params"))
	var mu sync.Mutex
	var told []string
	kinds, _ := value.Strings(settings["kind-dependencies"])
	c = &transform.Config{
		Kind: name, Dir: path.Join("taskcluster/kinds", name), KindConfig: settings, KindDependencies: kinds,
		Dependencies: dependencies(kinds, value.Map(settings, "tasks")),
		Shared: &transform.Shared{
			Graph: g, Params: p, Names: value.NameMap(p.Map()), Tree: tree, Conditions: cond.NewScope(p),
			Scripts: scripts(), RootURL: "http://127.0.0.1:18080",
			Warn: func(e *graph.Error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, e.Error())
			},
		},
	}
	return c, func() []string { slices.Sort(told); return told }
}

// scripts are run-task and what belongs to it.
func scripts() fs.FS {
	return fstest.MapFS{
		"run-task": {Data: []byte("#!/bin/sh\n")}, "fetch-content": {Data: []byte("#!/bin/sh\n")},
		"robustcheckout.py": {Data: []byte("pass\n")}, "hgrc": {Data: []byte("[extensions]\n")},
	}
}

func parameters(t *testing.T, over map[string]any) *params.Parameters {
	t.Helper()
	values := map[string]any{
		"base_ref": "refs/heads/main", "base_repository": "https://github.com/o/r", "base_rev": strings.Repeat("2", 40), "build_date": int64(1767225600),
		"build_number": int64(1), "do_not_optimize": []any{}, "enable_always_target": true, "existing_tasks": map[string]any{},
		"files_changed": []any{"src/a", "docs/b"}, "filters": []any{"target_tasks_method"}, "head_ref": "refs/heads/main",
		"head_repository": "https://github.com/o/r", "head_rev": strings.Repeat("1", 40), "head_tag": "", "level": "3", "moz_build_date": "20260101000000",
		"next_version": nil, "optimize_strategies": nil, "optimize_target_tasks": true, "owner": "dev@example.org", "project": "synth",
		"pushdate": int64(1767225600), "pushlog_id": "17", "repository_type": "git", "target_tasks_method": "default", "tasks_for": "github-push", "version": nil,
	}
	maps.Copy(values, over)
	p, err := params.FromMap(values, true)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func dependencies(kinds []string, tasks map[string]any) *transform.Dependencies {
	return transform.NewDependencies(kinds, func(kind string) []*graph.Task {
		var out []*graph.Task
		for _, label := range slices.Sorted(maps.Keys(tasks)) {
			m := value.Map(tasks, label)
			if value.String(m, "kind") == kind {
				out = append(out, &graph.Task{Kind: kind, Label: label, Attributes: value.Map(m, "attributes"), Definition: value.Map(m, "task")})
			}
		}
		return out
	})
}

func entries(t *testing.T, c *transform.Config, text string) []*transform.Item {
	t.Helper()
	tasks, f := parse(t, "in.yml", text)
	var items []*transform.Item
	for _, e := range f.Root().Entries() {
		values := maps.Clone(value.Map(tasks, e.Key))
		values["name"] = e.Key
		items = append(items, transform.NewItem(values, &transform.Origin{
			Provenance: explain.Provenance{Kind: c.Kind, File: "in.yml", Line: e.At.Line(), Entry: e.Key},
			Layers:     []source.Node{e.Value},
		}))
	}
	return items
}
