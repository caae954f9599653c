package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/ghfake"
	"github.com/treeline-ci/treeline/internal/ghfake/ghspec"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
)

// hub is a GitHub double with an App, and a server that is this App.
type hub struct {
	t      testing.TB
	gh     *ghfake.Server
	app    *ghfake.App
	in     *ghfake.Installation
	repo   *ghfake.Repository
	config Config
	server *App
	ago    atomic.Int64 // how many nanoseconds GitHub's clock is behind
}

// plainYML makes one task for whatever happens, with what policy says.
func plainYML(policy string) string {
	return `version: 1
policy: ` + policy + `
tasks:
  - taskQueueId: proj/linux
    deadline: {$fromNow: 1 day}
    metadata:
      name: ${tasks_for}
      description: A task
      owner: nobody@example.com
      source: ${event.repository.html_url}
    extra: {tasks_for: "${tasks_for}"}
    payload: {}
`
}

func newHub(t testing.TB, files map[string]string) *hub {
	t.Helper()
	h := &hub{t: t}
	var err error
	spec, err := ghspec.Load(t.Context(), ghfake.Routes())
	h.must(err)
	h.gh, err = ghfake.Start(ghfake.Options{Dir: t.TempDir(), Inspector: spec, Now: func() time.Time { return time.Now().Add(-time.Duration(h.ago.Load())) }})
	h.must(err)
	t.Cleanup(func() {
		for _, what := range h.gh.Complaints() {
			t.Errorf("not as GitHub: %s", what)
		}
		h.must(h.gh.Close())
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	root := "http://" + listener.Addr().String()
	h.app, err = h.gh.AddApp("treeline", root+"/api/github/v1/github", "second secret")
	h.must(err)
	h.repo, err = h.gh.AddRepository("acme/app", true)
	h.must(err)
	h.repo.Grant("ada", "write")
	h.repo.Grant("reader", "read")
	_, err = h.repo.Push("ada", "main", ghfake.Change{Files: files, Message: "begin"})
	h.must(err)
	dir := t.TempDir()
	secrets, err := LoadSecrets(filepath.Join(dir, "secrets.json"))
	h.must(err)
	h.config = Config{
		Listener: listener, RootURL: root, DatabaseURL: pgtest.URL(t), DataDir: filepath.Join(dir, "objects"), Secrets: secrets,
		GitHub: github.Config{AppID: h.app.ID, Key: h.app.PrivateKey(), Secrets: []string{"first secret", "second secret"}, API: h.gh.APIURL()},
		Log:    slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	h.start()
	h.in = h.app.Install("acme", h.repo)
	h.settle()
	return h
}

func (h *hub) start() {
	h.t.Helper()
	server, err := Start(h.t.Context(), h.config)
	h.must(err)
	h.server = server
	h.t.Cleanup(h.stop)
	create := []string{"queue:create-task:highest:proj/linux", "queue:create-task:highest:built-in/*", "queue:create-task:project:none", "queue:scheduler-id:*", "queue:route:*"}
	for role, scopes := range map[string][]string{
		"branch:*": append(create, "secrets:get:trusted"), "pull-request": append(create, "secrets:get:trusted"),
		"pull-request-untrusted": create, "tag:*": create, "release:published": create,
	} {
		h.must(server.role(h.t.Context(), "repo:github.com/acme/app:"+role, scopes, "test"))
	}
}

func (h *hub) stop() {
	if h.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.t.Context()), 20*time.Second)
	defer cancel()
	h.must(h.server.Stop(ctx))
	h.server = nil
}

func (h *hub) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hub) until(what string, good func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(20 * time.Millisecond); !good(); <-tick.C {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s did not come true in time", what)
		}
	}
}

// settle waits until every webhook was delivered and taken.
func (h *hub) settle() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	h.must(h.gh.Drain(ctx))
	for _, d := range h.gh.Delivered() {
		if d.Status != "OK" || len(d.GUID) == 0 {
			continue
		}
		h.until("delivery of "+d.Event, func() bool {
			o, err := h.server.github.OutcomeOf(h.t.Context(), d.GUID)
			return err == nil && o.State == "done"
		})
	}
}

