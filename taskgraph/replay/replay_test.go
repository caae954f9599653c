package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/replay"
)

const files = `
-- .taskcluster.yml --
version: 1
tasks: []
-- taskcluster/config.yml --
trust-domain: td
task-priority: low
taskgraph:
    repositories: {mine: {name: Mine}}
workers:
    aliases:
        t: {provisioner: p, implementation: docker-worker, os: linux, worker-type: t}
        images: {provisioner: p, implementation: docker-worker, os: linux, worker-type: images}
-- taskcluster/docker/base/Dockerfile --
FROM debian:12
-- taskcluster/kinds/docker-image/kind.yml --
loader: taskgraph.loader.transform:loader
transforms:
    - taskgraph.transforms.docker_image:transforms
    - taskgraph.transforms.cached_tasks:transforms
    - taskgraph.transforms.task:transforms
tasks:
    base: {symbol: base}
-- taskcluster/kinds/k/kind.yml --
loader: taskgraph.loader.transform:loader
kind-dependencies: [docker-image]
transforms:
    - taskcluster/t.star:greet
    - taskgraph.transforms.run:transforms
    - taskgraph.transforms.task:transforms
tasks:
    hello:
        description: says hello
        worker-type: t
        worker: {docker-image: {in-tree: base}, max-run-time: 60}
        run: {using: run-task, command: echo hello}
    found:
        description: is there already
        worker-type: t
        worker: {docker-image: 'debian:12', max-run-time: 60}
        run: {using: run-task, command: echo found}
        optimization: {index-search: [td.v1.found]}
    docs:
        description: not now
        worker-type: t
        worker: {docker-image: {in-tree: base}, max-run-time: 60}
        run: {using: run-task, command: echo docs}
        optimization: {skip-unless-changed: ['docs/**']}
-- taskcluster/t.star --
def greet(config, task):
    print("greet", task["name"])
    return task
`

const program = "v1.2.3 0a1b2c"

