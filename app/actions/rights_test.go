package actions_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// expanded asks what a client holds.
func expanded(t *testing.T, c *client.Client) []string {
	t.Helper()
	var out struct{ Scopes []string }
	if err := c.Call(t.Context(), "auth", http.MethodGet, "/scopes/current", nil, nil, &out); err != nil {
		t.Fatal(err)
	}
	return out.Scopes
}

// role gives the scopes of a role.
func (w *world) role(id string) []string {
	w.t.Helper()
	var out struct{ Scopes []string }
	if err := w.root.Call(w.t.Context(), "auth", http.MethodGet, "/roles/"+url.PathEscape(id), nil, nil, &out); err != nil {
		w.t.Fatal(err)
	}
	return out.Scopes
}

func TestAReleaseManagerPromotesAndAReaderCannotWhileNeitherHoldsWhatItRunsWith(t *testing.T) {
	w := newWorld(t, "pebble")
	group := w.decision("pebble")
	promotion := offers(t, w.root, group, "")["release-promotion"]
	hook := promotion["hookGroupId"].(string) + "/" + promotion["hookId"].(string)
	if !strings.HasPrefix(hook, "project-pebble/in-tree-action-3-release-promotion/") {
		t.Fatal(hook)
	}
	manager := w.client("people/manager", "hooks:trigger-hook:project-pebble/in-tree-action-3-release-promotion/*")
	reader := w.client("people/reader", "queue:get-task:*", "queue:list-task-group:*", "hooks:trigger-hook:project-pebble/in-tree-action-3-generic/*", "hooks:status:*")
	input := dict{"release_promotion_flavor": "publish", "build_number": 2}

	before := len(w.groups())
	offer := offers(t, reader, group, "")["release-promotion"]
	if offer["allowed"] != false || !strings.Contains(offer["why"].(string), "hooks:trigger-hook:"+hook) {
		t.Errorf("the reader is told %v", offer)
	}
	_, err := start(t, reader, group, "release-promotion", dict{"input": input})
	refused(t, err, fault.Forbidden, "hooks:trigger-hook:"+hook)
	_, err = start(t, w.root.WithCredentials(hawk.Credentials{}), group, "release-promotion", dict{"input": input})
	refused(t, err, fault.Forbidden, "hooks:trigger-hook:"+hook)

	if offer := offers(t, manager, group, "")["release-promotion"]; offer["allowed"] != true {
		t.Errorf("the manager is told %v", offer)
	}
	act, err := start(t, manager, group, "release-promotion", dict{"input": input})
	if err != nil {
		t.Fatal(err)
	}
	w.done(act.TaskID, task.Completed)
	made := w.tasks(act.TaskID)
	if diff := cmp.Diff([]string{"publish-contents"}, keys(made)); diff != "" {
		t.Errorf("the release made %s\n%s", diff, w.log(act.TaskID))
	}
	if p := w.artifact(act.TaskID, "public/parameters.yml"); !strings.Contains(p, "shipping_phase: publish") || !strings.Contains(p, "build_number: 2") {
		t.Errorf("its parameters are %s", p)
	}
	if n := len(w.groups()); n != before+1 {
		t.Errorf("%d groups were made", n-before)
	}

	d, err := w.root.Task(t.Context(), act.TaskID)
	if err != nil {
		t.Fatal(err)
	}
	const runsWith = "assume:repo:local/pebble:action:release-promotion"
	if diff := cmp.Diff([]string{runsWith}, d.Scopes); diff != "" {
		t.Errorf("the action task: %s", diff)
	}
	if diff := cmp.Diff([]string{runsWith}, w.role("hook-id:"+hook)); diff != "" {
		t.Errorf("the role of the hook: %s", diff)
	}
	for _, c := range []*client.Client{manager, reader} {
		for _, scope := range append(w.role("repo:local/pebble:*"), runsWith) {
			if strings.HasPrefix(scope, "queue:create-task") || scope == runsWith {
				if slices.Contains(expanded(t, c), scope) {
					t.Errorf("%s holds %s", "a client", scope)
				}
			}
		}
	}
	var extra struct {
		Action struct {
			Name      string
			StartedBy struct{ ClientID, By string }
		}
	}
	read(t, &extra, string(d.Extra))
	if extra.Action.StartedBy.ClientID != "people/manager" || extra.Action.Name != "release-promotion" {
		t.Errorf("it says it was started by %+v", extra)
	}
	var history struct{ AuditHistory []dict }
	if err := w.root.Call(t.Context(), "auth", http.MethodGet, "/clients/people%2Fmanager/audit", nil, nil, &history); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(history.AuditHistory, func(r dict) bool {
		return r["actionType"] == "started "+act.TaskID && r["entityId"] == group+"/release-promotion"
	}) {
		t.Errorf("the audit trail has %v", history.AuditHistory)
	}
	t.Run("the manager can do nothing else", func(t *testing.T) {
		_, err := start(t, manager, group, "cancel-all", nil)
		refused(t, err, fault.Forbidden, "in-tree-action-3-generic")
		_, err = start(t, manager, group, "release-promotion", dict{"input": dict{"release_promotion_flavor": "ship", "build_number": 1}})
		refused(t, err, fault.Invalid, "release_promotion_flavor")
	})
	t.Run("the hook cannot be talked into the action of another permission", func(t *testing.T) {
		payload := hookPayload(t, w, group, "release-promotion", input)
		payload["decision"].(dict)["action"].(dict)["cb_name"] = "cancel-all"
		payload["user"].(dict)["input"] = nil
		var status struct{ TaskID string }
		if err := manager.Call(t.Context(), "hooks", http.MethodPost, "/hooks/"+promotion["hookGroupId"].(string)+"/"+url.PathEscape(promotion["hookId"].(string))+"/trigger", nil, payload, &struct{ Status *struct{ TaskID string } }{&status}); err != nil {
			t.Fatal(err)
		}
		w.done(status.TaskID, task.Failed)
		if log := w.log(status.TaskID); !strings.Contains(log, "must hold the scope assume:repo:local/pebble:action:generic itself") {
			t.Error(log)
		}
	})
}

