// Package actions is the server's side of actions: it says what people may do with the tasks of a push,
// starts it, and keeps the hooks that actions are started by.
//
// Whoever starts an action needs the right to trigger its hook and nothing more; the action task runs with
// the hook's role, which holds one scope: that of the repository's actions with that permission. What the
// task then does is told in app/intake/action.go.
//
// A decision on a worker writes actions.json as it likes. So nothing of it is believed that matters: the
// repository, the level and the text of .taskcluster.yml are those of the recorded push, and the decision
// task must hold in-tree:hook-action:<hook>, which roles give and trees do not.
package actions

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/action/perform"
)

// Deps are the rooms that actions join.
type Deps struct {
	Pool    *pgxpool.Pool
	Queue   *queue.Queue
	Objects *object.Store
	Auth    *auth.Auth
	Hooks   *hooks.Hooks
	Intake  *intake.Intake
	Feed    *event.Feed
	RootURL string
	Log     *slog.Logger
}

// Actions offers and starts actions. It is safe for concurrent use.
type Actions struct {
	Deps
	starts locks      // by action task
	making sync.Mutex // a hook is made while a transaction is open: one at a time, so that connections suffice
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// New returns Actions that do nothing by themselves until Run.
func New(d Deps) *Actions { return &Actions{Deps: d} }

// artifact is the list of actions of a decision task.
const artifact = "public/actions.json"

// Limits.
const (
	maxListing = 4 << 20   // bytes of an actions.json
	maxInput   = 256 << 10 // bytes of an input
)

// group is a task group whose decision task listed actions.
type group struct {
	id       string
	decision queue.Item
	scopes   scope.Set // of the decision task, expanded
	listing  *action.Listing

	// The task that the action is for; "" for the group.
	taskID     string
	definition map[string]any
	tags       map[string]string
}

// read finds what the decision task of a group offers, for its task taskID or with "" for the group.
func (a *Actions) read(ctx context.Context, groupID, taskID string) (*group, error) {
	for _, id := range []string{groupID, taskID} {
		if id != "" && !slug.Valid(id) {
			return nil, fault.New(fault.Invalid, "%q is not the id of a task or a task group.", id)
		}
	}
	g := &group{id: groupID, taskID: taskID}
	var err error
	if g.decision, err = a.Queue.Item(ctx, groupID); fault.KindOf(err) == fault.NotFound {
		return nil, fault.Wrap(fault.NotFound, err, "Task group %s has no decision task: a task with the group's id. So there are no actions.", groupID)
	} else if err != nil {
		return nil, err
	}
	held, err := a.Auth.Expand(ctx, g.decision.Task.Scopes)
	if err != nil {
		return nil, err
	}
	g.scopes = scope.NewSet(held)
	if g.listing, err = a.listing(ctx, groupID); err != nil || taskID == "" {
		return g, err
	}
	return g, a.readTask(ctx, g)
}

func (a *Actions) readTask(ctx context.Context, g *group) error {
	t, err := a.Queue.Task(ctx, g.taskID)
	if err != nil {
		return err
	}
	if t.TaskGroupID != g.id {
		return fault.New(fault.Invalid, "Task %s is in task group %s, not in %s.", g.taskID, t.TaskGroupID, g.id)
	}
	b, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("actions: task %s: %w", g.taskID, err)
	}
	g.tags = t.Tags
	if g.tags == nil {
		g.tags = map[string]string{}
	}
	g.definition, err = perform.PlainObject(b)
	return err
}

// listing reads the actions.json of a decision task.
func (a *Actions) listing(ctx context.Context, decision string) (*action.Listing, error) {
	found, names, err := a.Queue.FollowLinks(ctx, decision, queue.LatestRun, artifact)
	if fault.KindOf(err) == fault.NotFound || err == nil && (len(names) > 1 || !found.StorageType.Stored()) {
		return nil, fault.New(fault.NotFound, "Task %s offers no actions: it has no %s. A decision that is still at work offers them when it is done.", decision, artifact)
	}
	if err != nil {
		return nil, err
	}
	_, content, err := a.Objects.Open(ctx, found.ObjectName())
	if err != nil {
		return nil, err
	}
	defer content.Close()
	b, err := io.ReadAll(io.LimitReader(content, maxListing+1))
	if err != nil {
		return nil, fmt.Errorf("actions: %s of task %s: %w", artifact, decision, err)
	}
	if len(b) > maxListing {
		return nil, fault.New(fault.TooLarge, "%s of task %s has more than %d bytes.", artifact, decision, maxListing)
	}
	l, err := action.ParseListing(b)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s of task %s cannot be used: %v", artifact, decision, err)
	}
	return l, nil
}

// find gives the first action of that name that fits.
func (g *group) find(name string) (action.Entry, error) {
	e, err := g.listing.Find(name, g.tags)
	if err != nil {
		return e, fault.New(fault.NotFound, "%s", sentence(err))
	}
	return e, nil
}

// sentence is an error as people read it.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
