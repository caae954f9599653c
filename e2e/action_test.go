package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/action"
)

// actionsYML is a .taskcluster.yml whose decisions and actions run on a worker.
const actionsYML = `version: 1
tasks:
  - $if: tasks_for in ["git-push", "action"]
    then:
      $merge:
        - schedulerId: pebble-level-${repository.level}
          taskQueueId: local/work
          created: {$fromNow: ""}
          deadline: {$fromNow: 1 day}
          expires: {$fromNow: 28 days}
        - $if: tasks_for == "git-push"
          then:
            taskId: ${ownTaskId}
            taskGroupId: ${ownTaskId}
            metadata: {name: Decision task, description: Decides., owner: "${push.owner}", source: "${repository.url}"}
            tags: {kind: decision-task}
            routes: ["index.pebble.v2.pebble.revision.${push.revision}.taskgraph.decision"]
            scopes: ["assume:${repository.role}:branch:${push.branch}"]
          else:
            taskGroupId: ${action.taskGroupId}
            metadata: {name: "Action: ${action.title}", description: "${action.description}", owner: "${push.owner}", source: "${repository.url}"}
            tags: {kind: action-callback}
            routes: ["index.pebble.v2.pebble.revision.${push.revision}.taskgraph.actions.${ownTaskId}"]
            scopes: ["${action.repo_scope}"]
            extra: {parent: "${action.taskGroupId}", action: {name: "${action.name}"}}
        - payload:
            maxRunTime: 300
            features: {taskclusterProxy: true}
            artifacts:
              - {name: public, path: src/artifacts, type: directory}
            env:
              $merge:
                - PEBBLE_REPOSITORY_TYPE: git
                  PEBBLE_BASE_REPOSITORY: ${repository.url}
                  PEBBLE_HEAD_REPOSITORY: ${repository.url}
                  PEBBLE_HEAD_REV: ${push.revision}
                - $if: tasks_for == "action"
                  then:
                    ACTION_CALLBACK: ${action.cb_name}
                    ACTION_TASK_GROUP_ID: ${action.taskGroupId}
                    ACTION_TASK_ID: {$json: {$eval: taskId}}
                    ACTION_INPUT: {$json: {$eval: input}}
                  else: {PEBBLE_HEAD_REF: "refs/heads/${push.branch}"}
            command:
              - $flatten:
                  - [treeline, run-task, --pebble-checkout=src, --task-cwd=src, --, treeline, taskgraph]
                  - $if: tasks_for == "action"
                    then: [action-callback]
                    else:
                      - decision
                      - --project=${repository.project}
                      - --level=${repository.level}
                      - --owner=${push.owner}
                      - --pushlog-id=${push.pushlog_id}
                      - --pushdate=${push.pushdate}
                      - --repository-type=git
                      - --tasks-for=git-push
                      - --base-repository=${repository.url}
                      - --head-repository=${repository.url}
                      - --base-rev=${push.base_revision}
                      - --head-rev=${push.revision}
                      - --head-ref=refs/heads/${push.branch}
`

// idleKind has tasks for which there is no worker.
const idleKind = `loader: taskgraph.loader.transform:loader
transforms: [taskgraph.transforms.task:transforms]
task-defaults:
  worker-type: nobody
  run-on-projects: []
  description: Waits for a worker that never comes.
  worker: {max-run-time: 60, command: ['true']}
tasks:
  base: {}
  one: {dependencies: {base: idle-base}}
  cached: {attributes: {cached_task: {type: toolchain}}}
  in-docker:
    worker-type: container
    worker: {docker-image: "debian:12", max-run-time: 60, command: ['true'], env: {LANG: C}}
  two: {dependencies: {base: idle-base}}
`

const idleActions = `
def copies(context):
    return effect.create_tasks(["idle-base"], times = context.input["copies"], modify = named)

def shipped(task, parameters, graph_config):
    return task["label"] == "idle-one" and parameters["shipping_phase"] == "ship"

def named(task):
    task["task"]["metadata"]["description"] = "A copy."
    return task

action(name = "copies", title = "Copies", callback = copies, description = "Makes idle tasks.", symbol = "cp",
    schema = {"type": "object", "properties": {"copies": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2}}})
`