// hookPayload is what another client would trigger the hook of an action with.
func hookPayload(t *testing.T, w *world, group, name string, input dict) dict {
	t.Helper()
	var listing struct{ Actions []dict }
	read(t, &listing, w.artifact(group, "public/actions.json"))
	for _, a := range listing.Actions {
		if a["name"] == name {
			return dict{"decision": a["hookPayload"].(dict)["decision"], "user": dict{"input": input, "taskId": nil, "taskGroupId": group}}
		}
	}
	t.Fatalf("there is no action %s", name)
	return nil
}

func keys(m map[string][]string) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

func TestAForgedListOfActionsTurnsNobodysRightsToItsEnds(t *testing.T) {
	w := newWorld(t, "pebble")
	group := w.decision("pebble")
	listing := w.artifact(group, "public/actions.json")
	trust := "in-tree:hook-action:project-pebble/*"
	for name, c := range map[string]struct {
		scopes  []string
		listing string
		says    string
	}{
		"by a task that roles do not trust": {nil, listing, "does not hold in-tree:hook-action:project-pebble/in-tree-action-3-generic/"},
		"a hook of somebody else":           {[]string{trust}, strings.ReplaceAll(listing, "project-pebble", "project-secret"), "does not hold in-tree:hook-action:project-secret/in-tree-action-3-generic/"},
		"no list":                           {[]string{trust}, `{"version": 3}`, "version 3 is not known"},
		"a bomb":                            {[]string{trust}, strings.Repeat(`{"version":1,"actions":[`, 5000), "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			forged := w.published(c.scopes, map[string]string{"public/actions.json": c.listing})
			before := len(w.groups())
			_, err := start(t, w.root, forged, "cancel-all", nil)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			if n := len(w.groups()); n != before {
				t.Errorf("%d tasks were made", n-before)
			}
		})
	}
	t.Run("a decision that is none of the server's makes no hook", func(t *testing.T) {
		text := strings.ReplaceAll(listing, "in-tree-action-3-", "in-tree-action-2-")
		forged := w.published([]string{trust}, map[string]string{"public/actions.json": text})
		_, err := start(t, w.root, forged, "cancel-all", nil)
		refused(t, err, fault.NotFound, "")
		var hooks struct{ Hooks []dict }
		if err := w.root.Call(t.Context(), "hooks", http.MethodGet, "/hooks/project-pebble", nil, nil, &hooks); err != nil && fault.KindOf(err) != fault.NotFound { // none may be made yet
			t.Fatal(err)
		}
		for _, h := range hooks.Hooks {
			if strings.Contains(h["hookId"].(string), "action-2") {
				t.Errorf("there is a hook %v", h["hookId"])
			}
		}
	})
	t.Run("no decision", func(t *testing.T) {
		_, err := start(t, w.root, slug.Nice(), "cancel-all", nil)
		refused(t, err, fault.NotFound, "has no decision task")
	})
}

