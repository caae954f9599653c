package backup_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// load is workers that claim and report all the time, and through a restore with claims in their hands.
type load struct {
	*testing.T
	client *client.Client
	queue  string

	gate sync.RWMutex // locked: who has a claim keeps it

	mu       sync.Mutex
	phase    string
	accepted map[string]map[string]int // by phase and run: reports that were taken
	refused  map[string]int            // by phase: reports that were refused as of another claim
	missing  int                       // reports on tasks that the database does not know any more
	held     int                       // claims that wait at the gate
}

func (l *load) start(workers int) (stop func()) {
	ctx, cancel := context.WithCancel(l.Context())
	var all sync.WaitGroup
	for n := range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				l.one(ctx, fmt.Sprintf("load-%d", n))
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// one claims a task, waits at the gate, and reports it, however long the server is away.
func (l *load) one(ctx context.Context, worker string) {
	list, err := l.client.ClaimWork(ctx, l.queue, client.ClaimRequest{WorkerGroup: "g", WorkerID: worker, Tasks: 1})
	if err != nil || len(list) == 0 {
		return
	}
	k := list[0]
	l.wait(1)
	l.gate.RLock()
	l.gate.RUnlock() //nolint:staticcheck // passing is all
	l.wait(-1)
	own := l.client.WithCredentials(k.Credentials.Hawk())
	for ctx.Err() == nil {
		_, err := own.ReportCompleted(ctx, k.Status.TaskID, k.RunID)
		if err == nil || !errors.Is(err, fault.Unavailable) && !errors.Is(err, fault.Internal) {
			l.note(k, err)
			return
		}
	}
}

func (l *load) wait(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held += n
}

func (l *load) note(k client.Claim, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		if l.accepted[l.phase] == nil {
			l.accepted[l.phase] = map[string]int{}
		}
		l.accepted[l.phase][fmt.Sprintf("%s/%d", k.Status.TaskID, k.RunID)]++
	case errors.Is(err, fault.Conflict):
		l.refused[l.phase]++
	case errors.Is(err, fault.NotFound):
		l.missing++
	case l.Context().Err() == nil:
		l.Errorf("a report is answered with what a worker cannot understand: %v", err)
	}
}

func (l *load) enter(phase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase = phase
}

func (l *load) count(phase string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted[phase])
}

func (l *load) holding() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

// check holds what was accepted after the restore against what the database says now: each task was done once.
func (l *load) check(phase string, before map[string]bool, states map[string]task.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	runs := map[string]int{}
	for run, n := range l.accepted[phase] {
		if n > 1 {
			l.Errorf("%d reports of run %s were taken", n, run)
		}
		runs[run[:22]]++
	}
	for id, state := range states {
		switch {
		case state != task.Completed:
			l.Errorf("task %s is %s", id, state)
		case before[id] && runs[id] > 0:
			l.Errorf("task %s was done before the point, and again", id)
		case !before[id] && runs[id] != 1:
			l.Errorf("task %s was done %d times after the restore", id, runs[id])
		}
	}
}
