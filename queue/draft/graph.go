package draft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

// CheckGraph refuses a batch in which a task stands twice or tasks wait for each other in a circle.
func CheckGraph(tasks []Task) error {
	at := make(map[string]int, len(tasks))
	for i, t := range tasks {
		if _, double := at[t.ID]; double {
			return fault.New(fault.Invalid, "Task %s stands twice in the batch.", t.ID)
		}
		at[t.ID] = i
	}
	const (
		unseen = iota
		open
		done
	)
	var (
		state = make([]uint8, len(tasks))
		next  = make([]int, len(tasks)) // the dependency to look at next
		path  []int
	)
	for start := range tasks {
		if state[start] != unseen {
			continue
		}
		path = append(path[:0], start)
		state[start] = open
		for len(path) > 0 {
			i := path[len(path)-1]
			deps := tasks[i].Definition.Dependencies
			if next[i] == len(deps) {
				state[i] = done
				path = path[:len(path)-1]
				continue
			}
			id := deps[next[i]]
			next[i]++
			j, inside := at[id]
			if !inside || j == i || state[j] == done {
				continue
			}
			if state[j] == open {
				return cycle(tasks, path[slices.Index(path, j):])
			}
			state[j] = open
			path = append(path, j)
		}
	}
	return nil
}

func cycle(tasks []Task, path []int) error {
	names := make([]string, 0, len(path)+1)
	for _, i := range path {
		names = append(names, tasks[i].ID)
	}
	if len(names) > maxShown {
		names = append(names[:maxShown], "…")
	}
	names = append(names, tasks[path[0]].ID)
	return fault.New(fault.Invalid, "The tasks wait for each other in a circle: %s", strings.Join(names, " depends on "))
}

// maxShown is how many ids an error names.
const maxShown = 20

// Some joins the first ids of a list.
func Some(ids []string) string {
	if len(ids) <= maxShown {
		return strings.Join(ids, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ids[:maxShown], ", "), len(ids)-maxShown)
}
