package event

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// headsSize is how many of the newest events' heads a replica keeps in memory for its consumers.
const headsSize = 20000

// head is what tells of an event that most consumers do not want it.
type head struct {
	kind   string
	routes bool // it has some
	first  bool // its task is the one that its group is called after
}

// heads has the newest events' heads, read once for all consumers of this replica that want few events:
// these pass by what they do not want without asking the database.
type heads struct {
	mu    sync.Mutex
	users int
	last  int64 // position of the last one, also when there is none in the list
	list  []head
}

func (h *heads) join(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users += n
}

// read reads the heads up to a position.
func (f *Feed) readHeads(ctx context.Context, to int64) error {
	h := &f.heads
	h.mu.Lock()
	from, asked := h.last, h.users > 0
	h.mu.Unlock()
	var fresh []head
	if asked && to > from && to-from <= headsSize {
		rows, err := f.pool.Query(ctx, headsSQL.Text, from, to)
		if err != nil {
			return err
		}
		if fresh, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (one head, err error) {
			return one, row.Scan(&one.kind, &one.routes, &one.first)
		}); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if int64(len(fresh)) != to-from { // nobody asked, or some are gone already
		h.list = nil
	} else {
		h.list = append(h.list, fresh...)
	}
	if len(h.list) > 2*headsSize {
		h.list = slices.Clone(h.list[len(h.list)-headsSize:])
	}
	h.last = to
	return nil
}

func (h *heads) head() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// look looks at the heads after a position until there is one that may be wanted. known is false when they
// are not in memory; else last is the position of the last one, and n their number.
func (h *heads) look(after int64, what *Interest) (last int64, n int, wanted, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if after > h.last || h.last-after > int64(len(h.list)) {
		return 0, 0, false, false
	}
	fresh := h.list[int64(len(h.list))-(h.last-after):]
	return h.last, len(fresh), slices.ContainsFunc(fresh, what.mayWant), true
}

// mayWant reports whether an event with this head may be wanted.
func (i *Interest) mayWant(h head) bool {
	return (len(i.Kinds) == 0 || slices.Contains(i.Kinds, h.kind)) && (i.Route == "" || h.routes) && (!i.First || h.first)
}

// OFFSET 0 makes it look up one event after the other, as for reading.
var headsSQL = pg.Statement{Name: "event.heads", Text: `
SELECT e.kind, e.routes IS NOT NULL, coalesce(e.task_id = e.task_group_id, false)
FROM (SELECT position, seq FROM event_order WHERE position > $1 AND position <= $2 ORDER BY position) AS o
CROSS JOIN LATERAL (SELECT kind, routes, task_id, task_group_id FROM events WHERE events.seq = o.seq OFFSET 0) AS e
ORDER BY o.position`}
