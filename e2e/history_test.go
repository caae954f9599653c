package e2e_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/history"
)

// pastKind has a task for each strategy that looks at the history, and one for a composition of them.
const pastKind = `loader: taskgraph.loader.transform:loader
transforms:
  - taskcluster/pebble.star:defaults
  - taskgraph.transforms.run:transforms
  - taskgraph.transforms.task:transforms
task-defaults:
  description: Runs when the history says so.
  run: {command: "true"}
tasks:
  always: {symbol: p0}
  interval: {symbol: p1, optimization: {skip-unless-push-interval: 2}}
  backstop: {symbol: p2, optimization: {skip-unless-backstop: {pushes: 4, minutes: 0}}}
  expanded: {symbol: p3, optimization: {skip-unless-expanded: {pushes: 4, minutes: 0}}}
  bucket: {symbol: p4, optimization: {skip-unless-bucket: 2}}
  recent: {symbol: p5, optimization: {skip-if-recent: {pushes: 2}}}
  low: {symbol: p6, optimization: {skip-low-value: {runs: 1}}}
  composed: {symbol: p7, optimization: {all: [{skip-low-value: {runs: 1}}, {not: {skip-if-recent: {pushes: 1}}}, {skip-unless-push-interval: 3}]}}
`

func TestNativeDecisionsUseTheHistory(t *testing.T) {
	m := shared(t)
	repo := m.repo()
	git(t, repo, "checkout", "-q", "-f", "-b", "past", m.first)
	defer func() { git(t, repo, "checkout", "-q", "-f", "main") }()
	m.decided(m.pushesOf("past", 1)[0].ID) // the branch itself is its push 1
	m.remembered("past", 1, 0)

	ran := map[int][]string{}
	groups := map[int]string{}
	for n := 2; n <= 5; n++ {
		files := map[string]string{"notes.txt": fmt.Sprint("note ", n, "\n")}
		if n == 2 {
			files["taskcluster/kinds/past/kind.yml"] = pastKind
		}
		revision := commit(t, repo, fmt.Sprint("Push ", n), files)
		groups[n] = m.outcome(revision).GroupID
		for _, label := range m.green(revision, 2*time.Minute) {
			if name, own := strings.CutPrefix(label, "past-"); own {
				ran[n] = append(ran[n], name)
			}
		}
		m.remembered("past", n, len(ran[n]))
	}
	// Push 1 was decided and is the first backstop. Nothing ever failed, so what ran once is of low value.
	want := map[int][]string{
		2: {"always", "composed", "expanded", "interval", "low", "recent"},
		3: {"always", "composed"},
		4: {"always", "backstop", "expanded", "interval", "recent"},
		5: {"always"},
	}
	turn := 2
	if strings.Contains(strings.Join(ran[3], " "), "bucket") {
		turn = 3
	}
	for n, list := range want {
		if n%2 == turn%2 {
			want[n] = append(list, "bucket")
			slices.Sort(want[n])
		}
	}
	if diff := cmp.Diff(want, ran); diff != "" {
		t.Error(diff)
	}

	t.Run("the decision's artifacts hold what it knew, and make it again", func(t *testing.T) {
		m := shared(t)
		table, err := history.Read(strings.NewReader(m.artifact(groups[4], "public/history.json")))
		if err != nil {
			t.Fatal(err)
		}
		if table.Push.Number != 4 || len(table.Pushes) != 3 || table.Labels["past-always"].Runs != 2 || table.Labels["past-recent"].LastPassed.Number != 2 {
			t.Errorf("%+v", table)
		}
		if out, code := m.ask("taskgraph", "replay", groups[4]); code != 0 || !strings.HasPrefix(out, "equal: ") {
			t.Errorf("replay: exit %d: %s", code, out)
		}
		if log := m.artifact(groups[5], "public/optimizations.log"); !strings.Contains(log, "push 5 is not one of every 2; the next is 6") {
			t.Errorf("the log does not say why: %s", log)
		}
	})
	t.Run("the table is exported, and the command line decides from it", func(t *testing.T) {
		m := shared(t)
		file := t.TempDir() + "/history.json"
		if out, code := m.ask("taskgraph", "history", m.repoName(), "--branch", "past", "-o", file); code != 0 {
			t.Fatalf("exit %d: %s", code, out)
		}
		out, code := m.ask("taskgraph", "optimized", "-p", m.keep(groups[5])+"/parameters.yml", "--history", file, "-q")
		if code != 0 || !strings.Contains(out, "past-interval") || strings.Contains(out, "past-backstop") {
			t.Errorf("exit %d, push 6 would run: %s", code, out)
		}
		if out, code := m.ask("taskgraph", "history", "of-nobody"); code == 0 || !strings.Contains(out, "No push of the project of-nobody is remembered") {
			t.Errorf("exit %d: %s", code, out)
		}
	})
}

// remembered waits until the history holds n pushes of the branch, and on the last of them so many
// tasks of the kind past.
func (m *machine) remembered(branch string, n, tasks int) {
	m.t.Helper()
	m.eventually(time.Minute, fmt.Sprintf("push %d of %s is remembered with its tasks", n, branch), func(ctx context.Context) error {
		var table history.Table
		if err := m.client.Call(ctx, "history", "GET", "/project/"+m.repoName()+"/table", url.Values{"branch": {branch}}, nil, &table); err != nil {
			return err
		}
		if len(table.Pushes) != n || table.Pushes[n-1].Undecided {
			return fmt.Errorf("pushes %+v", table.Pushes)
		}
		got := 0
		for label, l := range table.Labels {
			if strings.HasPrefix(label, "past-") && l.LastRun.Number == int64(n) {
				got++
			}
		}
		if got != tasks {
			return fmt.Errorf("%d tasks of push %d", got, n)
		}
		return nil
	})
}
