package health_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// site is a site with a repository whose pushes fail in several ways.
type site struct {
	*uitest.Site
	repo  string
	group map[string]string // of pushes, by revision
}

func newSite(t testing.TB) *site {
	s := &site{Site: uitest.New(t), repo: "sample", group: map[string]string{}}
	s.Repository(t, s.repo)
	return s
}

func rev(n int) string { return strings.Repeat(fmt.Sprintf("%04x", 0xa000+n), 10) }

// push records the push number n, decided.
func (s *site) push(t testing.TB, n int) {
	t.Helper()
	p := s.Record(t, push.Push{Repository: s.repo, Revision: rev(n), Message: fmt.Sprintf("Change %d", n)})
	group, _ := s.Decide(t, p)
	s.group[rev(n)] = group
	if _, err := s.Queue.ReportCompleted(t.Context(), group, s.Run(t, group)); err != nil {
		t.Fatal(err)
	}
}

// job makes a task of push n.
func (s *site) job(t testing.TB, n int, label, platform string) string {
	t.Helper()
	j := uitest.Job{Name: label, Platform: platform, Group: "T", Symbol: label}
	return s.Task(t, task.Pending, queuetest.In(s.group[rev(n)]), j.Define, func(d *task.Definition) {
		d.Tags = map[string]string{"label": label, "kind": strings.Split(label, "-")[0]}
	})
}

func (s *site) pass(t testing.TB, n int, label string) string {
	t.Helper()
	id := s.job(t, n, label, "linux")
	if _, err := s.Queue.ReportCompleted(t.Context(), id, s.Run(t, id)); err != nil {
		t.Fatal(err)
	}
	return id
}

// fail has a test of a task fail.
func (s *site) fail(t testing.TB, n int, label, platform, test, message string) string {
	t.Helper()
	id := s.job(t, n, label, platform)
	run := s.Run(t, id)
	body, err := json.Marshal(map[string]any{"failures": []any{map[string]any{"name": test, "text": message}}})
	if err != nil {
		t.Fatal(err)
	}
	s.Artifact(t, id, "public/test-summary.json", "application/json", string(body))
	if _, err := s.Queue.ReportFailed(t.Context(), id, run); err != nil {
		t.Fatal(err)
	}
	return id
}