// moreActions is what the tree asks for beside the actions that every tree has.
const moreActions = `actions:
  kind: task
  backfill: {kinds: [test]}
  release-promotion: {}
  run-missing-tests: {kinds: [test]}
  create-interactive: {kinds: [idle]}
release-promotion:
  flavors:
    ship: {target-tasks-method: "taskcluster/actions.star:shipped"}
`

// actionBranch commits a tree with actions one of whose tests fails, and waits until that is so.
func (m *machine) actionBranch(branch, yml, more string) (revision, group string, failed client.GroupTask) {
	m.t.Helper()
	show := func(name string) string { return git(m.t, m.repo(), "show", m.first+":"+name) + "\n" }
	config := strings.Replace(show("taskcluster/config.yml"), "  aliases:\n",
		"  aliases:\n    nobody: {provisioner: local, implementation: generic-worker, os: linux, worker-type: nobody}\n"+
			"    container: {provisioner: local, implementation: docker-worker, os: linux, worker-type: lender}\n", 1)
	config, _, _ = strings.Cut(config, "actions:\n") // the sample's own
	tests := strings.Replace(show("taskcluster/kinds/test/kind.yml"), "    symbol:", "    attributes: {retrigger: true}\n    symbol:", 1)
	revision = m.onBranch(branch, "Actions of "+branch, map[string]string{
		".taskcluster.yml": yml, "taskcluster/config.yml": config + more, "taskcluster/kinds/test/kind.yml": tests,
		"taskcluster/kinds/idle/kind.yml": idleKind, "taskcluster/actions.star": idleActions, "test/cases/heading.html": "<h2>wrong</h2>\n",
	})
	p := m.outcome(revision)
	m.eventually(2*time.Minute, "one test fails and all others are done", func(ctx context.Context) error {
		list, err := m.tasks(ctx, p.GroupID)
		if err != nil {
			return err
		}
		open := []string{}
		for _, t := range list {
			switch {
			case t.Status.State == task.Failed && strings.HasPrefix(t.Task.Metadata.Name, "test-"):
				failed = t
			case !t.Status.State.Resolved() && t.Task.Metadata.Name != waitsForever:
				open = append(open, t.Task.Metadata.Name)
			}
		}
		if failed.Status.TaskID == "" || len(open) > 0 {
			return fmt.Errorf("open are %v of %d, failed %q (%s)", open, len(list), failed.Task.Metadata.Name, p.State)
		}
		return nil
	})
	return revision, p.GroupID, failed
}

// waitsForever depends on all tests, of which one fails.
const waitsForever = "publish-contents"

