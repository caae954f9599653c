package jobs

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/page"
)

// maxAtOnce is how many tasks one request may touch; the pinboard holds as many.
const maxAtOnce = 500

// deed is something to do to many tasks.
type deed struct {
	done, cannot string // in words
	possible     func(task.State) bool
	scopes       func(task.Status) scope.Expr // the same as at the queue's door
	do           func(*queue.Queue, context.Context, string) (task.Status, error)
}

func deeds() map[string]deed {
	return map[string]deed{
		"rerun":  {"run again", "has not ended", task.State.Resolved, scopes.Rerun, (*queue.Queue).Rerun},
		"cancel": {"cancelled", "has ended", func(s task.State) bool { return !s.Resolved() }, scopes.Cancel, (*queue.Queue).Cancel},
	}
}

// refusal says why nothing was done to a task.
type refusal struct {
	Task string `json:"task"`
	Why  string `json:"why"`
}

// outcome is what became of a deed; shell/data.ts describes it.
type outcome struct {
	Done    []string  `json:"done"`
	Refused []refusal `json:"refused"`
	Message string    `json:"message"`
}

// tasksOf reads which tasks a form is for.
func tasksOf(v *page.Visit) ([]string, error) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 256<<10)
	if err := v.Post(); err != nil {
		return nil, err
	}
	if err := v.R.ParseForm(); err != nil {
		return nil, fault.New(fault.Invalid, "The form cannot be read.")
	}
	ids := slices.Compact(slices.Sorted(slices.Values(v.R.PostForm["task"])))
	if len(ids) == 0 || len(ids) > maxAtOnce {
		return nil, fault.New(fault.Invalid, "Choose 1 to %d tasks, not %d.", maxAtOnce, len(ids))
	}
	for _, id := range ids {
		if !slug.Valid(id) {
			return nil, fault.New(fault.Invalid, "%q is no task id.", id)
		}
	}
	return ids, nil
}

// act reruns or cancels tasks, each as if it were alone: what cannot be done to one is done to the others.
func (ps *Pages) act(v *page.Visit) (any, error) {
	d, ok := deeds()[v.R.PathValue("act")]
	if !ok {
		return nil, fault.New(fault.NotFound, "There is no act %q.", v.R.PathValue("act"))
	}
	ids, err := tasksOf(v)
	if err != nil {
		return nil, err
	}
	ctx := v.R.Context()
	list, err := ps.Queue.Statuses(ctx, ids)
	if err != nil {
		return nil, err
	}
	var (
		mu  sync.Mutex
		out = outcome{Done: []string{}, Refused: []refusal{}}
		g   errgroup.Group
	)
	refuse := func(id, why string) {
		mu.Lock()
		defer mu.Unlock()
		out.Refused = append(out.Refused, refusal{id, why})
	}
	g.SetLimit(8)
	for _, s := range list {
		if err := v.Allow(d.scopes(s)); err != nil {
			refuse(s.TaskID, fault.Message(err))
			continue
		}
		if !d.possible(s.State) {
			refuse(s.TaskID, "It "+d.cannot+".")
			continue
		}
		g.Go(func() error {
			if _, err := d.do(ps.Queue, ctx, s.TaskID); err != nil {
				if fault.KindOf(err) == fault.Internal {
					return err
				}
				refuse(s.TaskID, fault.Message(err))
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			out.Done = append(out.Done, s.TaskID)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	// One task that cannot be is an error like any other; of many it is a remark.
	if len(list) == 1 && len(out.Refused) == 1 {
		if err := v.Allow(d.scopes(list[0])); err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Conflict, "%s", out.Refused[0].Why)
	}
	if len(list) == 0 {
		return nil, fault.New(fault.NotFound, "None of these tasks exists any more.")
	}
	ps.Log.InfoContext(ctx, "a person acted on tasks", "act", v.R.PathValue("act"), "tasks", len(out.Done), "client", v.Session.ClientID)
	out.Message = count(len(out.Done), "task") + " " + d.done + "."
	if n := len(out.Refused); n > 0 {
		out.Message += fmt.Sprintf(" %d refused: %s", n, out.Refused[0].Why)
	}
	return out, nil
}

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return strconv.Itoa(n) + " " + of + "s"
}
