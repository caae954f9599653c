package groups

import (
	"net/http"
	"strconv"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/page"
)

func seeGroup(id string) scope.Expr { return scope.String("queue:list-task-group:" + id) }

func noTask(id string) error {
	return fault.New(fault.NotFound, "There is no task %q in this group.", id)
}

// actJSON is something to do to a whole group; src/group/data.ts describes it.
type actJSON struct {
	Name    string `json:"name"`
	Label   string `json:"label"`
	Asks    string `json:"asks"` // what is asked before, with how many tasks it touches
	Allowed bool   `json:"allowed"`
	Why     string `json:"why"` // not
}

// acts lists what can be done to a group: open is how many of its tasks have not ended, one is one of them.
func acts(v *page.Visit, g queue.Group, open int, one task.Status) []actJSON {
	list := []actJSON{}
	add := func(name, label, asks string, want ...scope.Expr) {
		a := actJSON{Name: name, Label: label, Asks: asks, Allowed: true}
		for _, w := range want {
			if v.Allow(w) != nil {
				a.Allowed = false
				a.Why = "needs " + w.Scopes()[0] + "."
				if v.Session.ClientID == "" {
					a.Why = "sign in first; it " + a.Why
				}
				break
			}
		}
		list = append(list, a)
	}
	add("rerun", "Re-run failed", "Run the tasks that failed again?", scopes.Rerun(one))
	if g.Sealed == nil {
		add("seal", "Seal", "No task can be added to a sealed group any more, for good. What it has goes on.", scopes.SealGroup(g))
	}
	switch {
	case open == 0:
	case g.Sealed == nil:
		add("cancel", "Cancel all", "This group is not sealed: tasks may still be added to it. Seal it first, and then cancel "+tasks(open)+"?", scopes.SealGroup(g), scopes.CancelGroup(g))
	default:
		add("cancel", "Cancel all", "Cancel "+tasks(open)+"?", scopes.CancelGroup(g))
	}
	return list
}

func tasks(n int) string {
	if n == 1 {
		return "1 task that has not ended"
	}
	return strconv.Itoa(n) + " tasks that have not ended"
}

// act seals or cancels a group, or runs its failed tasks again, for the script and for plain forms.
func (ps *Pages) act(v *page.Visit) (any, error) {
	done, err := ps.tryAct(v)
	return v.Answer(map[string]string{"message": done}, err, "/tasks/groups/"+v.R.PathValue("group"))
}

func (ps *Pages) tryAct(v *page.Visit) (string, error) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 64<<10)
	if err := v.Post(); err != nil {
		return "", err
	}
	id, name, ctx := v.R.PathValue("group"), v.R.PathValue("act"), v.R.Context()
	if name != "seal" && name != "cancel" && name != "rerun" {
		return "", fault.New(fault.NotFound, "There is no act %q.", name)
	}
	g, err := ps.Queue.Group(ctx, id)
	if err != nil {
		return "", err
	}
	if name == "rerun" {
		v.Kit.Log.InfoContext(ctx, "a person acted on a task group", "act", name, "group", id, "client", v.Session.ClientID)
		return ps.rerun(v, g)
	}
	seals := name == "seal" || g.Sealed == nil && v.R.PostFormValue("seal") == "1"
	if seals {
		if err := v.Allow(scopes.SealGroup(g)); err != nil {
			return "", err
		}
	}
	if name == "cancel" {
		if err := v.Allow(scopes.CancelGroup(g)); err != nil {
			return "", err
		}
	}
	if seals {
		if _, err := ps.Queue.SealGroup(ctx, id); err != nil {
			return "", err
		}
	}
	v.Kit.Log.InfoContext(ctx, "a person acted on a task group", "act", name, "group", id, "client", v.Session.ClientID)
	if name == "seal" {
		return "The group is sealed.", nil
	}
	done, err := ps.Queue.CancelGroup(ctx, id)
	if err != nil {
		return "", err
	}
	return strconv.Itoa(done.CancelledCount) + " of " + strconv.Itoa(done.TaskGroupSize) + " tasks are cancelled.", nil
}
