package taskgraph_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// tryTree has builds, tests in chunks, and a job, as the try syntax knows them.
func tryTree(config string) fstest.MapFS {
	test := "worker-type: b-linux, description: d, worker: {docker-image: x, max-run-time: 1}, dependencies: {build: build-linux64}, priority: lowest"
	tree := small("build", succeed+`task-defaults:
  worker-type: b-linux
  description: d
  priority: very-low
  run-on-projects: [all]
  worker: {docker-image: x, max-run-time: 1, env: {KEPT: yes please}}
tasks:
  linux64: {attributes: {build_type: opt, build_platform: linux64}}
  win64: {attributes: {build_type: debug, build_platform: win64}}
`, "test", "kind-dependencies: [build]\n"+succeed+`tasks:
  mochitest-1: {`+test+`, attributes: {build_type: opt, build_platform: linux64, test_platform: linux64/opt, unittest_try_name: mochitest, test_chunk: "1", run_on_projects: [all]}}
  mochitest-2: {`+test+`, attributes: {build_type: opt, build_platform: linux64, test_platform: linux64/opt, unittest_try_name: mochitest, test_chunk: "2", run_on_projects: [all]}}
`, "lint", succeed+`tasks:
  js: {worker-type: succeed, description: d, run-on-projects: [all], attributes: {job_try_name: js}}
`)
	tree["taskcluster/config.yml"].Data = append(tree["taskcluster/config.yml"].Data, config...)
	return tree
}

// tried is a push to try decided up to the tasks that it creates.
type tried struct {
	result *taskgraph.Result
	tasks  []taskgraph.Submission
	notes  string
	params *params.Parameters
}