func TestRepositoriesWithTheSameTextShareAHookAndItsRoleHoldsBoth(t *testing.T) {
	w := newWorld(t, "pebble", "other")
	for _, name := range []string{"pebble", "other"} {
		group := w.decision(name)
		act, err := start(t, w.root, group, "cancel-all", nil)
		if err != nil {
			t.Fatal(err)
		}
		w.done(act.TaskID, task.Completed)
		d, err := w.root.Task(t.Context(), act.TaskID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"assume:repo:local/" + name + ":action:generic"}, d.Scopes); diff != "" {
			t.Error(diff)
		}
	}
	hook := offers(t, w.root, w.decision("other"), "")["cancel-all"]
	if diff := cmp.Diff([]string{"assume:repo:local/other:action:generic", "assume:repo:local/pebble:action:generic"}, w.role("hook-id:"+hook["hookGroupId"].(string)+"/"+hook["hookId"].(string))); diff != "" {
		t.Error(diff)
	}
}

// lying is a .taskcluster.yml whose decisions run on a worker, which may publish what it likes, and whose
// actions are done in the server.
const lying = `version: 1
tasks:
  - $if: tasks_for in ["git-push", "action"]
    then:
      $mergeDeep:
        - schedulerId: pebble-level-${repository.level}
          created: {$fromNow: ""}
          deadline: {$fromNow: 1 day}
          metadata: {name: "${tasks_for}", description: d, owner: "${push.owner}", source: "${repository.url}"}
        - $if: tasks_for == "action"
          then:
            taskQueueId: built-in/decision
            taskGroupId: ${action.taskGroupId}
            tags: {kind: action-callback}
            scopes: ["${action.repo_scope}"]
            payload: {action: {callback: "${action.cb_name}", taskGroupId: "${action.taskGroupId}", taskId: {$eval: taskId}, input: {$eval: input}}}
          else:
            taskQueueId: local/liar
            taskId: ${ownTaskId}
            taskGroupId: ${ownTaskId}
            payload: {}
            scopes: ["assume:${repository.role}:branch:${push.branch}"]
`