func tree() fstest.MapFS {
	out := fstest.MapFS{}
	for _, f := range txtar.Parse([]byte(files)).Files {
		out[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return out
}

func scripts() fstest.MapFS {
	return fstest.MapFS{"run-task": {Data: []byte("#!/bin/sh\nrun\n")}, "fetch-content": {Data: []byte("#!/bin/sh\nfetch\n")}}
}

// decide makes the artifacts of a decision.
func decide(t testing.TB) map[string][]byte {
	t.Helper()
	p, err := params.ForDecision(params.Decision{
		Project: "mine", PushlogID: "7", Owner: "a@example.org", Level: "3", RepositoryType: "git", BaseRepository: "https://example.org/r", HeadRepository: "https://example.org/r",
		BaseRev: strings.Repeat("b", 40), HeadRef: "refs/heads/main", HeadRev: strings.Repeat("a", 40), TasksFor: "git-push", FilesChanged: []string{"src/ü.c"}, CommitMessage: "more\n\nof it", Now: time.Unix(1.7e9, 5e6),
	})
	if err != nil {
		t.Fatal(err)
	}
	published := map[string][]byte{}
	in := taskgraph.Input{
		Tree: tree(), Root: "taskcluster", Parameters: p, DecisionTaskID: "fN1SbArXTPSVFNUvaOlinQ", RootURL: "https://tc.example.org", Now: time.Unix(1.7e9, 123456789), Trace: true, Scripts: scripts(),
		Index: func(context.Context, []string) (map[string]optimize.Found, error) {
			return map[string]optimize.Found{"td.v1.found": {TaskID: "Ck6H5RzFTomOeX9C8lZOHA", State: "completed", Expires: time.Unix(2e9, 1e6)}}, nil
		},
		Publish: func(name string, content func() ([]byte, error)) error {
			b, err := content()
			published[name] = b
			return err
		},
	}
	res, err := taskgraph.Generate(t.Context(), in, taskgraph.Morphed)
	if err != nil {
		t.Fatal(err)
	}
	out, err := replay.Artifacts(t.Context(), replay.Decision{In: in, Result: res, Published: published, Program: program})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func source(artifacts map[string][]byte) replay.Source {
	return replay.Source{
		Program: program, Scripts: scripts(),
		Read: func(_ context.Context, name string) ([]byte, error) {
			content, ok := artifacts[name]
			if !ok {
				return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
			}
			return content, nil
		},
		Tree: func(_ context.Context, repository, revision string) (fs.FS, string, error) {
			if repository != "https://example.org/r" || revision != strings.Repeat("a", 40) {
				return nil, "", errors.New("not here")
			}
			return tree(), "", nil
		},
	}
}

func TestADecisionMadeAgainIsTheSame(t *testing.T) {
	made := decide(t)
	if _, ok := made["docker-contexts/base.tar.gz"]; !ok {
		t.Fatalf("no context of an image among %d artifacts", len(made))
	}
	out, err := replay.Run(t.Context(), source(made))
	if err != nil {
		t.Fatal(err)
	}
	if !out.Equal || len(out.Differences)+len(out.Causes) > 0 || out.Compared != len(made)-1 {
		t.Errorf("%+v", out)
	}
	var text strings.Builder
	if err := out.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("equal: the decision fN1SbArXTPSVFNUvaOlinQ at %s gives the same %d artifacts again, byte by byte\n", strings.Repeat("a", 40), len(made)-1)
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
}

// edit changes one text of an artifact.
func edit(name, old, with string) func(t *testing.T, a map[string][]byte, s *replay.Source) {
	return func(t *testing.T, a map[string][]byte, _ *replay.Source) {
		t.Helper()
		if !bytes.Contains(a[name], []byte(old)) {
			t.Fatalf("%s has no %q", name, old)
		}
		a[name] = bytes.Replace(a[name], []byte(old), []byte(with), 1)
	}
}

func TestWhatDiffersIsToldWithItsCause(t *testing.T) {
	withTree := func(name, text, doubt string) func(*testing.T, map[string][]byte, *replay.Source) {
		return func(_ *testing.T, _ map[string][]byte, s *replay.Source) {
			s.Tree = func(context.Context, string, string) (fs.FS, string, error) {
				other := tree()
				other[name] = &fstest.MapFile{Data: []byte(text)}
				return other, doubt, nil
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, a map[string][]byte, s *replay.Source)
		first  replay.Difference // Was and Is: parts of them
		causes []string          // parts
	}{
		{"an artifact was changed", edit("task-graph.json", "says hello", "says bye"),
			replay.Difference{Artifact: "task-graph.json", Line: 3, Was: "says bye", Is: "says hello"}, []string{"changed after the decision: the sha256 is not the recorded one of task-graph.json"}},
		{"an artifact that nothing depends on was changed", edit("label-to-taskid.json", "k-hello", "k-hullo"),
			replay.Difference{Artifact: "label-to-taskid.json", Line: 4, Was: "k-hullo", Is: "k-hello"}, []string{"label-to-taskid.json"}},
		{"parameters were changed", edit("parameters.yml", "project: mine", "project: other"),
			replay.Difference{Artifact: "actions.json"}, []string{"changed after the decision: the sha256 is not the recorded one of parameters.yml"}},
		{"the index said something else", edit(replay.RecordName, "td.v1.found", "td.v1.lost"),
			replay.Difference{Artifact: "optimizations.log", Was: "replaced by Ck6H5RzFTomOeX9C8lZOHA", Is: "td.v1.found: no task"}, nil},
		{"an artifact is gone", func(_ *testing.T, a map[string][]byte, _ *replay.Source) {
			delete(a, "target-tasks.json")
			a[replay.RecordName] = bytes.ReplaceAll(a[replay.RecordName], []byte(`"target-tasks.json": "`), []byte(`"target-tasks.json": "00`))
		}, replay.Difference{Artifact: "target-tasks.json", Was: "sha256 00", Is: "sha256 "}, nil},
		{"another program", func(_ *testing.T, _ map[string][]byte, s *replay.Source) {
			s.Program = "v1.3.0"
			s.Scripts.(fstest.MapFS)["run-task"].Data = []byte("#!/bin/sh\nrun faster\n")
		}, replay.Difference{Artifact: "run-task", Line: 2, Was: "run", Is: "run faster"},
			[]string{"another version of the program: the decision was made by v1.2.3 0a1b2c, this is v1.3.0", "another script run-task"}},
		{"another tree", withTree("taskcluster/docker/base/Dockerfile", "FROM debian:13\n", "another revision"),
			replay.Difference{Artifact: "docker-contexts/base.tar.gz"}, []string{"another revision", "other files in the tree: taskcluster/docker/base/Dockerfile"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := maps.Clone(decide(t))
			s := source(a)
			c.change(t, a, &s)
			out, err := replay.Run(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if out.Equal || len(out.Differences) == 0 {
				t.Fatalf("%+v", out)
			}
			found := false
			for _, d := range out.Differences {
				found = found || d.Artifact == c.first.Artifact && (c.first.Line == 0 || d.Line > 0) && strings.Contains(d.Was, c.first.Was) && strings.Contains(d.Is, c.first.Is)
			}
			if !found {
				t.Errorf("%+v is not among %+v", c.first, out.Differences)
			}
			for _, part := range c.causes {
				if !strings.Contains(strings.Join(out.Causes, "\n"), part) {
					t.Errorf("%q is not among the causes %q", part, out.Causes)
				}
			}
		})
	}
}

func TestWhatCannotBeReplayedSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a map[string][]byte, s *replay.Source)
		want   string
	}{
		"no record":      {func(a map[string][]byte, _ *replay.Source) { delete(a, replay.RecordName) }, "the decision failed before its graph was made"},
		"no JSON":        {func(a map[string][]byte, _ *replay.Source) { a[replay.RecordName] = []byte("{") }, "replay.json"},
		"a later form":   {func(a map[string][]byte, _ *replay.Source) { a[replay.RecordName] = []byte(`{"version": 9}`) }, "has version 9; known is 1"},
		"no parameters":  {func(a map[string][]byte, _ *replay.Source) { delete(a, "parameters.yml") }, "parameters.yml"},
		"bad parameters": {func(a map[string][]byte, _ *replay.Source) { a["parameters.yml"] = []byte("level: 9\n") }, "parameters.yml:1"},
		"no tree": {func(_ map[string][]byte, s *replay.Source) {
			s.Tree = func(context.Context, string, string) (fs.FS, string, error) { return nil, "", errors.New("fetch it") }
		}, "is not at hand: fetch it"},
		"a tree with a fault": {func(_ map[string][]byte, s *replay.Source) {
			s.Tree = func(context.Context, string, string) (fs.FS, string, error) {
				other := tree()
				delete(other, "taskcluster/t.star")
				return other, "", nil
			}
		}, "cannot be made again (other files in the tree: taskcluster/t.star)"},
	} {
		t.Run(name, func(t *testing.T) {
			a := decide(t)
			s := source(a)
			c.change(a, &s)
			if _, err := replay.Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not say %q", err, c.want)
			}
		})
	}
}

func TestTheRecordNamesEveryFileThatWasRead(t *testing.T) {
	var rec replay.Record
	if err := json.Unmarshal(decide(t)[replay.RecordName], &rec); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".taskcluster.yml", "taskcluster/config.yml", "taskcluster/docker/base/Dockerfile", "taskcluster/kinds/k/kind.yml", "taskcluster/t.star"} {
		if rec.Inputs[name] == "" {
			t.Errorf("%s is not among %d inputs", name, len(rec.Inputs))
		}
	}
}
