package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const parameterHooks = `
def register(graph_config):
    return {"parameters": {"only": {"type": "string"}}}

def decide(graph_config, parameters):
    if parameters["head_ref"].startswith("refs/heads/hooks/"):
        parameters["only"] = "lint"
        parameters["target_tasks_method"] = "taskcluster/hooks.star:only"

def only(task, parameters, graph_config):
    return task["kind"] == parameters["only"]
`

// The tree's hooks have the same say in the parameters of a decision in the server and of one on a
// worker.
func TestHooksOfATreeChangeTheParametersOfItsDecisions(t *testing.T) {
	m := shared(t)
	config := git(t, m.repo(), "show", m.first+":taskcluster/config.yml") + "\n"
	hooked := strings.Replace(config, "taskgraph:\n", "taskgraph:\n  register: taskcluster/hooks.star:register\n  decision-parameters: taskcluster/hooks.star:decide\n", 1)
	native := git(t, m.repo(), "show", m.first+":.taskcluster.yml")
	for branch, yml := range map[string]string{"hooks/in-the-server": native + "\n# hooks\n", "hooks/on-a-worker": workerDecision} {
		revision := m.onBranch(branch, "With hooks", map[string]string{
			".taskcluster.yml": yml, "taskcluster/config.yml": hooked, "taskcluster/hooks.star": parameterHooks,
		})
		if diff := cmp.Diff([]string{"lint-shell"}, m.green(revision, 2*time.Minute)); diff != "" {
			t.Errorf("%s: %s", branch, diff)
		}
		text := m.artifact(m.outcome(revision).GroupID, "public/parameters.yml")
		for _, want := range []string{"only: lint\n", "target_tasks_method: taskcluster/hooks.star:only\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the parameters do not say %s:\n%s", branch, want, text)
			}
		}
	}
}
