package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

const (
	// watchAfter is how long a run goes on before its worker listens for its end: most runs are over by then.
	watchAfter = time.Second
	// pollEvery is how often the queue is asked where nobody may listen to events.
	pollEvery = 5 * time.Second
)

// watch stops a run that somebody resolves while it goes on, as by canceling its task, within a moment. It listens to
// the task's own events; where the server has none for this worker, it asks now and then. That a claim can no
// longer be renewed tells the same in the end, much later.
func (l *lease) watch(ctx context.Context, c *client.Client) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(watchAfter):
	}
	for ctx.Err() == nil {
		// What happened before the stream stands, the status tells.
		filter := client.EventFilter{Tasks: []string{l.taskID}, Kinds: []string{"task-exception"}, Stands: func() { l.ask(ctx) }}
		for _, err := range c.Events(ctx, filter) {
			if err != nil {
				break
			}
			l.ask(ctx)
		}
		l.ask(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// ask loses the run if the queue does not say any more that it runs.
func (l *lease) ask(ctx context.Context) {
	status, err := l.client().Status(ctx, l.taskID)
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, fault.NotFound) {
			l.lose(fmt.Errorf("%w: the task is gone", errLost))
		}
		return
	}
	run := runOf(status, l.runID)
	if run == nil || run.State == task.Running || ctx.Err() != nil {
		return
	}
	l.lose(fmt.Errorf("%w: it was resolved as %s", errLost, run.ReasonResolved))
}
