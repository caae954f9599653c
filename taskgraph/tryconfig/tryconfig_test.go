package tryconfig_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
)

const everything = `{
  "version": 1,
  "tasks": ["build-linux64/opt", "test-linux64/opt-mochitest-*"],
  "env": {"TRY_SELECTOR": "fuzzy"},
  "rebuild": 3,
  "chemspill-prio": true,
  "routes": ["notify.email.a@example.org.on-failed"],
  "worker-overrides": {"b-linux": "proj-alpha/b-linux"},
  "worker-types": ["b-linux"],
  "optimize-strategies": "taskcluster/optimize.star:low",
  "target-tasks-method": "nightly",
  "tasks-regex": {"include": ["linux"], "exclude": ["asan"]},
  "browsertime": true,
  "disable-pgo": true,
  "gecko-profile": true,
  "gecko-profile-interval": 0.5,
  "gecko-profile-entries": 1000,
  "gecko-profile-features": "js,cpu",
  "gecko-profile-threads": "GeckoMain",
  "new-test-config": true,
  "perftest-options": {"perftest": ["a"]},
  "pernosco": true,
  "use-artifact-builds": true
}`

func TestVersion1HoldsEverySetting(t *testing.T) {
	c, err := tryconfig.Parse([]byte(everything), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(c.Settings.Values()); got != len(tryconfig.Keys()) {
		t.Errorf("%d settings are held of %d", got, len(tryconfig.Keys()))
	}
	if c.Rebuild != 3 || c.Env["TRY_SELECTOR"] != "fuzzy" || c.GeckoProfileInterval != 0.5 || c.TasksRegex.Exclude[0] != "asan" || !c.UseArtifactBuilds {
		t.Errorf("%+v", c.Settings)
	}
	again, err := tryconfig.Parse(c.Encode(), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Settings.Values(), again.Settings.Values()); diff != "" {
		t.Error(diff)
	}
}

func TestVersion2HoldsParameters(t *testing.T) {
	c := tryconfig.Config{Version: 2, Parameters: map[string]any{"optimize_target_tasks": false}}
	c.Tasks = []string{"a", "b"}
	want := `{
  "parameters": {
    "optimize_target_tasks": false,
    "try_task_config": {
      "tasks": [
        "a",
        "b"
      ]
    }
  },
  "version": 2
}
`
	if diff := cmp.Diff(want, string(c.Encode())); diff != "" {
		t.Fatal(diff)
	}
	again, err := tryconfig.Parse(c.Encode(), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{2, c.Tasks, c.Parameters}, []any{again.Version, again.Tasks, again.Parameters}); diff != "" {
		t.Error(diff)
	}
	if got := again.Fault("parameters.optimize_target_tasks", "x").Error(); got != "f.json:3: x" {
		t.Error(got)
	}
}

func TestSmallForms(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"without a version it is 1":   {`{"tasks": []}`, `{"tasks":[],"version":1}`},
		"an empty try":                {`{"version": 2, "parameters": {}}`, `{"parameters":{},"version":2}`},
		"false is kept":               {`{"tasks": ["a"], "pernosco": false}`, `{"pernosco":false,"tasks":["a"],"version":1}`},
		"chemspill-prio of older age": {`{"tasks": [], "chemspill-prio": {}}`, `{"chemspill-prio":true,"tasks":[],"version":1}`},
		"templates": {`{"tasks": [], "templates": {"env": {"A": "b"}, "artifact": {"enabled": "1"}, "rebuild": 2, "chemspill-prio": {}}}`,
			`{"chemspill-prio":true,"env":{"A":"b"},"rebuild":2,"tasks":[],"use-artifact-builds":true,"version":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tryconfig.Parse([]byte(c.src), "f.json")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, strings.NewReplacer("\n", "", "  ", "", ": ", ":").Replace(string(got.Encode()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFaultsNameFileLineAndKey(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"no JSON":              {"{\n  \"tasks\": [\n}", "f.json:3: is not valid JSON"},
		"empty":                {"", "f.json:1: is not valid JSON"},
		"a list":               {"[]", "f.json:1: is a list, expected an object"},
		"two documents":        {"{\"tasks\": []}\n{}", "f.json:2: goes on after its end"},
		"version":              {"{\n\"version\": 3, \"tasks\": []}", "f.json:2: version 3 is not known; versions 1 and 2 are"},
		"version as text":      {`{"version": "2", "parameters": {}}`, `f.json:1: version "2" is not known`},
		"no tasks":             {`{"version": 1}`, `f.json:1: has no "tasks": list the labels`},
		"unknown key":          {"{\"tasks\": [],\n \"rebild\": 2}", `f.json:2: the key "rebild" is not known; is "rebuild" meant?`},
		"a key twice":          {"{\"tasks\": [],\n \"tasks\": []}", `f.json:2: the key "tasks" is given twice; leave one out`},
		"tasks no list":        {`{"tasks": "a"}`, `f.json:1: tasks is "a", expected a list of strings`},
		"a task no text":       {`{"tasks": ["a", 1]}`, `tasks has 1 as entry 2, expected a string`},
		"env":                  {`{"tasks": [], "env": {"A": 1}}`, `env has 1 for "A", expected a string`},
		"name of env":          {`{"tasks": [], "env": {"A=": "1"}}`, `cannot be the name of an environment variable`},
		"rebuild too many":     {`{"tasks": [], "rebuild": 1001}`, `rebuild is 1001, expected an integer from 1 to 1000`},
		"rebuild none":         {`{"tasks": [], "rebuild": 0}`, `rebuild is 0, expected`},
		"a flag":               {`{"tasks": [], "pernosco": "yes"}`, `pernosco is "yes", expected true or false`},
		"pool":                 {`{"tasks": [], "worker-overrides": {"b": "x"}}`, `worker-overrides sends b to "x"; a pool is written provisioner/worker-type`},
		"regex":                {`{"tasks": [], "tasks-regex": {"include": ["("]}}`, `tasks-regex include: "(" is not a regular expression`},
		"regex key":            {`{"tasks": [], "tasks-regex": {"only": []}}`, `tasks-regex has the key "only"; known are include and exclude`},
		"interval":             {`{"tasks": [], "gecko-profile-interval": -1}`, `gecko-profile-interval is -1, expected a number above 0`},
		"template":             {`{"tasks": [], "templates": {"x": {}}}`, `the template "x" is not known; known are artifact, `},
		"templates no object":  {`{"tasks": [], "templates": []}`, `templates is a list`},
		"version 2 with tasks": {"{\"version\": 2,\n\"tasks\": [], \"parameters\": {}}", `f.json:2: the key "tasks" is not known: version 2 has the keys version and parameters; in version 2 it stands in parameters.try_task_config`},
		"version 2 without":    {`{"version": 2}`, `f.json: parameters must be an object`},
		"settings in 2":        {"{\"version\": 2, \"parameters\": {\"try_task_config\":\n{\"tasks\": 1}}}", `f.json:2: tasks is 1`},
		"settings no object":   {`{"version": 2, "parameters": {"try_task_config": 1}}`, `f.json:1: parameters.try_task_config is 1, expected an object of settings`},
		"large":                {strings.Repeat(" ", tryconfig.MaxBytes+1), "f.json: is larger than 1024 kB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tryconfig.Parse([]byte(c.src), "f.json")
			if err == nil || !strings.Contains(err.Error(), c.want) || len(graph.Errors(err)) == 0 {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
	_, err := tryconfig.Parse([]byte(`{"tasks": 1, "env": 2}`), "f.json")
	if len(graph.Errors(err)) != 2 {
		t.Errorf("not all faults are told: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(`{"version": 2, "parameters": {"level": "1", "try_task_config": {"tasks": ["\ud83d\ude00"]}}}`))
	f.Add([]byte(`{"tasks": [], "templates": {"env": {"A": "b"}}}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := tryconfig.Parse(src, "f.json")
		if err != nil {
			if len(graph.Errors(err)) == 0 {
				t.Fatalf("an error of no place: %v", err)
			}
			return
		}
		again, err := tryconfig.Parse(c.Encode(), "f.json")
		if err != nil {
			t.Fatalf("cannot be read back: %v\n%s", err, c.Encode())
		}
		if diff := cmp.Diff(string(c.Encode()), string(again.Encode())); diff != "" {
			t.Fatal(diff)
		}
	})
}
