// Package tracing gathers what the rooms know of a push, of which package trace makes a trace.
package tracing

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/app/github/timing"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	queuetiming "github.com/treeline-ci/treeline/queue/timing"
	"github.com/treeline-ci/treeline/trace"
)

// Rooms are those that are asked. It is safe for concurrent use.
type Rooms struct {
	Queue *queue.Queue
	Push  *push.Log
	// GitHub tells of builds; nil where there is no App.
	GitHub  func(ctx context.Context, taskGroupID string) (timing.Build, bool, error)
	RootURL string
}

// Group makes the trace of a task group; a fault.NotFound without one.
func (r Rooms) Group(ctx context.Context, group string) (*trace.Trace, error) {
	p, err := r.Push.ByTaskGroup(ctx, group)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return nil, err
	}
	f, err := r.facts(ctx, group, p)
	if err != nil {
		return nil, err
	}
	if f.Created.IsZero() && f.Push == nil {
		return nil, fault.New(fault.NotFound, "Task group %s does not exist. Is the id right? Groups vanish some time after their last task.", group)
	}
	return trace.Build(f), nil
}

// OfPush makes the trace of a push, which may have no tasks.
func (r Rooms) OfPush(ctx context.Context, repository string, id int64) (*trace.Trace, error) {
	p, err := r.Push.Get(ctx, repository, id)
	if err != nil {
		return nil, err
	}
	f, err := r.facts(ctx, p.TaskGroupID, p)
	if err != nil {
		return nil, err
	}
	return trace.Build(f), nil
}

// facts reads what is known, in a fixed number of statements.
func (r Rooms) facts(ctx context.Context, group string, p push.Push) (*trace.Facts, error) {
	f := &trace.Facts{RootURL: strings.TrimSuffix(r.RootURL, "/"), GroupID: group}
	g, err := r.Queue.Timing(ctx, group)
	if err != nil {
		return nil, err
	}
	addGroup(f, g)
	if p.ID != 0 {
		m, err := r.Push.Moments(ctx, p.Repository, p.ID)
		if err != nil {
			return nil, err
		}
		f.Push = pushOf(p, m)
	}
	if r.GitHub == nil || group == "" {
		return f, nil
	}
	t, found, err := r.GitHub(ctx, group)
	if err == nil && found {
		addGitHub(f, t)
	}
	return f, err
}

func pushOf(p push.Push, m push.Moments) *trace.Push {
	out := &trace.Push{
		Repository: p.Repository, URL: m.URL, Kind: m.Kind, ID: p.ID, Revision: p.Revision, Base: p.Base, Branch: p.Branch, Author: p.Author, Message: p.Message,
		Dated: m.Dated, Received: m.Received, Decided: m.Decided, State: string(p.State),
	}
	if p.Error != nil && p.State == push.Failed {
		out.Failure, out.Problem = p.Error.Code, p.Error.Message
	}
	return out
}

func addGitHub(f *trace.Facts, t timing.Build) {
	c := t.Change
	f.Change = &trace.Change{
		Title: c.Message, Repository: c.Repository, URL: strings.TrimSuffix(c.BaseRepository, ".git"), Revision: t.SHA, Base: c.BaseRev, Branch: c.Branch,
		Pull: t.Pull, Organization: t.Organization, EventType: t.EventType,
	}
	if t.GUID != "" {
		f.Told = &trace.Delivery{ID: t.GUID, Event: t.Event, Action: t.Action, Received: t.Received, Built: t.Built}
	}
	f.Reports = make([]trace.Report, len(t.Checks))
	for i, r := range t.Checks {
		f.Reports[i] = trace.Report{ID: "github-check-" + strconv.FormatInt(r.ID, 10), Name: r.Name, Kind: r.Kind, TaskID: r.TaskID, Wanted: r.Wanted, Sent: r.Sent, Attempt: r.Attempt}
	}
}

func addGroup(f *trace.Facts, g *queuetiming.Group) {
	f.Now, f.Created = g.Now, g.Created
	f.Tasks = make([]trace.Task, len(g.Tasks))
	artifacts := g.Artifacts // sorted as the tasks and runs are
	for i := range g.Tasks {
		t := &g.Tasks[i]
		runs := make([]trace.Run, len(t.Runs))
		for k := range t.Runs {
			r := &t.Runs[k]
			runs[k] = trace.Run{ID: r.ID, State: r.State, Created: r.Created, Reason: r.Reason, Scheduled: r.Scheduled, Started: r.Started, Resolved: r.Resolved}
			if r.WorkerID != "" {
				runs[k].Worker = trace.Worker{Queue: t.Queue, Group: r.WorkerGroup, ID: r.WorkerID}
			}
			for len(artifacts) > 0 && (artifacts[0].TaskID < t.ID || artifacts[0].TaskID == t.ID && artifacts[0].Run <= r.ID) {
				if a := artifacts[0]; a.TaskID == t.ID && a.Run == r.ID {
					runs[k].Artifacts = append(runs[k].Artifacts, trace.Artifact{Name: a.Name, ContentType: a.ContentType, Size: a.Size, Stored: a.Stored, Created: a.Created})
				}
				artifacts = artifacts[1:]
			}
		}
		f.Tasks[i] = trace.Task{ID: t.ID, Name: t.Name, Kind: t.Kind, Queue: t.Queue, Priority: t.Priority, State: t.State, Requires: t.Requires, Created: t.Created, Needs: t.Needs, Runs: runs}
	}
	f.Outside, f.Workers = make(map[string]trace.Outside, len(g.Outside)), make(map[trace.Worker]time.Time, len(g.Workers))
	for _, o := range g.Outside {
		f.Outside[o.ID] = trace.Outside{Name: o.Name, Resolved: o.Resolved}
	}
	for _, w := range g.Workers {
		f.Workers[trace.Worker{Queue: w.Queue, Group: w.Group, ID: w.ID}] = w.FirstClaim
	}
	f.Others = make([]trace.Start, len(g.Others))
	for i, o := range g.Others {
		f.Others[i] = trace.Start{Worker: trace.Worker{Queue: o.Queue, Group: o.WorkerGroup, ID: o.WorkerID}, Priority: o.Priority, Started: o.Started, Resolved: o.Resolved}
	}
}

// Find finds the newest push of a revision: of a repository, where a beginning will do, or, without one, of any.
func (r Rooms) Find(ctx context.Context, repository, revision string) (trace.Found, error) {
	p, err := push.Push{}, error(nil)
	if repository == "" {
		p, err = r.Push.Anywhere(ctx, revision)
	} else {
		p, err = r.Push.ByRevision(ctx, repository, revision)
	}
	if errors.Is(err, fault.NotFound) {
		return trace.Found{}, fault.New(fault.NotFound, "There is no push of revision %s. Give the whole revision, or name its repository.", revision)
	}
	return trace.Found{Repository: p.Repository, ID: p.ID, Revision: p.Revision, GroupID: p.TaskGroupID}, err
}
