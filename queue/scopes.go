package queue

import (
	"slices"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/task"
)

// CreateScopes returns what creating the task asks for (taskcluster-map 5.3): its own scopes, its
// routes, its project and scheduler, and its task queue at its priority or a higher one. The
// definition must be completed.
func CreateScopes(d task.Definition) scope.Expr {
	all := make([]scope.Expr, 0, len(d.Scopes)+len(d.Routes)+3)
	for _, s := range d.Scopes {
		all = append(all, scope.String(s))
	}
	for _, r := range d.Routes {
		all = append(all, scope.String("queue:route:"+r))
	}
	all = append(all, scope.String("queue:create-task:project:"+d.ProjectID), scope.String("queue:scheduler-id:"+d.SchedulerID))
	levels := AtOrAbove(d.Priority)
	any := make([]scope.Expr, len(levels))
	for i, p := range levels {
		any[i] = scope.String("queue:create-task:" + string(p) + ":" + d.TaskQueueID)
	}
	return scope.AllOf(append(all, scope.AnyOf(any...))...)
}

// AtOrAbove returns the priorities from the given one up, the given one first.
func AtOrAbove(p task.Priority) []task.Priority {
	all := task.Priorities()
	i := slices.Index(all, p)
	up := slices.Clone(all[:i+1])
	slices.Reverse(up)
	return up
}

// ScheduleScopes returns what scheduling the task asks for (taskcluster-map 5.5).
func ScheduleScopes(s task.Status) scope.Expr { return steerScopes("schedule", s) }

// RerunScopes returns what running the task again asks for.
func RerunScopes(s task.Status) scope.Expr { return steerScopes("rerun", s) }

// CancelScopes returns what canceling the task asks for.
func CancelScopes(s task.Status) scope.Expr { return steerScopes("cancel", s) }

func steerScopes(what string, s task.Status) scope.Expr {
	op, group := "queue:"+what+"-task", s.SchedulerID+"/"+s.TaskGroupID
	return scope.AnyOf(
		scope.String(op+":"+group+"/"+s.TaskID),
		scope.String(op+"-in-project:"+s.ProjectID),
		scope.AllOf(scope.String(op), scope.String("assume:scheduler-id:"+group)),
	)
}

// PriorityScopes returns what changing the task's priority asks for.
func PriorityScopes(s task.Status) scope.Expr {
	return scope.AnyOf(scope.String("queue:change-task-priority:"+s.TaskID), scope.String("queue:change-task-priority-in-queue:"+s.TaskQueueID))
}

// GroupPriorityScopes returns what changing the priority of the group's tasks asks for.
func GroupPriorityScopes(g Group) scope.Expr {
	return scope.String("queue:change-task-group-priority:" + g.SchedulerID + "/" + g.TaskGroupID)
}

// WeighGroupScopes returns what changing the group's weight asks for.
func WeighGroupScopes(g Group) scope.Expr { return groupScope("weigh", g) }

// SealGroupScopes returns what sealing the group asks for.
func SealGroupScopes(g Group) scope.Expr { return groupScope("seal", g) }

// CancelGroupScopes returns what canceling the group asks for.
func CancelGroupScopes(g Group) scope.Expr { return groupScope("cancel", g) }

func groupScope(what string, g Group) scope.Expr {
	return scope.String("queue:" + what + "-task-group:" + g.SchedulerID + "/" + g.TaskGroupID)
}

// CreateBatchScopes returns what creating all of the tasks asks for, each thing once. The tasks must be
// prepared.
func CreateBatchScopes(tasks []NewTask) scope.Expr {
	var (
		all  []scope.Expr
		seen = map[string]bool{}
	)
	add := func(key string, e scope.Expr) {
		if !seen[key] {
			seen[key] = true
			all = append(all, e)
		}
	}
	for i := range tasks {
		d := &tasks[i].Definition
		for _, s := range d.Scopes {
			add(s, scope.String(s))
		}
		for _, r := range d.Routes {
			add("queue:route:"+r, scope.String("queue:route:"+r))
		}
		bare := *d
		bare.Scopes, bare.Routes = nil, nil
		add("\x00"+string(d.Priority)+" "+d.TaskQueueID+" "+d.ProjectID+" "+d.SchedulerID, CreateScopes(bare))
	}
	return scope.AllOf(all...)
}