// lose has the worker of a task vanish, with no retries left.
func (s *site) lose(t testing.TB, n int, label string) {
	t.Helper()
	id := s.job(t, n, label, "linux")
	s.Run(t, id)
	s.EndClaims(t, id)
	if s.Status(t, id).State == task.Pending {
		if _, err := s.Queue.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}

type answer struct {
	Verdict struct {
		State, Title string
		Reasons      []string
		Final        bool
	}
	Groups []failures.Group
	Counts map[string]int
	More   int
	Jobs   []struct {
		Job            string
		Passed, Failed int
	}
	Running, Reading int
}

func (s *site) get(t testing.TB, path string) (code int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	if to := a.Header.Get("Location"); to != "" {
		return a.StatusCode, to
	}
	return a.StatusCode, string(text)
}

// until reads the health of push n until it is as wanted, for ten seconds at most.
func (s *site) until(t testing.TB, query string, n int, wanted func(answer) bool) answer {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		code, body := s.get(t, "/ui/api/push/"+s.repo+"/"+rev(n)+query)
		var a answer
		if err := json.Unmarshal([]byte(body), &a); err != nil || code != http.StatusOK {
			t.Fatalf("status %d, %v: %s", code, err, body)
		}
		if wanted(a) {
			return a
		}
		if time.Now().After(end) {
			t.Fatalf("after 10 s it is %s", body)
		}
		select {
		case <-time.After(30 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("the test ended")
		}
	}
}

func reasons(a answer) []string {
	var out []string
	for _, g := range a.Groups {
		out = append(out, fmt.Sprintf("%s %s: %s", g.Kind, g.Test+g.Signature[:5*(1-min(1, len(g.Test)))], g.Reason))
	}
	return out
}

// mixed makes push 3 with one new failure, three known, two flaky and a lost worker.
func (s *site) mixed(t testing.TB) {
	t.Helper()
	s.push(t, 1)
	s.fail(t, 1, "test-f", "linux", "TestF", "the clock jumped by 13 ms") // and passes there, too
	s.pass(t, 1, "test-f")
	s.push(t, 2)
	for _, x := range []string{"b", "c", "d"} {
		s.fail(t, 2, "test-"+x, "linux", "Test"+strings.ToUpper(x), "got 3, want "+x)
	}
	s.pass(t, 2, "test-a")
	s.push(t, 3)
	s.fail(t, 3, "test-a", "linux", "TestA", "got 1, want 2")
	s.fail(t, 3, "test-a-2", "windows", "TestA", "got 1, want 2")
	for _, x := range []string{"b", "c", "d"} {
		s.fail(t, 3, "test-"+x, "linux", "Test"+strings.ToUpper(x), "got 7, want "+x)
	}
	s.fail(t, 3, "test-e", "linux", "TestE", "lost the race")
	s.pass(t, 3, "test-e")
	s.fail(t, 3, "test-f", "linux", "TestF", "the clock jumped by 26 ms")
	s.lose(t, 3, "test-g")
	s.pass(t, 3, "build-linux")
}

func TestHealth(t *testing.T) {
	s := newSite(t)
	s.mixed(t)
	t.Run("H1: new, known, flaky and lost ones are told apart, in this order, each with its reason", func(t *testing.T) {
		a := s.until(t, "", 3, func(a answer) bool {
			return a.Reading == 0 && len(a.Groups) == 7 && len(a.Jobs) == 2 && a.Groups[0].Kind == failures.Fresh
		})
		parent := rev(2)[:10]
		want := []string{
			"new TestA: It passed on the parent " + parent + ".",
			"known TestB: It fails on the parent " + parent + " too.", "known TestC: It fails on the parent " + parent + " too.", "known TestD: It fails on the parent " + parent + " too.",
			"flaky TestE: It passed and failed on this revision; 1 of 2 runs in 14 days failed so (few samples).",
			"flaky TestF: It passed and failed on " + rev(1)[:10] + "; 2 of 3 runs in 14 days failed so (few samples).",
			"infra lost-: The machines' fault: it says nothing about the push.",
		}
		if diff := cmp.Diff(want, reasons(a)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]int{"new": 1, "known": 3, "flaky": 2, "infra": 1}, a.Counts); diff != "" {
			t.Error(diff)
		}
		if a.Verdict.Title != "1 new failure" || a.Verdict.State != "failed" || !a.Verdict.Final {
			t.Errorf("the verdict is %+v", a.Verdict)
		}
		if g := a.Groups[0]; len(g.Tasks) != 2 || cmp.Diff([]string{"linux opt", "windows opt"}, g.Platforms) != "" || g.Excerpt != "got 1, want 2" {
			t.Errorf("got %+v", g)
		}
		if len(a.Jobs) != 2 || a.Jobs[0].Job != "build" || a.Jobs[0].Passed != 1 {
			t.Errorf("by sort of work it is %+v", a.Jobs)
		}
	})
	t.Run("H4: another base gives other sets", func(t *testing.T) {
		a := s.until(t, "?base="+rev(1)[:12], 3, func(a answer) bool { return len(a.Groups) == 7 })
		if diff := cmp.Diff(map[string]int{"new": 4, "known": 1, "flaky": 1, "infra": 1}, a.Counts); diff != "" {
			t.Errorf("%s%v", diff, reasons(a))
		}
		if code, body := s.get(t, "/ui/api/push/sample/"+rev(3)+"?base=ffff"); code != http.StatusNotFound || !strings.Contains(body, "to compare with") {
			t.Errorf("a base that is not known gives %d: %s", code, body)
		}
	})
	t.Run("H3: while the parent has not finished nothing is new", func(t *testing.T) {
		late := s.job(t, 2, "test-z", "linux")
		a := s.until(t, "", 3, func(a answer) bool { return a.Counts["unsure"] == 1 })
		if a.Counts["new"] != 0 || a.Verdict.Title != "1 failure that cannot be judged yet" || !strings.Contains(strings.Join(a.Verdict.Reasons, " "), "has not finished: 1 task has yet to end") {
			t.Errorf("the verdict is %+v", a.Verdict)
		}
		if _, err := s.Queue.Cancel(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		s.until(t, "", 3, func(a answer) bool { return a.Counts["new"] == 1 })
	})
	t.Run("what runs makes the verdict not final", func(t *testing.T) {
		id := s.job(t, 3, "test-y", "linux")
		a := s.until(t, "", 3, func(a answer) bool { return a.Running == 1 })
		if a.Verdict.Final || !strings.Contains(strings.Join(a.Verdict.Reasons, " "), "Not final: 1 running.") {
			t.Errorf("the verdict is %+v", a.Verdict)
		}
		if _, err := s.Queue.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a classification makes it known", func(t *testing.T) {
		a := s.until(t, "", 3, func(a answer) bool { return a.Counts["new"] == 1 })
		_, err := s.Triage.Classify(t.Context(), "ada", []triage.Target{{Repository: s.repo, TaskGroupID: s.group[rev(3)], TaskID: a.Groups[0].Tasks[0].TaskID}}, triage.Say{Class: triage.Intermittent, Bug: "1234567"})
		if err != nil {
			t.Fatal(err)
		}
		a = s.until(t, "", 3, func(a answer) bool { return a.Counts["new"] == 0 })
		if !strings.Contains(strings.Join(reasons(a), "\n"), "known TestA: ada classified it as intermittent (1234567).") {
			t.Errorf("%v", reasons(a))
		}
	})
	t.Run("the page works without script, and old addresses lead to it", func(t *testing.T) {
		code, body := s.get(t, "/push/sample/"+rev(3))
		for _, want := range []string{"<h1>Change 3</h1>", "Known failures", "It fails on the parent", "the worker vanished", "<b>Builds</b>", `name="base"`} {
			if code != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("%d: %q is not there", code, want)
			}
		}
		for from, to := range map[string]string{
			"/push-health/push?repo=sample&revision=" + rev(3): "/push/sample/" + rev(3), "/push-health?repo=sample": "/jobs?repo=sample", "/push-health": "/",
			"/pushhealth.html?repo=sample&revision=" + rev(3): "/push/sample/" + rev(3), "/project/sample/push/health/?revision=" + rev(3): "/push/sample/" + rev(3),
		} {
			if code, got := s.get(t, from); code != http.StatusSeeOther || got != to {
				t.Errorf("%s leads to %d %s", from, code, got)
			}
		}
		if code, _ := s.get(t, "/push/sample/"+slug.New()); code != http.StatusNotFound {
			t.Errorf("an unknown revision gives %d", code)
		}
	})
}

