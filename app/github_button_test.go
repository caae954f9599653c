package app

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

const aggregateOfPush = "Treeline (push)"

// run waits for the newest check run of a name to have a conclusion.
func (h *hub) run(sha, name, conclusion string) (out ghfake.CheckRun) {
	h.t.Helper()
	defer func() {
		if h.t.Failed() {
			for _, r := range h.repo.CheckRuns(sha) {
				h.t.Logf("%d %s: %s %s, %v", r.ID, r.Name, r.Status, r.Conclusion, r.Actions)
			}
		}
	}()
	h.until("the check run "+name+" with "+conclusion, func() bool {
		out = ghfake.CheckRun{}
		for _, r := range h.repo.CheckRuns(sha) {
			if r.Name == name {
				out = r
			}
		}
		return out.ID != 0 && out.Conclusion == conclusion
	})
	return out
}

// noted waits until a check run shows a text in its summary.
func (h *hub) noted(sha string, id int64, text string) {
	h.t.Helper()
	summary := ""
	defer func() {
		if h.t.Failed() {
			h.t.Logf("the summary is %s; %v", summary, h.outcomes("check_run"))
		}
	}()
	h.until("the note "+text, func() bool {
		for _, r := range h.repo.CheckRuns(sha) {
			if r.ID == id {
				summary = r.Summary
			}
		}
		return strings.Contains(summary, text)
	})
}

func (h *hub) runs(id string) int {
	h.t.Helper()
	s, err := h.server.queue.Status(h.t.Context(), id)
	h.must(err)
	return len(s.Runs)
}

// forge sends the last webhook of an event again as another one, with something changed and signed by who has the secret.
func (h *hub) forge(event string, change func(body map[string]any)) string {
	h.t.Helper()
	var last ghfake.Delivery
	for _, d := range h.gh.Delivered() {
		if d.Event == event {
			last = d
		}
	}
	var body map[string]any
	decode := json.NewDecoder(bytes.NewReader(last.Body))
	decode.UseNumber()
	h.must(decode.Decode(&body))
	change(body)
	text, err := json.Marshal(body)
	h.must(err)
	mac := hmac.New(sha256.New, []byte("second secret"))
	mac.Write(text)
	guid := fmt.Sprintf("%08x-0000-4000-8000-000000000000", time.Now().UnixNano()&0xffffffff)
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.config.RootURL+"/api/github/v1/github", bytes.NewReader(text))
	h.must(err)
	for name, value := range map[string]string{"Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": guid, "X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))} {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	h.must(err)
	h.must(answer.Body.Close())
	outcome := ""
	h.until("the forged webhook", func() bool {
		o, err := h.server.github.OutcomeOf(h.t.Context(), guid)
		outcome = o.Outcome
		return err == nil && o.State == "done"
	})
	return outcome
}

func checkedYML(policy string) string { return "reporting: checks-v1\n" + plainYML(policy) }

