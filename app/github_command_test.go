package app

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// acting is a hub whose repository has a graph with actions, and roles that let buttons and comments start them. more
// is added to its .taskcluster.yml.
func acting(t *testing.T, more string) *hub {
	t.Helper()
	files := graphFiles(t)
	files[".taskcluster.yml"] = actingYML + more
	h := newHub(t, files)
	work := []string{"queue:create-task:highest:local/*", "queue:create-task:highest:built-in/*", "queue:create-task:project:none", "queue:scheduler-id:*", "queue:route:*", "queue:get-artifact:*"}
	for role, scopes := range map[string][]string{
		"branch:main":          append([]string{"in-tree:hook-action:project-pebble/in-tree-action-3-*"}, work...),
		"pull-reques*":         append([]string{"in-tree:hook-action:project-pebble/in-tree-pr-action-1-*"}, work...),
		"action:*":             append([]string{"queue:cancel-task:*"}, work...),
		"pr-action:*":          append([]string{"queue:cancel-task:pebble-level-1/*"}, work...),
		"buttons:branch:*":     {"hooks:trigger-hook:project-pebble/in-tree-action-3-generic/*"},
		"buttons:pull-reques*": {"hooks:trigger-hook:project-pebble/in-tree-pr-action-1-generic/*"},
	} {
		h.must(h.server.role(t.Context(), "repo:github.com/acme/app:"+role, scopes, "test"))
	}
	return h
}

// pull opens a pull request of ada's and waits for its decision; the task group is returned.
func (h *hub) pull(branch string, files map[string]string) (p *ghfake.Pull, group string) {
	h.t.Helper()
	_, err := h.repo.Push("ada", branch, ghfake.Change{Files: files})
	h.must(err)
	p, err = h.repo.OpenPull("ada", h.repo, branch, "main", "a change")
	h.must(err)
	h.settle()
	group = h.build("pull_request.opened").TaskGroupID
	h.decided(group)
	return p, group
}

// acted are the action tasks of a group, by the name of the task.
func (h *hub) acted(group string) (out []queue.Item) {
	h.t.Helper()
	page, err := h.server.queue.ListGroup(h.t.Context(), group, 0, "")
	h.must(err)
	for _, i := range page.Tasks {
		if i.Task.Tags["kind"] == "action-callback" {
			out = append(out, i)
		}
	}
	return out
}

// does waits until the only action task of that name has ended well, and returns it.
func (h *hub) does(group, name string) queue.Item {
	h.t.Helper()
	var found []queue.Item
	h.until("the action "+name, func() bool {
		found = slices.DeleteFunc(h.acted(group), func(i queue.Item) bool { return i.Task.Metadata.Name != "Action "+name })
		if len(found) == 0 {
			return false
		}
		s := found[0].Status
		if s.State == task.Failed || s.State == task.Exception {
			h.t.Fatalf("the action %s %s:\n%s", name, s.State, h.log(s.TaskID))
		}
		return s.State == task.Completed
	})
	if len(found) != 1 {
		h.t.Fatalf("%s was started %d times", name, len(found))
	}
	return found[0]
}

func (h *hub) log(id string) string {
	h.t.Helper()
	s, err := h.server.queue.Status(h.t.Context(), id)
	h.must(err)
	_, log, err := h.server.objects.Open(h.t.Context(), queue.ObjectName(id, s.LastRun().RunID, "public/logs/live_backing.log"))
	h.must(err)
	defer log.Close()
	text, err := io.ReadAll(log)
	h.must(err)
	return string(text)
}

// says gives a command and returns its reactions and what was answered.
func (h *hub) says(who string, p *ghfake.Pull, text string) (signs []string, answer string) {
	h.t.Helper()
	before := len(h.repo.Comments(p.Number))
	id := h.repo.Comment(who, p.Number, text).ID
	h.settle()
	for i, c := range h.repo.Comments(p.Number) {
		if c.ID == id {
			signs = c.Reactions
		} else if i > before {
			answer += c.Body
		}
	}
	return signs, answer
}

