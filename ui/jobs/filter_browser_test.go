package jobs_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// drawn names the tasks that are cells, but for decisions.
const drawn = `[...new Set([...document.querySelectorAll("b.c")].map(e => e.getAttribute("aria-label").split(",")[0]).filter(n => n !== "Decision Task"))].sort().join(" ")`

// shownPushes are the numbers of the pushes that are shown.
const shownPushes = `[...document.querySelectorAll("section.push")].map(e => e.id.slice(5)).join(" ")`

// filtered makes a repository with a task of every kind.
func filtered(t *testing.T, s *uitest.Site) (first push.Push) {
	t.Helper()
	s.Repository(t, "mixed")
	tier := func(n int) func(*task.Definition) {
		return func(d *task.Definition) {
			d.Extra = bytes.Replace(d.Extra, []byte(`"tier":1`), fmt.Appendf(nil, `"tier":%d`, n), 1)
		}
	}
	job := func(state task.State, name, platform, group, symbol string, changes ...func(*task.Definition)) uitest.Job {
		return uitest.Job{State: state, Name: name, Platform: platform, Group: group, Symbol: symbol, Changes: changes}
	}
	first = s.Record(t, push.Push{Repository: "mixed", Message: "first"})
	group, ids := s.Decide(t, first,
		job(task.Completed, "build", "linux", "", "B"), job(task.Failed, "moch-1", "linux", "M", "1"), job(task.Failed, "moch-2", "mac", "M", "2"),
		job(task.Running, "moch-3", "mac", "M", "3"), job(task.Pending, "ref-1", "mac", "R", "1"), job(task.Unscheduled, "ref-2", "win", "R", "2"),
		job(task.Running, "ref-3", "win", "R", "3"), job(task.Completed, "perf-1", "win", "P", "1", tier(2)), job(task.Completed, "perf-2", "win", "P", "2", tier(3)),
		job(task.Pending, "lint", "linux", "", "L"), job(task.Completed, "twice", "linux", "", "T"),
	)
	if _, err := s.Queue.ReportException(t.Context(), ids[6], 0, task.ReasonMalformedPayload); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Queue.Cancel(t.Context(), ids[9]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Queue.Rerun(t.Context(), ids[10]); err != nil {
		t.Fatal(err)
	}
	target := triage.Target{Repository: "mixed", TaskGroupID: group, TaskID: ids[2]}
	if _, err := s.Triage.Classify(t.Context(), "ada", []triage.Target{target}, triage.Say{Class: triage.Intermittent, Bug: "1"}); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if err := json.NewEncoder(z).Encode(map[string][]string{"moch-1": {"dom/a.toml", "layout/b.toml"}, "ref-3": {"layout/r.list"}}); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s.Run(t, group)
	s.Artifact(t, group, "public/manifests-by-task.json.gz", "application/gzip", packed.String())
	for _, p := range []push.Push{{Author: "Grace Hopper", Email: "grace@example.com"}, {}} {
		p.Repository = "mixed"
		s.Decide(t, s.Record(t, p))
	}
	return first
}

// TestParameters opens an address for each of Treeherder's parameters, presses what makes the same address, and looks at
// it again after a reload.
func TestParameters(t *testing.T) {
	s := uitest.New(t)
	first := filtered(t, s)
	tab := s.Tab(t)
	usual := "build lint moch-1 moch-2 moch-3 perf-1 ref-1 ref-3 twice"
	without := func(names ...string) string {
		return strings.Join(slices.DeleteFunc(strings.Fields(usual), func(n string) bool { return slices.Contains(names, n) }), " ")
	}
	chip := func(name string) string { return fmt.Sprintf(`document.querySelector('[data-chip=%q]').click()`, name) }
	tier := func(n int) string { return fmt.Sprintf(`document.querySelector('[data-tier="%d"]').click()`, n) }
	field := func(name, value string) string {
		return fmt.Sprintf(`(() => { const f = document.querySelector(".funnel form"), s = f.querySelector("[name=field]"); s.value = %q; s.dispatchEvent(new Event("change", {bubbles: true})); return new Promise(r => setTimeout(() => { f.querySelector("[name=value]").value = %q; f.requestSubmit(); r(true) }, 40)) })()`, name, value)
	}
	key := func(k string) string {
		return fmt.Sprintf(`document.body.dispatchEvent(new KeyboardEvent("keydown", {bubbles: true, key: %q}))`, k)
	}
	for _, c := range []struct{ query, tasks, pushes, press string }{
		{"", usual, "3 2 1", ""},
		{"&resultStatus=testfailed,busted,exception", "moch-1 moch-2 ref-3", "3 2 1", ""},
		{"&resultStatus=success,retry,usercancel,running,pending", without("moch-1", "moch-2", "ref-3"), "3 2 1", chip("testfailed")},
		{"&resultStatus=testfailed,busted,exception,retry,usercancel,running,pending", without("build", "perf-1"), "3 2 1", chip("success")},
		{"&resultStatus=testfailed,busted,exception,success,retry,running,pending", without("lint"), "3 2 1", chip("usercancel")},
		{"&resultStatus=testfailed,busted,exception,success,retry,usercancel", without("moch-3", "ref-1", "twice"), "3 2 1", key("i")},
		{"&resultStatus=testfailed,busted,exception,success,retry,usercancel,running,pending,unscheduled", "build lint moch-1 moch-2 moch-3 perf-1 ref-1 ref-2 ref-3 twice", "3 2 1", key("s")},
		{"&resultStatus=retry", "twice", "3 2 1", ""},
		{"&resultStatus=superseded", "", "3 2 1", ""},
		{"&resultStatus=testfailed,busted,exception&classifiedState=unclassified", "moch-1 ref-3", "3 2 1", key("u")},
		{"&resultStatus=testfailed,busted,exception,retry,usercancel", "lint moch-1 moch-2 ref-3 twice", "3 2 1", key("q")},
		{"&classifiedState=classified", "moch-2", "3 2 1", ""},
		{"&failure_classification_id=4", "moch-2", "3 2 1", field("failure_classification_id", "4")},
		{"&tier=1", without("perf-1"), "3 2 1", tier(2)},
		{"&tier=1,2,3", "build lint moch-1 moch-2 moch-3 perf-1 perf-2 ref-1 ref-3 twice", "3 2 1", tier(3)},
		{"&tier=3", "perf-2", "3 2 1", ""},
		{"&searchStr=moch+mac", "moch-2 moch-3", "3 2 1", `(() => { const f = document.querySelector("[data-find]"); f.value = "moch mac"; f.dispatchEvent(new Event("input", {bubbles: true})) })()`},
		{"&job_type_name=ref", "ref-1 ref-3", "3 2 1", field("job_type_name", "ref")},
		{"&job_type_symbol=1", "moch-1 perf-1 ref-1", "3 2 1", field("job_type_symbol", "1")},
		{"&job_group_name=tests+of+m", "moch-1 moch-2 moch-3", "3 2 1", field("job_group_name", "tests of m")},
		{"&job_group_symbol=R", "ref-1 ref-3", "3 2 1", field("job_group_symbol", "R")},
		{"&platform=win", "perf-1 ref-3", "3 2 1", field("platform", "win")},
		{"&filter-platform=win&filter-job_type_name=ref", "ref-3", "3 2 1", ""},
		{"&test_paths=layout/", "moch-1 ref-3", "3 2 1", field("test_paths", "layout/")},
		{"&test_paths=dom", "moch-1", "3 2 1", ""},
		{"&group_state=expanded", usual, "3 2 1", chip("everything")},
		{"&collapsedPushes=1", "", "3 2 1", `document.querySelector("#push-1 .fold").click()`},
		{"&revision=" + first.Revision, usual, "1", ""},
		{"&author=grace", "", "2", ""},
		{"&author=-grace@example.com", usual, "3 1", ""},
		{"&fromchange=" + first.Revision + "&tochange=" + first.Revision, usual, "1", ""},
		{"&count=1", "", "3", ""},
		{"&startdate=2000-01-01&enddate=2100-01-01", usual, "3 2 1", ""},
		{"&enddate=2000-01-01", "", "", ""},
		{"&nojobs=1", "", "3 2 1", ""},
		{"&landoCommitID=7&landoInstance=x&unknown=y", usual, "3 2 1", ""},
	} {
		t.Run(c.query, func(t *testing.T) {
			see := func(what string) {
				t.Helper()
				tab.Wait(t, fmt.Sprintf(`%s === %q`, drawn, c.tasks))
				if diff := cmp.Diff(c.tasks, uitest.Eval[string](t, tab, drawn)); diff != "" {
					t.Errorf("%s: tasks: %s", what, diff)
				}
				if diff := cmp.Diff(c.pushes, uitest.Eval[string](t, tab, shownPushes)); diff != "" {
					t.Errorf("%s: pushes: %s", what, diff)
				}
			}
			address := "?repo=mixed" + c.query
			tab.Go(t, "/jobs"+address)
			see("opened")
			if got := uitest.Eval[string](t, tab, `location.search`); got != address {
				t.Errorf("the address became %s", got)
			}
			if c.press == "" {
				return
			}
			tab.Go(t, "/jobs?repo=mixed")
			uitest.Eval[any](t, tab, c.press)
			tab.Wait(t, fmt.Sprintf(`decodeURIComponent(location.search) === decodeURIComponent(%q)`, address))
			see("pressed")
		})
	}
	t.Run("what a page does not know stays when it writes the address", func(t *testing.T) {
		tab.Go(t, "/jobs?repo=mixed&unknown=y&tier=1")
		uitest.Eval[any](t, tab, tier(2))
		tab.Wait(t, `location.search === "?repo=mixed&unknown=y"`)
	})
	t.Run("a filter goes with its chip, and all go with reset", func(t *testing.T) {
		tab.Go(t, "/jobs?repo=mixed&filter-platform=win&tier=1&resultStatus=success")
		uitest.Eval[any](t, tab, `document.querySelector('[data-remove="filter-platform"]').click()`)
		tab.Wait(t, `location.search === "?repo=mixed&tier=1&resultStatus=success"`)
		uitest.Eval[any](t, tab, `document.querySelector(".funnel form button[type=button]").click()`)
		tab.Wait(t, `location.search === "?repo=mixed"`)
	})
	t.Run("going back undoes a choice", func(t *testing.T) {
		uitest.Eval[any](t, tab, tier(2))
		tab.Wait(t, `location.search === "?repo=mixed&tier=1"`)
		uitest.Eval[any](t, tab, `history.back()`)
		tab.Wait(t, fmt.Sprintf(`location.search === "?repo=mixed" && %s === %q`, drawn, usual))
	})
}
