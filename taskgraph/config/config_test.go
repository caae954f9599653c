package config_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

const good = `---
trust-domain: synth
task-priority:
    by-project:
        synth: low
        default: lowest
task-deadline-after: 2 days
treeherder: {group-names: {I: Images}}
index: {products: [a]}
own-section: {x: 1}
taskgraph:
    repositories:
        ci: {name: Synth, project-regex: synth}
        lib: {name: Lib, project-regex: lib, default-repository: https://example.org/lib, default-ref: main, type: git}
    run: {use-caches: [pip]}
workers:
    aliases:
        b-linux:
            provisioner: '{trust-domain}-{level}'
            implementation: docker-worker
            os: linux
            worker-type: {by-level: {'3': big, default: small}}
        b-mac.*:
            provisioner: hardware
            implementation: generic-worker
            os: macosx
            worker-type: '{alias}'
`

func load(t *testing.T, text string) (*config.GraphConfig, error) {
	t.Helper()
	return config.Load(fstest.MapFS{"ci/config.yml": {Data: []byte(text)}}, "ci")
}

func TestAnswers(t *testing.T) {
	g, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		alias, level string
		want         config.Worker
	}{
		{"b-linux", "3", config.Worker{Provisioner: "synth-3", WorkerType: "big", Implementation: "docker-worker", OS: "linux"}},
		{"b-linux", "1", config.Worker{Provisioner: "synth-1", WorkerType: "small", Implementation: "docker-worker", OS: "linux"}},
		{"b-mac-x", "1", config.Worker{Provisioner: "hardware", WorkerType: "b-mac-x", Implementation: "generic-worker", OS: "macosx"}},
		{"succeed", "1", config.Worker{Provisioner: "built-in", WorkerType: "succeed", Implementation: "succeed"}},
	} {
		got, err := g.Worker(c.alias, c.level)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := g.Worker("b-linus", "3"); err == nil || err.Error() != `ci/config.yml:18: the worker type b-linus: by-worker-type has neither a key that matches "b-linus" nor "default"; is "b-linux" meant?` {
		t.Error(err)
	}
	for project, want := range map[string]string{"synth": "low", "fork": "lowest"} {
		if got, err := g.Priority(project); err != nil || got != want {
			t.Error(project, got, err)
		}
	}
	if got, _ := g.DeadlineAfter("synth"); got != "2 days" {
		t.Error(got)
	}
	if name, ok := g.GroupName("I"); name != "Images" || !ok {
		t.Error(name, ok)
	}
}

func TestRepositories(t *testing.T) {
	g, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	p := func(project string) *params.Parameters {
		p, err := params.FromMap(map[string]any{"project": project, "base_repository": "b", "head_repository": "h", "head_ref": "r", "head_rev": "v", "repository_type": "git"}, false)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	got, err := g.Repositories(p("synth"))
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Repository{
		{Prefix: "ci", Name: "Synth", BaseRepository: "b", HeadRepository: "h", HeadRef: "r", HeadRev: "v", Type: "git"},
		{Prefix: "lib", Name: "Lib", BaseRepository: "https://example.org/lib", HeadRepository: "https://example.org/lib", HeadRef: "main", Type: "git"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := g.Repositories(p("other")); err == nil || !strings.Contains(err.Error(), `ci/config.yml:13: no repository has a project-regex that matches the project "other"`) {
		t.Error(err)
	}
	if _, err := g.Repositories(p("lib")); err == nil || !strings.Contains(err.Error(), `the repository "ci" lacks "default-repository"`) {
		t.Error(err)
	}
}

func TestProblemsAreToldTogether(t *testing.T) {
	_, err := load(t, strings.NewReplacer("task-priority:", "task-prioriti:", "os: linux", "os: yes", "use-caches: [pip]", "use-cache: []", "trust-domain: synth", "trust-domain: 1").Replace(good))
	want := strings.TrimSpace(`
ci/config.yml:2: trust-domain: must be a string, not an integer; put it in quotes
ci/config.yml:2: the key "task-priority" is missing
ci/config.yml:21: workers.aliases.b-linux.os: must be a string, not a boolean; put it in quotes
ci/config.yml:15: taskgraph.run.use-cache: the key "use-cache" is not known here; is "use-caches" meant?`)
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	if _, err := load(t, "taskgraph: {repositories: {}}"); err == nil || !strings.Contains(err.Error(), "taskgraph.repositories: must not be empty") {
		t.Error(err)
	}
	if _, err := config.FindRoot(fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "taskcluster/config.yml: does not exist") {
		t.Error(err)
	}
	if root, err := config.FindRoot(fstest.MapFS{"ci/config.yml": {}}); root != "ci" || err != nil {
		t.Error(root, err)
	}
}

func TestOdditiesAreWarnedOf(t *testing.T) {
	g, err := load(t, strings.Replace(good, "default: lowest", "default: {by-level: {'3': high, default: lowest}}", 1)+"own-section: {y: 1}\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range g.Warnings {
		got = append(got, w.Error())
	}
	want := []string{
		`ci/config.yml:28: the key "own-section" is given twice; the last one counts`,
		"ci/config.yml:3: task-priority: by-level always takes its default: only the project is known here",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
