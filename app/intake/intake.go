// Package intake is the one translator between what forges say and what Treeline does: it turns a
// moved branch into a recorded push, a push into tasks, a decision task into a graph, and the
// outcome back into the push's state.
package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/history"
	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
)

// Deps are the rooms that intake joins.
type Deps struct {
	Queue   *queue.Queue
	Push    *push.Log
	Objects *object.Store
	Feed    *event.Feed
	History *history.History

	// Local are the repositories on this machine to watch, by name.
	Local map[string]*localgit.Repo

	// Open answers with the forge of a repository.
	Open func(ctx context.Context, r push.Repository) (Forge, error)

	// Try says which branches of which repositories the operator calls try; nil: none.
	Try func(repository, branch string) bool

	// LevelOf is the trust of a repository on this machine, 1 to 3; nil: 3.
	LevelOf func(repository string) int

	// Cron knows the runs of jobs of .cron.yml; nil where there are none.
	Cron CronRuns

	// Changes knows what forges told of; nil where there are none that tell.
	Changes Changes

	// Index answers which task stands at each of the given index paths; paths without one are
	// left out.
	Index func(ctx context.Context, paths []string) (map[string]string, error)

	// IndexedIn lists the tasks that stand directly in an index namespace.
	IndexedIn func(ctx context.Context, namespace string) ([]string, error)

	// Expand returns scopes with the roles they assume.
	Expand func(ctx context.Context, scopes []string) ([]string, error)

	RootURL string
	Log     *slog.Logger
}

// Intake runs the loops of this package.
type Intake struct {
	Deps
	fresh  chan struct{} // a push was recorded
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// New returns an Intake that does nothing until Start.
func New(d Deps) *Intake { return &Intake{Deps: d, fresh: make(chan struct{}, 1)} }

// Times of the loops.
const (
	pollRepository  = 2 * time.Second  // the hook is quicker; this finds what it missed
	pollPushes      = time.Second      // a push recorded by another replica
	pushLease       = 30 * time.Second // after which another replica takes an interrupted push
	pushLimit       = 25 * time.Second // for one push; shorter than the lease
	lagAttempts     = 12               // leases for which a revision may not be there that a Mercurial server has told of
	decisionsAtOnce = 4
)

// Start registers the repositories and starts the loops; they run until Stop.
func (in *Intake) Start(ctx context.Context) error {
	for name, repo := range in.Local {
		if err := in.register(ctx, name, repo); err != nil {
			return err
		}
	}
	ctx, in.cancel = context.WithCancel(ctx)
	for name, repo := range in.Local {
		in.loops.Go(func() { in.watch(ctx, name, repo) })
	}
	in.loops.Go(func() { in.takePushes(ctx) })
	for range decisionsAtOnce {
		in.loops.Go(func() { in.takeDecisions(ctx) })
	}
	in.loops.Go(func() { in.report(ctx) })
	return nil
}

// Stop ends the loops and waits for them; what they were at is taken up at the next start.
func (in *Intake) Stop() {
	if in.cancel != nil {
		in.cancel()
	}
	in.loops.Wait()
}

// Wake has recorded pushes looked for now. It does not block.
func (in *Intake) Wake() { in.wakePushes() }

// Role returns the role that holds what a push to a repository may do; a branch's pushes assume
// Role(r) + ":branch:" + branch (taskcluster-map 13.5 has the form).
func Role(r push.Repository) string { return "repo:" + r.ForgePath() }

// RoleScopes returns what a local repository's role holds at first: work on the local queues, index,
// caches. Repositories on one machine belong to one person, so they share these.
func RoleScopes(repository string) []string {
	return []string{
		"queue:create-task:highest:built-in/*",
		"queue:create-task:highest:local/*",
		"queue:create-task:project:*",
		"queue:scheduler-id:*",
		"queue:route:index.*",
		"queue:route:tc-treeherder.*",
		"queue:route:checks",
		"queue:route:statuses",
		"queue:get-artifact:*",
		"index:insert-task:*",
		"generic-worker:cache:*",
		"docker-worker:cache:*",
		"localgit:fetch:" + repository,
		"history:read:" + repository,
	}
}

// ActionScopes returns what the actions on a local repository's pushes hold at first beyond RoleScopes:
// they act on tasks that exist.
func ActionScopes() []string { return []string{"queue:rerun-task:*", "queue:cancel-task:*"} }

// CronScopes returns what jobs of .cron.yml of a local repository hold at first beyond RoleScopes: they may
// start the actions on its pushes.
func CronScopes() []string { return append(HookScopes(), "hooks:trigger-hook:project-*") }

// HookScopes returns what decisions about a local repository hold at first, so that the actions that they
// list have hooks.
func HookScopes() []string { return []string{"in-tree:hook-action:project-*"} }
