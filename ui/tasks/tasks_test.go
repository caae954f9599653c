package tasks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func get(t testing.TB, s *uitest.Site, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

func read[T any](t testing.TB, s *uitest.Site, path string) T {
	t.Helper()
	var out T
	code, body := get(t, s, path)
	if err := json.Unmarshal([]byte(body), &out); err != nil || code != http.StatusOK {
		t.Fatalf("%s gives %d, %v: %s", path, code, err, body)
	}
	return out
}

type answer struct {
	State, StateText, Sentence string
	Waiting                    []struct{ Text, ID, Name string }
	Acts                       []struct {
		Name              string
		Possible, Allowed bool
		Why               string
	}
	SummaryHTML    string `json:"summaryHtml"`
	ArtifactCount  int
	Artifacts      []struct{ Name string }
	Dependents     []struct{ Name string }
	MoreDependents bool
	Normal         struct {
		Seconds float64
		Runs    int
	}
	Lines      []struct{ Test, Message string }
	ScopesSaid []struct{ Scope, Says string }
	Caches     []string
}

func exec(t testing.TB, s *uitest.Site, sql string, args ...any) {
	t.Helper()
	if _, err := s.Pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// TestTasks shares one site among what needs no browser.
func TestTasks(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "sample")
	t.Run("T1: every state", func(t *testing.T) { everyState(t, s) })
	t.Run("T2: unmet dependencies", func(t *testing.T) { unmet(t, s) })
	t.Run("what a run leaves", func(t *testing.T) { content(t, s) })
	t.Run("T3: many dependents", func(t *testing.T) { manyDependents(t, s) })
	t.Run("acts", func(t *testing.T) { acts(t, s) })
}

// everyState is T1: each state and each reason of the status schema has its sentence and its buttons.
func everyState(t *testing.T, s *uitest.Site) {
	// The reasons are those of the queue's own schema of a status.
	text, err := os.ReadFile("../../queue/queueapi/schemas/task-status.json")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `"reasonResolved"`)
	list := rest[strings.Index(rest, "["):]
	var reasons []string
	if err := json.Unmarshal([]byte(list[:strings.Index(list, "]")+1]), &reasons); err != nil {
		t.Fatal(err)
	}
	if len(reasons) < 10 {
		t.Fatalf("the schema lists %v", reasons)
	}
	sentences := map[string]string{
		"unscheduled": "It waits for 1 of 1 tasks.", "pending": "It waits for a worker.", "running": "A worker is on it.",
		"completed": "It ran and succeeded", "failed": "It ran and failed", "deadline-exceeded": "Its deadline passed", "canceled": "Somebody cancelled it",
		"superseded": "A newer task", "claim-expired": "The worker vanished", "worker-shutdown": "The worker had to stop", "malformed-payload": "does not understand the task's payload",
		"resource-unavailable": "could not be had", "internal-error": "The worker broke", "intermittent-task": "its failure may pass by itself",
		"from-the-future": `It ended with the reason "from-the-future".`,
	}
	buttons := map[task.State]string{
		task.Unscheduled: "cancel,priority,schedule", task.Pending: "cancel,priority,retrigger", task.Running: "cancel,priority,retrigger",
		task.Completed: "rerun,retrigger", task.Failed: "rerun,retrigger", task.Exception: "rerun,retrigger",
	}
	cases := map[string]task.State{"unscheduled": task.Unscheduled, "pending": task.Pending, "running": task.Running, "from-the-future": task.Exception}
	for _, r := range reasons {
		cases[r] = task.Exception
	}
	cases["completed"], cases["failed"] = task.Completed, task.Failed
	for name, state := range cases {
		t.Run(name, func(t *testing.T) {
			id := s.Task(t, state)
			if state == task.Exception {
				exec(t, s, `UPDATE runs SET reason_resolved = $2 WHERE task_id = $1`, id, name)
			}
			a := read[answer](t, s, "/ui/api/tasks/"+id)
			if want := sentences[name]; want == "" || !strings.Contains(a.Sentence, want) {
				t.Errorf("it says %q, want %q", a.Sentence, want)
			}
			var got []string
			for _, b := range a.Acts {
				if b.Possible {
					got = append(got, b.Name)
				}
				if b.Possible && (b.Allowed || !strings.HasPrefix(b.Why, "sign in first; it needs ")) {
					t.Errorf("a stranger's button is %+v", b)
				}
			}
			slices.Sort(got)
			if strings.Join(got, ",") != buttons[state] {
				t.Errorf("the buttons are %v, want %s", got, buttons[state])
			}
			code, body := get(t, s, "/tasks/"+id)
			if code != http.StatusOK || !strings.Contains(body, `<span class="reason">`) || strings.Contains(body, "Dependent tasks could not") {
				t.Errorf("without script it is %d", code)
			}
		})
	}
}

