package templates_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/templates"
)

var now = time.Date(2026, time.November, 21, 10, 0, 0, 0, time.UTC)

func parseFile(t testing.TB, name string) *templates.File {
	t.Helper()
	src, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := templates.Parse(src, name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// event makes an event of testdata/events.json.
func event(t testing.TB, tasksFor string) templates.Event {
	t.Helper()
	text, err := os.ReadFile("testdata/events.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	e := templates.Event{TasksFor: tasksFor, RootURL: "https://tc.example.com", Now: now, Seed: "delivery 1"}
	if strings.HasPrefix(tasksFor, "github-") {
		e.Event = all[tasksFor]
	} else {
		e.Context = all[tasksFor]
	}
	return e
}

func localPush() templates.Event {
	return templates.LocalPush(templates.Push{
		Repository: "file:///src/demo", Project: "demo", Role: "repo:local/demo", Level: 1, Owner: "ann@example.com", Branch: "main",
		Revision: "6666666666666666666666666666666666666666", PushID: 4, Time: now, DecisionTaskID: "fN1SbArXTPSVFNUvaOlinQ", RootURL: "https://tc.example.com",
	})
}

func TestFrame(t *testing.T) {
	f := parseFile(t, "decision.yml")
	if f.Version != 1 || f.Reporting != "checks-v1" || f.AutoCancel {
		t.Errorf("got %+v", f)
	}
	if diff := cmp.Diff(templates.Policy{PullRequests: "public_restricted", AllowComments: "collaborators"}, f.Policy); diff != "" {
		t.Error(diff)
	}
	hooks := []templates.Hook{{Name: "lint/format", Context: map[string]any{"strict": true, "note": "${not.rendered}"}, Line: 10}}
	if diff := cmp.Diff(hooks, f.Hooks); diff != "" {
		t.Error(diff)
	}
	plain, err := templates.Parse([]byte("version: 1"), "x")
	if err != nil || !plain.AutoCancel || plain.Policy.PullRequests != "collaborators" {
		t.Errorf("defaults: %+v, %v", plain, err)
	}
	if tasks, err := plain.Render(localPush()); len(tasks) != 0 || err != nil {
		t.Errorf("no tasks: %v, %v", tasks, err)
	}
}

func TestDecisionTaskForEachEvent(t *testing.T) {
	f := parseFile(t, "decision.yml")
	tests := []struct {
		event               templates.Event
		name, source, scope string
		routes              []string
		payload, group      string
	}{
		{event(t, "github-push"), "Decision", "https://github.com/org/demo", "assume:repo:github.com/org/demo:github-push",
			[]string{"checks", "index.demo.v1.revision.2222222222222222222222222222222222222222.decision"},
			`{"env":{"HEAD_REV":"2222222222222222222222222222222222222222","REPOSITORIES":"{\"demo\":\"Demo\"}"},"maxRunTime":1800}`, ""},
		{event(t, "github-pull-request"), "Decision", "https://github.com/ben/demo", "assume:repo:github.com/ben/demo:github-pull-request",
			[]string{"checks"},
			`{"env":{"HEAD_REV":"3333333333333333333333333333333333333333","REPOSITORIES":"{\"demo\":\"Demo\"}","PULL_REQUEST":"7"},"maxRunTime":1800}`, ""},
		{event(t, "github-release"), "Decision", "https://github.com/org/demo", "assume:repo:github.com/org/demo:github-release",
			[]string{"checks", "index.demo.v1.revision.v1.2.decision"},
			`{"env":{"HEAD_REV":"v1.2","REPOSITORIES":"{\"demo\":\"Demo\"}"},"maxRunTime":1800}`, ""},
		{event(t, "cron"), "Decision (nightly)", "https://github.com/org/demo", "assume:repo:github.com/org/demo:cron",
			[]string{"checks", "index.demo.v1.revision.5555555555555555555555555555555555555555.decision"},
			`{"env":{"HEAD_REV":"5555555555555555555555555555555555555555","REPOSITORIES":"{\"demo\":\"Demo\"}"},"maxRunTime":1800}`, "fN1SbArXTPSVFNUvaOlinQ"},
		{localPush(), "Decision", "file:///src/demo", "assume:repo:src/demo:git-push",
			[]string{"checks", "index.demo.v1.revision.6666666666666666666666666666666666666666.decision"},
			`{"env":{"HEAD_REV":"6666666666666666666666666666666666666666","REPOSITORIES":"{\"demo\":\"Demo\"}"},"maxRunTime":1800}`, "fN1SbArXTPSVFNUvaOlinQ"},
	}
	for _, tt := range tests {
		t.Run(tt.event.TasksFor, func(t *testing.T) {
			tasks, err := f.Render(tt.event)
			if err != nil || len(tasks) != 1 {
				t.Fatalf("%v, %v", tasks, err)
			}
			d := tasks[0].Definition
			if !slug.Valid(tasks[0].ID) || d.TaskGroupID != tasks[0].ID || tt.group != "" && tasks[0].ID != tt.group {
				t.Errorf("task %s in group %s", tasks[0].ID, d.TaskGroupID)
			}
			if d.Metadata.Name != tt.name || !strings.HasPrefix(d.Metadata.Source, tt.source) || d.Created.String() != "2026-11-21T10:00:00.000Z" ||
				d.Deadline.String() != "2026-11-22T10:00:00.000Z" || d.TaskQueueID != "demo/decision" || d.SchedulerID != "demo-level-1" {
				t.Errorf("got %+v", d)
			}
			if diff := cmp.Diff(tt.routes, d.Routes); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{tt.scope}, d.Scopes); diff != "" {
				t.Error(diff)
			}
			if string(d.Payload) != tt.payload {
				t.Errorf("payload %s", d.Payload)
			}
			if tasks[0].Line != 36 {
				t.Errorf("the task stands on line %d", tasks[0].Line)
			}
		})
	}
}

func TestTasksComeAfterTheirDependencies(t *testing.T) {
	tasks, err := parseFile(t, "matrix.yml").Render(event(t, "github-push"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	groups := map[string]bool{}
	for _, task := range tasks {
		names = append(names, task.Definition.Metadata.Name)
		groups[task.Definition.TaskGroupID] = true
		if task.Definition.TaskGroupID == task.ID || task.Definition.SchedulerID != "taskcluster-github" {
			t.Errorf("group %s, scheduler %s", task.Definition.TaskGroupID, task.Definition.SchedulerID)
		}
		if diff := cmp.Diff([]string{"statuses"}, task.Definition.Routes); diff != "" {
			t.Error(diff)
		}
	}
	if diff := cmp.Diff([]string{"Lint", "Node 20", "Node 22"}, names); diff != "" || len(groups) != 1 {
		t.Errorf("%s, groups %v", diff, groups)
	}
}

func TestIdsFollowFromTheSeed(t *testing.T) {
	f := parseFile(t, "matrix.yml")
	ids := func(seed string) (out []string) {
		e := event(t, "github-push")
		e.Seed = seed
		tasks, err := f.Render(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			out = append(out, task.ID, task.Definition.TaskGroupID)
		}
		return out
	}
	if diff := cmp.Diff(ids("a"), ids("a")); diff != "" {
		t.Error(diff)
	}
	if a, b := ids("a"), ids("b"); a[0] == b[0] || a[1] == b[1] {
		t.Errorf("different seeds gave the same ids %v", a)
	}
	e := event(t, "github-push")
	e.Seed = ""
	if _, err := f.Render(e); err == nil || !strings.Contains(err.Error(), "seed") {
		t.Errorf("without a seed: %v", err)
	}
}

const rest = "deadline: {$fromNow: 1 day}, payload: {}, metadata: {name: n, description: d, owner: o, source: 'https://x'}"

func TestASingleTaskIsItsOwnGroup(t *testing.T) {
	tests := map[string]struct{ ids, task, group string }{
		"no ids":        {"", "fN1SbArXTPSVFNUvaOlinQ", "fN1SbArXTPSVFNUvaOlinQ"},
		"only the task": {"taskId: AgVWTrwETrurlUOjCZZXOQ, ", "AgVWTrwETrurlUOjCZZXOQ", "AgVWTrwETrurlUOjCZZXOQ"},
		"only a group":  {"taskGroupId: AgVWTrwETrurlUOjCZZXOQ, ", "AgVWTrwETrurlUOjCZZXOQ", "AgVWTrwETrurlUOjCZZXOQ"},
		"both":          {"taskId: AgVWTrwETrurlUOjCZZXOQ, taskGroupId: fN1SbArXTPSVFNUvaOlinQ, ", "AgVWTrwETrurlUOjCZZXOQ", "fN1SbArXTPSVFNUvaOlinQ"},
		"null ids":      {"taskId: null, taskGroupId: null, ", "fN1SbArXTPSVFNUvaOlinQ", "fN1SbArXTPSVFNUvaOlinQ"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := templates.Parse([]byte("version: 1\ntasks: [{"+tt.ids+"taskQueueId: a/b, "+rest+"}]"), "x.yml")
			if err != nil {
				t.Fatal(err)
			}
			tasks, err := f.Render(localPush())
			if err != nil || len(tasks) != 1 || tasks[0].ID != tt.task || tasks[0].Definition.TaskGroupID != tt.group {
				t.Errorf("%+v, %v", tasks, err)
			}
		})
	}
}

func TestMistakesAreToldWithTheirLine(t *testing.T) {
	const head = "version: 1\ntasks:\n"
	task := func(lines ...string) string {
		return head + "  - taskQueueId: a/b\n    deadline: {$fromNow: 1 day}\n    payload: {}\n" +
			"    metadata: {name: n, description: d, owner: o, source: 'https://x'}\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	tests := map[string]struct {
		src, want string
		line      int
	}{
		"YAML":                   {"version: 1\ntasks: [\n  {a: b\n", "this is not YAML", 0},
		"tabs":                   {"version: 1\ntasks:\n\t- a\n", "this is not YAML", 3},
		"two documents":          {"version: 1\n---\nversion: 1\n", "second YAML document", 0},
		"an empty file":          {"", "empty", 1},
		"no version":             {"tasks: []\n", "add `version: 1`", 1},
		"another version":        {"\nversion: 2\n", "version must be 1", 2},
		"a list":                 {"- a\n", "must be a mapping", 1},
		"an unknown key":         {"version: 1\ntask: []\n", `no key "task"`, 2},
		"a key's case":           {"version: 1\nTasks: []\n", "did you mean tasks?", 2},
		"a key twice":            {"version: 1\ntasks: []\ntasks: []\n", "already there on line 2", 3},
		"a policy":               {"version: 1\npolicy:\n  pullRequests: everybody\n", "must be one of: public", 3},
		"a policy's key":         {"version: 1\npolicy:\n  pullRequest: public\n", `policy has no key "pullRequest"`, 3},
		"reporting":              {"version: 1\nreporting: checks\n", "checks-v1", 2},
		"autoCancel":             {"version: 1\nautoCancelPreviousChecks: maybe\n", "true or false", 2},
		"a hook's name":          {"version: 1\nhooks:\n  - name: x\n", "group/hook", 3},
		"tasks":                  {"version: 1\ntasks: none\n", "must be a list", 2},
		"a task":                 {head + "  - a\n", "must be a mapping", 3},
		"no UTF-8":               {"version: 1\n# \xff\n", "not UTF-8", 2},
		"a template":             {task("extra:", "  a: [1, '${nope}']"), "InterpreterError: unknown context value nope", 8},
		"an expression":          {task("extra: {$eval: '1 +'}"), "SyntaxError: Unexpected end of input", 7},
		"a condition":            {task("extra:", "  $switch:", "    '1': {}", "    ')': {}"), "SyntaxError: Found: ) token", 10},
		"an operator's key":      {task("extra:", "  $if: 'true'", "  then: {}", "  otherwise: {}"), "$if has undefined properties: otherwise", 10},
		"an unknown operator":    {task("extra:", "  $foo: 1"), "$<identifier> is reserved", 8},
		"no list":                {head + "  $if: 'true'\n  then: {a: 1}\n", "must render to a list", 2},
		"no mapping":             {head + "  - $eval: '1'\n", "not a mapping", 2},
		"an unknown task key":    {task("surprise: 1"), `no key "surprise"`, 7},
		"an id":                  {task("taskId: x"), "must be a slugid", 7},
		"no payload":             {head + "  - deadline: {$fromNow: 1 day}\n    metadata: {}\n", "has no payload", 3},
		"a payload":              {strings.Replace(task(), "payload: {}", "payload: x", 1), "payload must be a mapping", 5},
		"metadata":               {strings.Replace(task(), "owner: o, ", "", 1), "metadata.owner must be a string", 6},
		"more metadata":          {strings.Replace(task(), "owner: o, ", "owner: o, mail: m, ", 1), `metadata has no key "mail"`, 6},
		"a number":               {task("retries: many"), "retries must be a whole number", 7},
		"too many retries":       {task("retries: 50"), "retries must be 0 to 49", 7},
		"a list of strings":      {task("routes: [1]"), "routes.0 must be a string, not a number", 7},
		"a priority":             {task("priority: normal"), `priority "normal" is unknown`, 7},
		"a deadline in the past": {strings.Replace(task(), "1 day", "-1 day", 1), "lies before created", 4},
		"a deadline far away":    {strings.Replace(task(), "1 day", "6 days", 1), "more than 5 days", 4},
		"a queue":                {strings.Replace(task(), "a/b", "ab", 1), "provisionerId/workerType", 3},
		"a scope":                {task("scopes: ['a**']"), "single star", 7},
		"a circle": {head + "  - {taskId: AgVWTrwETrurlUOjCZZXOQ, dependencies: [fN1SbArXTPSVFNUvaOlinQ], taskQueueId: a/b, " + rest + "}\n" +
			"  - {taskId: fN1SbArXTPSVFNUvaOlinQ, dependencies: [AgVWTrwETrurlUOjCZZXOQ], taskQueueId: a/b, " + rest + "}\n", "in a circle: n → n → n", 3},
		"an id twice": {head + "  - {taskId: AgVWTrwETrurlUOjCZZXOQ, taskQueueId: a/b, " + rest + "}\n" +
			"  - {taskId: AgVWTrwETrurlUOjCZZXOQ, taskQueueId: a/b, " + rest + "}\n", "the same taskId", 4},
		"an alias inside its anchor": {"version: 1\ntasks: &a\n  - *a\n", "own anchor", 3},
		"aliases of aliases": {"version: 1\ntasks:\n  - a: &a [x,x,x,x,x,x,x,x,x]\n    b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" +
			"    c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n    d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n    e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n" +
			"    f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n", "use fewer aliases", 0},
		"a hostile template": {task("extra: {a: {$map: {$eval: 'range(0, 100000000)'}, each(x): 1}}"), "LimitError", 7},
		"a huge file":        {"version: 1\n#" + strings.Repeat("x", templates.MaxBytes), "more than the", 0},
		"too many tasks":     {head + "  $map: {$eval: 'range(0, 1001)'}\n  each(x): {}\n", "let a decision task make them", 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := templates.Parse([]byte(tt.src), ".taskcluster.yml")
			if err == nil {
				_, err = f.Render(localPush())
			}
			var e *templates.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.File != ".taskcluster.yml" || !strings.Contains(e.Message, tt.want) || tt.line > 0 && e.Line != tt.line {
				t.Errorf("got %v\nwant line %d: … %s …", e, tt.line, tt.want)
			}
		})
	}
}

func TestMergeKeysAndAliasesAreFollowed(t *testing.T) {
	f, err := templates.Parse([]byte(`version: 1
tasks:
  - &first
    taskQueueId: a/b
    deadline: {$fromNow: 1 day}
    payload: {x: &x 1, y: *x, on: yes, when: 2026-01-01}
    metadata: {name: first, description: d, owner: o, source: 'https://x'}
  - <<: *first
    metadata: {name: second, description: d, owner: o, source: 'https://x'}
`), "x.yml")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := f.Render(localPush())
	if err != nil || len(tasks) != 2 {
		t.Fatalf("%v, %v", tasks, err)
	}
	if got := string(tasks[1].Definition.Payload); got != `{"x":1,"y":1,"on":"yes","when":"2026-01-01"}` || tasks[1].Definition.Metadata.Name != "second" {
		t.Errorf("%s %+v", got, tasks[1].Definition.Metadata)
	}
}

func TestVersionZero(t *testing.T) {
	const src = `version: 0
metadata: {name: n, description: d, owner: o, source: s}
allowPullRequests: collaborators
tasks:
  - taskQueueId: a/b
    extra: {github: {events: [push], branches: [main]}}
    deadline: "{{ '2 hours' | $fromNow }}"
    payload: {commit: "{{event.head.sha}}", at: "{{ $fromNow }}"}
    metadata: {name: "On {{event.head.repo.branch}}", description: d, owner: "{{event.head.user.email}}", source: "{{event.head.repo.url}}"}
  - taskQueueId: a/b
    extra: {github: {events: [push], excludeBranches: [main]}}
    payload: {}
    metadata: {name: not, description: d, owner: o, source: s}
  - taskQueueId: a/b
    payload: {}
    metadata: {name: without extra.github, description: d, owner: o, source: s}
  - taskQueueId: a/b
    extra: {github: {events: [pull_request.*]}}
    payload: {pull: "{{event.pullNumber}} {{event.unknown}}"}
    metadata: {name: p, description: d, owner: o, source: s}
`
	f, err := templates.Parse([]byte(src), "x.yml")
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := f.Render(event(t, "github-push"))
	if err != nil || len(tasks) != 1 {
		t.Fatalf("%v, %v", tasks, err)
	}
	d := tasks[0].Definition
	if d.Metadata.Name != "On main" || d.Metadata.Owner != "ann@example.com" || d.Deadline.String() != "2026-11-21T12:00:00.000Z" ||
		string(d.Payload) != `{"commit":"2222222222222222222222222222222222222222","at":"2026-11-21T10:00:00.000Z"}` {
		t.Errorf("got %+v %s", d, d.Payload)
	}
	_, err = f.Render(event(t, "github-pull-request"))
	if err == nil || !strings.Contains(err.Error(), "x.yml:17") || !strings.Contains(err.Error(), "version: 1") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse parses and renders any file; it must end in tasks or in an *Error.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"decision.yml", "matrix.yml"} {
		src, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte("version: 0\ntasks: [{extra: {github: {events: ['*']}}, a: '{{x}}'}]"))
	f.Add([]byte("version: 1\ntasks: &a [{<<: *a}]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		var e *templates.Error
		file, err := templates.Parse(src, "f.yml")
		if err != nil {
			if !errors.As(err, &e) {
				t.Fatalf("an untyped error: %v", err)
			}
			return
		}
		if _, err := file.Render(localPush()); err != nil && !errors.As(err, &e) {
			t.Fatalf("an untyped error: %v", err)
		}
	})
}

func BenchmarkParseAndRender(b *testing.B) {
	src, err := os.ReadFile("testdata/decision.yml")
	if err != nil {
		b.Fatal(err)
	}
	e := event(b, "github-push")
	b.ReportAllocs()
	for b.Loop() {
		f, err := templates.Parse(src, "x.yml")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Render(e); err != nil {
			b.Fatal(err)
		}
	}
}

func TestExtrasOfTreeline(t *testing.T) {
	f, err := templates.Parse([]byte("version: 1\ntreeline: {cancelOlderOnBranches: [main, 'topic/*'], cancelOnClose: true}\n"), "f")
	if err != nil || !f.Extras.CancelClosed || len(f.Extras.CancelBranches) != 2 {
		t.Errorf("%+v %v", f, err)
	}
	for _, wrong := range []string{"treeline: 1", "treeline: {other: 1}", "treeline: {cancelOnClose: 1}", "treeline: {cancelOlderOnBranches: main}", "treeline: {cancelOlderOnBranches: [1]}"} {
		_, err := templates.Parse([]byte("version: 1\n"+wrong+"\n"), "f")
		if e := (*templates.Error)(nil); !errors.As(err, &e) || e.Line != 2 {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
