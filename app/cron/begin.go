package cron

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/treeline-ci/treeline/app/intake"
	room "github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	crontab "github.com/treeline-ci/treeline/taskgraph/cron"
	"github.com/treeline-ci/treeline/templates"
)

// begin starts a run, or says why it cannot be.
func (c *Cron) begin(ctx context.Context, r room.Run) {
	err := c.start(ctx, &r)
	if err == nil {
		return
	}
	late := context.WithoutCancel(ctx)
	log := c.Log.With("repository", r.Repository, "branch", r.Branch, "job", r.Job, "run", r.ID)
	if wrong := away(err); wrong != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return // the server stops; another takes it when the lease ends
		}
		log.WarnContext(ctx, "start a job of .cron.yml; tried again after a while", "attempts", r.Attempts, "err", err)
		err = c.Calendar.Retry(late, r, *wrong)
	} else {
		what := room.Error(*intake.MistakeOf(err))
		log.InfoContext(ctx, "a job of .cron.yml cannot be started", "err", err)
		if err = c.Calendar.Refuse(late, r.ID, what); err == nil {
			r.Error = &what
			err = c.Told(late, r)
		}
	}
	if err != nil {
		log.ErrorContext(ctx, "record what became of a job of .cron.yml", "err", err)
	}
}

// work is a run with all that is known of it.
type work struct {
	run        room.Run
	repository push.Repository
	job        *crontab.Job
	push       push.Push
	pushlogID  string
	start      crontab.Start
}

// role is what a job may do: that of its name and no more.
func (w work) role() string { return intake.Role(w.repository) + ":cron:" + w.job.Name }

// start makes what a run asks for: its decision task, or its action.
func (c *Cron) start(ctx context.Context, r *room.Run) error {
	repository, err := c.Push.Repository(ctx, r.Repository)
	if err != nil {
		return err
	}
	if r.Revision == "" {
		if *r, err = c.atHead(ctx, repository, *r); err != nil {
			return err
		}
	}
	tree, err := c.Intake.At(ctx, repository, r.Revision)
	if err != nil {
		return err
	}
	file, err := crontab.Load(tree)
	if err != nil {
		return intake.AsMistake(err)
	}
	job, err := file.Job(r.Job)
	if err != nil {
		return intake.Mistake(push.Error{Code: "no-job", File: crontab.Name, Message: err.Error()})
	}
	input, err := inputOf(*r)
	if err != nil {
		return intake.Mistake(push.Error{Code: "bad-input", Message: "The input is no JSON object."})
	}
	p, pushlogID, err := c.Intake.PushOf(ctx, repository, r.Branch, r.Revision)
	if err != nil {
		return err
	}
	w := work{run: *r, repository: repository, job: job, push: p, pushlogID: pushlogID, start: crontab.Start{TaskID: r.TaskID, Input: input}}
	if job.Type == crontab.TriggerAction {
		return c.act(ctx, w)
	}
	return c.decide(ctx, w, tree)
}

// atHead gives a run that was started by hand the head of its branch.
func (c *Cron) atHead(ctx context.Context, repository push.Repository, r room.Run) (room.Run, error) {
	forge, err := c.Intake.Open(ctx, repository)
	if err != nil {
		return r, err
	}
	heads, err := forge.Heads(ctx)
	if err != nil {
		return r, err
	}
	if heads[r.Branch] == "" {
		return r, intake.Mistake(push.Error{Code: "no-branch", Message: fmt.Sprintf("The repository has no branch %s.", r.Branch)})
	}
	return c.Calendar.AtHead(ctx, r.ID, heads[r.Branch])
}

// decide creates the decision task. Its id and its content follow from the run, so that whoever does it
// again makes the same task.
func (c *Cron) decide(ctx context.Context, w work, tree intake.Tree) error {
	repository, r, job, p := w.repository, w.run, w.job, w.push
	names := job.Context(crontab.Repository{
		URL: repository.URL, Project: repository.Name, Level: strconv.Itoa(repository.Level), Type: intake.RepositoryType(repository), Role: intake.Role(repository),
	}, crontab.Push{
		Revision: r.Revision, Branch: r.Branch, PushlogID: w.pushlogID, Pushdate: unix(p), BaseRevision: p.Base,
	}, w.start)
	names["ownTaskId"] = r.TaskID
	tasks, err := intake.Asked(tree, templates.Event{
		TasksFor: crontab.TasksFor, Context: names, RootURL: c.RootURL, Now: r.Created, Seed: "cron " + r.TaskID, OwnTaskID: r.TaskID,
	})
	if err != nil {
		return err
	}
	if len(tasks) != 1 {
		return intake.Mistake(push.Error{Code: "not-one-task", File: ".taskcluster.yml", Message: fmt.Sprintf(
			"It asks for %d tasks with tasks_for = cron; a job of .cron.yml needs exactly one, its decision task.", len(tasks))})
	}
	err = c.Intake.Create(ctx, w.role(), tasks, func(group string) error {
		return c.Calendar.SetGroup(ctx, r.ID, tasks[0].ID, group, p.ID)
	})
	if err != nil {
		return err
	}
	c.Log.InfoContext(ctx, "a job of .cron.yml is started", "repository", r.Repository, "branch", r.Branch, "job", r.Job, "key", r.Key, "task", tasks[0].ID)
	return c.Calendar.Start(ctx, r.ID)
}

func unix(p push.Push) int64 {
	if p.Time.IsZero() {
		return 0
	}
	return p.Time.Unix()
}

// act starts the action of a job, on the group of the decision of the branch's head.
func (c *Cron) act(ctx context.Context, w work) error {
	r, job, p := w.run, w.job, w.push
	switch {
	case p.ID == 0 || p.State == push.Ignored || p.State == push.Failed:
		return intake.Mistake(push.Error{Code: "no-decision", Message: fmt.Sprintf("Revision %.12s has no decision that the action %s could work on.", r.Revision, job.ActionName)})
	case p.State != push.Decided || p.TaskGroupID == "":
		return fault.New(fault.Unavailable, "The decision of revision %.12s is not there yet.", r.Revision)
	}
	taskID, err := c.Act(ctx, Action{
		TaskGroupID: p.TaskGroupID, Name: job.ActionName, Input: job.ActionInput(w.start), Role: w.role(),
		By: "job " + job.Name + " of " + crontab.Name, Key: "cron/" + r.TaskID,
	})
	switch fault.KindOf(err) {
	case fault.Forbidden, fault.NotFound, fault.Invalid, fault.BadInput, fault.BadArguments, fault.Conflict, fault.TooLarge:
		return intake.Mistake(push.Error{Code: "action", File: crontab.Name, Line: job.Line, Message: fault.Message(err)})
	}
	if err != nil {
		return err
	}
	if err := c.Calendar.SetGroup(ctx, r.ID, taskID, "", p.ID); err != nil {
		return err
	}
	c.Log.InfoContext(ctx, "a job of .cron.yml is started", "repository", r.Repository, "branch", r.Branch, "job", r.Job, "key", r.Key, "task", taskID)
	return c.Calendar.Start(ctx, r.ID)
}
