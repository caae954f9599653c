package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/taskgraph/cron"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// tasksForPush is tasks_for of a push's decision.
func tasksForPush(r push.Repository) string {
	if r.Kind == push.Mercurial {
		return "hg-push"
	}
	return "git-push"
}

// Occasion is what the decision of a task group is for.
type Occasion struct {
	TasksFor   string
	Repository push.Repository

	// Push is the push itself, or for what happens to a branch later the push of its head. Where that was
	// not recorded, ID is 0, and the rest is what the forge says of the head.
	Push push.Push

	Cron   *CronRun // of a job of .cron.yml
	Change *Change  // that a forge told of
}

// CronRun is one run of a job of .cron.yml.
type CronRun struct {
	Repository, Branch, Revision string
	Job                          string
	Time                         time.Time // when it was started
	PushlogID                    string    // of the revision, as the forge counts or Treeline does; "0" when neither knows
}

// CronRuns are the runs that have a decision.
type CronRuns interface {
	// ByTaskGroup finds the run whose decision makes a task group; without one it is a fault.NotFound.
	ByTaskGroup(ctx context.Context, taskGroupID string) (CronRun, error)
	// Refused records what is wrong with the tree that the run's decision read.
	Refused(ctx context.Context, taskGroupID string, what push.Error) error
}

// Occasion returns what a task group's decision is for; without a record it is a fault.NotFound.
func (in *Intake) Occasion(ctx context.Context, taskGroupID string) (Occasion, error) {
	p, err := in.Push.ByTaskGroup(ctx, taskGroupID)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return Occasion{}, err
	}
	if change, err := in.changeOf(ctx, taskGroupID, p); !errors.Is(err, fault.NotFound) {
		return change, err
	}
	if err == nil {
		r, err := in.Push.Repository(ctx, p.Repository)
		return Occasion{TasksFor: tasksForPush(r), Repository: r, Push: p}, err
	}
	if in.Cron == nil {
		return Occasion{}, err
	}
	run, err := in.Cron.ByTaskGroup(ctx, taskGroupID)
	if err != nil {
		return Occasion{}, err
	}
	r, err := in.Push.Repository(ctx, run.Repository)
	if err != nil {
		return Occasion{}, err
	}
	p, run.PushlogID, err = in.PushOf(ctx, r, run.Branch, run.Revision)
	return Occasion{TasksFor: cron.TasksFor, Repository: r, Push: p, Cron: &run}, err
}

// PushOf returns the push that brought a branch to a revision, and how it is counted. When none is
// recorded it has ID 0 and what the forge says of the revision, where it says anything.
func (in *Intake) PushOf(ctx context.Context, r push.Repository, branch, revision string) (p push.Push, pushlogID string, err error) {
	p, err = in.Push.AtRevision(ctx, r.Name, branch, revision)
	if err == nil || !errors.Is(err, fault.NotFound) {
		return p, p.Number(), err
	}
	forge, err := in.Open(ctx, r)
	if err != nil {
		return push.Push{}, "", fmt.Errorf("intake: open repository %s: %w", r.Name, err)
	}
	p = push.Push{}
	if d, ok := forge.(Describer); ok {
		if p, pushlogID, err = d.Describe(ctx, revision); err != nil {
			return push.Push{}, "", fmt.Errorf("intake: revision %s of %s: %w", revision, r.Name, err)
		}
	}
	p.Repository, p.Branch, p.Revision = r.Name, branch, revision
	return p, cmp.Or(pushlogID, "0"), nil
}

// byCron makes d the decision of a job of .cron.yml: what it selects stands in the job, and nowhere else.
func (d *nativeDecision) byCron(ctx context.Context, tree Tree, into *params.Decision) (over map[string]any, err error) {
	file, err := cron.Load(tree)
	if err != nil {
		return nil, err
	}
	job, err := file.Job(d.occasion.Cron.Job)
	if err != nil {
		return nil, mistake("no-job", cron.Name, 0, "%v", err)
	}
	into.TargetTasksMethod, into.Owner, into.Now, into.PushlogID = job.TargetTasksMethod, "cron", d.occasion.Cron.Time, d.occasion.Cron.PushlogID
	if d.push.Time.IsZero() {
		into.Pushdate = 0
	}
	into.KeepTargets = job.OptimizeTargetTasks != nil && !*job.OptimizeTargetTasks
	if !job.IncludePushTasks {
		return nil, nil
	}
	existing, err := d.pushTasks(ctx, job.RebuildKinds)
	if err != nil {
		return nil, err
	}
	return map[string]any{"existing_tasks": existing}, nil
}

// pushTasks are the tasks that the decision of the push made, by label, without those of some kinds.
func (d *nativeDecision) pushTasks(ctx context.Context, without []string) (map[string]any, error) {
	made, existing := map[string]string{}, map[string]any{}
	if err := d.decided(ctx, "label-to-taskid.json", &made); err != nil || len(made) == 0 {
		return existing, err
	}
	var graph map[string]struct{ Attributes struct{ Kind string } }
	if len(without) > 0 {
		if err := d.decided(ctx, "full-task-graph.json", &graph); err != nil {
			return nil, err
		}
	}
	for label, id := range made {
		if !slices.Contains(without, graph[label].Attributes.Kind) {
			existing[label] = id
		}
	}
	d.say("%d tasks of the push's decision %s are taken as they are", len(existing), d.push.TaskGroupID)
	return existing, nil
}

// decided reads an artifact of the push's decision; into stays empty where there is none.
func (d *nativeDecision) decided(ctx context.Context, name string, into any) error {
	if d.push.TaskGroupID == "" {
		return nil
	}
	status, err := d.Queue.Status(ctx, d.push.TaskGroupID)
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	run := status.LastRun()
	if run == nil {
		return nil
	}
	_, content, err := d.Objects.Open(ctx, queue.ObjectName(status.TaskID, run.RunID, "public/"+name))
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, maxDecided+1))
	if err != nil {
		return fmt.Errorf("intake: %s of decision %s: %w", name, status.TaskID, err)
	}
	if len(text) > maxDecided {
		return mistake("too-large", "", 0, "%s of the push's decision %s has more than %d bytes: include-push-tasks cannot read it.", name, status.TaskID, maxDecided)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return mistake("bad-artifact", "", 0, "%s of the push's decision %s is not what include-push-tasks expects: %v", name, status.TaskID, err)
	}
	return nil
}

// maxDecided bounds an artifact of another decision, in bytes.
const maxDecided = 256 << 20
