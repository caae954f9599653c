// Package holder tells whose run it is that a request is about.
//
// A run is named by its task and number, and credentials of a run say that they are of this number. That is not enough
// when the database was put back to an earlier point, or a standby took over that lacks the last commits: then a
// number that was given is given again, and two workers hold credentials for it, both signed well. So the credentials'
// other parts count too: the worker in their name, and that they begin to hold no earlier than the run began. The
// database's clock gives both times, and went on in between.
package holder

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// Holder is whoever makes a request, as their credentials name them.
type Holder struct {
	ClientID string
	Since    time.Time // when temporary credentials begin to hold
}

type key struct{}

// With has the queue know who asks.
func With(ctx context.Context, h Holder) context.Context { return context.WithValue(ctx, key{}, h) }

// Of returns who asks; nobody, who may all, when nothing is known: the program itself.
func Of(ctx context.Context) Holder {
	h, _ := ctx.Value(key{}).(Holder)
	return h
}

// ClientID is the name of the credentials of a run, up to where their end is.
func ClientID(taskID string, run int, group, worker string) string {
	return fmt.Sprintf("task-client/%s/%d/on/%s/%s/until/", taskID, run, group, worker)
}

// Check is a fault.Conflict when the credentials are of this run, as another claim had it. Who has the right to steer
// runs without being a worker may act on any.
func (h Holder) Check(taskID string, run *task.Run) error {
	if run == nil || run.Started == nil || !strings.HasPrefix(h.ClientID, fmt.Sprintf("task-client/%s/%d/on/", taskID, run.RunID)) {
		return nil
	}
	if strings.HasPrefix(h.ClientID, ClientID(taskID, run.RunID, run.WorkerGroup, run.WorkerID)) && !h.Since.Before(run.Started.Time) {
		return nil
	}
	return fault.New(fault.Conflict, "Run %d of task %s is not yours any more: it was claimed by worker %s/%s at %s, and your credentials are of another claim. Stop working on it.",
		run.RunID, taskID, run.WorkerGroup, run.WorkerID, run.Started)
}