func TestADecisionOnAWorkerThatLiesGetsNothing(t *testing.T) {
	w := newWorld(t, "pebble", "other")
	honest := w.decision("pebble")
	w.commit("pebble", map[string]string{".taskcluster.yml": lying})
	var group string
	// run plays the worker: it does a run of the decision that publishes files.
	run := func(files map[string]string) {
		t.Helper()
		var claims []client.Claim
		w.eventually("the decision is pending", func() (err error) {
			claims, err = w.root.ClaimWork(t.Context(), "local/liar", client.ClaimRequest{WorkerGroup: "g", WorkerID: "w", Tasks: 1})
			if err == nil && len(claims) == 0 {
				err = errors.New("nothing is pending")
			}
			return err
		})
		group = claims[0].Status.TaskID
		worker := w.root.WithCredentials(claims[0].Credentials.Hawk())
		for name, content := range files {
			up := client.Upload{TaskID: group, RunID: claims[0].RunID, Name: name, ContentType: "application/json", Expires: claims[0].Task.Expires}
			if _, err := worker.UploadArtifact(t.Context(), up, strings.NewReader(content), int64(len(content))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := worker.ReportCompleted(t.Context(), group, claims[0].RunID); err != nil {
			t.Fatal(err)
		}
	}
	run(nil)
	other, err := w.root.Task(t.Context(), w.decision("other"))
	if err != nil {
		t.Fatal(err)
	}
	// What the generator would say of this push, but for the lies.
	was, err := w.root.Task(t.Context(), honest)
	if err != nil {
		t.Fatal(err)
	}
	revision := gitHead(t, w.dir+"/pebble")
	sum := sha256.Sum256([]byte(lying))
	listing := regexp.MustCompile(`/[0-9a-f]{10}"`).ReplaceAllString(w.artifact(honest, "public/actions.json"), "/"+hex.EncodeToString(sum[:])[:10]+`"`)
	listing = regexp.MustCompile(`"revision": "[0-9a-f]+"`).ReplaceAllString(strings.ReplaceAll(listing, honest, group), `"revision": "`+revision+`"`)
	lies := []struct{ name, from, to, says string }{
		{"another repository", was.Metadata.Source, other.Metadata.Source, "speaks of the repository"},
		{"another revision", revision, strings.Repeat("0", 40), "speaks of the revision"},
		{"another group", `"taskGroupId": "` + group, `"taskGroupId": "` + honest, "speaks of the task group"},
		{"a higher level", "in-tree-action-3-", "in-tree-action-9-", "names the hook in-tree-action-9-generic/"},
		{"another text", hex.EncodeToString(sum[:])[:10], strings.Repeat("a", 10), "names the hook in-tree-action-3-generic/aaaaaaaaaa"},
		{"the permission of another hook", "in-tree-action-3-generic", "in-tree-action-3-release-promotion", "actions with the permission generic on this push have the hook"},
	}
	again := func(files map[string]string) {
		t.Helper()
		if _, err := w.root.Rerun(t.Context(), group); err != nil {
			t.Fatal(err)
		}
		run(files)
	}
	parameters := w.artifact(honest, "public/parameters.yml")
	again(map[string]string{"public/actions.json": listing, "public/parameters.yml": strings.ReplaceAll(parameters, was.Metadata.Source, other.Metadata.Source)})
	t.Run("parameters of another repository", func(t *testing.T) {
		act, err := start(t, w.root, group, "cancel-all", nil)
		if err != nil {
			t.Fatal(err)
		}
		w.done(act.TaskID, task.Failed)
		if log := w.log(act.TaskID); !strings.Contains(log, "speak of another repository than the push") {
			t.Error(log)
		}
	})
	for _, lie := range lies {
		t.Run(lie.name, func(t *testing.T) {
			if !strings.Contains(listing, lie.from) {
				t.Fatalf("there is no %s in %.2000s", lie.from, listing)
			}
			again(map[string]string{"public/actions.json": strings.ReplaceAll(listing, lie.from, lie.to)})
			_, err := start(t, w.root, group, "cancel-all", nil)
			refused(t, err, fault.Forbidden, lie.says)
		})
	}
}

func TestAnActionInTheServerHasTheRightsOfItsTaskOnly(t *testing.T) {
	w := newWorld(t, "pebble")
	group := w.decision("pebble")
	lint := w.tasks(group)["lint-shell"][0]
	if err := w.root.Call(t.Context(), "auth", http.MethodPost, "/roles/repo:local%2Fpebble:action:*", nil, dict{"scopes": []string{"queue:rerun-task:*"}, "description": "d"}, nil); err != nil {
		t.Fatal(err)
	}
	act, err := start(t, w.root, group, "cancel", dict{"taskId": lint}) // the root client may cancel
	if err != nil {
		t.Fatal(err)
	}
	w.done(act.TaskID, task.Failed)
	if log := w.log(act.TaskID); !strings.Contains(log, "To cancel task "+lint+" needs") {
		t.Error(log)
	}
	if s, err := w.root.Status(t.Context(), lint); err != nil || s.State != task.Pending {
		t.Errorf("%s, %v", s.State, err)
	}
}

func gitHead(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "rev-parse", "HEAD")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
