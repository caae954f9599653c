// Package queueapi is the HTTP door of the queue: tasks, task groups, the workers' interface and
// artifacts, as in taskcluster-map 5 and appendix A, with additions of ours: createTasks,
// listTaskGroups, setTaskGroupWeight, whyTask, finishRun and workerGone.
package queueapi

import (
	"embed"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue"
)

//go:embed schemas/*.json
var schemas embed.FS

// door answers the endpoints.
type door struct{ queue *queue.Queue }

const (
	slugPattern = `^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$`
	idPattern   = `^[a-zA-Z0-9_-]{1,38}$`
	statusFile  = "task-status-response.json"
)

// Service is the table of endpoints of the service queue.
func Service(q *queue.Queue) web.Service {
	d := door{q}
	s := web.Service{
		Name: "queue", Version: "v1", Title: "Queue",
		Description: "Takes tasks, hands them to workers by priority, task groups taking turns, retries what was lost, and keeps what is known of them until they expire.",
		Schemas:     schemas,
		Params: map[string]string{
			"taskId":      slugPattern,
			"taskGroupId": slugPattern,
			"runId":       `^[1-9]*[0-9]+$`,
			"taskQueueId": `^[a-zA-Z0-9_-]{1,38}/[a-zA-Z0-9_-]{1,38}$`,
			"name":        `^[\x20-\x7e]+$`,

			"provisionerId": idPattern,
			"workerType":    idPattern,
			"workerGroup":   idPattern,
			"workerId":      idPattern,
		},
	}
	for _, list := range [][]web.Endpoint{d.tasks(), d.steering(), d.groups(), d.workers(), d.artifacts(), d.contents(), d.lines(), d.queues(), d.roster(), d.priorities(), d.claimTask()} {
		s.Endpoints = append(s.Endpoints, list...)
	}
	return s
}

func pages() map[string]string {
	return map[string]string{"continuationToken": web.TokenPattern, "limit": web.LimitPattern}
}

// as gives endpoints their heading, and "stable" where they say nothing about their stability.
func as(category string, list ...web.Endpoint) []web.Endpoint {
	for i := range list {
		list[i].Category = category
		if list[i].Stability == "" {
			list[i].Stability = "stable"
		}
	}
	return list
}

// steer is what the table says about the scopes to schedule, rerun or cancel a task.
func steer(what string) scope.Template {
	op := "queue:" + what + "-task"
	return scope.Any{
		scope.Text(op + ":<schedulerId>/<taskGroupId>/<taskId>"),
		scope.Text(op + "-in-project:<projectId>"),
		scope.All{scope.Text(op), scope.Text("assume:scheduler-id:<schedulerId>/<taskGroupId>")},
	}
}

// each asks for a scope once for every element of a list.
func each(name, list, text string) scope.Template {
	return scope.For{Each: name, In: list, Body: scope.Text(text)}
}