// outcomes are those of all deliveries of an event, oldest first.
func (h *hub) outcomes(event string) (out []string) {
	for _, d := range h.gh.Delivered() {
		if d.Event == event {
			o, err := h.server.github.OutcomeOf(h.t.Context(), d.GUID)
			if err != nil {
				out = append(out, err.Error())
			} else {
				out = append(out, o.Outcome)
			}
		}
	}
	return out
}

func (h *hub) builds() []github.Build {
	h.t.Helper()
	list, err := h.server.github.Builds(h.t.Context(), github.Filter{Limit: 1000})
	h.must(err)
	return list
}

// build is the newest build of an event.
func (h *hub) build(event string) (out github.Build) {
	h.t.Helper()
	for _, b := range h.builds() {
		if b.EventType == event {
			out = b
		}
	}
	return out
}

// made are the tasks of all builds, as "event type: name".
func (h *hub) made() (out []string) {
	h.t.Helper()
	for _, b := range h.builds() {
		page, err := h.server.queue.ListGroup(h.t.Context(), b.TaskGroupID, 0, "")
		if errors.Is(err, fault.NotFound) {
			continue // a build is written down before its tasks
		}
		h.must(err)
		for _, i := range page.Tasks {
			out = append(out, b.EventType+": "+i.Task.Metadata.Name)
		}
	}
	return out
}

func (h *hub) push(branch string, files map[string]string) string {
	h.t.Helper()
	sha, err := h.repo.Push("ada", branch, ghfake.Change{Files: files})
	h.must(err)
	return sha
}

func (h *hub) expect(want ...string) {
	h.t.Helper()
	h.settle()
	got := h.made()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Fatal(diff, h.outcomes("push"), h.outcomes("pull_request"), h.outcomes("issue_comment"))
	}
}

func TestGitHubPushesBecomeTasks(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public}")})
	h.expect() // what was there before is known and not built
	sha := h.push("main", map[string]string{"a": "1"})
	h.expect("push: github-push")
	p, err := h.server.push.Get(t.Context(), "acme.app", 1)
	h.must(err)
	b := h.builds()[0]
	if p.Revision != sha || p.State != push.Deciding || p.TaskGroupID != b.TaskGroupID || b.SHA != sha || b.Branch != "main" || !slices.Equal(p.FilesChanged, []string{"a"}) {
		t.Errorf("push %+v, build %+v", p, b)
	}
	made, err := h.server.queue.Task(t.Context(), b.TaskGroupID)
	h.must(err)
	if made.SchedulerID != "taskcluster-github" || !slices.Contains(made.Routes, "statuses") {
		t.Errorf("%+v", made)
	}
	_, err = h.repo.Push("ada", "main", ghfake.Change{Files: map[string]string{"a": "2"}, Message: "words [skip ci]"})
	h.must(err)
	h.must(h.repo.Tag("ada", "v1", "main"))
	h.must(h.repo.DeleteBranch("ada", "main"))
	h.settle()
	_, err = h.repo.Push("ada", "topic/x", ghfake.Change{Files: map[string]string{"b": "1", ".taskcluster.yml": plainYML("{}")}, Message: "again"})
	h.must(err)
	_, err = h.repo.Release("ada", "v2", "topic/x")
	h.must(err)
	h.settle()
	got := h.made()
	slices.Sort(got)
	want := []string{"push: github-push", "push: github-push", "release: github-release", "tag: github-push"}
	if !slices.Contains(h.outcomes("push"), "the commit's message says to skip it") {
		t.Error(h.outcomes("push"))
	}
	want = append(want, "tag: github-push") // v1 was skipped by its commit's message; v2 is the release's
	slices.Sort(want)
	if diff := cmp.Diff(want[:len(want)-1], got); diff != "" {
		t.Error(diff, h.outcomes("push"), h.outcomes("release"))
	}
}

