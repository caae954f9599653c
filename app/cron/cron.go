// Package cron does what the .cron.yml files of the followed branches ask for: it reads them slot by slot,
// and starts what is due, each once (docs/explanation/cron.md). Any number of servers do so at once; the
// calendar (package cron at the top) says who does what.
package cron

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/app/intake"
	room "github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/push"
)

// Deps are the rooms that this joins.
type Deps struct {
	Calendar *room.Calendar
	Push     *push.Log
	Intake   *intake.Intake
	Feed     *event.Feed

	// Branches are the branches of a repository whose files are followed.
	Branches func(push.Repository) []string

	// Owner is whom to tell of what goes wrong in a repository, besides the author of its head; "" for nobody.
	Owner func(push.Repository) string

	// Act starts an action.
	Act func(ctx context.Context, a Action) (taskID string, err error)

	// Mail tells somebody, once for each key.
	Mail func(ctx context.Context, m Mail) error

	RootURL string
	Log     *slog.Logger
}

// Action is an action that a job starts.
type Action struct {
	TaskGroupID string // of the decision of the branch's head
	Name        string
	Input       map[string]any
	Role        string // with whose scopes
	By          string // for people
	Key         string // the same for the same run
}

// Mail is what the owner of a repository is to read.
type Mail struct {
	Address, Subject, Text, Link, Key string
}

// Cron runs the loops of this package.
type Cron struct {
	Deps
	wake   chan struct{}
	cancel context.CancelFunc
	loops  sync.WaitGroup

	names   []string // of the repositories that this server can read
	renewed time.Time
}

// New returns a Cron that does nothing until Start.
func New(d Deps) *Cron { return &Cron{Deps: d, wake: make(chan struct{}, 1)} }

// Times and bounds of the loops.
const (
	pollDue    = 2 * time.Second  // how late a slot is seen to have begun
	renewNames = 20 * time.Second // how late a new repository is followed
	lease      = 25 * time.Second // after which another server takes what was taken
	limitOfOne = 20 * time.Second // for one branch or run; shorter than the lease
	atOnce     = 8                // branches or runs
	portion    = 50               // that are taken together
)

// Start begins to look; it does so until Stop.
func (c *Cron) Start(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	c.loops.Go(func() { c.loop(ctx) })
	c.loops.Go(func() { c.followPushes(ctx) })
}

// Stop ends the loops and waits for them; what they were at is taken up again.
func (c *Cron) Stop() {
	if c.cancel != nil {
		c.cancel()
	}
	c.loops.Wait()
}

// Wake has waiting runs looked for now. It does not block.
func (c *Cron) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Cron) loop(ctx context.Context) {
	ticker := time.NewTicker(pollDue)
	defer ticker.Stop()
	for ctx.Err() == nil {
		more, err := c.round(ctx)
		if err != nil && ctx.Err() == nil {
			c.Log.ErrorContext(ctx, "look for jobs of .cron.yml that are due; tried again soon", "err", err)
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-c.wake:
		}
	}
}

// round looks once at what is due; more is true when there may be more to do at once.
func (c *Cron) round(ctx context.Context) (more bool, err error) {
	if time.Since(c.renewed) > renewNames {
		if err := c.renew(ctx); err != nil {
			return false, err
		}
	}
	branches, err := c.Calendar.Take(ctx, c.names, lease, portion)
	if err != nil {
		return false, err
	}
	each(ctx, branches, c.look)
	runs, err := c.Calendar.TakeRuns(ctx, c.names, lease, portion)
	if err != nil {
		return false, err
	}
	each(ctx, runs, c.begin)
	return len(branches) == portion || len(runs) == portion, nil
}

// each does one after the other, several at once. One that fails keeps no other away.
func each[T any](ctx context.Context, list []T, do func(context.Context, T)) {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, one := range list {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, limitOfOne)
			defer cancel()
			do(ctx, one)
			return nil
		})
	}
	_ = g.Wait() // each has told its own
}

// renew learns which repositories there are that this server can read, and follows their branches.
func (c *Cron) renew(ctx context.Context) error {
	list, err := c.Push.Repositories(ctx)
	if err != nil {
		return err
	}
	var names []string
	var branches []room.Branch
	for _, r := range list {
		if !slices.Contains(c.names, r.Name) {
			if _, err := c.Intake.Open(ctx, r); err != nil {
				continue // another server's
			}
		}
		names = append(names, r.Name)
		for _, b := range c.Branches(r) {
			branches = append(branches, room.Branch{Repository: r.Name, Branch: b})
		}
	}
	if err := c.Calendar.Follow(ctx, names, branches); err != nil {
		return err
	}
	c.names, c.renewed = names, time.Now()
	return nil
}

// followPushes has the branches of a repository looked at when it moves, so that a new file shows soon.
func (c *Cron) followPushes(ctx context.Context) {
	err := c.Feed.Consume(ctx, "cron-pushes", event.Interest{Kinds: []string{"push-created"}, Fresh: true}, func(ctx context.Context, _ pgx.Tx, events []event.Event) error {
		var errs []error
		for _, e := range events {
			errs = append(errs, c.Calendar.Poke(ctx, e.Topic))
		}
		return errors.Join(errs...)
	})
	if err != nil && ctx.Err() == nil {
		c.Log.ErrorContext(ctx, "pushes no longer make .cron.yml be read at once", "err", err)
	}
}

// Runs are the calendar's runs as intake sees them.
type Runs struct {
	Calendar *room.Calendar
	Tell     func(ctx context.Context, r room.Run) error // of a run that was refused
}

// ByTaskGroup finds the run whose decision makes a task group.
func (r Runs) ByTaskGroup(ctx context.Context, group string) (intake.CronRun, error) {
	run, err := r.Calendar.ByTaskGroup(ctx, group)
	return intake.CronRun{Repository: run.Repository, Branch: run.Branch, Revision: run.Revision, Job: run.Job, Time: run.Created}, err
}

// Refused records what a run's decision found wrong.
func (r Runs) Refused(ctx context.Context, group string, what push.Error) error {
	if err := r.Calendar.DecisionRefused(ctx, group, room.Error(what)); err != nil {
		return err
	}
	run, err := r.Calendar.ByTaskGroup(ctx, group)
	if err != nil {
		return err
	}
	return r.Tell(ctx, run)
}

// inputOf is the input of a run as plain values.
func inputOf(r room.Run) (map[string]any, error) {
	if len(r.Input) == 0 {
		return nil, nil
	}
	var m map[string]any
	err := json.Unmarshal(r.Input, &m)
	return m, err
}
