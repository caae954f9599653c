package github

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/templates"
)

// fireHooks fires the hooks that the file asks for, each with a task id of its own as its group (taskcluster-map
// 13.4). The trigger's role must hold github:trigger-hook:<name>: repositories may so start tasks that they could not
// make themselves.
// It returns how many of them made a task.
func (g *GitHub) fireHooks(ctx context.Context, t trigger, file *templates.File, event map[string]any) (n int, err error) {
	if len(file.Hooks) == 0 {
		return 0, nil
	}
	role := t.repo.role() + ":" + t.role
	held, err := g.Expand(ctx, []string{"assume:" + role})
	if err != nil {
		return 0, err
	}
	for _, h := range file.Hooks {
		wrong := push.Error{Code: "hook", File: configFile, Line: h.Line}
		if g.Trigger == nil {
			wrong.Message = "This server has no hooks."
			return n, intake.Mistake(wrong)
		}
		if err := scope.Check(role, false, held, scope.String("github:trigger-hook:"+h.Name)); err != nil {
			wrong.Code, wrong.Message = "insufficient-scopes", fmt.Sprintf("Hook %s is not fired: %s", h.Name, fault.Message(err))
			return n, intake.Mistake(wrong)
		}
		fired, err := g.fireHook(ctx, t, h, event)
		if err != nil {
			return n, err
		}
		if fired {
			n++
		}
	}
	return n, nil
}

func (g *GitHub) fireHook(ctx context.Context, t trigger, h templates.Hook, event map[string]any) (bool, error) {
	group, id, _ := strings.Cut(h.Name, "/")
	task := derivedID(t.seed, "hook", h.Name)
	if err := g.insertBuild(ctx, t, task); err != nil {
		return false, err
	}
	fired, err := g.Trigger(ctx, HookCall{Group: group, ID: id, TaskID: task, Payload: map[string]any{
		"context": h.Context, "event": event, "now": t.Received.UTC().Format("2006-01-02T15:04:05.000Z"),
		"taskcluster_root_url": g.RootURL, "tasks_for": t.tasksFor, "taskId": task,
	}})
	if err == nil && fired {
		return true, nil
	}
	if _, dropped := g.Pool.Exec(ctx, dropBuildSQL.Text, task); dropped != nil {
		err = errors.Join(err, fmt.Errorf("github: build %s: %w", task, pg.Classify(dropped)))
	}
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Invalid, fault.BadInput, fault.BadArguments, fault.Forbidden:
		if err != nil {
			return false, intake.Mistake(push.Error{Code: "hook", File: configFile, Line: h.Line, Message: fmt.Sprintf("Hook %s could not be fired: %s", h.Name, fault.Message(err))})
		}
	}
	return false, err
}
