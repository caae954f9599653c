// Package again makes tasks once more: new tasks from the definitions of old ones, with times of now. It is what
// "retrigger" does where the tree has no action of that name, or where somebody may create tasks without it.
package again

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/actions"
	"github.com/treeline-ci/treeline/ui/page"
)

// Limits of one request.
const (
	MaxTimes = 20
	MaxTasks = 200 // that are made
)

// Action is the name of the action of trees that does the same.
const Action = "retrigger"

// Again makes tasks once more. It is safe for concurrent use.
type Again struct {
	Queue   *queue.Queue
	Actions actions.Actions // nil: trees offer none
	Log     *slog.Logger
}

// Register adds the address of retriggering to a kit: tasks by their ids, so many times each.
func (a *Again) Register(k *page.Kit) error {
	k.Data("POST /ui/api/retrigger", func(v *page.Visit) (any, error) {
		if err := v.Post(); err != nil {
			return nil, err
		}
		times, err := Times(v.R.PostFormValue("times"))
		if err != nil {
			return nil, err
		}
		made, err := a.Tasks(v, v.R.PostForm["task"], times)
		return map[string]any{"tasks": made}, err
	})
	return nil
}

// Times reads how often; once when nothing is said.
func Times(text string) (int, error) {
	if text == "" {
		return 1, nil
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' || n > MaxTimes {
			return 0, fault.New(fault.Invalid, "%.20q is no number of times: 1 to %d.", text, MaxTimes)
		}
		n = 10*n + int(c-'0')
	}
	if n < 1 || n > MaxTimes {
		return 0, fault.New(fault.Invalid, "A task can be made again 1 to %d times at once, not %d.", MaxTimes, n)
	}
	return n, nil
}

// Tasks makes each task so many times, all or none, and returns the ids of the new ones. Who may not create such
// tasks starts the action "retrigger" of the tree, where there is one; then the ids are those of the action's tasks.
func (a *Again) Tasks(v *page.Visit, ids []string, times int) ([]string, error) {
	ctx := v.R.Context()
	if len(ids) == 0 || len(ids)*times > MaxTasks {
		return nil, fault.New(fault.Invalid, "%d tasks would be made; it must be 1 to %d.", len(ids)*times, MaxTasks)
	}
	items, err := a.Queue.Items(ctx, ids)
	if err != nil {
		return nil, err
	}
	if len(items) < len(ids) {
		return nil, fault.New(fault.NotFound, "%d of the %d tasks are gone: they have expired.", len(ids)-len(items), len(ids))
	}
	batch := make([]queue.NewTask, 0, len(items)*times)
	for i := range items {
		for range times {
			n := queue.NewTask{ID: slug.Nice(), Definition: Definition(&items[i], time.Now())}
			if err := n.Prepare(); err != nil {
				return nil, err
			}
			batch = append(batch, n)
		}
	}
	denied := v.Allow(scopes.CreateBatch(batch))
	if denied != nil {
		return a.byAction(v, items, times, denied)
	}
	if _, err := a.Queue.CreateBatch(ctx, batch); err != nil {
		return nil, err
	}
	made := make([]string, len(batch))
	for i := range batch {
		made[i] = batch[i].ID
	}
	a.Log.InfoContext(ctx, "a person made tasks again", "tasks", len(items), "times", times, "client", v.Session.ClientID)
	return made, nil
}

// byAction starts the tree's own action for each task, or says with what was denied that there is none.
func (a *Again) byAction(v *page.Visit, items []queue.Item, times int, denied error) ([]string, error) {
	if a.Actions == nil || v.Session.ClientID == "" {
		return nil, denied
	}
	var made []string
	for i := range items {
		s := items[i].Status
		allowed, err := a.offered(v.R.Context(), v, s)
		if err != nil {
			return made, err
		}
		if !allowed {
			return made, denied
		}
		id, wrong, err := a.Actions.StartAction(v.R.Context(), v.Caller(), actions.Start{
			GroupID: s.TaskGroupID, Name: Action, TaskID: s.TaskID, Input: map[string]any{"times": times}, Key: slug.New(),
		})
		if len(wrong) > 0 {
			err = fault.New(fault.Invalid, "The tree's action %s does not take this: %s", Action, wrong[0].Message)
		}
		if err != nil {
			return made, err
		}
		made = append(made, id)
	}
	return made, nil
}

func (a *Again) offered(ctx context.Context, v *page.Visit, s task.Status) (bool, error) {
	if v.Allow(actions.See) != nil {
		return false, nil
	}
	list, err := a.Actions.Offered(ctx, v.Caller(), s.TaskGroupID, s.TaskID)
	if errors.Is(err, fault.NotFound) {
		return false, nil
	}
	for _, o := range list {
		if o.Name == Action {
			return o.Allowed, err
		}
	}
	return false, err
}

// Needs is the scope that is missing to make a task again, "" when none is.
func (a *Again) Needs(v *page.Visit, i *queue.Item) string {
	n := queue.NewTask{ID: i.Status.TaskID, Definition: Definition(i, time.Now())}
	if err := n.Prepare(); err != nil {
		return ""
	}
	missing, some := v.Have.Missing(scopes.Create(n.Definition))
	if !some || len(missing.Scopes()) == 0 {
		return ""
	}
	return missing.Scopes()[0]
}

// Definition is that of the new task: the same in the same group, created now, with as much time as the old one had,
// and no retries. What the old one waited for has ended, unless it never ran. Routes to the index stay away: one task
// of a push is found there.
func Definition(i *queue.Item, now time.Time) task.Definition {
	d := i.Task
	shift := now.Sub(d.Created.Time)
	d.Created, d.Deadline = task.At(now), task.At(d.Deadline.Add(shift))
	if !d.Expires.IsZero() {
		d.Expires = task.At(d.Expires.Add(shift))
	}
	d.Retries = 0
	d.Routes = nil
	for _, r := range i.Task.Routes {
		if !strings.HasPrefix(r, "index.") {
			d.Routes = append(d.Routes, r)
		}
	}
	if i.Status.State != task.Unscheduled {
		d.Dependencies = nil
	}
	return d
}
