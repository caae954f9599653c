package app

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

const actingYML = `version: 1
reporting: checks-v1
policy: {pullRequests: public_restricted}
tasks:
  - $if: tasks_for in ["action", "pr-action"]
    then:
      taskQueueId: built-in/decision
      schedulerId: pebble-level-${repository.level}
      taskGroupId: ${action.taskGroupId}
      deadline: {$fromNow: 1 day}
      metadata: {name: "Action ${action.name}", description: d, owner: "${push.owner}", source: "${repository.url}"}
      tags: {kind: action-callback}
      scopes: ["${action.repo_scope}"]
      payload: {action: {callback: "${action.cb_name}", taskGroupId: "${action.taskGroupId}", taskId: {$eval: taskId}, input: {$eval: input}}}
    else:
      taskQueueId: built-in/decision
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

func TestActionsOnChangesAtGitHub(t *testing.T) {
	files := graphFiles(t)
	files[".taskcluster.yml"] = actingYML
	h := newHub(t, files)
	work := []string{"queue:create-task:highest:local/*", "queue:create-task:highest:built-in/*", "queue:create-task:project:none", "queue:scheduler-id:*", "queue:route:*", "queue:get-artifact:*"}
	for role, scopes := range map[string][]string{
		"branch:main":    append([]string{"in-tree:hook-action:project-pebble/in-tree-action-3-*"}, work...),
		"pull-reques*":   append([]string{"in-tree:hook-action:project-pebble/in-tree-pr-action-1-*"}, work...),
		"action:*":       append([]string{"queue:cancel-task:*"}, work...),
		"pr-action:gen*": append([]string{"queue:cancel-task:pebble-level-1/*"}, work...),
	} {
		h.must(h.server.role(t.Context(), "repo:github.com/acme/app:"+role, scopes, "test"))
	}
	all := auth.Caller{ClientID: "static/all", Scopes: []string{"*"}}
	act := func(group, wantScope string) {
		t.Helper()
		started, err := h.server.actions.Start(t.Context(), all, actions.Start{TaskGroupID: group, Name: "cancel-all", By: "github/1|ada"})
		h.must(err)
		h.until("the action", func() bool {
			s, err := h.server.queue.Status(t.Context(), started.TaskID)
			h.must(err)
			if s.State == task.Failed || s.State == task.Exception {
				_, log, err := h.server.objects.Open(t.Context(), queue.ObjectName(started.TaskID, s.LastRun().RunID, "public/logs/live_backing.log"))
				h.must(err)
				text, err := io.ReadAll(log)
				h.must(err)
				t.Fatalf("the action %s:\n%s", s.State, text)
			}
			return s.State == task.Completed
		})
		d, err := h.server.queue.Task(t.Context(), started.TaskID)
		h.must(err)
		if !slices.Equal(d.Scopes, []string{wantScope}) || !strings.Contains(string(d.Extra), "github/1|ada") {
			t.Errorf("the action task has %v and %s", d.Scopes, d.Extra)
		}
	}
	h.push("main", map[string]string{"pages/index.md": "changed\n"})
	h.settle()
	group := h.build("push").TaskGroupID
	h.decided(group)
	act(group, "assume:repo:github.com/acme/app:action:generic")

	fork, err := h.repo.Fork("stranger")
	h.must(err)
	_, err = fork.Push("stranger", "patch", ghfake.Change{Files: map[string]string{"pages/about.md": "mine\n"}})
	h.must(err)
	_, err = h.repo.OpenPull("stranger", fork, "patch", "main", "a patch")
	h.must(err)
	h.settle()
	group = h.build("pull_request.opened").TaskGroupID
	h.decided(group)
	act(group, "assume:repo:github.com/acme/app:pr-action:generic")

	_, err = fork.Push("stranger", "patch", ghfake.Change{Files: map[string]string{".taskcluster.yml": actingYML + "# mine\n"}})
	h.must(err)
	h.settle()
	group = h.build("pull_request.synchronize").TaskGroupID
	h.decided(group)
	_, err = h.server.actions.Start(t.Context(), all, actions.Start{TaskGroupID: group, Name: "cancel-all"})
	if fault.KindOf(err) != fault.Forbidden || !strings.Contains(err.Error(), "changes .taskcluster.yml") {
		t.Errorf("a pull request that changes .taskcluster.yml: %v", err)
	}
}

func TestLevelsOfRepositoriesAreConfigured(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public}")})
	level := func() int {
		t.Helper()
		r, err := h.server.push.Repository(t.Context(), "acme.app")
		h.must(err)
		return r.Level
	}
	if n := level(); n != 3 {
		t.Errorf("level %d", n)
	}
	h.stop()
	listener, err := net.Listen("tcp", h.config.Listener.Addr().String())
	h.must(err)
	h.config.Listener, h.config.Remote = listener, []Repository{{Name: "acme.app", Level: 2}}
	h.start()
	if n := level(); n != 2 {
		t.Errorf("level %d", n)
	}
	h.push("main", map[string]string{"a": "1"})
	h.expect("push: github-push")
	change, err := h.server.github.ByTaskGroup(t.Context(), h.builds()[0].TaskGroupID)
	h.must(err)
	if n := level(); n != 2 || change.Level != 2 {
		t.Errorf("levels %d and %d", n, change.Level)
	}
}
