package e2e_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/push"
)

// workerDecision is a .taskcluster.yml whose decision task runs on a worker, as on any deployment
// of Taskcluster: it checks the revision out and runs the program.
const workerDecision = `version: 1
tasks:
  $if: tasks_for == "git-push"
  then:
    - taskId: ${ownTaskId}
      taskGroupId: ${ownTaskId}
      schedulerId: pebble-level-${repository.level}
      taskQueueId: local/work
      created: {$fromNow: ""}
      deadline: {$fromNow: 1 day}
      expires: {$fromNow: 28 days}
      metadata:
        name: Decision task
        description: Decides what this push needs, on a worker.
        owner: ${push.owner}
        source: ${repository.url}
      scopes:
        - assume:${repository.role}:branch:${push.branch}
      payload:
        maxRunTime: 300
        features: {taskclusterProxy: true}
        env:
          PEBBLE_REPOSITORY_TYPE: git
          PEBBLE_BASE_REPOSITORY: ${repository.url}
          PEBBLE_HEAD_REPOSITORY: ${repository.url}
          PEBBLE_HEAD_REF: refs/heads/${push.branch}
          PEBBLE_HEAD_REV: ${push.revision}
        command:
          - - treeline
            - run-task
            - --pebble-checkout=src
            - --task-cwd=src
            - --
            - treeline
            - taskgraph
            - decision
            - --project=${repository.project}
            - --level=${repository.level}
            - --owner=${push.owner}
            - --pushlog-id=${push.pushlog_id}
            - --pushdate=${push.pushdate}
            - --repository-type=git
            - --tasks-for=${tasks_for}
            - --base-repository=${repository.url}
            - --head-repository=${repository.url}
            - --base-rev=${push.base_revision}
            - --head-rev=${push.revision}
            - --head-ref=refs/heads/${push.branch}
        artifacts:
          - {name: public, path: src/artifacts, type: directory}
`

// graphOf returns the labels of the tasks that a decision created, and what it published.
func (m *machine) graphOf(decision string) (labels, artifacts []string) {
	m.t.Helper()
	var graph map[string]struct{ Label string }
	if err := json.Unmarshal([]byte(m.artifact(decision, "public/task-graph.json")), &graph); err != nil {
		m.t.Fatal(err)
	}
	for _, t := range graph {
		labels = append(labels, t.Label)
	}
	for a, err := range m.client.Artifacts(m.t.Context(), decision, client.LatestRun) {
		if err != nil {
			m.t.Fatal(err)
		}
		if !strings.HasPrefix(a.Name, "public/logs/") {
			artifacts = append(artifacts, a.Name)
		}
	}
	slices.Sort(labels)
	slices.Sort(artifacts)
	return labels, artifacts
}

func TestADecisionOnAWorkerMakesTheSameGraph(t *testing.T) {
	m := shared(t)
	native := git(t, m.repo(), "show", m.first+":.taskcluster.yml")
	inServer := m.onBranch("decide/in-the-server", "Decide in the server", map[string]string{".taskcluster.yml": native + "\n# here\n"})
	onWorker := m.onBranch("decide/on-a-worker", "Decide on a worker", map[string]string{".taskcluster.yml": workerDecision})

	want := []string{"build-site", "lint-shell", "publish-contents", "test-cases-1", "test-cases-2"}
	for _, revision := range []string{inServer, onWorker} {
		if diff := cmp.Diff(want, m.green(revision, 2*time.Minute)); diff != "" {
			t.Errorf("%s: %s", revision, diff)
		}
	}
	labels, artifacts := m.graphOf(m.outcome(inServer).GroupID)
	labelsThere, artifactsThere := m.graphOf(m.outcome(onWorker).GroupID)
	if diff := cmp.Diff(labels, labelsThere); diff != "" {
		t.Errorf("labels (-server +worker):\n%s", diff)
	}
	if diff := cmp.Diff(artifacts, artifactsThere); diff != "" {
		t.Errorf("artifacts (-server +worker):\n%s", diff)
	}

	t.Run("and its mistakes are shown with the push, file and line", func(t *testing.T) {
		m := shared(t)
		build := git(t, m.repo(), "show", m.first+":taskcluster/kinds/build/kind.yml") + "\n"
		revision := m.onBranch("decide/badly", "Decide badly", map[string]string{
			".taskcluster.yml": workerDecision, "taskcluster/kinds/build/kind.yml": strings.Replace(build, "    worker:", "    dependencies: {none: no-such-task}\n    worker:", 1),
		})
		p := m.outcome(revision)
		shown := m.errorOn(revision)
		for _, want := range []string{`<code class="error-place">taskcluster/kinds/build/kind.yml:7</code>`, "no-such-task", "build-site"} {
			if p.State != push.Failed || !strings.Contains(shown, want) {
				t.Errorf("the push is %s, and its page does not say %s:\n%s", p.State, want, shown)
			}
		}
		if log := m.cli("task", "log", p.GroupID); !strings.Contains(log, "taskcluster/kinds/build/kind.yml:7") || !strings.Contains(log, "no-such-task") {
			t.Errorf("the log does not tell why:\n%s", log)
		}
		if list, err := m.tasks(t.Context(), p.GroupID); err != nil || len(list) != 1 {
			t.Errorf("half a graph: %v %+v", err, list)
		}
	})
	t.Run("a scope that it does not hold too", func(t *testing.T) {
		m := shared(t)
		build := git(t, m.repo(), "show", m.first+":taskcluster/kinds/build/kind.yml") + "\n"
		revision := m.onBranch("decide/greedily", "Decide greedily", map[string]string{
			".taskcluster.yml": workerDecision, "taskcluster/kinds/build/kind.yml": strings.Replace(build, "    worker:", "    scopes: ['secrets:get:everything']\n    worker:", 1),
		})
		p := m.outcome(revision)
		if shown := m.errorOn(revision); p.State != push.Failed || !strings.Contains(shown, "secrets:get:everything") {
			t.Errorf("the push is %s, and its page says:\n%s", p.State, shown)
		}
		if list, err := m.tasks(t.Context(), p.GroupID); err != nil || len(list) != 1 {
			t.Errorf("half a graph: %v %+v", err, list)
		}
	})
}
