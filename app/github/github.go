// Package github is intake from GitHub: what the App's webhooks tell becomes recorded pushes, builds and tasks.
//
// A webhook is checked and stored, once by its delivery id, and answered; nothing is asked of GitHub before that. Then
// any server takes stored deliveries, does what each asks for, and tries again later what failed: everything done is
// idempotent, as the ids of tasks follow from the delivery. What never arrived is found twice over: in the App's log
// of deliveries, and by holding branches against the record.
//
// How far a change is trusted is computed from the base repository alone: its default branch's .taskcluster.yml says
// what pull requests get, GitHub says who may write (vcs-integration 1.9). Nothing in the head's files raises it.
//
// Facts: vcs-integration 1, taskcluster-map 13.
package github

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/klauspost/compress/zstd"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/app/github/buttons"
	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/app/github/graphdiff"
	"github.com/treeline-ci/treeline/app/github/once"
	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/templates"
)

// Config is how the server knows its App; the zero value is a server without GitHub.
type Config = settings.Config

// Deps are what the room needs.
type Deps struct {
	Config
	Pool  *pgxpool.Pool
	Queue *queue.Queue
	Push  *push.Log
	Feed  *event.Feed
	// Create makes tasks under a role, as intake.Create does.
	Create func(ctx context.Context, role string, tasks []templates.Task, before func(group string) error, more ...string) error
	// Expand returns scopes with the roles they assume.
	Expand func(ctx context.Context, scopes []string) ([]string, error)
	// Trigger fires a hook for a build: the hook's task has the given id. nil is a server without hooks.
	Trigger func(ctx context.Context, h HookCall) (fired bool, err error)
	// Level is the trust of a repository in the record of pushes, 1 to 3.
	Level func(repository string) int
	// Offered lists the actions on a task or a group, StartAction starts one, as app/actions does. nil: there are none.
	Offered     func(ctx context.Context, caller auth.Caller, groupID, taskID string) ([]actions.Offer, error)
	StartAction func(ctx context.Context, caller auth.Caller, s actions.Start) (actions.Started, error)
	// Story tells why a label has a task, or none. nil: that is not known.
	Story func(ctx context.Context, taskGroupID, label string) (explain.Story, error)
	// Past gives how long the tasks of a branch took, nil when that is not known. nil: graphs are compared without.
	Past func(ctx context.Context, repository, branch string) (history.Durations, error)
	// Keep keeps a page's content for a time. nil: comparisons of graphs have no page.
	Keep graphdiff.Keep
	// Artifact opens an artifact that is stored here; a fault.NotFound without one. nil: check runs show nothing of logs.
	Artifact func(ctx context.Context, taskID string, run int, name string) (io.ReadSeekCloser, error)

	// Handled is told what became of a webhook, done, failed or again, and how long after its arrival. nil: nobody is.
	Handled func(event, outcome string, lag time.Duration)

	RootURL string
	Log     *slog.Logger
}

// HookCall is a hook that a .taskcluster.yml asks for.
type HookCall struct {
	Group, ID, TaskID string
	Payload           map[string]any
}

// GitHub is the room. It is safe for concurrent use.
type GitHub struct {
	Deps
	Checks *checks.Checks // what GitHub is to show
	client *ghclient.App
	bases  *graphdiff.Known // what graphs were made from
	pack   *zstd.Encoder
	unpack *zstd.Decoder
	fresh  chan struct{} // a delivery was stored
	once   once.Record
	files  buttons.Files
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// New makes the room. It does nothing until Start.
func New(d Deps) (*GitHub, error) {
	client, err := ghclient.New(ghclient.Config{AppID: d.AppID, Key: d.Key, API: d.API})
	if err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	g := &GitHub{Deps: d, client: client, once: once.Record{Pool: d.Pool}, bases: graphdiff.NewKnown(), fresh: make(chan struct{}, 1)}
	if g.pack, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2)); err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	if g.unpack, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(64<<20)); err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	g.Checks = checks.New(checks.Deps{
		Pool: d.Pool, Feed: d.Feed, Queue: d.Queue, Client: client.Installation, AppID: d.AppID, Open: d.Artifact, Offer: g.offer, Why: g.why,
		RootURL: d.RootURL, Log: d.Log, Times: d.CheckTimes, Pace: d.CheckPace,
	})
	return g, nil
}

// Times of the loops.
const (
	pollDeliveries = time.Second      // a delivery stored by another server
	lease          = 15 * time.Second // renewed while a delivery is taken; then another server takes it
	takeFor        = 5 * time.Minute  // what a delivery may take
	takersAtOnce   = 4
	missedEvery    = 5 * time.Minute
)

// Start starts the loops; they run until Stop.
func (g *GitHub) Start(ctx context.Context) {
	ctx, g.cancel = context.WithCancel(ctx)
	for range takersAtOnce {
		g.loops.Go(func() { g.takeDeliveries(ctx, false) })
	}
	g.loops.Go(func() { g.takeDeliveries(ctx, true) })
	g.loops.Go(func() { g.follow(ctx) })
	g.loops.Go(func() { g.repeat(ctx, missedEvery, g.FindMissed) })
	g.loops.Go(func() { g.repeat(ctx, syncEvery, g.SyncInstallations) })
	g.Checks.Start(ctx)
}

// Stop ends the loops and waits for them.
func (g *GitHub) Stop() {
	if g.cancel != nil {
		g.cancel()
	}
	g.Checks.Stop()
	g.loops.Wait()
}

// repeat does a thing now and again, until ctx ends.
func (g *GitHub) repeat(ctx context.Context, every time.Duration, do func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			g.Log.WarnContext(ctx, "GitHub: looking after what was missed, or is old; tried again later", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// printable is what may stand in scopes.
var printable = regexp.MustCompile(`^[\x20-\x7e]+$`)

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement {
	return []pg.Statement{
		storeSQL, announceSQL, claimSQL, renewSQL, settleSQL, knownSQL, forgetSQL, pruneBuildsSQL, setInstallationSQL, blockSQL, recentSQL, takeAgainSQL, reviveSQL, aggregatedSQL, setRepositorySQL, repositorySQL, disableSQL, disableRepositorySQL,
		pullHeadSQL, clockSQL, goneSQL, compareSQL, findRepositorySQL, insertBuildSQL, dropBuildSQL, buildSQL, buildsSQL, olderSQL, setBuildSQL, followSQL, newestSQL, branchSQL, troubleSQL, sawPullSQL, closedPullSQL, pullsSQL, builtSQL,
	}
}
