package cron_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/cron"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

type dict = map[string]any

const nightlies = `jobs:
    - name: nightly
      job:
          type: decision-task
          treeherder-symbol: Nd
          target-tasks-method: nightly
          optimize-target-tasks: false
          include-push-tasks: true
          rebuild-kinds: [l10n, "two words"]
          include-cron-input: true
      run-on-projects: [central, beta]
      when:
          by-project:
              central: [{hour: 10, minute: 0}, {hour: 22, minute: 0}]
              beta: [{weekday: Monday, hour: 7, minute: 30}]
    - name: by-hand
      job: {type: decision-task, treeherder-symbol: H, target-tasks-method: hand}
      when: []
    - name: never
      job: {type: decision-task, treeherder-symbol: N, target-tasks-method: never}
    - name: often
      job: {type: trigger-action, action-name: cancel-all, include-cron-input: true, extra-input: {a: 1}}
      run-on-git-branches: [main, release/.*]
      when:
          - {hour: [1, 2], minute: [15, 45]}
          - {day: 31, hour: 0, minute: 0}
    - name: always
      job: {type: decision-task, treeherder-symbol: A, target-tasks-method: default}
      when: [{}]
`

func parse(t testing.TB, text string) *cron.File {
	t.Helper()
	f, err := cron.Parse(cron.Name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func at(t testing.TB, s string) time.Time {
	t.Helper()
	got, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhichJobsAreDue(t *testing.T) {
	f := parse(t, nightlies)
	for name, c := range map[string]struct {
		time   string
		branch cron.Branch
		want   string
	}{
		"at ten on central":             {"2026-03-02T10:00:00Z", cron.Branch{Project: "central"}, "nightly always"},
		"late, but in the slot":         {"2026-03-02T10:14:59Z", cron.Branch{Project: "central"}, "nightly always"},
		"a slot later":                  {"2026-03-02T10:15:00Z", cron.Branch{Project: "central"}, "always"},
		"in another zone":               {"2026-03-02T12:05:00+02:00", cron.Branch{Project: "central"}, "nightly always"},
		"not on another project":        {"2026-03-02T10:00:00Z", cron.Branch{Project: "try"}, "always"},
		"Monday on beta":                {"2026-03-02T07:30:00Z", cron.Branch{Project: "beta"}, "nightly always"},
		"Tuesday on beta":               {"2026-03-03T07:30:00Z", cron.Branch{Project: "beta"}, "always"},
		"one of several hours":          {"2026-03-02T02:45:00Z", cron.Branch{Project: "x"}, "often always"},
		"an hour between":               {"2026-03-02T02:30:00Z", cron.Branch{Project: "x"}, "always"},
		"on its branch":                 {"2026-03-02T01:15:00Z", cron.Branch{Project: "x", Branch: "refs/heads/release/1"}, "often always"},
		"on another":                    {"2026-03-02T01:15:00Z", cron.Branch{Project: "x", Branch: "topic/main"}, "always"},
		"the last of the month":         {"2026-03-31T00:00:00Z", cron.Branch{Project: "x"}, "often always"},
		"no such day in it":             {"2026-04-30T00:00:00Z", cron.Branch{Project: "x"}, "always"},
		"the hour that summer skips":    {"2026-03-29T01:15:00Z", cron.Branch{Project: "x"}, "often always"},
		"the hour that winter repeats":  {"2026-10-25T01:15:00Z", cron.Branch{Project: "x"}, "often always"},
		"a second before the slot ends": {"2026-03-02T09:59:59Z", cron.Branch{Project: "central"}, "always"},
	} {
		t.Run(name, func(t *testing.T) {
			verdicts, wrong := f.Due(at(t, c.time), c.branch)
			var due []string
			for _, v := range verdicts {
				if v.Reason == "" {
					t.Errorf("%s: no reason", v.Name)
				}
				if v.Due {
					due = append(due, v.Name)
				}
			}
			if got := strings.Join(due, " "); got != c.want || len(wrong) > 0 {
				t.Errorf("due are %q, want %q (%v)", got, c.want, wrong)
			}
		})
	}
}

func TestVerdictsSayWhy(t *testing.T) {
	f := parse(t, nightlies)
	verdicts, _ := f.Due(at(t, "2026-03-02T10:20:00Z"), cron.Branch{Project: "central", Branch: "topic"})
	want := []string{
		"not in this slot, but hour 10, minute 0; or hour 22, minute 0", "its `when` is empty: it runs only when it is started by hand or by a hook",
		"it has no `when`, so it never runs by itself", "no expression of run-on-git-branches matches topic", "every quarter of an hour",
	}
	var got []string
	for _, v := range verdicts {
		got = append(got, v.Reason)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAJobThatIsWrongForAProjectDoesNotStopTheOthers(t *testing.T) {
	f := parse(t, `jobs:
    - name: a
      job: {type: decision-task, treeherder-symbol: A, target-tasks-method: a}
      when:
          by-project: {x: [{}], y: []}
    - name: b
      job: {type: decision-task, treeherder-symbol: B, target-tasks-method: b}
      when: [{}]
`)
	verdicts, wrong := f.Due(at(t, "2026-03-02T10:20:00Z"), cron.Branch{Project: "z"})
	if len(wrong) != 1 || !strings.HasPrefix(wrong[0].Error(), ".cron.yml:5: `when` of the job a: by-project has neither a key that matches \"z\"") {
		t.Error(wrong)
	}
	if verdicts[0].Due || !verdicts[1].Due {
		t.Errorf("%+v", verdicts)
	}
}

func TestNextAndPreviousSlots(t *testing.T) {
	f := parse(t, nightlies+`    - name: leap
      job: {type: decision-task, treeherder-symbol: L, target-tasks-method: l}
      when: [{day: 31, weekday: [Monday], hour: 5, minute: 15}]
`)
	for name, c := range map[string]struct {
		job, project, time string
		previous, next     string
	}{
		"between":           {"nightly", "central", "2026-03-02T12:00:00Z", "2026-03-02T10:00:00Z", "2026-03-02T22:00:00Z"},
		"in the slot":       {"nightly", "central", "2026-03-02T10:05:00Z", "2026-03-01T22:00:00Z", "2026-03-02T22:00:00Z"},
		"over a week":       {"nightly", "beta", "2026-03-02T07:45:00Z", "2026-03-02T07:30:00Z", "2026-03-09T07:30:00Z"},
		"over a year's end": {"often", "x", "2026-12-31T23:50:00Z", "2026-12-31T02:45:00Z", "2027-01-01T01:15:00Z"},
		"always":            {"always", "x", "2026-03-02T12:07:00Z", "2026-03-02T11:45:00Z", "2026-03-02T12:15:00Z"},
		"rarely":            {"leap", "x", "2026-03-02T12:07:00Z", "2025-03-31T05:15:00Z", "2026-08-31T05:15:00Z"},
		"by hand":           {"by-hand", "x", "2026-03-02T12:07:00Z", "", ""},
		"never":             {"never", "x", "2026-03-02T12:07:00Z", "", ""},
		"another project":   {"nightly", "x", "2026-03-02T12:07:00Z", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			j, err := f.Job(c.job)
			if err != nil {
				t.Fatal(err)
			}
			check := func(what, want string, search func(time.Time, cron.Branch) (time.Time, bool, error)) {
				got, ok, err := search(at(t, c.time), cron.Branch{Project: c.project})
				if err != nil || ok != (want != "") || ok && !got.Equal(at(t, want)) {
					t.Errorf("%s is %v %v %v, want %q", what, got, ok, err, want)
				}
			}
			check("previous", c.previous, j.Previous)
			check("next", c.next, j.Next)
		})
	}
}

// Next finds exactly the slots in which a job is due, each once, and Previous goes the same way back.
func TestNextVisitsEverySlotOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := func(name string, from, to, step int) string {
			n := rapid.SliceOfN(rapid.IntRange(from, to/step), 0, 3).Draw(t, name)
			if len(n) == 0 {
				return ""
			}
			for i := range n {
				n[i] *= step
			}
			b, err := json.Marshal(n)
			if err != nil {
				t.Fatal(err)
			}
			return name + ": " + string(b) + ", "
		}
		text := "jobs: [{name: a, job: {type: trigger-action, action-name: b}, when: [{" + strings.TrimSuffix(field("day", 1, 31, 1)+field("hour", 0, 23, 1)+field("minute", 0, 45, 15), ", ") + "}]}]"
		f, err := cron.Parse(cron.Name, []byte(text))
		if err != nil {
			t.Fatal(text, err)
		}
		start := time.Unix(rapid.Int64Range(1_600_000_000, 2_000_000_000).Draw(t, "time"), 0)
		end := start.Add(40 * 24 * time.Hour)
		got, err := f.Jobs[0].Between(start, end, cron.Branch{}, 100_000)
		if err != nil {
			t.Fatal(err)
		}
		var want []time.Time
		for s := cron.Slot(start).Add(cron.Quarter); !s.After(end); s = s.Add(cron.Quarter) {
			if v, _ := f.Due(s, cron.Branch{}); v[0].Due {
				want = append(want, s)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s: %s", text, diff)
		}
		for i := len(want) - 1; i > max(0, len(want)-50); i-- {
			if p, ok, err := f.Jobs[0].Previous(want[i], cron.Branch{}); !ok || err != nil || !p.Equal(want[i-1]) {
				t.Fatalf("before %v is %v, not %v (%v)", want[i], p, want[i-1], err)
			}
		}
	})
}

func TestBetweenIsBounded(t *testing.T) {
	j := parse(t, nightlies).Jobs[4]
	got, err := j.Between(at(t, "2020-01-01T00:00:00Z"), at(t, "2026-01-01T00:00:00Z"), cron.Branch{}, 3)
	if err != nil || len(got) != 3 || !got[0].Equal(at(t, "2020-01-01T00:15:00Z")) {
		t.Error(got, err)
	}
}

func TestContextOfADecision(t *testing.T) {
	f := parse(t, nightlies)
	for name, c := range map[string]struct {
		job        int
		repository cron.Repository
		push       cron.Push
		start      cron.Start
		want       dict
	}{
		"git": {0, cron.Repository{URL: "https://x/r", Project: "central", Level: "3", Type: "git", Role: "repo:x/r"}, cron.Push{Revision: "abc", Branch: "refs/heads/main"},
			cron.Start{TaskID: "T", Input: dict{"k": "v"}}, dict{
				"push":       dict{"owner": "cron", "revision": "abc", "branch": "main"},
				"repository": dict{"url": "https://x/r", "project": "central", "level": "3", "type": "git", "role": "repo:x/r"},
				"cron": dict{"task_id": "T", "job_name": "nightly", "job_symbol": "Nd", "input": dict{"k": "v"},
					"quoted_args": "--target-tasks-method=nightly --optimize-target-tasks=false --include-push-tasks --rebuild-kind=l10n '--rebuild-kind=two words'"},
			}},
		"Mercurial": {4, cron.Repository{URL: "https://hg/r", Project: "x", Level: "1", Type: "hg"}, cron.Push{Revision: "abc", PushlogID: "7", Pushdate: 9, BaseRevision: "def"},
			cron.Start{Input: dict{"k": "v"}}, dict{
				"push":       dict{"owner": "cron", "revision": "abc", "pushlog_id": "7", "pushdate": 9.0, "base_revision": "def"},
				"repository": dict{"url": "https://hg/r", "project": "x", "level": "1", "type": "hg"},
				"cron":       dict{"task_id": "<cron task id>", "job_name": "always", "job_symbol": "A", "input": dict{}, "quoted_args": "--target-tasks-method=default"},
			}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, f.Jobs[c.job].Context(c.repository, c.push, c.start)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("and the input of an action", func(t *testing.T) {
		if diff := cmp.Diff(dict{"a": int64(1), "k": "v"}, f.Jobs[3].ActionInput(cron.Start{Input: dict{"a": "over", "k": "v"}})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFaultsHaveTheirLine(t *testing.T) {
	const job = "    - name: a\n      job: {type: decision-task, treeherder-symbol: A, target-tasks-method: a}\n"
	for name, c := range map[string]struct{ text, want string }{
		"no jobs":             {"job: []\n", `.cron.yml:1: `},
		"unknown key":         {"jobs:\n" + job + "      wen: []\n", `.cron.yml:4: `},
		"is another meant":    {"jobs:\n" + job + "      wen: []\n", `"when"`},
		"unknown type":        {"jobs:\n    - name: a\n      job: {type: decision}\n", `.cron.yml:3: `},
		"key of another type": {"jobs:\n    - name: a\n      job: {type: trigger-action, action-name: x, rebuild-kinds: []}\n", `.cron.yml:3: `},
		"symbol missing":      {"jobs:\n    - name: a\n      job: {type: decision-task, target-tasks-method: a}\n", `treeherder-symbol`},
		"name twice":          {"jobs:\n" + job + job, `.cron.yml:4: there is a job "a" already, at line 2`},
		"minute":              {"jobs:\n" + job + "      when: [{minute: 10}]\n", `.cron.yml:4: minute is 10: jobs start at minutes 0, 15, 30 and 45 only`},
		"hour":                {"jobs:\n" + job + "      when:\n        - {hour: 10}\n        - {hour: [3, 24]}\n", `.cron.yml:6: hour is 24, not between 0 and 23`},
		"day":                 {"jobs:\n" + job + "      when: [{day: 0}]\n", `day is 0, not between 1 and 31`},
		"weekday":             {"jobs:\n" + job + "      when: [{weekday: Mon}]\n", `must be one of Monday, Tuesday`},
		"in an alternative":   {"jobs:\n" + job + "      when:\n        by-project:\n          x: [{minute: 7}]\n          default: []\n", `.cron.yml:6: minute is 7`},
		"only a default":      {"jobs:\n" + job + "      when: {by-project: {default: []}}\n", `by-project is unnecessary`},
		"bad expression":      {"jobs:\n" + job + "      run-on-git-branches: ['(']\n", `.cron.yml:4: `},
		"bad alternative":     {"jobs:\n" + job + "      when: {by-project: {'(': []}}\n", `.cron.yml:4: by-project: `},
		"by something else":   {"jobs:\n" + job + "      when: {by-level: {'3': [], default: []}}\n", `.cron.yml:4: `},
		"a key twice":         {"jobs: []\njobs: []\n", `.cron.yml:2: `},
		"no YAML":             {"jobs: [", `.cron.yml:1: `},
		"huge number":         {"jobs:\n" + job + "      when: [{hour: 99999999999}]\n", `hour is 99999999999, not between`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cron.Parse(cron.Name, []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || len(graph.Errors(err)) == 0 {
				t.Errorf("%v does not say %q", err, c.want)
			}
		})
	}
}

func TestATreeWithoutTheFileHasNoJobs(t *testing.T) {
	for _, tree := range []fstest.MapFS{{}, {cron.Name: {Data: []byte("# nothing\n")}}} {
		if f, err := cron.Load(tree); err != nil || len(f.Jobs) != 0 {
			t.Error(f, err)
		}
	}
	if _, err := parse(t, nightlies).Job("nightli"); err == nil || err.Error() != `.cron.yml has no job "nightli"; is "nightly" meant?` {
		t.Error(err)
	}
}

// Whatever a .cron.yml says, it is read or refused with its place, and what is read answers.
func FuzzParse(f *testing.F) {
	f.Add([]byte(nightlies), int64(1_772_445_600))
	f.Add([]byte("jobs: [{name: a, job: {type: trigger-action, action-name: b}, when: {by-project: {x: [{day: 30}], default: []}}}]"), int64(0))
	f.Fuzz(func(t *testing.T, src []byte, seconds int64) {
		file, err := cron.Parse(cron.Name, src)
		if err != nil {
			if len(graph.Errors(err)) == 0 {
				t.Errorf("no place: %v", err)
			}
			return
		}
		now, b := time.Unix(seconds%(1<<33), 0), cron.Branch{Project: "x", Branch: "main"}
		verdicts, wrong := file.Due(now, b)
		if len(verdicts) != len(file.Jobs) || len(wrong) > len(file.Jobs) {
			t.Errorf("%d verdicts of %d jobs, %v", len(verdicts), len(file.Jobs), wrong)
		}
		for i, j := range file.Jobs[:min(len(file.Jobs), 20)] {
			previous, ok, err := j.Previous(now, b)
			if err != nil || !ok {
				continue
			}
			if v, _ := file.Due(previous, b); !v[i].Due {
				t.Errorf("%s was not due in %v", j.Name, previous)
			}
			j.Context(cron.Repository{}, cron.Push{}, cron.Start{})
		}
	})
}