// define renders an action task from the actions.json of a decision, as the pages do.
func (m *machine) define(group, name, taskID string, input any) (id string, definition map[string]any) {
	m.t.Helper()
	listing, err := action.ParseListing([]byte(m.artifact(group, "public/actions.json")))
	if err != nil {
		m.t.Fatal(err)
	}
	var tags map[string]string
	if taskID != "" {
		d, err := m.client.Task(m.t.Context(), taskID)
		if err != nil {
			m.t.Fatal(err)
		}
		tags = d.Tags
	}
	entry, err := listing.Find(name, tags)
	if err != nil {
		m.t.Fatal(err)
	}
	id = slug.Nice()
	rendered, err := listing.Render(entry, action.Start{
		TaskGroupID: group, TaskID: taskID, Input: input, OwnTaskID: id, Now: time.Now(), RootURL: m.client.RootURL(), Definition: map[string]any{},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return id, rendered.(map[string]any)
}

// starter starts an action and gives the action task.
type starter func(m *machine, group, name, taskID string, input any) (id string)

// byTemplate renders the action task from actions.json and creates it, as other clients do.
func byTemplate(m *machine, group, name, taskID string, input any) string {
	m.t.Helper()
	id, definition := m.define(group, name, taskID, input)
	if _, err := m.client.CreateTask(m.t.Context(), id, definition); err != nil {
		m.t.Fatal(err)
	}
	return id
}

// byCall asks the server to start it.
func byCall(m *machine, group, name, taskID string, input any) string {
	m.t.Helper()
	started, err := m.client.StartAction(m.t.Context(), group, name, client.ActionStart{TaskID: taskID, Input: input})
	if err != nil {
		m.t.Fatal(err)
	}
	return started.TaskID
}

// act starts an action and waits until its task is completed.
func (m *machine) act(start starter, group, name, taskID string, input any) (id string) {
	m.t.Helper()
	id = start(m, group, name, taskID, input)
	m.eventually(time.Minute, "action "+name+" is done", func(ctx context.Context) error {
		s, err := m.client.Status(ctx, id)
		if err == nil && s.State != task.Completed {
			err = fmt.Errorf("it is %s", s.State)
			if s.State.Resolved() {
				err = fmt.Errorf("%w, %w:\n%s", err, errFinal, m.cli("task", "log", id))
			}
		}
		return err
	})
	return id
}

// made returns the tasks of a group that have that name.
func (m *machine) made(group, name string) (out []client.GroupTask) {
	m.t.Helper()
	list, err := m.tasks(m.t.Context(), group)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, t := range list {
		if t.Task.Metadata.Name == name {
			out = append(out, t)
		}
	}
	return out
}

func TestActionsOnAWorker(t *testing.T) {
	testActions(t, "act/on-a-worker", actionsYML, moreActions, byTemplate)
}

// The .taskcluster.yml of the sample has its decisions and actions done in the server.
func TestActionsInTheServer(t *testing.T) {
	m := shared(t)
	yml := git(t, m.repo(), "show", m.first+":.taskcluster.yml") + "\n"
	testActions(t, "act/in-the-server", yml, strings.Replace(moreActions, "kind: task", "kind: hook", 1), byCall)
}

// testActions makes a branch and starts each action on it.
func testActions(t *testing.T, branch, yml, more string, start starter) {
	m := shared(t)
	_, group, broken := m.actionBranch(branch, yml, more)
	name := broken.Task.Metadata.Name

	t.Run("retrigger makes the task anew", func(t *testing.T) {
		m := shared(t)
		id := m.act(start, group, "retrigger", broken.Status.TaskID, map[string]any{"times": 2})
		all := m.made(group, name)
		if len(all) != 3 {
			t.Fatalf("%d tasks are called %s", len(all), name)
		}
		var known map[string]string
		if err := json.Unmarshal([]byte(m.artifact(id, "public/label-to-taskid-1.json")), &known); err != nil {
			t.Fatal(err)
		}
		for _, made := range all {
			if made.Status.TaskID == broken.Status.TaskID {
				continue
			}
			if !slices.Contains(made.Task.Dependencies, id) || made.Task.TaskGroupID != group {
				t.Errorf("%s does not wait for its action: %v", made.Status.TaskID, made.Task.Dependencies)
			}
		}
		if graph := m.artifact(id, "public/task-graph.json"); !strings.Contains(graph, known[name]) {
			t.Errorf("task-graph.json lacks %s: %s", known[name], tail(graph, 300))
		}
	})
	t.Run("rerun adds a run to what failed", func(t *testing.T) {
		m := shared(t)
		m.act(start, group, "rerun", broken.Status.TaskID, nil)
		if s, err := m.client.Status(t.Context(), broken.Status.TaskID); err != nil || len(s.Runs) != 2 || s.Runs[1].ReasonCreated != task.CreatedRerun {
			t.Errorf("its runs are %+v, %v", s.Runs, err)
		}
	})
	t.Run("add-new-jobs adds what was not selected, and what an earlier action made serves the next", func(t *testing.T) {
		m := shared(t)
		m.act(start, group, "add-new-jobs", "", map[string]any{"tasks": []string{"idle-one"}})
		m.act(start, group, "add-new-jobs", "", map[string]any{"tasks": []string{"idle-two"}})
		base := m.made(group, "idle-base")
		if len(base) != 1 || len(m.made(group, "idle-one")) != 1 {
			t.Fatalf("%d tasks idle-base", len(base))
		}
		two := m.made(group, "idle-two")
		if len(two) != 1 || !slices.Contains(two[0].Task.Dependencies, base[0].Status.TaskID) {
			t.Errorf("idle-two: %+v", two)
		}
	})
	t.Run("an action in Starlark", func(t *testing.T) {
		m := shared(t)
		m.act(start, group, "copies", "", nil)
		all := m.made(group, "idle-base")
		copies := slices.DeleteFunc(slices.Clone(all), func(t client.GroupTask) bool { return t.Task.Metadata.Description != "A copy." })
		if len(all) != 3 || len(copies) != 2 {
			t.Errorf("%d tasks, %d of them copies", len(all), len(copies))
		}
	})
	t.Run("release-promotion decides anew in a group of its own, with what was made before", func(t *testing.T) {
		m := shared(t)
		base := m.made(group, "idle-base")
		id := m.act(start, group, "release-promotion", "", map[string]any{"release_promotion_flavor": "ship", "do_not_optimize": []string{"idle-one"}})
		list, err := m.tasks(t.Context(), id)
		if diff := cmp.Diff([]string{"idle-one"}, names(list)); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
		if !slices.ContainsFunc(base, func(b client.GroupTask) bool { return slices.Contains(list[0].Task.Dependencies, b.Status.TaskID) }) {
			t.Errorf("it does not use the base that there is: %v", list[0].Task.Dependencies)
		}
		if p := m.artifact(id, "public/parameters.yml"); !strings.Contains(p, "shipping_phase: ship") {
			t.Errorf("parameters.yml: %s", p)
		}
		if _, err := m.client.Cancel(t.Context(), list[0].Status.TaskID); err != nil {
			t.Error(err)
		}
	})
	t.Run("backfill makes a test in the push before", func(t *testing.T) {
		m := shared(t)
		git(t, m.repo(), "checkout", "-q", "-f", branch)
		next := commit(t, m.repo(), "Push again", map[string]string{"test/cases/another.html": "<h2>wrong</h2>\n"})
		git(t, m.repo(), "checkout", "-q", "-f", "main")
		later := m.outcome(next).GroupID
		before := len(m.made(group, name))
		id := m.act(start, later, "backfill", m.made(later, name)[0].Status.TaskID, map[string]any{"depth": 3})
		all := m.made(group, name)
		filled := slices.IndexFunc(all, func(t client.GroupTask) bool { return slices.Contains(t.Task.Dependencies, id) })
		if len(all) != before+1 || filled < 0 || !strings.Contains(string(all[filled].Task.Extra), "-"+next[:11]+"-bk") {
			t.Errorf("%d of %s, before %d: %+v", len(all), name, before, all)
		}
	})
	t.Run("retrigger-multiple clones what may be, and rebuild-cached-tasks what is cached", func(t *testing.T) {
		m := shared(t)
		before := len(m.made(group, "test-cases-1"))
		m.act(start, group, "retrigger-multiple", "", map[string]any{"requests": []any{map[string]any{"tasks": []string{"test-cases-1"}, "times": 2}}})
		m.act(start, group, "rebuild-cached-tasks", "", nil)
		if n := len(m.made(group, "test-cases-1")); n != before+2 {
			t.Errorf("%d tasks test-cases-1, before %d", n, before)
		}
		if n := len(m.made(group, "idle-cached")); n != 1 {
			t.Errorf("%d cached tasks", n)
		}
	})
	t.Run("run-missing-tests makes none where none was left out", func(t *testing.T) {
		m := shared(t)
		before, err := m.tasks(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		m.act(start, group, "run-missing-tests", "", nil)
		if after, err := m.tasks(t.Context(), group); err != nil || len(after) != len(before)+1 {
			t.Errorf("%d tasks, before %d: %v", len(after), len(before), err)
		}
	})
	t.Run("create-interactive copies a task of a container, with a shell and without its rights", func(t *testing.T) {
		m := shared(t)
		m.act(start, group, "add-new-jobs", "", map[string]any{"tasks": []string{"idle-in-docker"}})
		id := m.act(start, group, "create-interactive", m.made(group, "idle-in-docker")[0].Status.TaskID, map[string]any{})
		var copied *client.GroupTask
		for _, made := range m.made(id, "idle-in-docker") {
			if slices.Contains(made.Task.Dependencies, id) {
				copied = &made
			}
		}
		lent(t, copied)
		m.borrow("local/lender", copied.Status.TaskID)
	})
	t.Run("a call that the action refuses fails with the reason", func(t *testing.T) {
		m := shared(t)
		id := start(m, group, "retrigger", m.made(group, "build-site")[0].Status.TaskID, nil)
		m.eventually(time.Minute, "the action fails", func(ctx context.Context) error {
			s, err := m.client.Status(ctx, id)
			if err == nil && s.State != task.Failed {
				err = fmt.Errorf("it is %s", s.State)
			}
			return err
		})
		if log := m.cli("task", "log", id); !strings.Contains(log, "build-site is not meant to be retriggered") {
			t.Errorf("the log does not say why:\n%s", log)
		}
	})
	t.Run("cancel-all ends what is open, but not itself", func(t *testing.T) {
		m := shared(t)
		m.eventually(time.Minute, "all that has a worker is done", func(ctx context.Context) error {
			list, err := m.tasks(ctx, group)
			if err != nil {
				return err
			}
			for _, t := range list {
				if name := t.Task.Metadata.Name; !t.Status.State.Resolved() && !strings.HasPrefix(name, "idle-") && name != waitsForever {
					return fmt.Errorf("%s is %s", name, t.Status.State)
				}
			}
			return nil
		})
		id := m.act(start, group, "cancel-all", "", nil)
		list, err := m.tasks(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		for _, made := range list {
			name := made.Task.Metadata.Name
			if canceled := made.Status.LastRun() != nil && made.Status.LastRun().ReasonResolved == task.ReasonCanceled; name != "idle-in-docker" && canceled != (strings.HasPrefix(name, "idle-") || name == waitsForever) {
				t.Errorf("%s (%s) is %s, by %s", name, made.Status.TaskID, made.Status.State, id)
			}
		}
	})
}

// callback is a run of an action task in a checkout, in the hands of the test instead of a worker.
func (m *machine) callback(ctx context.Context, dir, id string, definition map[string]any) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, "taskgraph", "action-callback")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TASK_ID="+id)
	for key, value := range m.env() {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	for key, value := range definition["payload"].(map[string]any)["env"].(map[string]any) {
		cmd.Env = append(cmd.Env, key+"="+value.(string))
	}
	return cmd
}

func TestAnActionThatIsKilledAndRunAgainDoesNothingTwice(t *testing.T) {
	m := shared(t)
	// Nothing is indexed, as with pull requests: decision and actions are found by their group.
	unindexed := regexp.MustCompile(`(?m)^ +routes:.*\n`).ReplaceAllString(actionsYML, "")
	revision, group, failed := m.actionBranch("act/killed", unindexed, moreActions)
	checkout := filepath.Join(t.TempDir(), "src")
	git(t, t.TempDir(), "clone", "-q", m.repo(), checkout)
	git(t, checkout, "checkout", "-q", revision)
	for _, c := range []struct {
		name, taskID string
		input        any
		want         map[string]int // tasks by name, once it is done
	}{
		{"add-new-jobs", "", map[string]any{"tasks": []string{"idle-one"}, "times": 3}, map[string]int{"idle-base": 1, "idle-one": 3}},
		{"copies", "", map[string]any{"copies": 4}, map[string]int{"idle-base": 5, "idle-one": 3}},
		{"rerun", failed.Status.TaskID, nil, map[string]int{"idle-base": 5}},
		{"cancel-all", "", nil, map[string]int{"idle-base": 5}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := shared(t)
			id, definition := m.define(group, c.name, c.taskID, c.input)
			definition["taskQueueId"] = "local/by-hand" // nobody but this test runs it
			if _, err := m.client.CreateTask(t.Context(), id, definition); err != nil {
				t.Fatal(err)
			}
			// Killed ever later, until it got to its end before.
			for wait := 10 * time.Millisecond; ; wait += wait/4 + 15*time.Millisecond {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				err := m.callback(ctx, checkout, id, definition).Run()
				cancel()
				if err == nil {
					break
				}
				if wait > 30*time.Second || !errors.As(err, new(*exec.ExitError)) && !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("it never ends: %v", err)
				}
			}
			var out bytes.Buffer
			again := m.callback(t.Context(), checkout, id, definition)
			again.Stderr = &out
			if err := again.Run(); err != nil {
				t.Fatalf("run again after its end: %v\n%s", err, out.String())
			}
			got := map[string]int{}
			for name := range c.want {
				got[name] = len(m.made(group, name))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s\n%s", diff, out.String())
			}
			if c.taskID == "" {
				return
			}
			if s, err := m.client.Status(t.Context(), c.taskID); err != nil || len(s.Runs) != 2 {
				t.Errorf("it has %d runs: %v\n%s", len(s.Runs), err, out.String())
			}
		})
	}
}