func TestGitHubButtonsAreForThoseWhoMay(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": checkedYML("{pullRequests: public}")})
	sha := h.push("main", map[string]string{"a": "1"})
	h.settle()
	id := h.build("push").TaskGroupID
	h.finish(false)
	first := h.run(sha, "github-push", "failure")
	if diff := cmp.Diff([]string{"rerun"}, first.Actions); diff != "" {
		t.Fatal(diff)
	}
	if got := h.run(sha, aggregateOfPush, "failure").Actions; !slices.Equal(got, []string{"rerun-failed"}) {
		t.Errorf("%v", got)
	}
	for _, who := range []string{"reader", "stranger"} {
		h.must(h.gh.ClickAction(who, first.ID, "rerun"))
		h.settle()
		h.noted(sha, first.ID, who+" pressed **Rerun**: refused, since they may not write to acme/app.")
		h.must(h.gh.Rerequest(who, first.ID))
		h.settle()
		h.noted(sha, first.ID, who+" asked to run it again: refused")
		h.must(h.repo.RerequestSuite(who, h.app, sha))
		h.settle()
	}
	h.must(h.gh.ClickAction("ada", first.ID, "retrigger"))
	h.must(h.gh.ClickAction("ada", first.ID, ""))
	h.settle()
	for what, c := range map[string]struct {
		change func(body, run map[string]any)
		want   string
	}{
		"another App's check run": {func(_, run map[string]any) { run["app"].(map[string]any)["id"] = 4711 }, "the check run is another App's"},
		"another revision":        {func(_, run map[string]any) { run["head_sha"] = strings.Repeat("5", 40) }, "refused: the check run is of " + sha + ", not of 5555"},
		"an unknown check run":    {func(_, run map[string]any) { run["id"] = 4711 }, "the check run is not known"},
		"another installation":    {func(body, _ map[string]any) { body["installation"] = map[string]any{"id": 4711} }, "refused: the check run is of"},
		"ourselves": {func(body, _ map[string]any) {
			body["sender"] = map[string]any{"login": "treeline[bot]", "type": "Bot", "id": 1}
		}, "we asked for it ourselves"},
		"a button that is not there": {func(body, _ map[string]any) { body["requested_action"] = map[string]any{"identifier": "cancel"} }, "refused: the check run has no such button"},
	} {
		got := h.forge("check_run", func(body map[string]any) {
			body["action"], body["requested_action"] = "requested_action", map[string]any{"identifier": "rerun"}
			body["sender"] = map[string]any{"login": "ada", "type": "User", "id": 1}
			c.change(body, body["check_run"].(map[string]any))
		})
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", what, got)
		}
	}
	_, err := h.server.pool.Exec(t.Context(), `UPDATE github_repositories SET installation_id = $1`, h.in.ID) // the forged one was believed
	h.must(err)
	if n := h.runs(id); n != 1 {
		t.Fatalf("the task had %d runs", n)
	}

	h.gh.Hold(true) // a double click
	h.must(h.gh.ClickAction("ada", first.ID, "rerun"))
	h.must(h.gh.ClickAction("ada", first.ID, "rerun"))
	h.gh.Hold(false)
	h.settle()
	h.noted(sha, first.ID, "ada pressed **Rerun**: the task runs again.")
	if n := h.runs(id); n != 2 {
		t.Fatalf("the task had %d runs", n)
	}
	second := h.run(sha, "github-push", "")
	if second.ID == first.ID {
		t.Error("the completed check run was opened again")
	}
	h.finish(false)
	h.run(sha, "github-push", "failure")
	h.must(h.gh.ClickAction("ada", first.ID, "rerun"))
	h.settle()
	h.noted(sha, first.ID, "refused, since there is a newer attempt of it.")
	if n := h.runs(id); n != 2 {
		t.Fatalf("the task had %d runs", n)
	}
	h.must(h.gh.ClickAction("ada", second.ID, "rerun"))
	h.settle()
	if n := h.runs(id); n != 3 {
		t.Fatalf("the task had %d runs: %v", n, h.outcomes("check_run"))
	}
	h.finish(true)
	third := h.run(sha, "github-push", "success")
	h.run(sha, aggregateOfPush, "success")
	if len(third.Actions) != 0 {
		t.Errorf("%v", third.Actions)
	}
	h.must(h.gh.Rerequest("ada", third.ID)) // of what is green, too
	h.settle()
	if n := h.runs(id); n != 4 {
		t.Fatalf("the task had %d runs: %v", n, h.outcomes("check_run"))
	}
}

func TestGitHubRunsAgainWhatFailed(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": checkedYML("{pullRequests: public}")})
	_, p := h.fork(map[string]string{"x": "1"}) // a fork's suite names neither branch nor pull request
	h.settle()
	id, sha := h.build("pull_request.opened").TaskGroupID, p.Head()
	again := 1
	for name, press := range map[string]func(run ghfake.CheckRun) error{
		"the button of the aggregate": func(run ghfake.CheckRun) error { return h.gh.ClickAction("ada", run.ID, "rerun-failed") },
		"Re-run of the aggregate":     func(run ghfake.CheckRun) error { return h.gh.Rerequest("ada", run.ID) },
		"Re-run all checks":           func(ghfake.CheckRun) error { return h.repo.RerequestSuite("ada", h.app, sha) },
	} {
		h.finish(false)
		run := h.run(sha, "Treeline", "failure")
		h.must(press(run))
		h.settle()
		again++
		if n := h.runs(id); n != again {
			t.Fatalf("%s: the task had %d runs, not %d; %v %v", name, n, again, h.outcomes("check_run"), h.outcomes("check_suite"))
		}
		h.noted(sha, run.ID, "1 failed tasks run again.")
	}
	_, err := h.server.queue.Cancel(t.Context(), id)
	h.must(err)
	run := h.run(sha, "Treeline", "cancelled")
	h.must(h.gh.Rerequest("ada", run.ID))
	h.settle()
	if n := h.runs(id); n != again+1 {
		t.Fatalf("the task had %d runs: %v", n, h.outcomes("check_run"))
	}
	h.finish(true)
	run = h.run(sha, "Treeline", "success")
	h.must(h.gh.Rerequest("ada", run.ID))
	h.settle()
	h.noted(sha, run.ID, "nothing had failed, so nothing is run again.")
}

