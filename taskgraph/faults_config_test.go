package taskgraph_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// configOf is smallConfig with some of its lines replaced: pairs of old and new text.
func configOf(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(smallConfig)
}

func TestFaultsOfTheConfigurationSayWhereAndWhat(t *testing.T) {
	const task = "tasks: {a: {worker-type: b-linux, worker: {docker-image: x, max-run-time: 1}, description: d, run: {using: run-task, command: c}}}\n"
	const repositories = "{ci: {name: Small}}"
	cases := []struct {
		name, config, kind string
		want               []string
	}{
		{"no configuration", "", task, []string{"taskcluster/config.yml: the key \"trust-domain\" is missing", "the key \"task-priority\" is missing", "the key \"workers\" is missing", "the key \"taskgraph\" is missing"}},
		{"a priority nobody knows", configOf("task-priority: low", "task-priority: lo"), task, []string{`taskcluster/config.yml:2: task-priority: must be one of highest, very-high, high, medium, low, very-low, lowest, not "lo"; is "low" meant?`}},
		{"a priority chosen by something else", configOf("task-priority: low", "task-priority: {by-os: {a: low}}"), task, []string{"taskcluster/config.yml:2: task-priority: cannot be chosen by-os; possible here: by-project, by-level"}},
		{"a priority for no project", configOf("task-priority: low", "task-priority: {by-project: {other: low, more: high}}"), task, []string{"taskcluster/config.yml:2: `task-priority`: by-project has neither a key that matches \"small\" nor \"default\""}},
		{"a priority by level without a default", configOf("task-priority: low", "task-priority: {by-level: {'3': low}}"), task, []string{"taskcluster/config.yml:2: `task-priority`: there is no attribute \"level\" here and by-level has no \"default\""}},
		{"an alias without its keys", configOf("{provisioner: p, implementation: docker-worker, os: linux, worker-type: w}", "{provisioner: 5, osx: linux}"), task,
			[]string{"taskcluster/config.yml:8: workers.aliases.b-linux.provisioner: must be a string, not an integer; put it in quotes", `workers.aliases.b-linux: the key "implementation" is missing`, `workers.aliases.b-linux.osx: the key "osx" is not known here; is "os" meant?`}},
		{"two aliases for one worker type", configOf("b-win:", "'b-lin.*': {provisioner: p, implementation: docker-worker, os: linux, worker-type: w}\n    'b-li.*':", "b-linux:", "other:"), task, []string{"several keys of by-worker-type match \"b-linux\": b-li.*, b-lin.*"}},
		{"an alias table of default alone", strings.Split(smallConfig, "aliases:")[0] + "aliases: {default: {provisioner: p, implementation: docker-worker, os: linux, worker-type: w}}\n", task, []string{`the worker type b-linux: by-worker-type is unnecessary with only the value "default"`}},
		{"an alias that names nothing", configOf("b-linux: {provisioner: p", "b-linux: {provisioner: '{domain}'"), task, []string{`taskcluster/config.yml:8: provisioner of the worker type "b-linux": in "{domain}": {domain} is not known here`}},
		{"a key of taskgraph that nobody knows", configOf("taskgraph: {", "taskgraph: {cached-task-prefx: x, "), task, []string{`taskcluster/config.yml:5: taskgraph.cached-task-prefx: the key "cached-task-prefx" is not known here; is "cached-task-prefix" meant?`}},
		{"a cache that nobody knows", configOf("taskgraph: {", "taskgraph: {run: {use-caches: [yarn]}, "), task, []string{`taskcluster/config.yml:5: taskgraph.run.use-caches.0: must be one of cargo, checkout, npm, pip, uv, not "yarn"`}},
		{"no repository", configOf(repositories, "{}"), task, []string{"taskcluster/config.yml:5: taskgraph.repositories: must not be empty"}},
		{"a repository without a name", configOf(repositories, "{ci: {}}"), task, []string{`taskcluster/config.yml:5: taskgraph.repositories.ci: the key "name" is missing`}},
		{"several repositories without an expression", configOf(repositories, "{ci: {name: A}, lib: {name: B}}"), task, []string{`taskcluster/config.yml:5: the repository "ci" lacks "project-regex", needed when there are several`}},
		{"no repository for the project", configOf(repositories, "{ci: {name: A, project-regex: x}, lib: {name: B, project-regex: y}}"), task, []string{`taskcluster/config.yml:5: no repository has a project-regex that matches the project "small"`}},
		{"several repositories for the project", configOf(repositories, "{ci: {name: A, project-regex: s}, lib: {name: B, project-regex: small}}"), task, []string{`taskcluster/config.yml:5: several repositories match the project "small": ci, lib`}},
		{"a repository without where it is", configOf(repositories, "{ci: {name: A, project-regex: s}, lib: {name: B, project-regex: y, default-ref: main}}"), task, []string{`taskcluster/config.yml:5: the repository "lib" lacks "default-repository", which every repository but the one pushed to needs`}},
		{"which checkouts of several", configOf(repositories, "{ci: {name: A, project-regex: s}, lib: {name: B, project-regex: y, default-repository: r, default-ref: main, type: git}}"), task, []string{"task k-a: run.checkout: must name the repositories to check out, since there are several"}},
		{"a group without any groups", configOf("treeherder: {group-names: {T: Tests}}", ""), strings.ReplaceAll(task, "description: d", "description: d, treeherder: {symbol: T(a)}"), []string{`the group "T" has no name; add it to treeherder.group-names in taskcluster/config.yml`}},
		{"a product without any products", configOf("index: {products: [prod]}", ""), strings.ReplaceAll(task, "description: d", "description: d, index: {product: prod, job-name: x}"), []string{`the product "prod" is not among index.products in taskcluster/config.yml ()`}},
		{"an expression that is none", configOf("b-win:", "'b-(':", "b-linux:", "other:"), task, []string{`"b-(" is no regular expression: missing closing )`}},
		{"scriptworkers without their scopes", configOf("implementation: nobody", "implementation: scriptworker-signing"), strings.ReplaceAll(succeed, "\n\n", "\n") + "tasks: {a: {worker-type: b-odd, description: d, worker: {signing-type: s, upstream-artifacts: []}}}\n", []string{"worker.implementation: needs scriptworker.scope-prefix in taskcluster/config.yml"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			files := small("k", c.kind)
			files["taskcluster/config.yml"] = &fstest.MapFile{Data: []byte(c.config)}
			_, err := generate(t, files, taskgraph.Full)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			}
			if e, ok := errors.AsType[*graph.Error](err); !ok || e.File == "" {
				t.Errorf("the error names no file: %#v", e)
			}
		})
	}
}

