package taskgraph_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

const smallConfig = `trust-domain: td
task-priority: low
treeherder: {group-names: {T: Tests}}
index: {products: [prod]}
taskgraph: {repositories: {ci: {name: Small}}}
workers:
  aliases:
    b-linux: {provisioner: p, implementation: docker-worker, os: linux, worker-type: w}
    b-win: {provisioner: p, implementation: generic-worker, os: windows, worker-type: w}
    b-odd: {provisioner: p, implementation: nobody, os: linux, worker-type: w}
`

// small makes a tree with smallConfig and files given as path, content, …; a path without a
// slash is a kind, whose file it is.
func small(files ...string) fstest.MapFS {
	out := fstest.MapFS{"taskcluster/config.yml": {Data: []byte(smallConfig)}}
	for i := 0; i+1 < len(files); i += 2 {
		name := files[i]
		if !strings.Contains(name, "/") {
			name = "taskcluster/kinds/" + name + "/kind.yml"
		}
		out[name] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return out
}

func smallParams(t testing.TB, over map[string]any) *params.Parameters {
	t.Helper()
	values := params.Defaults(params.Facts{RepositoryURL: "https://github.com/o/small", RepositoryType: "git", HeadRef: "main", HeadRev: strings.Repeat("1", 40), FilesChanged: []string{"src/a"}})
	maps.Copy(values, over)
	p, err := params.FromMap(values, true)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func generate(t testing.TB, files fstest.MapFS, upTo taskgraph.Stage) (*taskgraph.Result, error) {
	t.Helper()
	return taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: smallParams(t, nil), Scripts: scripts()}, upTo)
}

const succeed = "loader: taskgraph.loader.transform:loader\ntransforms: [taskgraph.transforms.task]\n"

