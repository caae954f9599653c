package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// TestNothingIsLostOrDoneTwice kills the server, workers and PostgreSQL, as kill -9 does, at
// random moments while 200 tasks run and somebody commits, and then looks at every task: resolved,
// once, with one last run and its log; each commit is one push, decided once and green; and the
// pages, the counts and the feed agree.
func TestNothingIsLostOrDoneTwice(t *testing.T) {
	const tasks, maxKills = 200, 20
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TREELINE_CHAOS_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64) // not a number: 0 is as good a seed
	}
	t.Logf("seed %d: set TREELINE_CHAOS_SEED to repeat the sequence of kills", seed)
	chance := rand.New(rand.NewPCG(seed, 1))

	m := newInstance(filepath.Join(home, "chaos"), "", 4).in(t)
	t.Cleanup(func() {
		if err := m.stop(); err != nil {
			t.Error(err)
		}
		m.checkNothingRuns()
	})
	m.start()
	c := &chaos{machine: m, chance: chance}
	group := c.create(tasks)
	kills := []func(){c.killServer, c.killWorker, c.killWorker, c.killPostgres}
	killed, commits := 0, []string{}
	for left := tasks; left > tasks/10 && killed < maxKills; left = c.unresolved(group) {
		chance.Shuffle(len(kills), func(i, j int) { kills[i], kills[j] = kills[j], kills[i] })
		commits = append(commits, commit(t, m.repo(), "In a storm", map[string]string{"README.md": fmt.Sprintf("# Pebble after %d kills\n", killed)}))
		for _, kill := range kills {
			c.pause(time.Duration(300+chance.IntN(2200)) * time.Millisecond)
			kill()
			killed++
		}
	}
	if killed < 2*len(kills) {
		t.Errorf("all tasks were done after %d kills: there was too little to disturb", killed)
	}
	m.eventually(3*time.Minute, "all tasks are resolved", func(ctx context.Context) error {
		if n := c.unresolved(group); n > 0 {
			return fmt.Errorf("%d are not", n)
		}
		return nil
	})
	for _, revision := range commits {
		if diff := cmp.Diff([]string{"docs-links"}, m.green(revision, 2*time.Minute)); diff != "" {
			t.Errorf("the commit %s in the storm: %s", revision, diff)
		}
	}
	if list := m.pushesOf("main", len(commits)+1); len(list) != len(commits)+1 {
		t.Errorf("%d pushes of %d commits", len(list), len(commits)+1)
	}
	c.checkTasks(group, tasks)
	c.checkPages(group, tasks)
	c.checkFeed(group, tasks)
}

type chaos struct {
	*machine
	chance *rand.Rand
}

// pause waits out a moment of the experiment; it is not a wait for something to happen.
func (c *chaos) pause(d time.Duration) {
	select {
	case <-c.t.Context().Done():
	case <-time.After(d):
	}
}

// newTask defines a task for the local workers that runs a shell line.
func newTask(group, name, script string, dependencies ...string) client.NewTask {
	now := time.Now()
	payload, err := json.Marshal(map[string]any{"command": [][]string{{"sh", "-c", script}}, "maxRunTime": 60})
	if err != nil {
		panic(err) // strings can be written
	}
	return client.NewTask{TaskID: slug.New(), Task: task.Definition{
		TaskQueueID: "local/work", ProvisionerID: "local", WorkerType: "work", SchedulerID: "chaos", ProjectID: "none", TaskGroupID: group,
		Dependencies: append([]string{}, dependencies...), Requires: task.AllResolved, Routes: []string{}, Scopes: []string{},
		Priority: task.Low, Retries: task.MaxRetries, Created: task.At(now), Deadline: task.At(now.Add(time.Hour)), Expires: task.At(now.Add(24 * time.Hour)),
		Payload: payload, Tags: map[string]string{}, Extra: json.RawMessage("{}"),
		Metadata: task.Metadata{Name: name, Description: "One of many.", Owner: "nobody@example.com", Source: "https://example.com"},
	}}
}

// create creates tasks of 0.2 to 0.9 seconds, a third of which depend on others, in one group.
func (c *chaos) create(n int) (group string) {
	c.t.Helper()
	group = slug.New()
	batch := make([]client.NewTask, n)
	for i := range batch {
		var before []string
		if i > 10 && c.chance.IntN(3) == 0 {
			before = append(before, batch[c.chance.IntN(i)].TaskID)
		}
		script := fmt.Sprintf("sleep 0.%d; echo chaos %d is done", 2+c.chance.IntN(8), i)
		batch[i] = newTask(group, fmt.Sprintf("chaos %d", i), script, before...)
	}
	if _, err := c.client.CreateTasks(c.t.Context(), batch); err != nil {
		c.t.Fatal(err)
	}
	return group
}

func (c *chaos) killServer() {
	c.t.Log("kill -9 treeline dev, its workers with it")
	c.kill()
	c.start()
}

// killWorker kills one worker, but not the tasks that it runs.
func (c *chaos) killWorker() {
	found := c.processes(program + " worker run ")
	if len(found) > 0 { // else they all are just being started
		c.slay("a worker", found[c.chance.IntN(len(found))])
	}
}

