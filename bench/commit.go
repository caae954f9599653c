package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/treeline-ci/treeline/client"
)

// CommitOptions say how to measure commits.
type CommitOptions struct {
	Program string // the built treeline program
	Data    string // an empty directory for it; below it the database syncs
	Commits int
	Workers int
	Changed string // file of the sample to which each commit adds a comment (#)
	Log     func(format string, args ...any)
}

const (
	firstPatience  = 3 * time.Minute // for the first push, whose every task runs
	commitPatience = time.Minute
)

// Commit starts treeline dev with its sample repository, commits to it again and again, each time
// when the work of the last commit is done, and reports how long each step took from git commit to
// the first task at work.
func Commit(ctx context.Context, o CommitOptions) (report *Report, err error) {
	m, err := startMachine(ctx, o.Program, o.Data, o.Workers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.stop()) }()
	if err := m.firstPush(ctx); err != nil {
		return nil, err
	}
	var took journeys
	for i := range o.Commits {
		j, err := m.journey(ctx, o.Changed, i)
		if err != nil {
			return nil, fmt.Errorf("bench: commit %d: %w\n%s", i+1, err, m.said)
		}
		took = append(took, j)
		o.Log("commit %d of %d: first task after %.0f ms", i+1, o.Commits, millis(j.at[running].Sub(j.began)))
	}
	report = took.report()
	report.note("%d commits of %s, %d workers; each part goes from the line above it to its own", o.Commits, o.Changed, o.Workers)
	return report, report.noteSync(o.Data)
}

// firstPush waits until the work of the sample's own commit is done: it has the machine to itself then.
func (m *machine) firstPush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstPatience)
	defer cancel()
	for {
		groups := 0
		left := 0
		for g, err := range m.client.Groups(ctx) {
			if err != nil {
				return fmt.Errorf("bench: first push: %w\n%s", err, m.said)
			}
			groups++
			left += g.Counts["pending"] + g.Counts["running"] + g.Counts["unscheduled"]
		}
		if groups > 0 && left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("bench: the sample's first push is not done: %w\n%s", ctx.Err(), m.said)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// step is a step on the way of a commit.
type step int

const (
	committed step = iota // git commit has returned
	recorded              // the push is written down
	pending               // its decision task is pending
	claimed               // and claimed by the server itself
	submitted             // the graph's tasks are written down
	running               // a worker has claimed the first of them
	seen                  // and whoever follows the feed knows it
	logged                // whoever follows its log reads the first line
	steps
)

var stepNames = [steps]string{
	"git commit returns", "push recorded", "decision pending", "decision claimed", "graph submitted",
	"first task running", "seen in the feed", "first log line",
}

// journey is the way of one commit.
type journey struct {
	began time.Time
	at    [steps]time.Time
}

// journey commits a change and follows it until its work is done. Times of the server's steps are
// the database's, others this process's: one machine, one clock.
func (m *machine) journey(ctx context.Context, changed string, n int) (j journey, err error) {
	ctx, cancel := context.WithTimeout(ctx, commitPatience)
	defer cancel()
	events, err := follow(ctx, m.client)
	if err != nil {
		return j, err
	}
	file, err := os.OpenFile(filepath.Join(m.repo(), changed), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return j, err
	}
	_, err = fmt.Fprintf(file, "\n# Changed %d times.\n", n+1)
	if err = errors.Join(err, file.Close()); err != nil {
		return j, err
	}
	j.began = time.Now()
	if _, err := m.git(ctx, "commit", "-q", "-a", "-m", fmt.Sprintf("Change %d", n+1)); err != nil {
		return j, err
	}
	j.at[committed] = time.Now()
	revision, err := m.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return j, err
	}
	w := watch{m: m, revision: revision, logged: make(chan time.Time, 1)}
	for e := range events {
		if w.take(ctx, &j, e) {
			if j.at[running].IsZero() {
				return j, fmt.Errorf("the group ended without a task of its graph")
			}
			return j, w.awaitLog(ctx, &j)
		}
	}
	return j, fmt.Errorf("the feed broke: %w", context.Cause(ctx))
}

// watch follows one push through the feed.
type watch struct {
	m        *machine
	revision string
	group    string
	first    string // the first task that ran
	follows  bool
	logged   chan time.Time
}

// take notes an event of the push, and reports whether it was the last.
func (w *watch) take(ctx context.Context, j *journey, e happened) (done bool) {
	note := func(s step, at time.Time) {
		if j.at[s].IsZero() {
			j.at[s] = at
		}
	}
	if e.Payload.Revision == w.revision {
		if e.Kind == "push-created" {
			note(recorded, e.Time)
		}
		w.group = e.TaskGroupID
		return false
	}
	if e.TaskGroupID == "" || e.TaskGroupID != w.group {
		return false
	}
	decision := e.TaskID == w.group
	switch {
	case e.Kind == "task-pending" && decision:
		note(pending, e.Time)
	case e.Kind == "task-running" && decision:
		note(claimed, e.Time)
	case e.Kind == "task-defined" && !decision:
		note(submitted, e.Time)
	case e.Kind == "task-running" && w.first == "":
		w.first = e.TaskID
		note(running, e.Time)
		note(seen, e.seen)
	case e.Kind == "artifact-created" && e.TaskID == w.first && e.Payload.Artifact.Name == liveLog && !w.follows:
		w.follows = true
		go w.readLog(ctx)
	}
	return e.Kind == "task-group-resolved"
}

const liveLog = "public/logs/live.log"

// readLog reads the first task's log as a page would, and tells when its first bytes come.
func (w *watch) readLog(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := &firstWrite{then: cancel}
	_, err := w.m.client.DownloadArtifact(ctx, client.Download{TaskID: w.first, RunID: 0, Name: liveLog}, first)
	if err != nil && first.at.IsZero() {
		close(w.logged)
		return
	}
	w.logged <- first.at
}

func (w *watch) awaitLog(ctx context.Context, j *journey) error {
	if !w.follows {
		return fmt.Errorf("task %s has no %s", w.first, liveLog)
	}
	select {
	case at, ok := <-w.logged:
		if !ok {
			return fmt.Errorf("the log of task %s cannot be read", w.first)
		}
		j.at[logged] = at
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the log of task %s does not come: %w", w.first, ctx.Err())
	}
}

// firstWrite is a writer that keeps the time of its first write.
type firstWrite struct {
	at   time.Time
	then func()
}

func (f *firstWrite) Write(p []byte) (int, error) {
	if f.at.IsZero() {
		f.at = time.Now()
		f.then()
	}
	return len(p), nil
}

type journeys []journey

// report has a line for each step, from the one before, and the sums that one cares about.
func (list journeys) report() *Report {
	r := newReport("from git commit to the first task")
	add := func(name string, took func(journey) time.Duration) {
		var s Sample
		for _, j := range list {
			s = append(s, took(j))
		}
		r.Lines = append(r.Lines, Line{Name: name, Count: len(s)}.timed(s))
	}
	for s := range steps {
		add(stepNames[s], func(j journey) time.Duration {
			if s == committed {
				return j.at[s].Sub(j.began)
			}
			return j.at[s].Sub(j.at[s-1])
		})
	}
	add("= commit begun to first task running", func(j journey) time.Duration { return j.at[running].Sub(j.began) })
	add("= commit done to first task running", func(j journey) time.Duration { return j.at[running].Sub(j.at[committed]) })
	add("= commit begun to first log line", func(j journey) time.Duration { return j.at[logged].Sub(j.began) })
	return r
}
