package line

import "sync"

// maxWitnesses is how many groups' witnesses are remembered; then all are forgotten.
const maxWitnesses = 20000

// Witnesses remembers where in each group the last look found an unresolved task, by task id. The next
// look begins there, so that it does not pass the resolved ones before it again and again: their entries
// in the index stay as long as somebody's transaction might see them. It is a hint: whoever begins there
// and finds nothing must look at the rest. The zero value is ready; it is safe for concurrent use.
type Witnesses struct {
	mu sync.Mutex
	at map[string]string // by group
}

// Get returns where to begin in each group; "" is the beginning.
func (w *Witnesses) Get(groups []string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]string, len(groups))
	for i, g := range groups {
		out[i] = w.at[g]
	}
	return out
}

// Note remembers a witness; "" forgets the group.
func (w *Witnesses) Note(group, task string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if task == "" {
		delete(w.at, group)
		return
	}
	if w.at == nil || len(w.at) >= maxWitnesses {
		w.at = map[string]string{}
	}
	w.at[group] = task
}