func TestGitHubListenersHearOfItOnce(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public}")})
	h.gh.Deliveries(ghfake.Double)
	sha := h.push("main", map[string]string{"a": "1"})
	_, p := h.fork(map[string]string{"x": "1"})
	_, err := h.repo.Release("ada", "v1", "main")
	h.must(err)
	h.settle()
	count := map[string]int{}
	var got struct {
		Organization, Repository, Branch string
		TasksFor                         string `json:"tasks_for"`
		InstallationID                   int64
		Body                             struct{ After string }
	}
	h.until("the messages", func() bool {
		clear(count)
		list, err := h.server.feed.Read(t.Context(), 0, 10_000)
		h.must(err)
		for _, e := range list {
			count[e.Kind]++
			if e.Kind == "push" && count["push"] == 1 {
				h.must(json.Unmarshal(e.Payload, &got))
			}
		}
		return count["release"] == 3
	})
	if count["push"] != 2 || count["pull-request"] != 1 || count["task-group-creation-requested"] != 4 || p.Number != 1 { // the tag is a push too
		t.Errorf("%v", count)
	}
	if got.Organization != "acme" || got.Repository != "app" || got.Branch != "main" || got.TasksFor != "github-push" || got.InstallationID != h.in.ID || got.Body.After != sha {
		t.Errorf("%+v", got)
	}
}

func TestGitHubDeliveriesAreTakenOnce(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	h.gh.Deliveries(ghfake.Double)
	h.push("main", map[string]string{"a": "1"})
	h.settle()
	h.gh.Deliveries(ghfake.Deliver)
	for _, d := range h.gh.Delivered() {
		if d.Event == "push" {
			h.must(h.gh.Redeliver(d.ID))
		}
	}
	h.expect("push: github-push")
}

func TestGitHubWebhooksThatWereMissedAreFound(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	h.must(h.server.github.FindMissed(t.Context())) // the first look: everything is known
	h.gh.Deliveries(ghfake.Fail)
	h.push("main", map[string]string{"a": "1"})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	h.must(h.gh.Drain(ctx))
	h.gh.Deliveries(ghfake.Deliver)
	h.expect()
	h.must(h.server.github.FindMissed(t.Context()))
	h.expect("push: github-push")

	h.gh.Deliveries(ghfake.Vanish)
	h.push("main", map[string]string{"a": "2"})
	h.must(h.gh.Drain(ctx))
	h.gh.Deliveries(ghfake.Deliver)
	h.later()
	h.must(h.server.github.FindMissed(t.Context()))
	h.until("the push that no webhook told of", func() bool { return len(h.made()) == 2 })
	h.later()
	h.must(h.server.github.FindMissed(t.Context()))
	h.expect("push: github-push", "push: github-push")
	p, err := h.server.push.Get(t.Context(), "acme.app", 2)
	h.must(err)
	if p.Message != "a change" || p.Author != "ada" || !slices.Equal(p.FilesChanged, []string{"a"}) {
		t.Errorf("%+v", p)
	}
}

func TestGitHubPullRequestsThatWereMissedAreFound(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public}")})
	h.must(h.server.github.FindMissed(t.Context()))
	fork, _ := h.fork(map[string]string{"x": "1"})
	h.expect("pull_request.opened: github-pull-request")
	h.gh.Deliveries(ghfake.Vanish)
	h.ago.Store(int64(time.Hour))
	_, err := fork.Push("stranger", "patch", ghfake.Change{Files: map[string]string{"x": "2"}})
	h.must(err)
	_, err = fork.Push("stranger", "second", ghfake.Change{Files: map[string]string{"x": "3"}})
	h.must(err)
	_, err = h.repo.OpenPull("stranger", fork, "second", "main", "another")
	h.must(err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	h.must(h.gh.Drain(ctx))
	h.gh.Deliveries(ghfake.Deliver)
	h.ago.Store(0)
	for range 2 { // the second look finds nothing
		h.later()
		h.must(h.server.github.FindMissed(t.Context()))
		h.until("the pull requests that no webhook told of", func() bool { return len(h.made()) == 3 })
	}
	h.expect("pull_request.opened: github-pull-request", "pull_request.opened: github-pull-request", "pull_request.synchronize: github-pull-request")
}

