package jobs

import (
	"context"
	"errors"
	"strconv"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/ui/page"
)

// mayClassify is what saying something of a repository's tasks asks for.
func mayClassify(repository string) scope.Expr { return scope.String("triage:classify:" + repository) }

// classify says what failures are.
func (ps *Pages) classify(v *page.Visit) (any, error) {
	ids, err := tasksOf(v)
	if err != nil {
		return nil, err
	}
	class, err := strconv.Atoi(v.R.PostFormValue("class"))
	if err != nil {
		return nil, fault.New(fault.Invalid, "class is the number of a class.")
	}
	ctx := v.R.Context()
	list, err := ps.Queue.Statuses(ctx, ids)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fault.New(fault.NotFound, "None of these tasks exists any more.")
	}
	targets, err := ps.targets(ctx, list)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if err := v.Allow(mayClassify(t.Repository)); err != nil {
			return nil, err
		}
	}
	said, err := ps.Triage.Classify(ctx, v.Session.ClientID, targets, triage.Say{Class: triage.Class(class), Bug: v.R.PostFormValue("bug"), Note: v.R.PostFormValue("note")})
	if err != nil {
		return nil, err
	}
	return answerOf(said), nil
}

// targets finds whose pushes made the tasks.
func (ps *Pages) targets(ctx context.Context, list []task.Status) ([]triage.Target, error) {
	repos := map[string]string{} // by group
	out := make([]triage.Target, len(list))
	for i, s := range list {
		repo, known := repos[s.TaskGroupID]
		if !known {
			var err error
			if repo, err = ps.repositoryOf(ctx, s.TaskGroupID); err != nil {
				return nil, err
			}
			repos[s.TaskGroupID] = repo
		}
		out[i] = triage.Target{Repository: repo, TaskGroupID: s.TaskGroupID, TaskID: s.TaskID, Run: len(s.Runs) - 1}
	}
	return out, nil
}

func (ps *Pages) repositoryOf(ctx context.Context, group string) (string, error) {
	p, err := ps.Push.ByTaskGroup(ctx, group)
	if err == nil || !errors.Is(err, fault.NotFound) {
		return p.Repository, err
	}
	if ps.Cron != nil {
		run, err := ps.Cron.ByTaskGroup(ctx, group)
		if err == nil || !errors.Is(err, fault.NotFound) {
			return run.Repository, err
		}
	}
	return "", fault.New(fault.Invalid, "Task group %s belongs to no push: its tasks cannot be classified.", group)
}

// undo takes back what was said.
func (ps *Pages) undo(v *page.Visit) (any, error) {
	if err := v.Post(); err != nil {
		return nil, err
	}
	if err := v.R.ParseForm(); err != nil {
		return nil, fault.New(fault.Invalid, "The form cannot be read.")
	}
	var ids []int64
	for _, text := range v.R.PostForm["id"] {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fault.New(fault.Invalid, "%q is no id of a classification.", text)
		}
		ids = append(ids, id)
	}
	now, err := ps.Triage.Undo(v.R.Context(), v.Session.ClientID, ids, func(repository string) error { return v.Allow(mayClassify(repository)) })
	if err != nil {
		return nil, err
	}
	return answerOf(now), nil
}

func answerOf(list []triage.Classification) map[string][]classJSON {
	out := make([]classJSON, len(list))
	for i, c := range list {
		out[i] = classOf(c)
	}
	return map[string][]classJSON{"classes": out}
}

// saidJSON is an entry of a task's history; shell/data.ts describes it.
type saidJSON struct {
	classJSON
	UndoneBy string `json:"undoneBy"`
}

// said is all that was ever said of a task.
func (ps *Pages) said(v *page.Visit) (any, error) {
	id := v.R.PathValue("task")
	if !slug.Valid(id) {
		return nil, page.ErrNoPage
	}
	if err := v.Allow(page.SeePushes); err != nil {
		return nil, err
	}
	list, err := ps.Triage.History(v.R.Context(), id)
	if err != nil {
		return nil, err
	}
	out := make([]saidJSON, len(list))
	for i, c := range list {
		out[i].classJSON = classOf(c)
		if c.UndoneBy != nil {
			out[i].UndoneBy = *c.UndoneBy
		}
	}
	return map[string][]saidJSON{"said": out}, nil
}