func TestGitHubButtonsAreThereAfterAnOutage(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": checkedYML("{pullRequests: public}")})
	sha := h.push("main", map[string]string{"a": "1"})
	h.settle()
	h.run(sha, "github-push", "")
	h.gh.Outage(true)
	h.finish(false)
	h.until("the build", func() bool { return h.build("push").State == "failure" })
	h.until("what its check run is to show", func() bool {
		var n int
		h.must(h.server.pool.QueryRow(t.Context(), `SELECT count(*) FROM github_checks WHERE sha = $1 AND kind = 'task' AND state ->> 'conclusion' = 'failure'`, sha).Scan(&n))
		return n == 1
	})
	h.gh.Outage(false)
	run := h.run(sha, "github-push", "failure")
	if !slices.Equal(run.Actions, []string{"rerun"}) {
		t.Errorf("%v", run.Actions)
	}
	h.must(h.gh.Rerequest("ada", run.ID))
	h.settle()
	if n := h.runs(h.build("push").TaskGroupID); n != 2 {
		t.Errorf("the task had %d runs", n)
	}
	h.until("a message for listeners", func() bool {
		list, err := h.server.feed.Read(t.Context(), 0, 10_000)
		h.must(err)
		return slices.ContainsFunc(list, func(e event.Event) bool {
			var m struct {
				Organization string
				CheckRunID   int64
				Body         struct{ Action string }
			}
			h.must(json.Unmarshal(e.Payload, &m))
			return e.Kind == "rerun" && m.Organization == "acme" && m.CheckRunID == run.ID && m.Body.Action == "rerequested"
		})
	})
}

func TestGitHubDecidesAgainWhenARoleWasMissing(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": strings.Replace(checkedYML("{pullRequests: public}"), "proj/linux", "proj/other", 1)})
	sha := h.push("main", map[string]string{"a": "1"})
	h.settle()
	run := h.run(sha, aggregateOfPush, "failure")
	if len(h.builds()) != 0 {
		t.Fatal("a build was made without the scope for it")
	}
	h.must(h.gh.Rerequest("ada", run.ID))
	h.settle()
	h.noted(sha, run.ID, "it is decided again what there is to do.")
	if len(h.builds()) != 0 {
		t.Fatal("a build was made without the scope for it")
	}
	h.must(h.server.role(t.Context(), "repo:github.com/acme/app:branch:main", []string{"queue:create-task:highest:proj/other"}, "test"))
	h.must(h.repo.RerequestSuite("ada", h.app, sha))
	h.until("the build", func() bool { return len(h.builds()) == 1 })
	claims, err := h.server.queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: "proj/other", WorkerGroup: "g", WorkerID: "w", Tasks: 1, Wait: 10 * time.Second})
	h.must(err)
	_, err = h.server.queue.ReportCompleted(t.Context(), claims[0].Status.TaskID, claims[0].RunID)
	h.must(err)
	h.run(sha, aggregateOfPush, "success")
}

// failOne lets a task of a name that waits for a worker fail.
func (h *hub) failOne(group, name string) string {
	h.t.Helper()
	for {
		claims, err := h.server.queue.Claim(h.t.Context(), queue.ClaimRequest{TaskQueueID: "local/work", WorkerGroup: "g", WorkerID: "w", Tasks: 1, Wait: 10 * time.Second})
		h.must(err)
		if len(claims) == 0 {
			h.t.Fatalf("there is no task %s to claim", name)
		}
		end := h.server.queue.ReportCompleted
		fails := claims[0].Task.Metadata.Name == name && claims[0].Status.TaskGroupID == group
		if fails {
			end = h.server.queue.ReportFailed
		}
		_, err = end(h.t.Context(), claims[0].Status.TaskID, claims[0].RunID)
		h.must(err)
		if fails {
			return claims[0].Status.TaskID
		}
	}
}