// later lets time pass: what is due after a while is due, and leases are over.
func (h *hub) later() {
	h.t.Helper()
	for _, sql := range []string{
		`UPDATE github_repositories SET compared = compared - interval '1 hour'`,
		`UPDATE github_deliveries SET retry_after = retry_after - interval '1 hour'`,
		`UPDATE github_installations SET blocked_until = '-infinity'`,
	} {
		_, err := h.server.pool.Exec(h.t.Context(), sql)
		h.must(err)
	}
}

func TestGitHubServerThatDiesBetweenWebhookAndTasks(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	h.gh.Outage(true) // the webhook is stored, and goes no further
	h.push("main", map[string]string{"a": "1"})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	h.must(h.gh.Drain(ctx))
	h.stop()
	h.gh.Outage(false)
	listener, err := net.Listen("tcp", h.config.Listener.Addr().String())
	h.must(err)
	h.config.Listener = listener
	h.start()
	h.later()
	h.expect("push: github-push")
}

// fork opens a pull request of a stranger that brings files, and returns it.
func (h *hub) fork(files map[string]string) (*ghfake.Repository, *ghfake.Pull) {
	h.t.Helper()
	fork, err := h.repo.Fork("stranger")
	h.must(err)
	_, err = fork.Push("stranger", "patch", ghfake.Change{Files: files})
	h.must(err)
	p, err := h.repo.OpenPull("stranger", fork, "patch", "main", "a patch")
	h.must(err)
	h.settle()
	return fork, p
}

func TestGitHubPullRequestsOfStrangersUnderEachPolicy(t *testing.T) {
	for policy, want := range map[string]struct {
		made     []string
		comments int
	}{
		"{}":                                  {nil, 1},
		"{pullRequests: collaborators}":       {nil, 1},
		"{pullRequests: collaborators_quiet}": {nil, 0},
		"{pullRequests: public}":              {[]string{"pull_request.opened: github-pull-request"}, 0},
		"{pullRequests: public_restricted}":   {[]string{"pull_request.opened: github-pull-request-untrusted"}, 0},
	} {
		t.Run(policy, func(t *testing.T) {
			h := newHub(t, map[string]string{".taskcluster.yml": plainYML(policy)})
			_, p := h.fork(map[string]string{"x": "1", ".taskcluster.yml": plainYML("{pullRequests: public}")}) // what the fork says does not count
			h.expect(want.made...)
			if got := h.repo.Comments(p.Number); len(got) != want.comments {
				t.Errorf("%+v", got)
			}
			h.repo.Grant("stranger", "read")
			p.Label("ada", "good") // a collaborator's label starts nothing
			h.expect(want.made...)
		})
	}
}

// asking is a file whose task asks for more than strangers may have.
func asking(policy, scopes string) string {
	return strings.Replace(plainYML(policy), "    payload:", "    scopes: "+scopes+"\n    payload:", 1)
}

func TestGitHubStrangersGetNoTrustedScopes(t *testing.T) {
	for name, scopes := range map[string]string{
		"a secret":          `["secrets:get:trusted"]`,
		"the trusted role":  `["assume:repo:github.com/acme/app:pull-request"]`,
		"a branch's role":   `["assume:repo:github.com/acme/app:branch:main"]`,
		"everything at all": `["*"]`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public_restricted}")})
			_, p := h.fork(map[string]string{".taskcluster.yml": asking("{pullRequests: public}", scopes)})
			h.expect()
			got := h.repo.Comments(p.Number)
			if len(got) != 1 || !strings.Contains(got[0].Body, "pull-request-untrusted") {
				t.Errorf("%+v", got)
			}
		})
	}
	h := newHub(t, map[string]string{".taskcluster.yml": asking("{pullRequests: public_restricted}", `["secrets:get:trusted"]`)})
	h.push("topic", map[string]string{"b": "1"})
	p, err := h.repo.OpenPull("ada", h.repo, "topic", "main", "a change")
	h.must(err)
	h.expect("push: github-push", "pull_request.opened: github-pull-request")
	made, err := h.server.queue.Task(t.Context(), h.build("pull_request.opened").TaskGroupID)
	h.must(err)
	if !slices.Equal(made.Scopes, []string{"secrets:get:trusted"}) || p.Number != 1 {
		t.Errorf("%v", made.Scopes)
	}
}