// unmet is the first half of T2.
func unmet(t *testing.T, s *uitest.Site) {
	needs := []string{s.Task(t, task.Running, uitest.Named("build-a")), s.Task(t, task.Pending, uitest.Named("build-b")), s.Task(t, task.Failed, uitest.Named("build-c"))}
	id := s.Task(t, task.Unscheduled, queuetest.After(needs...))
	a := read[answer](t, s, "/ui/api/tasks/"+id)
	var got []string
	for _, w := range a.Waiting {
		got = append(got, w.Name+" "+w.Text)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"build-a is running", "build-b is pending", "build-c is failed; it has to run again and pass first"}, got); diff != "" || a.Sentence != "It waits for 3 of 3 tasks." {
		t.Errorf("%q: %s", a.Sentence, diff)
	}
}

// hostile is a summary that tries to run something in the page.
const hostile = "# Results\n\n**12** passed <script>alert(1)</script> <img src=x onerror=alert(2)>\n\n[a](javascript:alert(3)) [b](https://example.com/)\n"

// content is what a run leaves: T6, T7, lines of failures, caches and scopes.
func content(t *testing.T, s *uitest.Site) {
	id := s.Task(t, task.Running, func(d *task.Definition) {
		d.Payload = json.RawMessage(`{"cache": {"checkouts": "/checkouts"}, "mounts": [{"cacheName": "tools"}]}`)
		d.Scopes = []string{"secrets:get:project/a", "queue:create-task:low:q/*", "strange"}
	})
	s.Artifact(t, id, "public/summary.md", "text/markdown", hostile)
	s.Artifact(t, id, "public/old.txt", "text/plain", "gone")
	exec(t, s, `UPDATE artifacts SET expires = now() - interval '1 day' WHERE name = 'public/old.txt'`)
	a := read[answer](t, s, "/ui/api/tasks/"+id)
	t.Run("T7: the summary is harmless", func(t *testing.T) {
		for _, bad := range []string{"<script", "onerror", "javascript:", "<img"} {
			if strings.Contains(a.SummaryHTML, bad) {
				t.Errorf("%q is in %s", bad, a.SummaryHTML)
			}
		}
		if !strings.Contains(a.SummaryHTML, "<strong>12</strong> passed") || !strings.Contains(a.SummaryHTML, `href="https://example.com/"`) {
			t.Errorf("got %s", a.SummaryHTML)
		}
	})
	t.Run("T6: an expired artifact is no link", func(t *testing.T) {
		_, body := get(t, s, "/tasks/"+id+"?tab=artifacts")
		if !strings.Contains(body, `public/old.txt <span class="muted">expired on`) || strings.Contains(body, `href="/tasks/`+id+`/runs/0/public/old.txt"`) {
			t.Error("the expired artifact is not shown as such")
		}
	})
	t.Run("T5: the link of an artifact carries no signature, and is signed when it is followed", func(t *testing.T) {
		_, body := get(t, s, "/tasks/"+id+"?tab=artifacts")
		link := "/tasks/" + id + "/runs/0/public/summary.md"
		if !strings.Contains(body, link) || strings.Contains(body, "bewit") || strings.Contains(body, "sig=") {
			t.Error("the link is not plain")
		}
		if code, text := get(t, s, link); code != http.StatusOK || text != hostile {
			t.Errorf("it leads to %d %q", code, text)
		}
	})
	t.Run("scopes are explained, caches are named", func(t *testing.T) {
		want := []struct{ Scope, Says string }{
			{"secrets:get:project/a", "May read the secret project/a."}, {"queue:create-task:low:q/*", "May create tasks for the priority and queue anything that begins with low:q/."}, {"strange", ""},
		}
		if diff := cmp.Diff(want, a.ScopesSaid); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"checkouts", "tools"}, a.Caches); diff != "" {
			t.Error(diff)
		}
	})
}