func TestGitHubCommentsStartActions(t *testing.T) {
	h := acting(t, "treeline: {mayStart: {retrigger-multiple: maintain, cancel: admin}}\n")
	h.push("main", map[string]string{"pages/index.md": "first\n"})
	h.settle()
	p, group := h.pull("patch", map[string]string{"pages/about.md": "mine\n", "bin/pebble": "#!/bin/sh\n"})
	for _, c := range []struct{ who, text, sign, answer string }{
		{"stranger", "action cancel-all", "eyes", "stranger may not write to acme/app"},
		{"reader", "action cancel-all", "eyes", "reader may not write to acme/app"},
		{"ada", "action retrigger-multiple", "eyes", "ada may not maintain acme/app, which `treeline.mayStart` in `.taskcluster.yml` asks of who starts retrigger-multiple"},
		{"ada", "cancel", "eyes", "ada may not administer acme/app"},
		{"ada", "action", "confused", "which action? Write `/treeline action NAME"},
		{"ada", "action frobnicate", "confused", "There is no action frobnicate on a whole task group; for one of a task write `on LABEL`. There are: `add-new-jobs`"},
		{"ada", "action retrigger on nowhere", "confused", "The task group has no task nowhere"},
		{"ada", "action add-new-jobs", "confused", h.config.RootURL + "/actions/" + group + "/add-new-jobs"},
		{"ada", "action add-new-jobs tasks=lint-shell times=many", "confused", "`times`: \"many\" is not a whole number"},
		{"ada", "action add-new-jobs tasks=lint-shell times=1000", "confused", "The input of `add-new-jobs` is wrong:"},
		{"ada", "explain lint-shell", "+1", "lint-shell: "},
		{"ada", "explain nowhere", "+1", "no kind makes it"},
		{"ada", "explain", "confused", "Say which task"},
	} {
		signs, answer := h.says(c.who, p, "/treeline "+c.text)
		if !slices.Equal(signs, []string{c.sign}) || !strings.Contains(answer, c.answer) {
			t.Errorf("%s says %s: %v %s\nwant %s %s", c.who, c.text, signs, answer, c.sign, c.answer)
		}
	}
	if made := h.acted(group); len(made) != 0 {
		t.Fatalf("%+v", made)
	}
	signs, answer := h.says("ada", p, "Please:\n/treeline action add-new-jobs tasks=lint-shell times=2")
	i := h.does(group, "add-new-jobs")
	if !slices.Equal(signs, []string{"+1"}) || !strings.Contains(answer, "/tasks/"+i.Status.TaskID) {
		t.Errorf("%v %s", signs, answer)
	}
	if !slices.Equal(i.Task.Scopes, []string{"assume:repo:github.com/acme/app:pr-action:generic"}) || !strings.Contains(string(i.Task.Extra), "|ada") {
		t.Errorf("the action task has %v and %s", i.Task.Scopes, i.Task.Extra)
	}
	if !strings.Contains(string(i.Task.Payload), `"times":2`) {
		t.Errorf("%s", i.Task.Payload)
	}
	for _, d := range h.gh.Delivered() {
		if d.Event == "issue_comment" {
			h.must(h.gh.Redeliver(d.ID))
		}
	}
	h.settle()
	h.does(group, "add-new-jobs") // once
}

func TestGitHubCommandsAreForTheHeadThatTheirAuthorSaw(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: collaborators_quiet, allowComments: collaborators}")})
	fork, p := h.fork(map[string]string{"x": "1"})
	h.gh.Outage(true) // the command waits
	h.repo.Comment("ada", p.Number, "/taskcluster test")
	h.drain()
	_, err := fork.Push("stranger", "patch", ghfake.Change{Files: map[string]string{"x": "evil"}})
	h.must(err)
	h.drain()
	h.gh.Outage(false)
	h.later()
	h.expect()
	list := h.repo.Comments(p.Number)
	if said := list[len(list)-1]; len(list) != 2 || !slices.Equal(list[0].Reactions, []string{"confused"}) || !strings.Contains(said.Body, "that is newer than the command") || !strings.Contains(said.Body, "`/taskcluster test "+p.Head()[:10]+"`") {
		t.Errorf("%+v", list)
	}
	h.repo.Comment("ada", p.Number, "/taskcluster test "+p.Head()[:10])
	h.expect("issue_comment: github-issue-comment")
	h.repo.Comment("ada", p.Number, "/taskcluster test") // by now the head has been there for all to see
	h.expect("issue_comment: github-issue-comment", "issue_comment: github-issue-comment")
}

// drain waits until every webhook was delivered, whatever became of it.
func (h *hub) drain() {
	h.t.Helper()
	h.until("the deliveries", func() bool { return h.gh.Drain(h.t.Context()) == nil })
}

func TestGitHubTestsThatWereLeftOutAreRunByComment(t *testing.T) {
	h := acting(t, "")
	h.push("main", map[string]string{"pages/index.md": "first\n"})
	h.settle()
	p, group := h.pull("patch", map[string]string{"NOTES.md": "nothing that a test reads\n"})
	tests := func() (n int) {
		t.Helper()
		page, err := h.server.queue.ListGroup(t.Context(), group, 0, "")
		h.must(err)
		for _, i := range page.Tasks {
			if i.Task.Tags["kind"] == "test" {
				n++
			}
		}
		return n
	}
	if n := tests(); n != 0 {
		t.Fatalf("%d tests were not left out", n)
	}
	h.says("ada", p, "/treeline action run-missing-tests")
	i := h.does(group, "run-missing-tests")
	if log := h.log(i.Status.TaskID); !strings.Contains(log, ", 0 exist and ") {
		t.Error(log)
	}
	made := tests()
	if made == 0 {
		t.Fatal("no test was made")
	}
	h.says("ada", p, "/treeline action run-missing-tests {}")
	h.until("the second", func() bool { return len(h.acted(group)) == 2 })
	h.until("its end", func() bool {
		return h.acted(group)[0].Status.State.Resolved() && h.acted(group)[1].Status.State.Resolved()
	})
	if again := tests(); again != made {
		t.Errorf("%d tests after the second time, %d before", again, made)
	}
}