// size is how many tasks push n has.
func (s *site) size(t testing.TB, n int) int {
	t.Helper()
	counts, err := s.Queue.GroupCounts(t.Context(), []string{s.group[rev(n)]})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, c := range counts[s.group[rev(n)]] {
		total += c
	}
	return total
}

// passNewest has a pending task of a name of push n pass.
func (s *site) passNewest(t testing.TB, n int, name string) {
	t.Helper()
	list, err := s.Queue.ListGroup(t.Context(), s.group[rev(n)], 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list.Tasks {
		if i.Task.Metadata.Name == name && i.Status.State == task.Pending {
			if _, err := s.Queue.ReportCompleted(t.Context(), i.Status.TaskID, s.Run(t, i.Status.TaskID)); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no pending task is called %s", name)
}

// TestCostOfAPush: what the workers' hours of a push cost is the sum over its tasks, of all their runs, by the prices of
// their pools; with none there is no cost, and with two currencies no sum.
func TestCostOfAPush(t *testing.T) {
	s := newSite(t)
	s.push(t, 1)
	cost := func() string {
		t.Helper()
		code, body := s.get(t, "/ui/api/push/sample/"+rev(1))
		var d struct {
			Figures struct {
				Cost  string
				Hours float64
			}
		}
		if err := json.Unmarshal([]byte(body), &d); err != nil || code != http.StatusOK {
			t.Fatalf("status %d, error %v: %s", code, err, body)
		}
		return fmt.Sprintf("%s for %.2f h", d.Figures.Cost, d.Figures.Hours)
	}
	on := func(label, queue string) string {
		id := s.Task(t, task.Pending, queuetest.In(s.group[rev(1)]), uitest.Job{Name: label, Platform: "linux", Group: "T", Symbol: label}.Define, queuetest.OnQueue(queue))
		s.Run(t, id)
		return id
	}
	built, tested, again := on("build", "p/dear"), on("test", "p/cheap"), on("again", "p/dear")
	for id, run := range map[string]func() error{
		built:  func() error { _, err := s.Queue.ReportCompleted(t.Context(), built, 0); return err },
		tested: func() error { _, err := s.Queue.ReportFailed(t.Context(), tested, 0); return err },
		again: func() error { // its worker went after half an hour, and it waits to be run again
			_, err := s.Queue.ReportException(t.Context(), again, 0, task.ReasonWorkerShutdown)
			return err
		},
	} {
		if err := run(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Pool.Exec(t.Context(), `UPDATE runs SET started = resolved - $2 * interval '1 minute', scheduled = resolved - interval '3 hours' WHERE task_id = $1 AND run_id = 0`,
			id, map[string]int{built: 90, tested: 30, again: 30}[id]); err != nil {
			t.Fatal(err)
		}
	}
	if got := cost(); got != " for 2.50 h" {
		t.Errorf("without prices it costs %q", got)
	}
	s.WorkerPool(t, "p/dear", "static", `{"pricePerHour": 4.5, "currency": "EUR"}`)
	if got := cost(); got != "9.00 EUR for 2.50 h" { // 90 and 30 minutes
		t.Errorf("with one price it costs %q", got)
	}
	s.WorkerPool(t, "p/cheap", "static", `{"pricePerHour": 0.5, "currency": "EUR"}`)
	if got := cost(); got != "9.25 EUR for 2.50 h" {
		t.Errorf("with two prices it costs %q", got)
	}
	if _, err := s.Pool.Exec(t.Context(), `UPDATE worker_pools SET config = '{"pricePerHour": 0.5, "currency": "USD"}' WHERE worker_pool_id = 'p/cheap'`); err != nil {
		t.Fatal(err)
	}
	if got := cost(); got != " for 2.50 h" {
		t.Errorf("with two currencies it costs %q", got)
	}
}
