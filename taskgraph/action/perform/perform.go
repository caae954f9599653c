// Package perform does in a server what an action asks for: it fetches what a call of the action looks
// at, and applies the effects. Commands give it a server behind HTTP, a server its own rooms; so an action
// task does the same on a worker and inside the server.
//
// Doing it again, because the action task was killed half way, changes nothing that is done already: ids
// follow from the action task's.
package perform

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// Server is where tasks are. Its errors are those of internal/fault. All of it is done with the rights of
// the action task, or of whoever tries the action out.
type Server interface {
	// Artifact is the public artifact public/<name> of a task's newest run; fault.NotFound without.
	Artifact(ctx context.Context, taskID, name string) ([]byte, error)
	// Definition is a task's definition as plain values: whole numbers are int64.
	Definition(ctx context.Context, taskID string) (map[string]any, error)
	Status(ctx context.Context, taskID string) (task.Status, error)
	// States tells how tasks stand; those that the queue does not know are absent.
	States(ctx context.Context, ids []string) (map[string]task.Status, error)
	// Group lists the tasks of a group.
	Group(ctx context.Context, id string) ([]Member, error)

	// Indexed gives the tasks at index paths; paths without one are absent.
	Indexed(ctx context.Context, paths []string) (map[string]string, error)
	// IndexedIn lists the tasks that stand directly in an index namespace.
	IndexedIn(ctx context.Context, namespace string) ([]string, error)
	// Ancestors gives up to n revisions before one of a git repository, newest first.
	Ancestors(ctx context.Context, revision string, n int) ([]string, error)

	// Publish makes files artifacts of the action task, below public/.
	Publish(ctx context.Context, files map[string][]byte) error
	// Create makes tasks that are not there yet, in the order given, all or none where the server can.
	Create(ctx context.Context, tasks []action.NewTask, say func(format string, args ...any)) error
	Rerun(ctx context.Context, taskID string) error
	// Cancel is fault.Conflict for a task that can no more be canceled.
	Cancel(ctx context.Context, taskID string) error
}

// Member is a task of a group.
type Member struct {
	Status task.Status
	Name   string
	Tags   map[string]string
}

// Performer does actions. It is for one use.
type Performer struct {
	Server
	Config *config.GraphConfig
	Own    string    // the action task, whose own results are no news; "" when an action is tried out
	Since  time.Time // when the action task was created
	Say    func(format string, args ...any)

	// Decisions gives the decision tasks of up to n pushes before that of p, newest first; nil looks
	// them up in the index.
	Decisions func(ctx context.Context, p *params.Parameters, n int) ([]string, error)
}

// together is how many requests are under way at once.
const together = 8
