package calendar_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

const cronFile = `jobs:
  - name: nightly
    job: {type: decision-task, treeherder-symbol: N, target-tasks-method: nightly}
    when: [{hour: 2, minute: 0}]
  - name: hourly-check-with-a-name-that-is-rather-long
    job: {type: decision-task, treeherder-symbol: H, target-tasks-method: check}
    when: [{hour: [6, 12, 18], minute: 0}]
  - name: cleanup
    job: {type: trigger-action, action-name: cancel-all}
`

// calendarSite is a site whose calendar stands at noon of a Monday: what ran, waits, failed and was missed,
// a file that is broken, and a forge that is away.
func calendarSite(t *testing.T) *uitest.Site {
	s := uitest.New(t)
	at := func(text string) {
		t.Helper()
		if _, err := s.Pool.Exec(t.Context(), fmt.Sprintf(`CREATE OR REPLACE FUNCTION cron_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT '%s'::timestamptz$$`, text)); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"sample", "broken", "away"}
	settle := func(source func(repository string) string) {
		t.Helper()
		list, err := s.Cron.Take(t.Context(), names, time.Second, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range list {
			if _, err := s.Cron.Settle(t.Context(), b, strings.Repeat("ab", 20), source(b.Repository), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	var branches []cron.Branch
	for _, name := range names {
		s.Repository(t, name)
		branches = append(branches, cron.Branch{Repository: name, Branch: "main"})
	}
	at("2026-03-01T01:50:00Z")
	if err := s.Cron.Follow(t.Context(), nil, branches); err != nil {
		t.Fatal(err)
	}
	good := func(string) string { return cronFile }
	settle(good)
	at("2026-03-01T02:00:30Z")
	settle(good)
	started(t, s, task.Completed, nil)
	at("2026-03-02T07:00:00Z") // it was off for a day
	settle(good)
	started(t, s, task.Failed, &cron.Error{Code: "bad-graph", File: "taskcluster/config.yml", Line: 7, Message: "the kind build is not there"})
	at("2026-03-02T12:00:30Z")
	settle(func(repository string) string {
		if repository == "broken" {
			return "jobs:\n  - name: nightly\n    job: {type: decision-task}\n"
		}
		return cronFile
	})
	list, err := s.Cron.Branches(t.Context(), "away")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Cron.Fail(t.Context(), list[0], cron.Error{Code: "forge", Message: "The Mercurial server of https://hg.example.com/away does not answer."}); err != nil {
		t.Fatal(err)
	}
	return s
}

// started starts what waits in the sample, with a group in a state each, and refuses what waits elsewhere.
func started(t *testing.T, s *uitest.Site, state task.State, wrong *cron.Error) {
	t.Helper()
	runs, err := s.Cron.TakeRuns(t.Context(), []string{"sample", "broken", "away"}, time.Second, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if r.Repository != "sample" {
			if err := s.Cron.Refuse(t.Context(), r.ID, cron.Error{Code: "insufficient-scopes", File: ".taskcluster.yml", Line: 3, Message: "The role repo:hg.example.com/x:cron:nightly may not do that."}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		id := s.Task(t, state, queuetest.In(slug.Nice()))
		group := s.Status(t, id).TaskGroupID
		if err := s.Cron.SetGroup(t.Context(), r.ID, id, group, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Cron.Start(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		if wrong != nil {
			if err := s.Cron.DecisionRefused(t.Context(), group, *wrong); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// entries are the lines of the calendar, "day: time job, repository: state".
const entries = `[...document.querySelectorAll(".day")].flatMap(d => [...d.querySelectorAll(".entry")].map(e =>
	d.getAttribute("aria-label").split(",")[0] + ": " + e.querySelector("time").textContent + " " + e.querySelector("b").textContent.slice(0, 12) + ", " +
	e.querySelector(".what .muted").textContent.split(",")[0] + ": " + e.querySelector(".state").textContent.trim()))`

func TestTheCalendarShowsWhatRanAndWhatWill(t *testing.T) {
	s := calendarSite(t)
	tab := s.Tab(t)
	tab.Go(t, "/cron?repo=sample")
	want := []string{
		"Sunday: 02:00 nightly, sample: passed", "Sunday: 06:00 hourly-check, sample: missed", "Sunday: 12:00 hourly-check, sample: missed", "Sunday: 18:00 hourly-check, sample: missed",
		"Monday: 02:00 nightly, sample: failed", "Monday: 06:00 hourly-check, sample: failed", "Monday: 12:00 hourly-check, sample: starting",
		"Monday: 18:00 hourly-check, sample: to come",
	}
	got := uitest.Eval[[]string](t, tab, entries)
	for i, e := range got {
		got[i] = strings.Replace(e, "hourly-check-", "hourly-check", 1)
	}
	if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
		t.Error(diff)
	}
	if len(got) != len(want)+4*4 { // and Tuesday to Friday
		t.Errorf("%d entries: %q", len(got), got)
	}
	if text := tab.Text(t, "#days"); !strings.Contains(text, "taskcluster/config.yml:7: the kind build is not there") || !strings.Contains(text, "could start it") {
		t.Errorf("the reasons are not there: %s", text)
	}
	if text := tab.Text(t, "#jobs"); strings.Contains(text, "to come") || !strings.Contains(text, "failed") || !strings.Contains(text, "Mar 3, 2026, 02:00") {
		t.Errorf("the jobs are told as %s", text)
	}
	tab.Click(t, "#days .state a")
	tab.Wait(t, `location.pathname.startsWith("/tasks/groups/")`)

	tab.Go(t, "/cron")
	if got := uitest.Eval[int](t, tab, `document.querySelectorAll(".cron-error").length`); got != 2 {
		t.Errorf("%d branches have errors", got)
	}
	if text := tab.Text(t, "main"); !strings.Contains(text, ".cron.yml:3") || !strings.Contains(text, "does not answer") {
		t.Errorf("%s", text)
	}
	if got := uitest.Eval[int](t, tab, `document.querySelectorAll("#jobs form").length`); got != 0 {
		t.Error("who has not signed in is offered to start jobs")
	}
	tab.Click(t, "#after")
	tab.Wait(t, `location.search.includes("2026-03-07") && document.body.dataset.ready === "true"`)
	t.Run("in every look", func(t *testing.T) {
		for name, path := range map[string]string{"calendar": "/cron", "calendar-repo": "/cron?repo=sample", "calendar-day": "/cron?days=1&day=2026-03-02"} {
			tab.Go(t, path)
			tab.Inspect(t, name)
		}
	})
}

func TestAJobIsStartedByHandByWhoMay(t *testing.T) {
	s := calendarSite(t)
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/cron?repo=sample")
	form := uitest.Eval[string](t, tab, `new URLSearchParams(new FormData(document.querySelector("#jobs form"))).toString()`)
	tab.Click(t, "#jobs form button")
	tab.Wait(t, `location.hash.startsWith("#run-") && document.body.dataset.ready === "true"`)
	if got := tab.Text(t, ":target"); !strings.Contains(got, "nightly") || !strings.Contains(got, "by hand") || !strings.Contains(got, uitest.Admin) {
		t.Errorf("%q", got)
	}
	byHand := func() (n int) {
		t.Helper()
		list, err := s.Cron.Runs(t.Context(), cron.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.ByHand() {
				n++
			}
		}
		return n
	}
	if n := byHand(); n != 1 {
		t.Errorf("%d runs by hand", n)
	}
	// The same form again, as a browser sends it whose user goes back and presses once more.
	again := uitest.Eval[string](t, tab, fmt.Sprintf(`(() => { const r = new XMLHttpRequest(); r.open("POST", "/cron/run", false); r.setRequestHeader("Content-Type", "application/x-www-form-urlencoded"); r.send(%q); return r.status + " " + r.responseURL })()`, form))
	if n := byHand(); n != 1 {
		t.Errorf("%d runs by hand after the second press: %s", n, again)
	}
	t.Run("and by nobody else", func(t *testing.T) {
		other := s.Tab(t)
		other.SignIn(t, uitest.Dev, uitest.DevToken)
		other.Go(t, "/cron?repo=sample")
		if got := uitest.Eval[int](t, other, `document.querySelectorAll("#jobs form").length`); got != 0 {
			t.Error("a button is offered")
		}
		for _, body := range []url.Values{{"repo": {"sample"}, "branch": {"main"}, "job": {"nightly"}}, {}} {
			resp, err := http.PostForm(s.URL+"/cron/run", body)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusForbidden {
				t.Errorf("%d, %v", resp.StatusCode, err)
			}
		}
		if n := byHand(); n != 1 {
			t.Errorf("%d runs by hand", n)
		}
	})
}

func TestTheCalendarWithNothingInIt(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "sample")
	tab := s.Tab(t)
	tab.Go(t, "/cron")
	if got := tab.Text(t, "main"); !strings.Contains(got, "Nothing is followed yet") {
		t.Errorf("%q", got)
	}
	tab.Shot(t, "calendar-empty")
	for path, want := range map[string]int{
		"/cron?repo=none": http.StatusNotFound, "/cron?repo=sample": http.StatusOK, "/cron?day=yesterday": http.StatusBadRequest,
	} {
		resp, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != want {
			t.Errorf("%s: %d, %v", path, resp.StatusCode, err)
		}
	}
}

func TestTasksOfANightlyStandWithThePushOfTheirRevision(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "sample")
	p := s.Record(t, push.Push{Repository: "sample"})
	s.Decide(t, p, uitest.Job{State: task.Completed, Name: "build", Platform: "linux64", Symbol: "B"})
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	step(s.Cron.Follow(t.Context(), nil, []cron.Branch{{Repository: "sample", Branch: "main"}}))
	list, err := s.Cron.Take(t.Context(), []string{"sample"}, time.Second, 1)
	step(err)
	_, err = s.Cron.Settle(t.Context(), list[0], p.Revision, cronFile, nil)
	step(err)
	run, err := s.Cron.Trigger(t.Context(), cron.Request{Repository: "sample", Branch: "main", Job: "nightly"})
	step(err)

	tab := s.Tab(t)
	tab.Go(t, "/jobs?repo=sample")
	tab.Wait(t, `document.querySelectorAll("b.c").length === 2 && document.querySelector("#live").dataset.live === "live"`)
	step(s.Cron.SetGroup(t.Context(), run.ID, run.TaskID, run.TaskID, p.ID))
	s.Create(t, run.TaskID, queuetest.Define(queuetest.In(run.TaskID)))
	tab.Wait(t, `document.querySelectorAll("b.c").length === 3`)
	if _, err := s.Queue.Cancel(t.Context(), run.TaskID); err != nil {
		t.Fatal(err)
	}
	tab.Wait(t, fmt.Sprintf(`document.querySelector("b.c[data-id='%s']").className.includes("cancelled")`, run.TaskID))
	tab.Go(t, "/jobs?repo=sample")
	tab.Wait(t, `document.querySelectorAll("b.c").length === 3`)
}