func TestFaultsOfKindFilesSayWhereAndWhat(t *testing.T) {
	cases := []struct {
		name, kind, more string // more: the kind's other file, more.yml
		want             string
	}{
		{"a kind file that is no mapping", "- a\n", "", "taskcluster/kinds/k/kind.yml:1: must be a mapping of keys to values"},
		{"two documents", "tasks: {}\n---\ntasks: {}\n", "", "taskcluster/kinds/k/kind.yml:2: holds a second document; only one is allowed"},
		{"keys of the wrong type", "transforms: x\nkind-dependencies: {}\ntask-defaults: []\n", "", "taskcluster/kinds/k/kind.yml:1: transforms: must be a list, not a string\n" +
			"taskcluster/kinds/k/kind.yml:2: kind-dependencies: must be a list, not a mapping\n" +
			"taskcluster/kinds/k/kind.yml:3: task-defaults: must be a mapping, not a list"},
		{"the transform loader without transforms", "loader: taskgraph.loader.transform:loader\n", "", `taskcluster/kinds/k/kind.yml:1: the kind "k" lists no transforms, which the loader taskgraph.loader.transform:loader needs`},
		{"a default transform without its suffix", "transforms: [taskgraph.transforms.task]\n", "", "taskcluster/kinds/k/kind.yml:1: the default loader adds taskgraph.transforms.task by itself; take it out of the list, or name the loader taskgraph.loader.transform:loader"},
		{"a file of tasks that is a list", "tasks-from: [more.yml]\n", "- a\n", "taskcluster/kinds/k/more.yml:1: must be a mapping of keys to values"},
		{"defaults of a file that are a list", "tasks-from: [more.yml]\n", "task-defaults: [a]\n", "taskcluster/kinds/k/more.yml:1: task-defaults must be a mapping, not a list"},
		{"an entry of a file that is text", "tasks-from: [more.yml]\n", "\na: b\n", "taskcluster/kinds/k/more.yml:2: task k-a: an entry must be a mapping, not a string"},
		{"a wrong key in a file of tasks", succeed + "tasks-from: [more.yml]\n", "a:\n  worker-type: succeed\n  description: d\n  route: []\n", `taskcluster/kinds/k/more.yml:4: task k-a: route: the key "route" is not known here; is "routes" meant?`},
		{"a wrong key in the defaults", succeed + "task-defaults:\n  route: []\ntasks:\n  a: {worker-type: succeed, description: d}\n", "", `taskcluster/kinds/k/kind.yml:4: task k-a: route: the key "route" is not known here; is "routes" meant?`},
		{"an alias inside what it names", "tasks: &a {x: *a}\n", "", "taskcluster/kinds/k/kind.yml:1: "},
		{"an unknown alias", "tasks: {x: *nope}\n", "", "taskcluster/kinds/k/kind.yml"},
		{"a merge of something else", "tasks: {x: {<<: 5}}\n", "", "taskcluster/kinds/k/kind.yml:1: << needs a mapping or a list of mappings"},
		{"a key that is a list", "tasks: {? [a] : b}\n", "", "taskcluster/kinds/k/kind.yml:1: a key must be text or a number, not a list or a mapping"},
		{"a number that is too large", "tasks: {x: {y: 99999999999999999999}}\n", "", "taskcluster/kinds/k/kind.yml:1: the number 99999999999999999999 is too large; put it in quotes if it is meant as text"},
		{"a tag nobody knows", "tasks: {x: !ruby/object y}\n", "", "taskcluster/kinds/k/kind.yml:1: the tag !ruby/object is not known; plain values need none"},
		{"deep nesting", "tasks: " + strings.Repeat("{a: ", 200) + "1" + strings.Repeat("}", 200) + "\n", "", "taskcluster/kinds/k/kind.yml:1: is nested deeper than 100 levels"},
		{"an alias bomb", aliasBomb(), "", "taskcluster/kinds/k/kind.yml: stands for "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			files := small("k", c.kind)
			if c.more != "" {
				files["taskcluster/kinds/k/more.yml"] = &fstest.MapFile{Data: []byte(c.more)}
			}
			if _, err := generate(t, files, taskgraph.Full); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// aliasBomb is a small file that stands for a billion values.
func aliasBomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		n, before := string(rune('0'+i)), string(rune('0'+i-1))
		b.WriteString("a" + n + ": &a" + n + " [" + strings.TrimSuffix(strings.Repeat("*a"+before+", ", 10), ", ") + "]\n")
	}
	return b.String() + "tasks: {x: {extra: *a8}}\n"
}