func try(t *testing.T, tree fstest.MapFS, message, file string, change ...func(*params.Decision)) (tried, error) {
	t.Helper()
	hooks, err := taskgraph.ReadHooks(t.Context(), tree, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := params.Decision{
		BaseRepository: "https://hg.example.org/try", HeadRepository: "https://hg.example.org/try", HeadRef: "default", HeadRev: strings.Repeat("1", 40),
		Project: "try", Owner: "dev@example.org", Level: "1", PushlogID: "7", RepositoryType: "hg", TasksFor: "hg-push", CommitMessage: message,
		Now: time.Unix(1767225600, 0),
	}
	for _, c := range change {
		c(&d)
	}
	var src []byte
	if file != "" {
		src = []byte(file)
	}
	var out tried
	if hooks.IsTry(d) {
		asked, err := hooks.Try(d, src, "try_task_config.json")
		if err != nil {
			return out, err
		}
		d.Try = asked.Values
		out.add(asked.Notes)
	}
	if out.params, err = hooks.Decide(t.Context(), d, nil); err != nil {
		return out, err
	}
	id := slug.FromBytes([16]byte{1})
	out.result, err = taskgraph.Generate(t.Context(), taskgraph.Input{Tree: tree, Parameters: out.params, DecisionTaskID: id, Scripts: scripts()}, taskgraph.Morphed)
	if err != nil {
		return out, err
	}
	out.add(out.result.Warnings)
	out.tasks, err = out.result.Submissions(d.Now, id)
	return out, err
}

func (x *tried) add(notes []*graph.Error) {
	for _, n := range notes {
		x.notes += n.Error() + "\n"
	}
}

// labels are those of the tasks created, each as often as it is.
func (x tried) labels() string {
	var out []string
	for _, s := range x.tasks {
		out = append(out, s.Label)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (x tried) task(t *testing.T, label string) map[string]any {
	t.Helper()
	for _, s := range x.tasks {
		if s.Label == label {
			return s.Definition
		}
	}
	t.Fatalf("there is no %s among %s", label, x.labels())
	return nil
}

func TestAPushToTryRunsWhatItSays(t *testing.T) {
	const gone = `try_task_config.json: there is no task "build-linux46" in the graph; it was left out; is "build-linux64" meant?`
	for name, c := range map[string]struct{ message, file, want, notes string }{
		"neither says anything":   {"Bug 1", "", "", ""},
		"syntax of a build":       {"Bug 1\n\ntry: -b o -u none", "", "build-linux64", ""},
		"syntax of tests":         {"try: -b o -u mochitest-2", "", "build-linux64 test-mochitest-2", ""},
		"syntax of a job":         {"try: -j js", "", "lint-js", ""},
		"copies by syntax":        {"try: -b o -u mochitest-2 --rebuild 3", "", "build-linux64 test-mochitest-2 test-mochitest-2 test-mochitest-2", ""},
		"syntax with odd options": {"a\ntry: -b o -u none --what -p linux64 x", "", "build-linux64", "commit message:2: try: the option --what is not known and left out\ncommit message:2: try: \"x\" is left out"},
		"syntax of nothing":       {"try: -p linux64", "", "", "commit message:1: try: nothing is selected: builds need -b o or -b d"},
		"a test nobody knows":     {"\n\ntry: -b o -u mochtest -p linux64", "", "build-linux64", `commit message:3: try: -u: no test of the graph is called "mochtest"; is "mochitest" meant?`},
		"version 1":               {"", `{"tasks": ["test-mochitest-1"]}`, "build-linux64 test-mochitest-1", ""},
		"version 1, no tasks":     {"", `{"tasks": []}`, "", ""},
		"chunks":                  {"", `{"tasks": ["test-mochitest-*"]}`, "build-linux64 test-mochitest-1 test-mochitest-2", ""},
		"chunks, paths given":     {"", `{"tasks": ["test-mochitest-*"], "env": {"MOZHARNESS_TEST_PATHS": "{}"}}`, "build-linux64 test-mochitest-1", ""},
		"a label that is gone":    {"", `{"tasks": ["build-linux46", "lint-js"]}`, "lint-js", gone},
		"copies":                  {"", `{"tasks": ["test-mochitest-1"], "rebuild": 2}`, "build-linux64 test-mochitest-1 test-mochitest-1", ""},
		"copies of chunks":        {"", `{"tasks": ["test-mochitest-*"], "rebuild": 2}`, "build-linux64 test-mochitest-1 test-mochitest-1 test-mochitest-2 test-mochitest-2", ""},
		"version 2":               {"", `{"version": 2, "parameters": {"try_task_config": {"tasks": ["lint-js"]}, "optimize_target_tasks": false}}`, "lint-js", ""},
		"version 2, a method":     {"", `{"version": 2, "parameters": {"target_tasks_method": "nothing"}}`, "", ""},
		"version 1, a method":     {"", `{"tasks": [], "target-tasks-method": "default"}`, "build-linux64 build-win64 lint-js test-mochitest-1 test-mochitest-2", ""},
		"version 2, auto":         {"", `{"version": 2, "parameters": {"filters": ["try_auto"], "try_task_config": {"tasks-regex": {"include": ["build", "lint"], "exclude": ["win"]}}}}`, "build-linux64 lint-js", ""},
		"both":                    {"try: -j js", `{"tasks": ["build-win64"], "env": {"A": "b"}}`, "lint-js", "try_task_config.json: its tasks are left out: the try: line"},
		"DONTBUILD":               {"try: -j js DONTBUILD", "", "", `"DONTBUILD" is left out`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := try(t, tryTree(""), c.message, c.file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.labels()); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(got.notes, c.notes) || (c.notes == "") != (got.notes == "") {
				t.Errorf("notes %q, want %q in them", got.notes, c.notes)
			}
		})
	}
}

func TestWhatIsWrongWithATryStopsItAndSaysWhere(t *testing.T) {
	for name, c := range map[string]struct{ message, file, want string }{
		"syntax":                {"one\ntry: -b", "", "commit message:2: try: -b needs a value behind it"},
		"a platform":            {"try: -b o -p linux", "", "commit message:1: try: -p: no task of the graph is for platform linux (known: linux64, linux64/opt, win64)"},
		"a build type":          {"try: -b d -p linux64 -u x[", "", "commit message:1: try: -u x[: the bracket behind \"x\" is not closed"},
		"the file":              {"", "{\n\"tasks\": 1}", "try_task_config.json:2: tasks is 1, expected a list of strings"},
		"both":                  {"try: -b", "{\n\"tasks\": 1}", "try_task_config.json:2: tasks is 1, expected a list of strings\ncommit message:1: try: -b"},
		"an unknown parameter":  {"", "{\"version\": 2, \"parameters\": {\n\"optimise_target_tasks\": false}}", `try_task_config.json:2: parameters: optimise_target_tasks is not a known parameter; is "optimize_target_tasks" meant?`},
		"a parameter's type":    {"", "{\"version\": 2, \"parameters\": {\n\"filters\": \"x\"}}", `try_task_config.json:2: parameters: filters is "x", expected a list of strings`},
		"the level":             {"", "{\"version\": 2, \"parameters\": {\n\"level\": \"3\"}}", "try_task_config.json:2: parameters.level cannot be set here: it says what was pushed, and how far that is trusted"},
		"the head":              {"", `{"version": 2, "parameters": {"head_rev": "2"}}`, "parameters.head_rev cannot be set here"},
		"a mode nobody knows":   {"", `{"version": 2, "parameters": {"try_mode": "best"}}`, `parameter try_mode: "best" is not known to the method try_tasks`},
		"options of other type": {"", `{"version": 2, "parameters": {"try_mode": "try_option_syntax", "try_options": {"jobs": 1}}}`, "parameter try_options: jobs is 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := try(t, tryTree(""), c.message, c.file)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestTasksGetWhatAPushToTryAsksOfThem(t *testing.T) {
	got, err := try(t, tryTree(""), "", `{"tasks": ["test-mochitest-1"], "env": {"A": "b"}, "chemspill-prio": true, "routes": ["me.too"], "worker-overrides": {"b-linux": "other/pool"}}`)
	if err != nil {
		t.Fatal(err)
	}
	for label, kept := range map[string]any{"build-linux64": "yes please", "test-mochitest-1": nil} {
		d := got.task(t, label)
		payload := value.Map(d, "payload")
		if env := value.Map(payload, "env"); env["A"] != "b" || env["KEPT"] != kept {
			t.Errorf("%s: %v", label, env)
		}
		if d["priority"] != "low" || d["provisionerId"] != "other" || d["workerType"] != "pool" || !slices.Contains(value.List(d, "routes"), any("me.too")) {
			t.Errorf("%s: %v %v/%v %v", label, d["priority"], d["provisionerId"], d["workerType"], d["routes"])
		}
	}
	said := ""
	for _, m := range got.result.Explain.Morphs {
		said += m.Label + ": " + m.Morph + ": " + m.Change + "\n"
	}
	if want := "test-mochitest-1: try: environment A; chemspill-prio: priority low; routes me.too\n"; !strings.Contains(said, want) {
		t.Errorf("the record says %q, not %q", said, want)
	}
	if got, err = try(t, tryTree(""), "try: -b o -u mochitest-1 -i -f --no-retry --tag dom --setenv B=c --artifact", ""); err != nil {
		t.Fatal(err)
	}
	d := got.task(t, "test-mochitest-1")
	routes := []any{"notify.email.dev@example.org.on-failed", "notify.email.dev@example.org.on-exception"}
	payload := value.Map(d, "payload")
	if diff := cmp.Diff([]any{int64(0), routes, "c", true}, []any{d["retries"], d["routes"], value.Map(payload, "env")["B"], value.Map(payload, "features")["interactive"]}); diff != "" {
		t.Error(diff)
	}
	settings, _ := got.params.Get("try_task_config").(map[string]any)
	if settings["use-artifact-builds"] != true || got.params.Get("message") != "try: -b o -u mochitest-1 -i -f --no-retry --tag dom --setenv B=c --artifact" {
		t.Errorf("%v", settings)
	}
	all, err := try(t, tryTree(""), "try: -j js -e", "")
	if err != nil || !slices.Contains(value.List(all.task(t, "lint-js"), "routes"), any("notify.email.dev@example.org.on-any")) {
		t.Error(err, all.labels())
	}
}

// The record says by which part of the syntax, or entry of the file, a task was selected.
func TestTheRecordSaysWhyATryRunsATask(t *testing.T) {
	for want, c := range map[string][2]string{
		"try syntax names the test [-u mochitest-1]":              {"try: -b o -u mochitest-1", ""},
		"try_task_config.json lists it [test-mochitest-*]":        {"", `{"tasks": ["test-mochitest-*"]}`},
		"try_task_config.json lists it [test-mochitest-1]":        {"", `{"tasks": ["test-mochitest-1"]}`},
		"try_task_config.json does not list it []":                {"", `{"tasks": []}`},
		"the push to try names no tasks (an empty try); add them": {"", ""},
	} {
		got, err := try(t, tryTree(""), c[0], c[1])
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, s := range got.result.Explain.Selections {
			found = found || s.Label == "test-mochitest-1" && strings.HasPrefix(s.Rule+" ["+s.Input+"]", want)
		}
		if !found {
			t.Errorf("%q is not in %+v", want, got.result.Explain.Selections)
		}
	}
}

func TestWhichPushesAreTries(t *testing.T) {
	config := "try: {projects: [sandbox], branches: ['try/**', attempt], ridealong-builds: {linux64: [win64]}, auto-project: trunk}\n"
	for name, c := range map[string]struct {
		config, project, head, event string
		want                         bool
	}{
		"the project try":                  {"", "try", "default", "hg-push", true},
		"a try of another tree":            {"", "try-comm-central", "default", "hg-push", true},
		"kaios-try":                        {"", "kaios-try", "", "hg-push", true},
		"try of an owner":                  {"", "mozilla.try", "refs/heads/main", "github-push", true},
		"a name that holds the letters":    {"", "country", "default", "hg-push", false},
		"a job of cron on try":             {"", "try", "default", "cron", false},
		"a pull request":                   {"", "try", "x", "github-pull-request", false},
		"another project":                  {config, "central", "refs/heads/main", "git-push", false},
		"a project of config.yml":          {config, "sandbox", "refs/heads/main", "git-push", true},
		"a branch of config.yml":           {config, "central", "refs/heads/try/me/bug-1", "git-push", true},
		"another branch of config.yml":     {config, "central", "refs/heads/attempt", "git-push", true},
		"a branch that only begins so":     {config, "central", "refs/heads/attempts", "git-push", false},
		"a Mercurial branch of config.yml": {config, "central", "attempt", "hg-push", true},
	} {
		t.Run(name, func(t *testing.T) {
			hooks, err := taskgraph.ReadHooks(t.Context(), tryTree(c.config), "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := hooks.IsTry(params.Decision{Project: c.project, HeadRef: c.head, TasksFor: c.event}); got != c.want {
				t.Error(got)
			}
		})
	}
	got, err := try(t, tryTree(config), "try: -b do -p linux64 -u none", "")
	if err != nil || got.labels() != "build-linux64 build-win64" {
		t.Errorf("a build that rides along: %s, %v", got.labels(), err)
	}
	_, err = taskgraph.ReadHooks(t.Context(), tryTree("try: {branches: x}\n"), "", nil)
	if err == nil || !strings.Contains(err.Error(), "taskcluster/config.yml:11: try.branches: must be a list") {
		t.Error(err)
	}
}

// A push that is no try has none of the parameters, whatever its message and tree say.
func TestOtherPushesTakeNothingFromTheFile(t *testing.T) {
	got, err := try(t, tryTree(""), "try: -j js", `{"tasks": []}`, func(d *params.Decision) { d.Project = "central" })
	if err != nil {
		t.Fatal(err)
	}
	if _, has := got.params.Lookup("try_mode"); has || got.labels() != "build-linux64 build-win64 lint-js test-mochitest-1 test-mochitest-2" {
		t.Errorf("%v, %s", has, got.labels())
	}
}

// A hook of the tree sees what a try asks for; what was asked for on the command line stays.
func TestParametersOfATryAreSeenByHooks(t *testing.T) {
	tree := tryTree("")
	tree["taskcluster/config.yml"].Data = []byte(strings.Replace(string(tree["taskcluster/config.yml"].Data), "taskgraph: {repositories: {ci: {name: Small}}}",
		"taskgraph: {repositories: {ci: {name: Small}}, register: 'taskcluster/p.star:register', decision-parameters: 'taskcluster/p.star:decide'}", 1))
	tree["taskcluster/p.star"] = &fstest.MapFile{Data: []byte(`
def register(graph_config):
    return {"parameters": {"seen": {"type": "string", "default": "nothing"}, "try_mode": {"type": "string"}}}
def decide(graph_config, parameters):
    parameters["seen"] = "%s %s" % (parameters["try_mode"], parameters.get("message", ""))
`)}
	got, err := try(t, tree, "try: -j js", "")
	if err != nil {
		t.Fatal(err)
	}
	if seen := got.params.String("seen"); seen != "try_option_syntax try: -j js" {
		t.Error(seen)
	}
	if got, err = try(t, tree, "", `{"tasks": []}`, func(d *params.Decision) { d.TargetTasksMethod = "default" }); err != nil || got.params.String("target_tasks_method") != "default" {
		t.Error(got.params.String("target_tasks_method"), err)
	}
}

// The parameters of a try are a file like others: reading it back makes the same graph.
func TestParametersOfATryMakeTheSameGraphAgain(t *testing.T) {
	got, err := try(t, tryTree(""), "try: -b o -u mochitest-2[linux64] --rebuild 2 --setenv A=b", "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := got.params.YAML()
	if err != nil {
		t.Fatal(err)
	}
	p, err := params.Load("parameters.yml", text, true)
	if err != nil {
		t.Fatal(err)
	}
	again, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: tryTree(""), Parameters: p, DecisionTaskID: slug.FromBytes([16]byte{1}), Scripts: scripts()}, taskgraph.Morphed)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(slices.Sorted(maps.Keys(got.result.LabelToTaskID)))
	b, _ := json.Marshal(slices.Sorted(maps.Keys(again.LabelToTaskID)))
	if diff := cmp.Diff(string(a), string(b)); diff != "" || got.result.InputDigest != again.InputDigest {
		t.Error(diff)
	}
}
