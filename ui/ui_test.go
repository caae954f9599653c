package ui_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/session"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), session.Statements...) }

func TestHome(t *testing.T) {
	s := uitest.New(t)
	b := s.Browser(t)
	t.Run("without repositories it says how to begin", func(t *testing.T) {
		d := b.Get(t, "/")
		if got := d.Text(".first-run pre"); !strings.Contains(got, "treeline dev") {
			t.Errorf("got %q, want the command to begin with", got)
		}
	})
	s.Repository(t, "sample")
	t.Run("a repository without pushes says what comes next", func(t *testing.T) {
		if got := b.Get(t, "/").Text(".repo"); !strings.Contains(got, "No push yet") {
			t.Errorf("got %q", got)
		}
	})
	p := s.Record(t, push.Push{Repository: "sample"})
	s.Decide(t, p, uitest.Job{State: task.Failed, Name: "test-unit"}, uitest.Job{State: task.Completed, Name: "build"})
	t.Run("a repository shows its last pushes with their state", func(t *testing.T) {
		d := b.Get(t, "/")
		want := "Teach the queue to count failed " + p.Revision[:10]
		if got := d.Text(".repo li"); !strings.HasPrefix(got, want) || !strings.Contains(got, "1 failed") || !strings.Contains(got, "1 passed") {
			t.Errorf("got %q, want it to begin with %q", got, want)
		}
	})
}

