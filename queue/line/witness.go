package line

import (
	"slices"
	"strings"
	"sync"
)

const (
	maxWitnesses = 20000 // groups that are remembered; then all are forgotten
	nearby       = 4     // tasks of a group
)

// Witnesses remembers of each group a few tasks that are likely unresolved: the newest, and where the last look
// found one. The next look begins with them, so that it does not pass the resolved tasks between them again and
// again: their entries in the index stay as long as somebody's transaction might see them. It is a hint: whoever
// finds nothing there must look at the rest. The zero value is ready; it is safe for concurrent use.
type Witnesses struct {
	mu     sync.Mutex
	groups map[string]*remembered
}

type remembered struct {
	near []string // the newest last
	last string   // found by looking through the group
}

// Get returns, for each group, tasks to try first, with commas between, and where to begin if they are resolved; ""
// is the beginning.
func (w *Witnesses) Get(groups []string) (near, from []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	near, from = make([]string, len(groups)), make([]string, len(groups))
	for i, g := range groups {
		if r := w.groups[g]; r != nil {
			near[i], from[i] = strings.Join(r.near, ","), r.last
		}
	}
	return near, from
}

// Add remembers a new task of a group.
func (w *Witnesses) Add(group, task string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.of(group)
	if len(r.near) == nearby {
		r.near = slices.Delete(r.near, 0, 1)
	}
	r.near = append(r.near, task)
}

// Note remembers what a look found; "" forgets the group.
func (w *Witnesses) Note(group, task string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if task == "" {
		delete(w.groups, group)
		return
	}
	r := w.of(group)
	if !slices.Contains(r.near, task) {
		r.near, r.last = append(r.near[:0], task), task
	}
}

func (w *Witnesses) of(group string) *remembered {
	r := w.groups[group]
	if r == nil {
		if w.groups == nil || len(w.groups) >= maxWitnesses {
			w.groups = map[string]*remembered{}
		}
		r = &remembered{}
		w.groups[group] = r
	}
	return r
}