// killPostgres kills the postmaster, whose id stands in the cluster's directory.
func (c *chaos) killPostgres() {
	text, err := os.ReadFile(filepath.Join(c.data, "pg", "data", "postmaster.pid"))
	if err != nil {
		c.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid < 2 {
		c.t.Fatalf("postmaster.pid says %q", first)
	}
	c.slay("PostgreSQL", pid)
}

func (c *chaos) slay(what string, pid int) {
	c.t.Logf("kill -9 %s, process %d", what, pid)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		c.t.Logf("it had ended already: %v", err)
	}
}

func (c *chaos) unresolved(group string) (n int) {
	c.t.Helper()
	list, err := c.tasks(c.t.Context(), group)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, t := range list {
		if !t.Status.State.Resolved() {
			n++
		}
	}
	return n
}

// checkTasks looks at the history of each task: every run but the last ended in an exception that
// allows another, the last completed with a whole log, and run ids count up without a hole.
func (c *chaos) checkTasks(group string, n int) {
	c.t.Helper()
	list, err := c.tasks(c.t.Context(), group)
	if err != nil {
		c.t.Fatal(err)
	}
	seen, repeated := map[string]bool{}, 0
	for _, t := range list {
		id, runs := t.Status.TaskID, t.Status.Runs
		if seen[id] {
			c.t.Errorf("%s is listed twice", id)
		}
		seen[id] = true
		if t.Status.State != task.Completed {
			c.t.Errorf("%s is %s: %+v", id, t.Status.State, runs)
		}
		for i, run := range runs {
			_, again := run.ReasonResolved.Retry()
			if last := i == len(runs)-1; run.RunID != i || last && run.State != task.Completed || !last && (run.State != task.Exception || !again) {
				c.t.Errorf("%s: run %d of %d: %+v", id, i, len(runs), run)
			}
		}
		repeated += len(runs) - 1
		if log := c.artifact(id, "public/logs/live.log"); !strings.Contains(log, t.Task.Metadata.Name+" is done\n") {
			c.t.Errorf("%s: the log lacks its last line:\n%s", id, log)
		}
	}
	if len(seen) != n {
		c.t.Errorf("%d tasks, %d are listed", n, len(seen))
	}
	c.t.Logf("%d tasks, %d runs were lost to kills and repeated", n, repeated)
}

// checkPages compares the pages and the counts with the tasks themselves.
func (c *chaos) checkPages(group string, n int) {
	c.t.Helper()
	for g, err := range c.client.Groups(c.t.Context()) {
		if err != nil {
			c.t.Fatal(err)
		}
		if g.TaskGroupID != group {
			continue
		}
		for state, count := range g.Counts {
			if state == task.Completed && count != n || state != task.Completed && count != 0 {
				c.t.Errorf("the list of groups counts %d %s", count, state)
			}
		}
	}
	text, err := c.get(c.t.Context(), "/ui/api/groups/"+group)
	if err != nil {
		c.t.Fatal(err)
	}
	var page struct{ Cells []struct{ State string } }
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		c.t.Fatal(err)
	}
	states := map[string]int{}
	for _, cell := range page.Cells {
		states[cell.State]++
	}
	if !cmp.Equal(states, map[string]int{"passed": n}) {
		c.t.Errorf("the group's page has %v", states)
	}
	counts, err := c.client.QueueCounts(c.t.Context(), "local/work")
	if err != nil || counts.PendingTasks != 0 || counts.ClaimedTasks != 0 {
		c.t.Errorf("the queue says %+v: %v", counts, err)
	}
}

// checkFeed reads the feed from its beginning: each task was defined once, and its only final
// event is its last.
func (c *chaos) checkFeed(group string, n int) {
	c.t.Helper()
	// An event that is certainly later than all others says when to stop reading.
	after := slug.New()
	end := newTask(after, "the end", "true")
	if _, err := c.client.CreateTasks(c.t.Context(), []client.NewTask{end}); err != nil {
		c.t.Fatal(err)
	}
	defined, final := map[string]int{}, map[string]int{}
	last := int64(0)
	c.readFeed("after=0&taskGroupId="+group+","+after, func(e feedEvent) bool {
		if e.Position <= last {
			c.t.Errorf("event %d comes after %d", e.Position, last)
		}
		last = e.Position
		switch {
		case e.TaskID == end.TaskID:
			return false
		case final[e.TaskID] > 0 && strings.HasPrefix(e.Kind, "task-"):
			c.t.Errorf("%s has %s after its final event", e.TaskID, e.Kind)
		case e.Kind == "task-defined":
			defined[e.TaskID]++
		}
		// A task-exception is final only when the task has no run left.
		if e.Kind == "task-completed" || e.Kind == "task-failed" {
			final[e.TaskID]++
		}
		return true
	})
	if len(defined) != n || len(final) != n {
		c.t.Errorf("the feed defines %d tasks and resolves %d, of %d", len(defined), len(final), n)
	}
	for id, times := range final {
		if times != 1 || defined[id] != 1 {
			c.t.Errorf("%s was defined %d times and resolved %d times", id, defined[id], times)
		}
	}
}
