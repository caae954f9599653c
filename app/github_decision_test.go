package app

import (
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

const decisionYML = `version: 1
reporting: checks-v1
policy: {pullRequests: public_restricted}
tasks:
  - taskQueueId: built-in/decision
    schedulerId: {$if: 'tasks_for == "github-push"', then: pebble-level-3, else: pebble-level-1}
    deadline: {$fromNow: 1 day}
    metadata: {name: Decision, description: Decides, owner: nobody@example.com, source: "${event.repository.html_url}"}
    scopes:
      $switch:
        tasks_for == "github-pull-request-untrusted": ["assume:repo:github.com/${event.repository.full_name}:pull-request-untrusted"]
        tasks_for == "github-pull-request": ["assume:repo:github.com/${event.repository.full_name}:pull-request"]
        $default: ["assume:repo:github.com/${event.repository.full_name}:branch:main"]
    payload: {}
`

// graphFiles are the sample's graph with a .taskcluster.yml for GitHub.
func graphFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	tree := os.DirFS("sample/project")
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files[".taskcluster.yml"] = decisionYML
	return files
}

// decided waits for the decision of a build and returns its parameters, and the names of the group's tasks.
func (h *hub) decided(group string) (parameters map[string]any, names []string) {
	h.t.Helper()
	h.until("the decision", func() bool {
		s, err := h.server.queue.Status(h.t.Context(), group)
		h.must(err)
		if s.State == task.Failed || s.State == task.Exception {
			_, log, err := h.server.objects.Open(h.t.Context(), queue.ObjectName(group, s.LastRun().RunID, "public/logs/live_backing.log"))
			h.must(err)
			text, err := io.ReadAll(log)
			h.must(err)
			h.t.Fatalf("the decision %s:\n%s", s.State, text)
		}
		return s.State == task.Completed
	})
	_, content, err := h.server.objects.Open(h.t.Context(), queue.ObjectName(group, 0, "public/parameters.yml"))
	h.must(err)
	defer content.Close()
	h.must(yaml.NewDecoder(content).Decode(&parameters))
	page, err := h.server.queue.ListGroup(h.t.Context(), group, 0, "")
	h.must(err)
	for _, i := range page.Tasks {
		names = append(names, i.Task.Metadata.Name)
		for _, s := range i.Task.Scopes {
			names = append(names, "scope "+s)
		}
	}
	return parameters, names
}

func TestGitHubDecisionsAreMadeInTheServer(t *testing.T) {
	files := graphFiles(t)
	h := newHub(t, files)
	work := []string{"queue:create-task:highest:local/*", "queue:create-task:highest:built-in/*", "queue:create-task:project:none", "queue:scheduler-id:*", "queue:route:*", "queue:get-artifact:*", "in-tree:hook-action:*"}
	h.must(h.server.role(t.Context(), "repo:github.com/acme/app:branch:main", work, "test"))
	h.must(h.server.role(t.Context(), "repo:github.com/acme/app:pull-reques*", work, "test"))
	before := len(h.gh.Calls())
	sha := h.push("main", map[string]string{"pages/index.md": "changed\n", "bin/pebble": "#!/bin/sh\n"})
	h.settle()
	b := h.build("push")
	parameters, names := h.decided(b.TaskGroupID)
	for name, want := range map[string]any{
		"tasks_for": "github-push", "project": "app", "level": "3", "head_rev": sha, "head_ref": "refs/heads/main", "repository_type": "git",
		"head_repository": h.repo.CloneURL(), "owner": "ada@users.noreply.github.com",
	} {
		if parameters[name] != want {
			t.Errorf("%s is %v, want %v", name, parameters[name], want)
		}
	}
	if len(names) < 4 || !strings.Contains(strings.Join(names, " "), "lint-shell") {
		t.Errorf("%v", names)
	}
	n := 0
	for _, c := range h.gh.Calls()[before:] {
		if strings.HasPrefix(c.Path, "/repos/") && !strings.Contains(c.Path, "matching-refs") && !strings.Contains(c.Path, "check-runs") { // others look for what was missed, and tell
			n++
			t.Log(c.Method, c.Path)
		}
	}
	if n > 4 { // .taskcluster.yml, the list of files, their archive
		t.Errorf("%d requests for a push of a repository that was never read", n)
	}
	h.until("the push", func() bool {
		p, err := h.server.push.Get(t.Context(), "acme.app", 1)
		h.must(err)
		return p.State == push.Decided
	})

	fork, err := h.repo.Fork("stranger")
	h.must(err)
	head, err := fork.Push("stranger", "patch", ghfake.Change{Files: map[string]string{"pages/about.md": "mine\n"}})
	h.must(err)
	_, err = h.repo.OpenPull("stranger", fork, "patch", "main", "a patch")
	h.must(err)
	h.settle()
	parameters, names = h.decided(h.build("pull_request.opened").TaskGroupID)
	for name, want := range map[string]any{
		"tasks_for": "github-pull-request-untrusted", "level": "1", "head_rev": head, "head_repository": fork.CloneURL(), "base_repository": h.repo.CloneURL(),
		"base_ref": "refs/heads/main", "base_rev": sha, "head_ref": "refs/heads/patch",
	} {
		if parameters[name] != want {
			t.Errorf("%s is %v, want %v", name, parameters[name], want)
		}
	}
	changed, _ := parameters["files_changed"].([]any)
	if len(changed) != 1 || changed[0] != "pages/about.md" || len(names) < 2 {
		t.Errorf("%v %v", changed, names)
	}
}