func TestGitHubUpdateOfAPullRequestCancelsTheOlder(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public}")})
	fork, p := h.fork(map[string]string{"x": "1"})
	p.Retitle("stranger", "a better patch")
	h.expect("pull_request.opened: github-pull-request")
	_, err := fork.Push("stranger", "patch", ghfake.Change{Files: map[string]string{"x": "2"}})
	h.must(err)
	h.expect("pull_request.opened: github-pull-request", "pull_request.synchronize: github-pull-request")
	var states []string
	for _, b := range h.builds() {
		status, err := h.server.queue.Status(t.Context(), b.TaskGroupID)
		h.must(err)
		states = append(states, b.State+" "+string(status.State))
	}
	if diff := cmp.Diff([]string{"cancelled exception", "pending pending"}, states); diff != "" {
		t.Error(diff)
	}
}

func TestGitHubFilesAskForMoreCancelling(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: public}") + "treeline: {cancelOlderOnBranches: [topic/*], cancelOnClose: true}\n"})
	for i, branch := range []string{"main", "topic/x"} {
		h.push(branch, map[string]string{"a": "1" + fmt.Sprint(i)})
		h.settle()
		h.push(branch, map[string]string{"a": "2" + fmt.Sprint(i)})
		h.settle()
	}
	_, p := h.fork(map[string]string{"x": "1"})
	p.Close("ada")
	h.settle()
	states := map[string][]string{}
	for _, b := range h.builds() {
		states[b.Branch] = append(states[b.Branch], b.State)
	}
	want := map[string][]string{"main": {"pending", "pending"}, "topic/x": {"cancelled", "pending"}, "patch": {"cancelled"}}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff, h.outcomes("pull_request"))
	}
}

func TestGitHubCommandsInComments(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{pullRequests: collaborators_quiet, allowComments: collaborators}")})
	_, p := h.fork(map[string]string{"x": "1"})
	h.repo.Comment("stranger", p.Number, "/taskcluster test")
	h.repo.Comment("reader", p.Number, "/taskcluster test")
	h.repo.Comment("ada", p.Number, "I like this: taskcluster test")
	h.expect()
	gone := h.repo.Comment("ada", p.Number, "/taskcluster test "+strings.Repeat("5", 40))
	h.expect()
	good := h.repo.Comment("ada", p.Number, "look:\n  /taskcluster test "+p.Head()[:10])
	h.expect("issue_comment: github-issue-comment")
	h.must(h.repo.EditComment("reader", good.ID, "/taskcluster rather this"))
	h.expect("issue_comment: github-issue-comment")
	signs := map[string][]string{}
	for _, c := range h.repo.Comments(p.Number) {
		signs[c.Author] = append(signs[c.Author], c.Reactions...)
	}
	delete(signs, "treeline[bot]")
	if diff := cmp.Diff(map[string][]string{"stranger": {"eyes"}, "reader": {"eyes"}, "ada": {"confused", "+1"}}, signs); diff != "" {
		t.Error(diff, gone.ID)
	}
	id := h.builds()[0].TaskGroupID
	_, err := h.server.queue.Cancel(t.Context(), id)
	h.must(err)
	h.repo.Comment("stranger", p.Number, "/treeline retest")
	h.settle()
	if s, err := h.server.queue.Status(t.Context(), id); err != nil || s.State != task.Exception {
		t.Errorf("a stranger ran tasks again: %v %v", s.State, err)
	}
	h.repo.Comment("ada", p.Number, "/treeline retest")
	h.settle()
	if s, err := h.server.queue.Status(t.Context(), id); err != nil || s.State != task.Pending {
		t.Errorf("retest: %v %v %v", s.State, err, h.outcomes("issue_comment"))
	}
	h.repo.Comment("ada", p.Number, "/treeline cancel")
	h.settle()
	if b := h.builds(); b[0].State != "cancelled" {
		t.Errorf("%+v %v", b, h.outcomes("issue_comment"))
	}
}

func TestGitHubMergeQueue(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"a file that does not know it builds the push": {plainYML("{pullRequests: public}"), "push: github-push"},
		"a file that names it":                         {plainYML("{pullRequests: public}") + "# github-merge-group\n", "merge_group: github-merge-group"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, map[string]string{".taskcluster.yml": c.file})
			_, p := h.fork(map[string]string{"x": "1"})
			g, err := p.Enqueue("ada")
			h.must(err)
			h.expect("pull_request.opened: github-pull-request", c.want)
			event, _, _ := strings.Cut(c.want, ":")
			if b := h.build(event); b.SHA != g.Head || b.State != "pending" {
				t.Errorf("%+v", b)
			}
			h.must(g.Finish("ada", false))
			h.settle()
			if b := h.build(event); b.State != "cancelled" {
				t.Errorf("%+v", b)
			}
		})
	}
}

func TestGitHubMistakesAreToldOnce(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	sha := h.push("main", map[string]string{".taskcluster.yml": "version: 1\ntasks:\n  - nonsense: true\n"})
	h.expect()
	for _, d := range h.gh.Delivered() {
		if d.Event == "push" {
			h.must(h.gh.Redeliver(d.ID))
		}
	}
	h.settle()
	got := h.repo.Comments(0)
	if len(got) != 1 || got[0].Revision != sha || !strings.Contains(got[0].Body, ".taskcluster.yml:3") {
		t.Errorf("%+v", got)
	}
	if p, err := h.server.push.Get(t.Context(), "acme.app", 1); err != nil || p.State != push.Failed || p.Error == nil || p.Error.Line != 3 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestGitHubRateLimitsAreWaitedFor(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	h.in.LimitRequests(0, time.Now().Add(2*time.Second), false)
	before := len(h.gh.Calls())
	h.push("main", map[string]string{"a": "1"})
	h.expect("push: github-push")
	refused := 0
	for _, c := range h.gh.Calls()[before:] {
		if c.Status == 403 {
			refused++
		}
	}
	if refused > 4 { // one for each of those who were at it
		t.Errorf("%d requests were made during the limit", refused)
	}
}

func TestGitHubInstallationsComeAndGo(t *testing.T) {
	h := newHub(t, map[string]string{".taskcluster.yml": plainYML("{}")})
	installed := func(repo string) bool {
		t.Helper()
		yes, err := h.server.github.Installed(t.Context(), "acme", repo)
		h.must(err)
		return yes
	}
	if !installed("app") || installed("other") {
		t.Error("the installation's repositories are not known")
	}
	other, err := h.gh.AddRepository("acme/other", true)
	h.must(err)
	h.in.AddRepositories(other)
	h.settle()
	if !installed("other") {
		t.Error(h.outcomes("installation_repositories"))
	}
	h.in.RemoveRepositories(other)
	h.settle()
	if installed("other") {
		t.Error("a repository that was taken away is still there")
	}
	h.repo.Rename("renamed")
	h.settle()
	h.push("main", map[string]string{"a": "1"})
	h.settle()
	b := h.builds()
	if len(b) != 0 || !strings.Contains(fmt.Sprint(h.outcomes("push")), "acme/renamed") { // roles go by the name: those of the old one do not count
		t.Errorf("%+v %v", b, h.outcomes("push"))
	}
	h.must(h.server.role(t.Context(), "repo:github.com/acme/renamed:*", []string{"queue:create-task:highest:proj/linux", "queue:create-task:project:none", "queue:scheduler-id:*"}, "test"))
	h.push("main", map[string]string{"a": "2"})
	h.settle()
	if b = h.builds(); len(b) != 1 || b[0].Repository != "renamed" {
		t.Errorf("%+v %v", b, h.outcomes("push"))
	}
	if p, err := h.server.push.Get(t.Context(), "acme.app", 2); err != nil || p.State != push.Deciding { // the record goes on
		t.Errorf("%+v %v", p, err)
	}
	h.in.Suspend()
	h.settle()
	if installed("renamed") {
		t.Error("a suspended installation is still there")
	}
}
