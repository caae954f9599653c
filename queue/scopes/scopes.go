// Package scopes says what callers need for what they ask of the queue (taskcluster-map 5.3, 5.5).
package scopes

import (
	"slices"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// Create returns what creating the task asks for (taskcluster-map 5.3): its own scopes, its
// routes, its project and scheduler, and its task queue at its priority or a higher one. The
// definition must be completed.
func Create(d task.Definition) scope.Expr {
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

// Schedule returns what scheduling the task asks for (taskcluster-map 5.5).
func Schedule(s task.Status) scope.Expr { return steer("schedule", s) }

// Rerun returns what running the task again asks for.
func Rerun(s task.Status) scope.Expr { return steer("rerun", s) }

// Cancel returns what canceling the task asks for.
func Cancel(s task.Status) scope.Expr { return steer("cancel", s) }

func steer(what string, s task.Status) scope.Expr {
	op, group := "queue:"+what+"-task", s.SchedulerID+"/"+s.TaskGroupID
	return scope.AnyOf(
		scope.String(op+":"+group+"/"+s.TaskID),
		scope.String(op+"-in-project:"+s.ProjectID),
		scope.AllOf(scope.String(op), scope.String("assume:scheduler-id:"+group)),
	)
}

// Priority returns what changing the task's priority asks for.
func Priority(s task.Status) scope.Expr {
	return scope.AnyOf(scope.String("queue:change-task-priority:"+s.TaskID), scope.String("queue:change-task-priority-in-queue:"+s.TaskQueueID))
}

// GroupPriority returns what changing the priority of the group's tasks asks for.
func GroupPriority(g queue.Group) scope.Expr {
	return scope.String("queue:change-task-group-priority:" + g.SchedulerID + "/" + g.TaskGroupID)
}

// WeighGroup returns what changing the group's weight asks for.
func WeighGroup(g queue.Group) scope.Expr { return groupScope("weigh", g) }

// SealGroup returns what sealing the group asks for.
func SealGroup(g queue.Group) scope.Expr { return groupScope("seal", g) }

// CancelGroup returns what canceling the group asks for.
func CancelGroup(g queue.Group) scope.Expr { return groupScope("cancel", g) }

func groupScope(what string, g queue.Group) scope.Expr {
	return scope.String("queue:" + what + "-task-group:" + g.SchedulerID + "/" + g.TaskGroupID)
}

// CreateBatch returns what creating all of the tasks asks for, each thing once. The tasks must be
// prepared.
func CreateBatch(tasks []queue.NewTask) scope.Expr {
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
		add("\x00"+string(d.Priority)+" "+d.TaskQueueID+" "+d.ProjectID+" "+d.SchedulerID, Create(bare))
	}
	return scope.AllOf(all...)
}
