package diff

import (
	"maps"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// Queue is a task queue, that is a pool of workers, with the tasks that are put on it.
type Queue struct {
	ID     string   `json:"taskQueueId"`
	Labels []string `json:"labels"` // sorted
}

// queueOf is the task queue of a task's definition, in either of its two forms; "" when it names none.
func queueOf(t *graph.Task) string {
	text := func(key string) string {
		s, _ := t.Definition[key].(string)
		return s
	}
	if id := text("taskQueueId"); id != "" {
		return id
	}
	if p, w := text("provisionerId"), text("workerType"); p != "" && w != "" {
		return p + "/" + w
	}
	return ""
}

// newQueues are the task queues of b on which no task of a is, sorted.
func newQueues(a, b labelled) []Queue {
	known := map[string]bool{"": true}
	for _, t := range a.tasks {
		known[queueOf(t)] = true
	}
	who := map[string][]string{}
	for label, t := range b.tasks {
		if id := queueOf(t); !known[id] {
			who[id] = append(who[id], label)
		}
	}
	var out []Queue
	for _, id := range slices.Sorted(maps.Keys(who)) {
		out = append(out, Queue{ID: id, Labels: slices.Sorted(slices.Values(who[id]))})
	}
	return out
}

// NewQueues are the task queues on which no task of the base is, over all sets, sorted.
func (r *Report) NewQueues() []string {
	var out []string
	for _, s := range r.Sets {
		for _, q := range s.Queues {
			out = append(out, q.ID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