func TestGitHubButtonsStartActionsOfTheTree(t *testing.T) {
	h := acting(t, `treeline:
  mayStart: {cancel-all: admin}
  buttons:
    failed: [retrigger, {action: retrigger, label: Three more, input: {times: 3}}, explain]
    aggregate: [rerun-failed, cancel-all, add-new-jobs]
`)
	h.repo.Grant("root", "admin")
	sha := h.push("main", map[string]string{"bin/pebble": "#!/bin/sh\n"})
	h.settle()
	group := h.build("push").TaskGroupID
	h.decided(group)
	failed := h.failOne(group, "lint-shell")
	run := h.run(sha, "lint-shell", "failure")
	if len(run.Actions) != 3 || run.Actions[0] != "retrigger" || !strings.HasPrefix(run.Actions[1], "retrigger-") || run.Actions[2] != "explain" {
		t.Fatalf("%v", run.Actions)
	}
	h.must(h.gh.ClickAction("reader", run.ID, "retrigger"))
	h.settle()
	h.noted(sha, run.ID, "reader pressed **Retrigger**: refused, since they may not write to acme/app.")
	for range 2 {
		h.must(h.gh.ClickAction("ada", run.ID, run.Actions[1]))
	}
	h.settle()
	i := h.does(group, "retrigger")
	h.noted(sha, run.ID, "ada pressed **Three more**: [the action retrigger]("+h.config.RootURL+"/tasks/"+i.Status.TaskID+") was started.")
	h.noted(sha, run.ID, "it had been asked for already, and is done once.")
	if !slices.Equal(i.Task.Scopes, []string{"assume:repo:github.com/acme/app:action:generic"}) || !strings.Contains(string(i.Task.Extra), "|ada") || !strings.Contains(string(i.Task.Payload), failed) {
		t.Errorf("the action task has %v, %s and %s", i.Task.Scopes, i.Task.Extra, i.Task.Payload)
	}
	copies := func() (n int) {
		t.Helper()
		page, err := h.server.queue.ListGroup(t.Context(), group, 0, "")
		h.must(err)
		for _, i := range page.Tasks {
			if i.Task.Metadata.Name == "lint-shell" && i.Status.TaskID != failed {
				n++
			}
		}
		return n
	}
	if n := copies(); n != 3 {
		t.Errorf("%d copies", n)
	}
	h.must(h.gh.ClickAction("ada", run.ID, "explain"))
	h.settle()
	h.noted(sha, run.ID, "lint-shell: ")

	page, err := h.server.queue.ListGroup(t.Context(), group, 0, "")
	h.must(err)
	for _, i := range page.Tasks { // one by one: a group that was cancelled is sealed and gets no action task
		_, err = h.server.queue.Cancel(t.Context(), i.Status.TaskID)
		h.must(err)
	}
	whole := h.run(sha, aggregateOfPush, "failure")
	if !slices.Equal(whole.Actions, []string{"rerun-failed", "cancel-all"}) || !strings.Contains(whole.Text, "[Add new jobs]("+h.config.RootURL+"/actions/"+group+"/add-new-jobs)") {
		t.Errorf("%v %s", whole.Actions, whole.Text)
	}
	h.must(h.gh.ClickAction("ada", whole.ID, "cancel-all"))
	h.settle()
	h.noted(sha, whole.ID, "ada pressed **Cancel All**: refused, since they may not administer acme/app.")
	h.must(h.gh.ClickAction("root", whole.ID, "cancel-all"))
	h.settle()
	if i := h.does(group, "cancel-all"); !strings.Contains(string(i.Task.Extra), "|root") {
		t.Errorf("%s", i.Task.Extra)
	}
}