func TestJobs(t *testing.T) {
	s := uitest.New(t)
	b := s.Browser(t)
	s.Repository(t, "sample")
	first := s.Record(t, push.Push{Repository: "sample", Author: "Grace Hopper", Email: "grace@example.com", Message: "First <script>alert(1)</script>"})
	_, ids := s.Decide(t, first,
		uitest.Job{State: task.Completed, Name: "build-linux", Platform: "linux64", Symbol: "B"},
		uitest.Job{State: task.Failed, Name: "test-linux-1", Platform: "linux64", Group: "M", Symbol: "1"},
		uitest.Job{State: task.Pending, Name: "lint-go"},
	)
	broken := s.Record(t, push.Push{Repository: "sample"})
	s.Fail(t, broken, push.Error{Code: "yaml-syntax", Message: "a mapping needs a colon", File: ".taskcluster.yml", Line: 7, Detail: "tasks\n  ^"})

	t.Run("each push has its tasks by platform, with symbol and state", func(t *testing.T) {
		d := b.Get(t, "/jobs?repo=sample")
		id := fmt.Sprintf("#push-%d ", first.ID)
		_, pool, _ := strings.Cut(queuetest.TaskQueueID, "/")
		want := "decision D\nlinux64 opt B M-1\n" + pool + " test-lint-go"
		if diff := cmp.Diff(want, d.Text(id+".g-row")); diff != "" {
			t.Error(diff)
		}
		if got := uitest.Attr(d.Find("a.c.failed")[0], "href"); got != "/tasks/"+ids[1] {
			t.Errorf("the failed cell leads to %s, want task %s", got, ids[1])
		}
		if got := d.Text(id + ".counts"); got != "1 failed 2 pending 1 passed" {
			t.Errorf("got counts %q", got)
		}
		if got := d.Text(id + ".subject"); got != "First <script>alert(1)</script>" {
			t.Errorf("got subject %q; the message must stay text", got)
		}
	})
	t.Run("a failed decision shows code, message, file and line", func(t *testing.T) {
		d := b.Get(t, "/jobs?repo=sample")
		id := fmt.Sprintf("#push-%d .push-error ", broken.ID)
		got := []string{d.Text(id + ".error-code"), d.Text(id + ".error-place"), d.Text(id + ".error-message"), d.Text(id + "pre")}
		if diff := cmp.Diff([]string{"yaml-syntax", ".taskcluster.yml:7", "a mapping needs a colon", "tasks ^"}, got); diff != "" {
			t.Error(diff)
		}
	})
	for _, c := range []struct{ query, want string }{
		{"", "2 1"}, {"&author=grace", "1"}, {"&author=-grace", "2"}, {"&revision=" + first.Revision, "1"}, {"&revision=" + broken.Revision[:12], "2"},
		{"&count=1", "2"}, {"&before=2", "1"}, {"&tochange=" + first.Revision, "1"}, {"&fromchange=" + broken.Revision, "2"}, {"&nojobs=1", "2 1"},
		{"&unknown=1", "2 1"},
	} {
		t.Run("pushes of ?repo=sample"+c.query, func(t *testing.T) {
			d := b.Get(t, "/jobs?repo=sample"+c.query)
			var got []string
			for _, n := range d.Find("section.push") {
				got = append(got, strings.TrimPrefix(uitest.Attr(n, "id"), "push-"))
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("the script's data is the same, with empty lists instead of null", func(t *testing.T) {
		body := b.Get(t, "/ui/api/jobs?repo=sample").Body
		var data struct {
			Pushes []struct {
				ID      int64
				Counts  map[string]int
				Columns struct {
					N   int
					IDs string
				}
			}
		}
		if err := json.Unmarshal([]byte(body), &data); err != nil {
			t.Fatal(err)
		}
		if len(data.Pushes) != 2 || data.Pushes[1].Columns.N != 4 || len(data.Pushes[1].Columns.IDs) != 4*22 || data.Pushes[1].Counts["failed"] != 1 || strings.Contains(body, `":null`) && strings.Count(body, `":null`) != strings.Count(body, `"error":null`) {
			t.Errorf("got %s", body)
		}
	})
}

func TestTaskPage(t *testing.T) {
	s := uitest.New(t)
	b := s.Browser(t)
	dependency := s.Task(t, task.Running, uitest.Named("build"))
	for _, c := range []struct {
		name, state, reason, buttons string
		id                           string
	}{
		{"unscheduled", "waiting", "It waits for 1 of 1 tasks.", "Schedule Cancel", s.Task(t, task.Unscheduled, queuetest.After(dependency))},
		{"pending", "pending", "It waits for a worker.", "Cancel Retrigger", s.Task(t, task.Pending)},
		{"running", "running", "A worker is on it.", "Cancel Retrigger", dependency},
		{"completed", "passed", "It ran and succeeded in under a second.", "Rerun Retrigger", s.Task(t, task.Completed)},
		{"failed", "failed", "It ran and failed in under a second.", "Rerun Retrigger", s.Task(t, task.Failed)},
		{"malformed", "malformed-payload", "The worker does not understand", "Rerun Retrigger", except(t, s, task.ReasonMalformedPayload)},
		{"no resource", "resource-unavailable", "could not be had", "Rerun Retrigger", except(t, s, task.ReasonResourceUnavailable)},
		{"broken worker", "internal-error", "The worker broke", "Rerun Retrigger", except(t, s, task.ReasonInternalError)},
		{"cancelled", "cancelled", "Somebody cancelled it", "Rerun Retrigger", cancelled(t, s)},
		{"deadline", "deadline-exceeded", "Its deadline passed", "Rerun Retrigger", overdue(t, s)},
	} {
		t.Run(c.name+" says why and offers what can be done", func(t *testing.T) {
			d := b.Get(t, "/tasks/"+c.id)
			if got := d.Text(".task-head .status"); got != c.state {
				t.Errorf("got state %q, want %q", got, c.state)
			}
			if got := d.Text(".reason"); !strings.Contains(got, c.reason) {
				t.Errorf("got reason %q, want %q", got, c.reason)
			}
			if got := strings.ReplaceAll(d.Text(".acts button"), "\n", " "); got != c.buttons {
				t.Errorf("got buttons %q, want %q", got, c.buttons)
			}
			if got := len(d.Find(".acts button")); got != strings.Count(d.Body, " disabled>") {
				t.Errorf("only some of %d buttons are disabled for a visitor", got)
			}
		})
	}
	t.Run("a waiting task names what it waits for", func(t *testing.T) {
		waiting := s.Task(t, task.Unscheduled, queuetest.After(dependency, s.Task(t, task.Failed, uitest.Named("lint"))))
		got := b.Get(t, "/tasks/"+waiting).Text(".waiting li")
		if !strings.Contains(got, "build is running") || !strings.Contains(got, "lint is failed; it has to run again and pass first") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a visitor is told which scope is missing", func(t *testing.T) {
		id := s.Task(t, task.Failed)
		want := fmt.Sprintf("Rerun: sign in first; it needs queue:rerun-task:-/%s/%s.\nRetrigger: sign in first; it needs queue:create-task:project:none.", id, id)
		if got := b.Get(t, "/tasks/"+id).Text(".why"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("the definition is YAML, with the payload's keys in their order", func(t *testing.T) {
		id := s.Task(t, task.Pending, func(d *task.Definition) { d.Payload = json.RawMessage(`{"zebra": "a: b", "ant": ["x\ny"]}`) })
		got := b.Get(t, "/tasks/"+id+"?tab=definition").Body
		if !strings.Contains(got, "ant:\n    - |-\n      x\n      y") || !strings.Contains(got, "zebra: &#39;a: b&#39;") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a hostile description stays harmless", func(t *testing.T) {
		id := s.Task(t, task.Pending, func(d *task.Definition) {
			d.Metadata.Description = "**bold** <script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) [y](https://example.com)"
		})
		d := b.Get(t, "/tasks/"+id)
		if got := len(d.Find(".markdown script")) + len(d.Find(".markdown img")); got != 0 || len(d.Find(".markdown strong")) != 1 {
			t.Errorf("got %s", d.Text(".markdown"))
		}
		links := d.Find(".markdown a")
		if len(links) != 1 || uitest.Attr(links[0], "href") != "https://example.com" || uitest.Attr(links[0], "rel") != "nofollow noreferrer" {
			t.Errorf("got links %v, want one to example.com", links)
		}
	})
}

func except(t *testing.T, s *uitest.Site, reason task.ReasonResolved) string {
	id := s.Task(t, task.Running)
	if _, err := s.Queue.ReportException(t.Context(), id, 0, reason); err != nil {
		t.Fatal(err)
	}
	return id
}

func cancelled(t *testing.T, s *uitest.Site) string {
	id := s.Task(t, task.Pending)
	if _, err := s.Queue.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return id
}

func overdue(t *testing.T, s *uitest.Site) string {
	id := s.Task(t, task.Pending)
	s.PassDeadlines(t, id)
	if err := s.Queue.EnforceDeadlines(t.Context()); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestActs(t *testing.T) {
	s := uitest.New(t)
	b := s.Browser(t)
	id := s.Task(t, task.Failed)
	csrf := func(d *uitest.Document) string { return uitest.Attr(d.Find(".acts input[name=csrf]")[0], "value") }

	t.Run("a visitor's form is refused with the missing scope", func(t *testing.T) {
		d := b.Post(t, "/ui/api/tasks/"+id+"/rerun", url.Values{"csrf": {csrf(b.Get(t, "/tasks/"+id))}})
		if d.Status != http.StatusForbidden || !strings.Contains(d.Text(".error-message"), "queue:rerun-task:") {
			t.Errorf("got status %d: %s", d.Status, d.Text(".error-message"))
		}
	})
	b.SignIn(t, uitest.Dev, uitest.DevToken)
	for _, token := range []string{"", "x", strings.Repeat("A", 86)} {
		t.Run(fmt.Sprintf("a form with the token %.5q is refused", token), func(t *testing.T) {
			if d := b.Post(t, "/ui/api/tasks/"+id+"/rerun", url.Values{"csrf": {token}}); d.Status != http.StatusForbidden {
				t.Errorf("got status %d", d.Status)
			}
		})
	}
	t.Run("who may rerun gets a button, and it works without script", func(t *testing.T) {
		page := b.Get(t, "/tasks/"+id)
		if strings.Contains(page.Text(".why"), "Rerun:") {
			t.Error("the button is disabled")
		}
		d := b.Post(t, "/ui/api/tasks/"+id+"/rerun", url.Values{"csrf": {csrf(page)}})
		if got := d.Text(".task-head .status"); d.Status != http.StatusOK || got != "pending" {
			t.Errorf("got status %d, state %q", d.Status, got)
		}
	})
	t.Run("the same client may not cancel", func(t *testing.T) {
		page := b.Get(t, "/tasks/"+id)
		if got := page.Text(".why"); !strings.HasPrefix(got, "Cancel: needs queue:cancel-task:") {
			t.Errorf("got %q", got)
		}
		if d := b.Post(t, "/ui/api/tasks/"+id+"/cancel", url.Values{"csrf": {csrf(page)}}); d.Status != http.StatusForbidden {
			t.Errorf("got status %d", d.Status)
		}
		if got := s.Status(t, id).State; got != task.Pending {
			t.Errorf("the task is %s", got)
		}
	})
	t.Run("scopes are read anew at each act", func(t *testing.T) {
		if err := s.Auth.EnsureRole(t.Context(), "anonymous", []string{"queue:get-task:*", "queue:status:*", "queue:cancel-task:*"}, ""); err != nil {
			t.Fatal(err)
		}
		page := b.Get(t, "/tasks/"+id)
		if d := b.Post(t, "/ui/api/tasks/"+id+"/cancel", url.Values{"csrf": {csrf(page)}}); d.Status != http.StatusOK {
			t.Errorf("got status %d: %s", d.Status, d.Text(".error-message"))
		}
	})
}

func TestErrorsAndOldAddresses(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "sample")
	p := s.Record(t, push.Push{Repository: "sample"})
	group, ids := s.Decide(t, p, uitest.Job{State: task.Completed, Name: "build"})
	missing := slug.New()
	b := s.Browser(t)
	for _, c := range []struct {
		path   string
		status int
		end    string // of the address one ends at; "" for the same
	}{
		{"/nothing/here", 404, ""},
		{"/jobs?repo=unknown", 404, ""},
		{"/jobs?repo=sample&revision=ffffffffffff", 404, ""},
		{"/jobs", 200, "/"},
		{"/tasks/" + missing, 404, ""},
		{"/tasks/groups/" + missing, 404, ""},
		{"/tasks/" + ids[0] + "/runs/7", 404, ""},
		{"/tasks/" + ids[0] + "/runs/x", 404, ""},
		{"/tasks/" + ids[0] + "/elsewhere", 404, ""},
		{"/tasks/" + ids[0] + "/runs/0", 200, ""},
		{"/tasks/" + ids[0] + "/definition", 200, "/tasks/" + ids[0] + "?tab=definition"},
		{"/tasks/" + ids[0] + "/runs/0/logs/public/logs/live.log", 404, ""},
		{"/tasks/" + ids[0] + "/runs/0/public/none.txt", 404, ""},
		{"/tasks/" + ids[0] + "/runs/0/private/none.txt", 403, ""},
		{"/tasks/groups/" + group, 200, ""},
		{"/tasks/groups/" + group + "?state=passed&view=timeline", 200, ""},
		{"/tasks/groups", 200, ""},
		{"/tasks", 200, "/tasks/groups"},
		{"/push/sample/" + p.Revision, 200, ""},
		{"/logviewer", 404, ""},
		{"/logviewer?task=" + ids[0] + ".0&lineNumber=3-7", 404, "/tasks/" + ids[0] + "/runs/0/logs/public/logs/live.log"},
		{"/search?q=" + ids[0], 200, "/tasks/" + ids[0]},
		{"/search?q=https://ci.example.com/tasks/" + ids[0] + "/runs/0", 200, "/tasks/" + ids[0]},
		{"/search?q=" + group, 200, "/tasks/" + group},
		{"/search?q=" + missing, 404, ""},
		{"/search?q=" + p.Revision[:12], 200, "/jobs?repo=sample&revision=" + p.Revision},
		{"/search?q=linux+unit&repo=sample", 200, "/jobs?repo=sample&searchStr=linux+unit"},
		{"/search?q=", 200, "/"},
		{"/login", 200, ""},
		{"/ui/assets/none.js", 404, ""},
	} {
		t.Run(c.path, func(t *testing.T) {
			d := b.Get(t, c.path)
			if d.Status != c.status {
				t.Errorf("got status %d, want %d: %s", d.Status, c.status, d.Text(".error-message"))
			}
			if got := d.URL.RequestURI(); c.end != "" && got != c.end {
				t.Errorf("ended at %s, want %s", got, c.end)
			}
			if strings.HasPrefix(c.path, "/ui/assets") {
				return
			}
			if d.Text("title") == "" || d.Text("h1") == "" || len(d.Find("main")) != 1 {
				t.Error("the page lacks a title, a headline or its main part")
			}
			if csp := d.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'self'; script-src 'self'") {
				t.Errorf("got policy %q", csp)
			}
		})
	}
	t.Run("who may not see pushes is asked to sign in", func(t *testing.T) {
		if err := s.Auth.EnsureRole(t.Context(), "anonymous", []string{}, ""); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/", "/jobs?repo=sample", "/tasks/" + ids[0], "/tasks/groups/" + group, "/tasks/groups"} {
			d := b.Get(t, path)
			if d.Status != http.StatusForbidden || !strings.Contains(d.Text(".error-page"), "Sign in") || strings.Contains(d.Body, "Ada") {
				t.Errorf("%s: got status %d: %s", path, d.Status, d.Text("main"))
			}
		}
	})
}

func TestOutlineOfMany(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "sample")
	jobs := make([]uitest.Job, 300)
	for i := range jobs {
		jobs[i] = uitest.Job{State: task.Pending, Name: fmt.Sprintf("test-%03d", i), Platform: "linux64", Group: "M", Symbol: fmt.Sprint(i)}
	}
	jobs[299].State = task.Failed
	group, _ := s.Decide(t, s.Record(t, push.Push{Repository: "sample"}), jobs...)
	d := s.Browser(t).Get(t, "/jobs?repo=sample")
	if got := len(d.Find("a.c")); got != 250 {
		t.Errorf("the outline has %d cells, want 250", got)
	}
	if len(d.Find("a.c.failed")) != 1 {
		t.Error("the failed task is not in the outline")
	}
	if got := d.Text(".grid p"); got != "51 more tasks" || !strings.Contains(d.Body, "/tasks/groups/"+group) {
		t.Errorf("got %q, want a link to the other 51", got)
	}
}

func TestTheme(t *testing.T) {
	b := uitest.New(t).Browser(t)
	for _, want := range []string{"light", "dark", ""} {
		b.Post(t, "/ui/theme", url.Values{"next": {"/"}})
		if got := uitest.Attr(b.Get(t, "/").Find("html")[0], "data-theme"); got != want {
			t.Errorf("got theme %q, want %q", got, want)
		}
	}
}

func TestEveryTemplate(t *testing.T) {
	if err := uitest.New(t).Pages.Parse(); err != nil {
		t.Error(err)
	}
}

func TestAssets(t *testing.T) {
	b := uitest.New(t).Browser(t)
	d := b.Get(t, "/")
	for _, n := range append(d.Find("link"), d.Find("script[type=module]")...) {
		path := uitest.Attr(n, "href") + uitest.Attr(n, "src")
		a := b.Get(t, path)
		if a.Status != http.StatusOK || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") || a.Header.Get("Content-Type") == "" {
			t.Errorf("%s: got status %d, headers %v", path, a.Status, a.Header)
		}
	}
}
