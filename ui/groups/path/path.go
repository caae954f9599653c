// Package path finds the critical path of tasks that need each other: the chain that decided when all were done. It knows
// nothing of queues and pages, so whatever has tasks with needs and times may use it.
package path

import (
	"cmp"
	"slices"
	"time"
)

// Task is a task as the path sees it.
type Task struct {
	ID    string
	Needs []string      // ids of other tasks; those that are not among the tasks do not count
	Takes time.Duration // from when it could begin to its end: waiting and running; not negative
}

// Result is what the needs and times of tasks amount to.
type Result struct {
	// Path is the longest chain of tasks of which each needs the one before, by what they take together, the first task
	// first. Of chains that take equally long it is the one whose tasks, from the last one back, have the smaller ids.
	Path []string
	// Takes is what the tasks of the path take together.
	Takes time.Duration
	// Slack is how much longer each task could take before all would take longer.
	Slack map[string]time.Duration
	// Levels is the length of the longest chain of needs in tasks, whatever they take.
	Levels int
}

// node is a task in the graph, by its place in the sorted list.
type node struct {
	Task
	needs, wanted []int
	head          time.Duration // the longest chain that ends with the task, with it
	tail          time.Duration // the longest chain that begins behind the task, without it
	from          int           // the task before on the longest chain, -1 for none
	level         int
}

// Critical finds the critical path. Needs that go round in a circle, which no queue takes, do not count. It takes time in
// proportion to the number of tasks and needs.
func Critical(tasks []Task) Result {
	nodes := graph(tasks)
	order := sorted(nodes)
	r := Result{Path: []string{}, Slack: make(map[string]time.Duration, len(nodes))}
	last := -1
	for _, i := range order {
		n := &nodes[i]
		n.head, n.from, n.level = n.Takes, -1, 1
		for _, j := range n.needs {
			before := &nodes[j]
			if head := before.head + n.Takes; head > n.head || head == n.head && (n.from < 0 || j < n.from) {
				n.head, n.from = head, j
			}
			n.level = max(n.level, before.level+1)
		}
		r.Levels = max(r.Levels, n.level)
		if last < 0 || n.head > nodes[last].head || n.head == nodes[last].head && i < last {
			last = i
		}
	}
	for _, i := range slices.Backward(order) {
		n := &nodes[i]
		for _, j := range n.wanted {
			n.tail = max(n.tail, nodes[j].tail+nodes[j].Takes)
		}
	}
	if last < 0 {
		return r
	}
	r.Takes = nodes[last].head
	for i := range nodes {
		r.Slack[nodes[i].ID] = r.Takes - nodes[i].head - nodes[i].tail
	}
	for i := last; i >= 0; i = nodes[i].from {
		r.Path = append(r.Path, nodes[i].ID)
	}
	slices.Reverse(r.Path)
	return r
}

// graph sorts the tasks by id and links them.
func graph(tasks []Task) []node {
	nodes := make([]node, len(tasks))
	for i, t := range tasks {
		nodes[i].Task = t
	}
	slices.SortFunc(nodes, func(a, b node) int { return cmp.Compare(a.ID, b.ID) })
	at := make(map[string]int, len(nodes))
	for i := range nodes {
		at[nodes[i].ID] = i
	}
	for i := range nodes {
		for _, id := range nodes[i].Needs {
			if j, ok := at[id]; ok && j != i && !slices.Contains(nodes[i].needs, j) {
				nodes[i].needs = append(nodes[i].needs, j)
			}
		}
	}
	return nodes
}

// sorted returns the nodes so that each comes behind those it needs. The needs of those that go round in a circle are
// taken away.
func sorted(nodes []node) []int {
	missing := make([]int, len(nodes))
	for i := range nodes {
		missing[i] = len(nodes[i].needs)
		for _, j := range nodes[i].needs {
			nodes[j].wanted = append(nodes[j].wanted, i)
		}
	}
	order := make([]int, 0, len(nodes))
	for i := range nodes {
		if missing[i] == 0 {
			order = append(order, i)
		}
	}
	for next := 0; next < len(order); next++ {
		for _, i := range nodes[order[next]].wanted {
			if missing[i]--; missing[i] == 0 {
				order = append(order, i)
			}
		}
	}
	for i := range nodes {
		if missing[i] > 0 {
			for _, j := range nodes[i].needs {
				nodes[j].wanted = slices.DeleteFunc(nodes[j].wanted, func(k int) bool { return k == i })
			}
			nodes[i].needs = nil
			order = append(order, i)
		}
	}
	return order
}
