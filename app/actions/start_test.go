package actions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

func TestStatementsFitTheSchema(t *testing.T) {
	conn, err := pgtest.DB(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, s := range actions.Statements() {
		if _, err := conn.Conn().Prepare(t.Context(), s.Name, s.Text); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

func TestTheSameRequestStartsAnActionOnce(t *testing.T) {
	w := newWorld(t, "pebble")
	group := w.decision("pebble")
	body := dict{"input": dict{"tasks": []string{"lint-shell"}}, "key": "a click"}
	var (
		wait sync.WaitGroup
		ids  [6]string
	)
	for i := range ids {
		wait.Go(func() {
			act, err := start(t, w.root, group, "add-new-jobs", body)
			if err != nil {
				t.Error(err)
			}
			ids[i] = act.TaskID
		})
	}
	wait.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("they are %v", ids)
		}
	}
	w.done(ids[0], task.Completed)
	for name, change := range map[string]dict{
		"another key":   {"input": body["input"], "key": "another click"},
		"another input": {"input": dict{"tasks": []string{"lint-shell"}, "times": 2}, "key": "a click"},
		"no key":        {"input": body["input"]},
	} {
		if act, err := start(t, w.root, group, "add-new-jobs", change); err != nil || act.TaskID == ids[0] {
			t.Errorf("%s: %v %v", name, act.TaskID, err)
		}
	}
	if act, err := start(t, w.client("somebody/else", "hooks:trigger-hook:*"), group, "add-new-jobs", body); err != nil || act.TaskID == ids[0] {
		t.Errorf("the key of somebody else: %v %v", act.TaskID, err)
	}
}

func TestInputsAreRefusedBeforeAnythingHappens(t *testing.T) {
	w := newWorld(t, "pebble")
	group := w.decision("pebble")
	var lint string
	for name, ids := range w.tasks(group) {
		if name == "lint-shell" {
			lint = ids[0]
		}
	}
	before := len(w.tasks(group)["Action: Add new jobs"])
	deep := strings.Repeat(`{"a":`, 3000) + "1" + strings.Repeat("}", 3000)
	for name, c := range map[string]struct {
		action string
		body   any
		says   string
	}{
		"a missing member":       {"release-promotion", dict{"input": dict{"build_number": 1}}, "release_promotion_flavor"},
		"a wrong number":         {"add-new-jobs", dict{"input": dict{"tasks": []string{"x"}, "times": 0}}, "times: must be 1 or more, not 0"},
		"no object":              {"add-new-jobs", dict{"input": "x"}, "input"},
		"an unknown action":      {"make-coffee", dict{}, "There is no action"},
		"not for the group":      {"rerun", dict{}, "There is no action"},
		"a task of nobody":       {"rerun", dict{"taskId": slug.Nice()}, ""},
		"input where none is":    {"cancel", dict{"taskId": lint, "input": dict{"force": true}}, "takes no input"},
		"an unknown member":      {"rerun", dict{"taskId": lint, "rights": "*"}, "rights"},
		"nested without end":     {"add-new-jobs", json.RawMessage(`{"input": ` + deep + `}`), ""},
		"a number beyond reason": {"add-new-jobs", json.RawMessage(`{"input": {"tasks": ["x"], "times": 1e999999}}`), ""},
		"a very long list":       {"add-new-jobs", dict{"input": dict{"tasks": strings.Split(strings.Repeat("x,", 20_000), ",")}}, "values"},
		"too many bytes":         {"add-new-jobs", dict{"input": dict{"tasks": []string{strings.Repeat("x", 300<<10)}}}, "are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			err := w.root.Call(t.Context(), "actions", http.MethodPost, "/task-group/"+group+"/actions/"+c.action, nil, c.body, nil)
			e, ok := errors.AsType[*client.Error](err)
			if !ok || e.Status < 400 || e.Status > 499 || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%.300v, want %q", err, c.says)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	if n := len(w.tasks(group)["Action: Add new jobs"]); n != before {
		t.Errorf("%d action tasks were made", n-before)
	}
}

func TestAHookThatNobodyNeedsIsRemovedAndMadeAgainWhenSomebodyDoes(t *testing.T) {
	w := newWorld(t, "pebble")
	group := w.decision("pebble")
	const hooks = "/hooks/project-pebble"
	count := func() int {
		var out struct{ Hooks []dict }
		if err := w.root.Call(t.Context(), "hooks", http.MethodGet, hooks, nil, nil, &out); err != nil && fault.KindOf(err) != fault.NotFound {
			t.Fatal(err)
		}
		return len(out.Hooks)
	}
	// generic, backfill, retrigger-decision, rebuild-cached-tasks, release-promotion
	w.eventually("the decision's hooks are made", func() error {
		if n := count(); n != 5 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	if err := w.server.PruneActionHooks(t.Context(), time.Hour); err != nil || count() != 5 {
		t.Fatalf("hooks in use: %d, %v", count(), err)
	}
	if err := w.server.PruneActionHooks(t.Context(), 0); err != nil || count() != 0 {
		t.Fatalf("%d, %v", count(), err)
	}
	var roles struct{ RoleIDs []string }
	if err := w.root.Call(t.Context(), "auth", http.MethodGet, "/roleids/", nil, nil, &roles); err != nil {
		t.Fatal(err)
	}
	for _, id := range roles.RoleIDs {
		if strings.HasPrefix(id, "hook-id:") {
			t.Errorf("the role %s is left", id)
		}
	}
	act, err := start(t, w.root, group, "cancel-all", nil)
	if err != nil {
		t.Fatal(err)
	}
	w.done(act.TaskID, task.Completed)
	if n := count(); n != 1 {
		t.Errorf("%d hooks were made", n)
	}
}

func TestActionsOfKindTaskAreCreatedWithTheCallersRights(t *testing.T) {
	w := newWorld(t, "pebble")
	w.decision("pebble")
	config := readFile(t, w.dir+"/pebble/taskcluster/config.yml")
	w.commit("pebble", map[string]string{"taskcluster/config.yml": strings.Replace(config, "actions:\n", "actions:\n  kind: task\n", 1)})
	var group string
	w.eventually("the second push is decided", func() error {
		for _, g := range w.groups() {
			if o := offersOf(w.root, t, g); o["cancel-all"] != nil && o["cancel-all"]["kind"] == "task" {
				group = g
				return nil
			}
		}
		return errors.New("no group has actions of kind task")
	})
	reader := w.client("people/reader", "hooks:trigger-hook:*")
	if o := offers(t, reader, group, "")["cancel-all"]; o["allowed"] != false || !strings.Contains(o["why"].(string), "assume:repo:local/pebble:branch:main") {
		t.Errorf("the reader is told %v", o)
	}
	_, err := start(t, reader, group, "cancel-all", nil)
	refused(t, err, fault.Forbidden, "assume:repo:local/pebble:branch:main")
	pusher := w.client("people/pusher", "assume:repo:local/pebble:branch:main")
	_, err = start(t, pusher, group, "cancel-all", nil) // its rights are no more than the decision's
	refused(t, err, fault.Forbidden, "assume:repo:local/pebble:action:generic")
	scopes := append(w.role("repo:local/pebble:branch:*"), "assume:repo:local/pebble:action:generic")
	if err := w.root.Call(t.Context(), "auth", http.MethodPost, "/roles/repo:local%2Fpebble:branch:*", nil, dict{"scopes": scopes, "description": "d"}, nil); err != nil {
		t.Fatal(err)
	}
	act, err := start(t, pusher, group, "cancel-all", dict{"by": "a robot"})
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.root.Task(t.Context(), act.TaskID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"assume:repo:local/pebble:action:generic"}, d.Scopes); diff != "" {
		t.Error(diff)
	}
	var extra struct {
		Action struct{ StartedBy map[string]string }
	}
	read(t, &extra, string(d.Extra))
	if diff := cmp.Diff(map[string]string{"by": "a robot", "clientId": "people/pusher"}, extra.Action.StartedBy); diff != "" {
		t.Error(diff)
	}
	w.done(act.TaskID, task.Completed)
}
