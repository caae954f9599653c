package cell

import (
	"context"
	"sync"

	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/cells"
)

// Shelf reads the cells of groups. What of them never changes it keeps at hand for the next time, of the groups that were
// looked at last. It is safe for concurrent use.
type Shelf struct {
	Queue *queue.Queue

	mu     sync.Mutex
	groups map[string]*shelved
	size   int   // tasks in all
	clock  int64 // counts looks
}

// maxShelved is how many tasks a shelf keeps at most: about 60 MB.
const maxShelved = 250_000

type shelved struct {
	cells map[string]*Cell // as defined, by task
	used  int64
}

// List returns the cells of groups, by group and sorted by id. Who asks must have been allowed to.
func (s *Shelf) List(ctx context.Context, groups []string) (map[string][]Cell, error) {
	out := make(map[string][]Cell, len(groups))
	var known, fresh []string
	have := map[string]map[string]*Cell{}
	for _, g := range groups {
		if have[g] = s.take(g); have[g] != nil {
			known = append(known, g)
		} else {
			fresh = append(fresh, g)
		}
	}
	missed := map[string]bool{}
	err := s.Queue.Cells(ctx, cells.Look{Groups: known, Bare: true}, func(q *cells.Cell) {
		c := have[q.TaskGroupID][q.TaskID]
		if c == nil {
			missed[q.TaskGroupID] = true
			return
		}
		moved := *c
		moved.Move = moveOf(q)
		out[q.TaskGroupID] = append(out[q.TaskGroupID], moved)
	})
	if err != nil {
		return nil, err
	}
	for g := range missed {
		delete(out, g)
		fresh = append(fresh, g)
	}
	places := interned{}
	err = s.Queue.Cells(ctx, cells.Look{Groups: fresh}, func(q *cells.Cell) {
		out[q.TaskGroupID] = append(out[q.TaskGroupID], places.cell(q))
	})
	if err != nil {
		return nil, err
	}
	for _, g := range fresh {
		s.put(g, out[g])
	}
	return out, nil
}

func (s *Shelf) take(group string) map[string]*Cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[group]
	if g == nil {
		return nil
	}
	s.clock++
	g.used = s.clock
	return g.cells
}

// put keeps a group in place of those that nobody looked at for the longest time.
func (s *Shelf) put(group string, cells []Cell) {
	if len(cells) == 0 || len(cells) > maxShelved {
		return
	}
	byID := make(map[string]*Cell, len(cells))
	for i := range cells {
		c := cells[i]
		c.Move = Move{}
		byID[cells[i].ID] = &c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups == nil {
		s.groups = map[string]*shelved{}
	}
	if old := s.groups[group]; old != nil {
		s.size -= len(old.cells)
	}
	s.clock++
	s.groups[group] = &shelved{byID, s.clock}
	s.size += len(byID)
	for s.size > maxShelved {
		oldest := ""
		for id, g := range s.groups {
			if oldest == "" || g.used < s.groups[oldest].used {
				oldest = id
			}
		}
		s.size -= len(s.groups[oldest].cells)
		delete(s.groups, oldest)
	}
}

// interned makes cells of which texts that are alike share their memory.
type interned map[string]string

func (i interned) of(s string) string {
	if known, ok := i[s]; ok {
		return known
	}
	i[s] = s
	return s
}

func (i interned) cell(q *cells.Cell) Cell {
	c := ofQueue(q)
	c.Platform, c.Group, c.GroupName, c.Queue, c.Symbol = i.of(c.Platform), i.of(c.Group), i.of(c.GroupName), i.of(c.Queue), i.of(c.Symbol)
	return c
}
