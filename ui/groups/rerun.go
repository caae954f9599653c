package groups

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/page"
)

// rerunAtOnce is how many tasks are read together, and maxRerun how many one request runs again.
const rerunAtOnce, maxRerun = 500, 5000

// failedOf are the tasks that failed or were lost: not those that somebody cancelled, nor those whose dependencies failed and
// that never ran.
func failedOf(cells []cell.Cell) []string {
	var ids []string
	for i := range cells {
		if c := &cells[i]; c.State == "failed" || c.State == "exception" {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// oneOf is a task that stands for those of a group where scopes are asked for: one that failed, else any.
func (ps *Pages) oneOf(ctx context.Context, cells []cell.Cell) (task.Status, error) {
	ids := failedOf(cells)
	if len(ids) == 0 && len(cells) > 0 {
		ids = []string{cells[0].ID}
	}
	list, err := ps.Queue.Statuses(ctx, ids[:min(1, len(ids))])
	if err != nil || len(list) == 0 {
		return task.Status{}, err
	}
	return list[0], nil
}

// rerun runs what failed again, each task as if it were alone: what cannot be done to one is done to the others.
func (ps *Pages) rerun(v *page.Visit, g queue.Group) (string, error) {
	ctx := v.R.Context()
	cells, _, err := cell.List(ctx, ps.Queue, g.TaskGroupID)
	if err != nil {
		return "", err
	}
	ids := failedOf(cells)
	switch {
	case len(ids) == 0:
		return "", fault.New(fault.Conflict, "No task of this group has failed.")
	case len(ids) > maxRerun:
		return "", fault.New(fault.Invalid, "%d tasks have failed; at most %d are run again at once.", len(ids), maxRerun)
	}
	done, refused, why := 0, 0, ""
	for part := range slices.Chunk(ids, rerunAtOnce) {
		list, err := ps.Queue.Statuses(ctx, part)
		if err != nil {
			return "", err
		}
		d, r, w, err := ps.rerunThese(ctx, v, list)
		if err != nil {
			return "", err
		}
		done, refused = done+d, refused+r
		if why == "" {
			why = w
		}
	}
	if done == 0 && refused > 0 {
		return "", fault.New(fault.Forbidden, "%s", why)
	}
	text := fmt.Sprintf("%d tasks run again.", done)
	if done == 1 {
		text = "1 task runs again."
	}
	if refused > 0 {
		text += fmt.Sprintf(" %d refused: %s", refused, why)
	}
	return text, nil
}

func (ps *Pages) rerunThese(ctx context.Context, v *page.Visit, list []task.Status) (done, refused int, why string, err error) {
	var mu sync.Mutex
	var work errgroup.Group
	work.SetLimit(8)
	refuse := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if refused++; why == "" {
			why = fault.Message(err)
		}
	}
	for _, s := range list {
		if err := v.Allow(scopes.Rerun(s)); err != nil {
			refuse(err)
			continue
		}
		work.Go(func() error {
			if _, err := ps.Queue.Rerun(ctx, s.TaskID); fault.KindOf(err) == fault.Internal && err != nil {
				return err
			} else if err != nil {
				refuse(err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			return nil
		})
	}
	err = work.Wait()
	return done, refused, why, err
}