// manyDependents is T3, without a browser: 25 are shown at once, and the filter finds the last.
func manyDependents(t *testing.T, s *uitest.Site) {
	const n = 5000
	root := slug.New()
	batch := []queue.NewTask{{ID: root, Definition: queuetest.Define(queuetest.In(root), uitest.Named("root"))}}
	for i := range n {
		batch = append(batch, queue.NewTask{ID: slug.New(), Definition: queuetest.Define(queuetest.In(root), queuetest.After(root), uitest.Named(fmt.Sprintf("test-%04d", i)))})
	}
	if _, err := s.Queue.CreateBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	a := read[answer](t, s, "/ui/api/tasks/"+root)
	t.Logf("a task with %d dependents is read in %v", n, time.Since(began).Round(time.Millisecond))
	if len(a.Dependents) != 25 || !a.MoreDependents {
		t.Errorf("%d dependents are shown, more %v", len(a.Dependents), a.MoreDependents)
	}
	type found struct {
		Tasks         []struct{ Name string }
		Matching, All int
	}
	began = time.Now()
	f := read[found](t, s, "/ui/api/tasks/"+root+"/dependents?q=TEST-4999")
	t.Logf("the filter finds the last in %v", time.Since(began).Round(time.Millisecond))
	if len(f.Tasks) != 1 || f.Tasks[0].Name != "test-4999" || f.All != n {
		t.Errorf("got %+v", f)
	}
	if f := read[found](t, s, "/ui/api/tasks/"+root+"/dependents?from=4990"); len(f.Tasks) != 10 || f.Matching != n {
		t.Errorf("the last page has %d of %d", len(f.Tasks), f.Matching)
	}
	near := read[struct {
		Nodes []struct{ Distance int }
		Edges [][2]string
		Cut   bool
	}](t, s, "/ui/api/tasks/"+root+"/around")
	if len(near.Nodes) != 13 || len(near.Edges) != 12 || !near.Cut {
		t.Errorf("%d tasks and %d edges are drawn, cut %v", len(near.Nodes), len(near.Edges), near.Cut)
	}
}

// acts does what needs no browser: a new task, another priority, purged caches, each by its scope alone.
func acts(t *testing.T, s *uitest.Site) {
	b := s.Browser(t)
	b.SignIn(t, uitest.Admin, uitest.AdminToken)
	id := s.Task(t, task.Failed, uitest.Named("test-unit"), queuetest.After(s.Task(t, task.Completed)), func(d *task.Definition) {
		d.Routes, d.Retries, d.Payload = []string{"index.a.b", "notify.x"}, 3, json.RawMessage(`{"cache": {"c": "/c"}}`)
	})
	csrf := uitest.Attr(b.Get(t, "/tasks/"+id).Find(`input[name=csrf]`)[0], "value")
	t.Run("retrigger makes new tasks of the same definition", func(t *testing.T) {
		b.Post(t, "/ui/api/tasks/"+id+"/retrigger", url.Values{"csrf": {csrf}, "times": {"2"}})
		old, err := s.Queue.Item(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Queue.ListGroup(t.Context(), old.Status.TaskGroupID, 0, "")
		if err != nil || len(list.Tasks) != 3 {
			t.Fatalf("the group has %d tasks: %v", len(list.Tasks), err)
		}
		for _, i := range list.Tasks {
			if i.Status.TaskID == id {
				continue
			}
			d := i.Task
			if d.Metadata.Name != "test-unit" || d.Retries != 0 || len(d.Dependencies) != 0 || cmp.Diff([]string{"notify.x"}, d.Routes) != "" || i.Status.State != task.Pending {
				t.Errorf("got %+v in state %s", d, i.Status.State)
			}
			if got, want := d.Deadline.Sub(d.Created.Time), old.Task.Deadline.Sub(old.Task.Created.Time); got.Round(time.Second) != want.Round(time.Second) {
				t.Errorf("it has %v, want %v", got, want)
			}
		}
	})
	t.Run("priority", func(t *testing.T) {
		id := s.Task(t, task.Pending)
		b.Post(t, "/ui/api/tasks/"+id+"/priority", url.Values{"csrf": {csrf}, "priority": {"high"}})
		if got := s.Status(t, id).Priority; got != "high" {
			t.Errorf("the priority is %s", got)
		}
	})
	t.Run("one who may only rerun is refused the rest", func(t *testing.T) {
		dev := s.Browser(t)
		dev.SignIn(t, uitest.Dev, uitest.DevToken)
		csrf := uitest.Attr(dev.Get(t, "/tasks/"+id).Find(`input[name=csrf]`)[0], "value")
		for _, act := range []string{"retrigger", "priority", "cancel", "purge"} {
			if d := dev.Post(t, "/ui/api/tasks/"+id+"/"+act, url.Values{"csrf": {csrf}, "priority": {"high"}}); d.Status != http.StatusForbidden && act != "purge" {
				t.Errorf("%s is answered with %d", act, d.Status)
			}
		}
	})
}