func TestFaultsOfATreeSayWhereAndWhat(t *testing.T) {
	run := "worker-type: b-linux, worker: {docker-image: x, max-run-time: 1}"
	cases := []struct {
		name  string
		files []string
		want  string
	}{
		{"bad YAML", []string{"k", "tasks:\n  a: [1,\n"}, "taskcluster/kinds/k/kind.yml:"},
		{"tasks as a list", []string{"k", "tasks: [a]\n"}, "taskcluster/kinds/k/kind.yml:1: tasks: must be a mapping, not a list"},
		{"an entry that is text", []string{"k", "tasks:\n  a: text\n"}, "taskcluster/kinds/k/kind.yml:2: task k-a: an entry must be a mapping, not a string"},
		{"an unknown key, with the one meant", []string{"k", succeed + "tasks:\n  a:\n    worker-type: succeed\n    description: d\n    dependancies: {}\n"},
			`taskcluster/kinds/k/kind.yml:7: task k-a: dependancies: the key "dependancies" is not known here; is "dependencies" meant?`},
		{"all problems of all entries", []string{"k", succeed + "task-defaults: {worker-type: succeed}\ntasks:\n  a: {description: 1}\n  b: {priority: hihg, description: d}\n"},
			"taskcluster/kinds/k/kind.yml:5: task k-a: description: must be a string, not an integer; put it in quotes\n" +
				`taskcluster/kinds/k/kind.yml:6: task k-b: priority: must be one of highest, very-high, high, medium, low, very-low, lowest, not "hihg"; is "high" meant?`},
		{"faults of several kinds together", []string{"k", succeed + "tasks: {a: {worker-type: nobody, description: d}}", "l", "tasks: {b: 1}"}, "kinds/l/kind.yml:1: task l-b"},
		{"an unknown worker type", []string{"k", succeed + "tasks:\n  a: {worker-type: b-linus, description: d}\n"}, `task k-a: worker-type: taskcluster/config.yml:8: the worker type b-linus: by-worker-type has neither a key that matches "b-linus" nor "default"; is "b-linux" meant?`},
		{"an unknown implementation", []string{"k", succeed + "tasks:\n  a: {worker-type: b-odd, description: d}\n"}, `worker.implementation: there is no worker implementation "nobody"; known are always-optimized,`},
		{"an unknown transform", []string{"k", "loader: taskgraph.loader.transform:loader\ntransforms:\n  - taskgraph.transforms.tasks\n"}, `kind.yml:3: the transform "taskgraph.transforms.tasks:transforms" is not known; is "taskgraph.transforms.task:transforms" meant?`},
		{"a transform in Python", []string{"k", "transforms: ['my_taskgraph.transforms.x:t']\n"}, "transforms of the tree are Starlark functions"},
		{"a default transform named", []string{"k", "transforms: ['taskgraph.transforms.run:transforms']\n"}, "kind.yml:1: the default loader adds taskgraph.transforms.run:transforms by itself"},
		{"an unknown loader", []string{"k", "loader: x.y:z\n"}, `kind.yml:1: the loader "x.y:z" is not known`},
		{"a kind that is not there", []string{"k", "kind-dependencies:\n  - buidl\n", "build", succeed}, `taskcluster/kinds/k/kind.yml:2: the kind "k" depends on "buidl", but there is no kind "buidl"; is "build" meant?`},
		{"kinds in a circle", []string{"a", "kind-dependencies: [b]\n", "b", "kind-dependencies: [a]\n"}, "kinds depend on each other in a circle: a -> b -> a"},
		{"a missing dependency", []string{"k", succeed + "task-defaults: {worker-type: succeed, description: d}\ntasks:\n  a: {dependencies: {x: k-c}}\n  b: {}\n"}, `taskcluster/kinds/k/kind.yml:5: task k-a: depends on "k-c" (as "x"), but there is no task of this label; is "k-a" meant?`},
		{"tasks in a circle", []string{"k", succeed + "task-defaults: {worker-type: succeed, description: d}\ntasks:\n  a: {dependencies: {x: k-b}}\n  b: {dependencies: {y: k-a}}\n"}, "task k-a: tasks depend on each other in a circle: k-a -> k-b -> k-a"},
		{"a label in two kinds", []string{"k", succeed + "tasks: {a: {label: x, worker-type: succeed, description: d}}", "l", succeed + "tasks: {a: {label: x, worker-type: succeed, description: d}}"}, `kinds/l/kind.yml:3: task x: two tasks have this label; the other comes from kind "k" (taskcluster/kinds/k/kind.yml:3)`},
		{"a reserved edge", []string{"k", succeed + "tasks: {a: {worker-type: succeed, description: d, dependencies: {self: x}}}"}, `dependencies.self: the name "self" is reserved`},
		{"if-dependencies without their edge", []string{"k", succeed + "tasks: {a: {worker-type: succeed, description: d, if-dependencies: [x]}}"}, `if-dependencies: "x" is not the name of one of the task's dependencies`},
		{"run and when", []string{"k", "tasks: {a: {" + run + ", description: d, run: {using: run-task, command: c}, when: {files-changed: []}, optimization: {always: null}}}"}, `"optimization" and "when" exclude each other`},
		{"an unknown way of running", []string{"k", "tasks: {a: {" + run + ", description: d, run: {using: run-tsk}}}"}, "run.using: there is no way of running called run-tsk"},
		{"a way of running on the wrong worker", []string{"k", "tasks: {a: {worker-type: succeed, description: d, run: {using: run-task}}}"}, "using run-task does not work on the worker implementation succeed; it works on docker-worker, generic-worker"},
		{"a fetch of nothing", []string{"k", "tasks: {a: {" + run + ", description: d, run: {using: run-task, command: c}, fetches: {fetch: [x]}}}"}, `fetches.fetch: there is no fetch task "x"`},
		{"a fetch from no dependency", []string{"k", "tasks: {a: {" + run + ", description: d, run: {using: run-task, command: c}, fetches: {build: [x]}}}"}, `the task has no dependency called "build" to fetch from`},
		{"a group without a name", []string{"k", succeed + "tasks: {a: {worker-type: succeed, description: d, treeherder: {symbol: X(y)}}}"}, `treeherder.symbol: the group "X" has no name; add it to treeherder.group-names in taskcluster/config.yml`},
		{"a product that is not configured", []string{"k", succeed + "tasks: {a: {worker-type: succeed, description: d, index: {product: no, job-name: x}}}"}, "index.product: must be a string, not a boolean"},
		{"matrix fields that are not there", []string{"k", "transforms: [taskgraph.transforms.matrix]\ntasks: {a: {matrix: {x: [a], substitution-fields: [extra.y]}}}"}, "extra.y: is to be formatted, but the task has no such field"},
		{"braces that name nothing", []string{"k", "transforms: [taskgraph.transforms.matrix]\ntasks: {a: {matrix: {x: [a]}, run: {cwd: '{checkout}'}}}"}, `run: in "{checkout}": {checkout} is not known here`},
		{"a matrix beyond the limit", []string{"k", "transforms: [taskgraph.transforms.matrix]\ntasks: {a: {matrix: {a: &l [0,1,2,3,4,5,6,7,8,9], b: *l, c: *l, d: *l, e: *l, f: *l}}}"}, "matrix: has more than 200000 cells"},
		{"chunks beyond the limit", []string{"k", "transforms: [taskgraph.transforms.chunking]\ntasks: {a: {chunk: {total-chunks: 150000}}}"}, "chunk.total-chunks: is more than 10000"},
		{"a choice that matches nothing", []string{"k", "transforms: [taskgraph.transforms.task_context]\ntasks: {a: {task-context: {substitution-fields: [description]}, description: {by-name: {b: x, c: y}}}}"}, "by-name has neither a key that matches \"a\" nor \"default\""},
		{"the last transform makes no task", []string{"k", "loader: taskgraph.loader.transform:loader\ntransforms: []\ntasks: {a: {label: l, description: d}}"}, "the kind's transforms gave no task definition; does the kind lack taskgraph.transforms.task?"},
		{"a bad condition", []string{"k", succeed + "tasks:\n  a: {if: 'levle >= 3', worker-type: succeed, description: d}\n"}, "taskcluster/kinds/k/kind.yml:4: task k-a: if: column 1: unknown name levle; is \"level\" meant?"},
		{"Starlark without the function", []string{"k", "loader: taskgraph.loader.transform:loader\ntransforms: ['taskcluster/x.star:nope']\ntasks: {a: {}}", "taskcluster/x.star", "def f(config, task):\n    return task\n"}, `taskcluster/kinds/k/kind.yml:2: Starlark: taskcluster/x.star: there is no function "nope"`},
		{"Starlark that is not there", []string{"k", "loader: taskgraph.loader.transform:loader\ntransforms: ['taskcluster/y.star:f']\ntasks: {a: {}}"}, "taskcluster/kinds/k/kind.yml:2: Starlark: taskcluster/y.star"},
		{"Starlark that fails", []string{"k", succeed[:len(succeed)-len("transforms: [taskgraph.transforms.task]\n")] + "transforms: ['taskcluster/x.star:f']\ntasks: {a: {}}", "taskcluster/x.star", "def f(config, task):\n    return task['nothing']\n"}, "taskcluster/x.star:2: task"},
		{"an image that is not there", []string{"k", "tasks: {a: {worker-type: b-linux, worker: {docker-image: {in-tree: gone}, max-run-time: 1}, description: d, run: {using: run-task, command: c}}}"}, `worker.docker-image: the image "gone" of the tree has no taskcluster/docker/gone/Dockerfile`},
		{"no kinds", nil, "taskcluster/kinds: does not exist; a graph needs at least one kind"},
		{"a file of tasks-from that is not there", []string{"k", "tasks-from: [gone.yml]\n"}, "taskcluster/kinds/k/gone.yml: cannot be read: file does not exist"},
		{"a route that is no namespace", []string{"k", succeed + "tasks: {a: {worker-type: succeed, description: d, routes: ['index.a b']}}"}, `has the index route "index.a b", which is no namespace`},
		{"a notification nobody knows", []string{"k", succeed + "tasks: {a: {worker-type: succeed, description: d, routes: [notify.email.a@b.on-done]}}"}, "whose end is no filter of notifications"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := generate(t, small(c.files...), taskgraph.Full)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
			var e *graph.Error
			if !errors.As(err, &e) || e.File == "" {
				t.Errorf("the error names no file: %#v", e)
			}
		})
	}
}

func TestWarningsBecomeErrorsWhenStrict(t *testing.T) {
	files := small("k", "transforms: [taskgraph.transforms.chunking]\ntasks:\n  a: {chunk: {total-chunks: 2}, worker-type: b-linux, worker: {docker-image: x, max-run-time: 1}, description: d, run: {using: run-task, command: c}}\n")
	res, err := generate(t, files, taskgraph.Full)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"k-a"}, res.Full.Keys()); diff != "" {
		t.Error(diff)
	}
	const want = "taskcluster/kinds/k/kind.yml:3: task k-a: several tasks of the kind \"k\" have the label k-a; only the last one stays"
	if len(res.Warnings) != 1 || !strings.HasPrefix(res.Warnings[0].Error(), want) {
		t.Errorf("warnings: %v", res.Warnings)
	}
	_, err = taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: smallParams(t, nil), Strict: true}, taskgraph.Full)
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("strict: %v", err)
	}
}