func TestGitHubButtonsOfStrangersChangesHaveTheRoleOfStrangers(t *testing.T) {
	h := acting(t, "")
	h.push("main", map[string]string{"pages/index.md": "first\n"})
	h.settle()
	_, p := h.fork(map[string]string{"bin/pebble": "#!/bin/sh\n"})
	h.settle()
	group := h.build("pull_request.opened").TaskGroupID
	h.decided(group)
	for role, want := range map[string]bool{"pull-request-untrusted": true, "pull-request": false, "branch:main": false} {
		held, err := h.server.auth.Expand(t.Context(), []string{"assume:repo:github.com/acme/app:buttons:" + role})
		h.must(err)
		if got := slices.ContainsFunc(held, func(s string) bool { return strings.Contains(s, "in-tree-pr-action-1-") }); got != (want || role == "pull-request") {
			t.Errorf("%s holds %v", role, held)
		}
	}
	h.failOne(group, "lint-shell")
	run := h.run(p.Head(), "lint-shell", "failure")
	if !slices.Contains(run.Actions, "retrigger") {
		t.Fatalf("%v", run.Actions)
	}
	h.must(h.gh.ClickAction("stranger", run.ID, "retrigger")) // who opened the pull request
	h.settle()
	h.noted(p.Head(), run.ID, "stranger pressed **Retrigger**: refused")
	h.must(h.gh.ClickAction("ada", run.ID, "retrigger"))
	h.settle()
	i := h.does(group, "retrigger")
	if !slices.Equal(i.Task.Scopes, []string{"assume:repo:github.com/acme/app:pr-action:generic"}) {
		t.Errorf("%v", i.Task.Scopes)
	}
	// Without a role for strangers' changes, their check runs offer nothing of the tree.
	_, err := h.server.auth.UpdateRole(t.Context(), RootClient, "repo:github.com/acme/app:buttons:pull-reques*", auth.RoleInput{Scopes: []string{"garbage:nothing"}}, func([]string) error { return nil })
	h.must(err)
	h.must(h.gh.ClickAction("ada", run.ID, "retrigger"))
	_, p = h.forkAgain(map[string]string{"bin/pebble": "#!/bin/sh\n# more\n"})
	var other string
	h.until("the other build", func() bool { other = h.build("pull_request.opened").TaskGroupID; return other != group })
	h.decided(other)
	h.failOne(other, "lint-shell")
	if run := h.run(p.Head(), "lint-shell", "failure"); slices.Contains(run.Actions, "retrigger") || !slices.Contains(run.Actions, "rerun") {
		t.Errorf("%v", run.Actions)
	}
}

// forkAgain opens another pull request of the stranger's.
func (h *hub) forkAgain(files map[string]string) (*ghfake.Repository, *ghfake.Pull) {
	h.t.Helper()
	fork, err := h.repo.Fork("another")
	h.must(err)
	_, err = fork.Push("another", "patch", ghfake.Change{Files: files})
	h.must(err)
	p, err := h.repo.OpenPull("another", fork, "patch", "main", "a second patch")
	h.must(err)
	h.settle()
	return fork, p
}

// replica starts a second server on the hub's database.
func (h *hub) replica() *App {
	h.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	config := h.config
	config.Listener = listener
	other, err := Start(h.t.Context(), config)
	h.must(err)
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(h.t.Context()), 20*time.Second)
		defer cancel()
		h.must(other.Stop(ctx))
	})
	return other
}

func TestGitHubTwoServersTakeAClickOnce(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": checkedYML("{pullRequests: public}")})
	h.replica()
	var runs []ghfake.CheckRun
	var ids []string
	for n := range 5 {
		sha := h.push("main", map[string]string{"a": fmt.Sprint(n)})
		h.settle()
		h.finish(false)
		runs, ids = append(runs, h.run(sha, "github-push", "failure")), append(ids, h.build("push").TaskGroupID)
	}
	h.repo.Grant("bob", "maintain")
	h.gh.Deliveries(ghfake.Double)
	h.gh.Hold(true)
	for _, run := range runs {
		h.must(h.gh.ClickAction("ada", run.ID, "rerun"))
		h.must(h.gh.ClickAction("bob", run.ID, "rerun"))
		h.must(h.gh.ClickAction("ada", run.ID, "rerun"))
	}
	h.gh.Hold(false)
	h.settle()
	for _, id := range ids {
		if n := h.runs(id); n != 2 {
			t.Errorf("the task had %d runs: %v", n, h.outcomes("check_run"))
		}
	}
}

func TestOneKeyAtTwoServersAtOnceStartsOneAction(t *testing.T) {
	h := acting(t, "")
	servers := []*App{h.server, h.replica()}
	h.push("main", map[string]string{"bin/pebble": "#!/bin/sh\n"})
	h.settle()
	group := h.build("push").TaskGroupID
	h.decided(group)
	all := auth.Caller{ClientID: "static/all", Scopes: []string{"*"}}
	var ids sync.Map
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			started, err := servers[n%2].actions.Start(t.Context(), all, actions.Start{TaskGroupID: group, Name: "cancel-all", Key: "the same"})
			if err != nil {
				t.Error(err)
			}
			ids.Store(started.TaskID, true)
		})
	}
	wait.Wait()
	n := 0
	ids.Range(func(any, any) bool { n++; return true })
	i := h.does(group, "cancel-all")
	if _, ok := ids.Load(i.Status.TaskID); !ok || n != 1 || len(i.Status.Runs) != 1 || i.Status.State != task.Completed {
		t.Errorf("%d ids, %+v", n, i.Status)
	}
}
