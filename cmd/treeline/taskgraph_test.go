package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/taskgraph/goldentest"
)

// enterTree writes an archive of files into a directory and goes there.
func enterTree(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.Files {
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, name := range []string{"ROOT_URL", "CLIENT_ID", "ACCESS_TOKEN", "CERTIFICATE", "PROXY_URL"} {
		t.Setenv("TASKCLUSTER_"+name, "")
	}
	t.Setenv("TASK_ID", "")
	return dir
}

// enterGolden goes to the tree that the goldens of repository optimize were made from, with the
// parameters of each set beside it.
func enterGolden(t *testing.T) []goldentest.Set {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("..", "..", "taskgraph", "testdata", "optimize.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	sets := slices.DeleteFunc(goldentest.Sets(t), func(s goldentest.Set) bool { return s.Repo != "optimize" })
	for _, s := range sets {
		a.Files = append(a.Files, txtar.File{Name: "params/" + s.Name + ".yml", Data: s.Bytes(t, "parameters.yml")})
	}
	a.Files = append(a.Files, txtar.File{Name: ".taskcluster.yml", Data: goldentest.TaskclusterYML(t)}, txtar.File{Name: "found.json", Data: sets[0].Found(t)})
	enterTree(t, a)
	t.Setenv("TASKCLUSTER_ROOT_URL", sets[0].RootURL())
	return sets
}

func TestTaskgraphPrintsTheGoldens(t *testing.T) {
	for _, s := range enterGolden(t) {
		file := "params/" + s.Name + ".yml"
		for _, c := range []struct {
			want string
			args []string
		}{
			{"full.json", []string{"full", "-J"}},
			{"target.labels", []string{"target"}},
			{"target-graph.labels", []string{"target-graph", "-L"}},
			{"actions.json", []string{"actions"}},
		} {
			got := must(t, append(append([]string{"taskgraph"}, c.args...), "-p", file)...)
			if diff := cmp.Diff(string(s.Bytes(t, c.want)), got); diff != "" {
				t.Errorf("%s %s: %s", s.Name, c.want, diff)
			}
		}
		var want []string
		for _, task := range s.Graph(t, "optimized.json").All() {
			want = append(want, task.Label)
		}
		got := strings.Fields(must(t, "taskgraph", "optimized", "--index", "found.json", "-p", file))
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s optimized: %s", s.Name, diff)
		}
	}
}

func TestTaskgraphOptions(t *testing.T) {
	enterGolden(t)
	one := []string{"-p", "params/push.yml", "--index", "found.json"}
	run := func(args ...string) string { return must(t, append(append([]string{"taskgraph"}, args...), one...)...) }
	if diff := cmp.Diff("o-leaf-hit\no-leaf-skip\n\n", run("full", "--tasks", "o-leaf")); diff != "" {
		t.Errorf("--tasks: %s", diff)
	}
	var tasks map[string]map[string]any
	if err := json.Unmarshal([]byte(run("full", "-J", "--tasks", "o-leaf-hit$", "--exclude-key", "task.payload", "--exclude-key", "attributes")), &tasks); err != nil {
		t.Fatal(err)
	}
	def := tasks["o-leaf-hit"]["task"].(map[string]any)
	if len(tasks) != 1 || tasks["o-leaf-hit"]["attributes"] != nil || def["payload"] != nil || def["metadata"] == nil {
		t.Errorf("--exclude-key: %v", tasks)
	}
	if text := run("full", "-Y", "--tasks", "o-leaf-hit$"); !strings.Contains(text, "o-leaf-hit:\n  attributes:\n") {
		t.Errorf("-Y: %s", text)
	}
	if text := run("why", "o-idx-ok", "o-chain-*"); !strings.Contains(text, "replace: replaced by task F0000000QAC0000000000A, found at synth.ok") ||
		!strings.Contains(text, `from taskcluster/kinds/o/kind.yml:`) || !strings.Contains(text, "o-chain-c: ") {
		t.Errorf("why: %s", text)
	}
	if diff := cmp.Diff("o\n", run("kinds")); diff != "" {
		t.Errorf("kinds: %s", diff)
	}
	if diff := cmp.Diff("flowchart TD\n    o[o]\n", run("kind-graph")); diff != "" {
		t.Errorf("kind-graph: %s", diff)
	}
	must(t, "taskgraph", "target", "-p", "params", "-o", "out.txt")
	for _, name := range []string{"out_push.txt", "out_existing.txt"} {
		if b, err := os.ReadFile(name); err != nil || !strings.HasPrefix(string(b), "o-") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if err := os.Rename("taskcluster", "ci"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("o\n", run("kinds")); diff != "" {
		t.Errorf("kinds of ci: %s", diff)
	}
	if err := os.Rename("ci", "taskcluster"); err != nil {
		t.Fatal(err)
	}
	// From elsewhere the tree is found by --root.
	root, err := filepath.Abs("taskcluster")
	if err != nil {
		t.Fatal(err)
	}
	params, err := filepath.Abs("params/push.yml")
	if err != nil {
		t.Fatal(err)
	}
	want := run("target")
	t.Chdir(t.TempDir())
	if diff := cmp.Diff(want, must(t, "taskgraph", "target", "--root", root, "-p", params)); diff != "" {
		t.Errorf("--root: %s", diff)
	}
	t.Chdir(filepath.Dir(filepath.Dir(root)))
	below := filepath.Join(filepath.Base(filepath.Dir(root)), "taskcluster")
	if diff := cmp.Diff(want, must(t, "taskgraph", "target", "--root", below, "-p", params)); diff != "" {
		t.Errorf("--root further down: %s", diff)
	}
	if diff := cmp.Diff(want, must(t, "taskgraph", "target", "--root", filepath.Dir(root), "-p", params)); diff != "" {
		t.Errorf("--root naming the top: %s", diff)
	}
}

func TestParametersFromURLs(t *testing.T) {
	enterGolden(t)
	files := http.FileServer(http.Dir("params"))
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/push.yml" && asked.Add(1) <= 2 { // a server that is not well at first
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	want := must(t, "taskgraph", "target", "-p", "params/push.yml")
	if diff := cmp.Diff(want, must(t, "taskgraph", "target", "-p", server.URL+"/push.yml")); diff != "" {
		t.Error(diff)
	}
	if _, stderr, code := treeline(t, "taskgraph", "target", "-p", server.URL+"/nope.yml"); code != 1 || !strings.Contains(stderr, "answers 404") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestTaskgraphErrorsSayWhere(t *testing.T) {
	enterGolden(t)
	for name, c := range map[string]struct {
		files map[string]string
		args  []string
		want  string
	}{
		"no tree":            {nil, []string{"full", "--root", "nowhere"}, "--root names the directory of config.yml"},
		"no parameters":      {nil, []string{"full", "-p", "nope.yml"}, "open nope.yml"},
		"bad parameters":     {map[string]string{"bad.yml": "level: 3\n"}, []string{"full", "-p", "bad.yml"}, `bad.yml:1: level is 3, expected "1"`},
		"strict parameters":  {map[string]string{"few.yml": "level: '3'\n"}, []string{"full", "--strict", "-p", "few.yml"}, "head_rev is missing"},
		"bad expression":     {nil, []string{"full", "--tasks", "("}, "--tasks: error parsing regexp"},
		"unknown label":      {nil, []string{"why", "o-leaf-hitt", "-p", "params/push.yml", "--index", "found.json"}, `there is no task "o-leaf-hitt"; is "o-leaf-hit" meant?`},
		"unknown method":     {map[string]string{"m.yml": "target_tasks_method: x\n"}, []string{"target", "-p", "m.yml"}, `there is no method "x"`},
		"two forms":          {nil, []string{"full", "-J", "-Y"}, "none of the others can be"},
		"unknown kind":       {nil, []string{"full", "-k", "nope"}, "nope"},
		"decision by itself": {nil, []string{"decision"}, "required flag"},
	} {
		t.Run(name, func(t *testing.T) {
			for file, text := range c.files {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, stderr, code := treeline(t, append([]string{"taskgraph"}, c.args...)...)
			if code != 1 || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d, %q does not say %q", code, stderr, c.want)
			}
		})
	}
}
