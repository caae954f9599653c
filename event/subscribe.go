package event

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"sync"

	"github.com/treeline-ci/treeline/internal/fault"
)

const (
	liveSize  = 4096 // events, at least, kept in memory for subscribers
	liveBatch = 500  // read at once by a subscriber that is behind
	// maxBehind is how far back a subscriber may begin: who is further behind reads the state anew.
	maxBehind = 20000
)

// ErrTooFarBehind says that a subscriber asked for events from so long ago that reading the state
// anew is cheaper; it then subscribes from now on.
var ErrTooFarBehind = fault.New(fault.Gone, "the stream cannot go on from there; read the state anew")

// Filter chooses events. An event passes when its kind is listed (or no kinds are), and when one of
// its subjects is listed (or no subjects are).
type Filter struct {
	After      *int64 // begin after this position; nil: from now on
	Kinds      []string
	Tasks      []string
	TaskGroups []string
	Topics     []string
}

// Match reports whether an event passes.
func (f *Filter) Match(e *Event) bool {
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, e.Kind) {
		return false
	}
	if len(f.Tasks)+len(f.TaskGroups)+len(f.Topics) == 0 {
		return true
	}
	return slices.Contains(f.Tasks, e.TaskID) || slices.Contains(f.TaskGroups, e.TaskGroupID) || slices.Contains(f.Topics, e.Topic)
}

// live holds the newest events for the subscribers of this replica. Positions in it are consecutive.
type live struct {
	mu      sync.Mutex
	users   int
	head    int64   // the newest position known
	events  []Event // up to head; empty when nobody listens
	changed chan struct{}
}

// after returns what is in memory after a position. known is false when the database has to be
// asked; with nothing new, changed is closed when there is something.
func (l *live) after(position int64) (events []Event, known bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if position >= l.head {
		return nil, true, l.changed
	}
	behind := l.head - position
	if behind > int64(len(l.events)) {
		return nil, false, l.changed
	}
	return l.events[int64(len(l.events))-behind:], true, l.changed
}

// publish tells subscribers and consumers of the events up to head.
func (f *Feed) publish(ctx context.Context, head int64) error {
	l := &f.live
	l.mu.Lock()
	from, listened := l.head, l.users > 0
	l.mu.Unlock()
	for from < head {
		var fresh []Event
		to := head
		if listened && head-from <= liveSize {
			var err error
			if fresh, err = f.Read(ctx, from, liveBatch); err != nil {
				return err
			}
			if len(fresh) == 0 || fresh[0].Position != from+1 || fresh[len(fresh)-1].Position != from+int64(len(fresh)) {
				fresh = nil // pruned in between; who needs them asks the database
			} else {
				to = from + int64(len(fresh))
			}
		}
		l.mu.Lock()
		if fresh == nil {
			l.events = nil
		} else {
			l.events = append(l.events, fresh...)
			if len(l.events) > 2*liveSize {
				// A copy, so that the old ones can go; subscribers may still read the old array.
				l.events = append(make([]Event, 0, 2*liveSize+liveBatch), l.events[len(l.events)-liveSize:]...)
			}
		}
		l.head = to
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
		from = to
	}
	return nil
}

// Subscribe returns the events that pass the filter, in order, without a gap, as they come; it ends
// with ctx, with Stop, or with an error. A subscriber that is slow holds nobody up: it reads from
// the database what is not in memory any more.
func (f *Feed) Subscribe(ctx context.Context, filter Filter) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f.join(1)
		defer f.join(-1)
		at, err := f.begin(ctx, filter.After)
		for err == nil {
			var events []Event
			if events, err = f.next(ctx, at); err != nil {
				break
			}
			for i := range events {
				at = events[i].Position
				if filter.Match(&events[i]) && !yield(events[i], nil) {
					return
				}
			}
		}
		if ctx.Err() == nil && !errors.Is(err, errStopped) {
			yield(Event{}, err)
		}
	}
}

var errStopped = errors.New("event: the feed was stopped")

func (f *Feed) join(n int) {
	f.live.mu.Lock()
	defer f.live.mu.Unlock()
	f.live.users += n
}

// begin returns the position to begin after.
func (f *Feed) begin(ctx context.Context, after *int64) (int64, error) {
	head, err := f.Head(ctx)
	if err != nil {
		return 0, err
	}
	switch {
	case after == nil:
		return head, nil
	case *after > head || *after < head-maxBehind:
		// A position that is not yet there is from another database, or from before a downgrade.
		return 0, ErrTooFarBehind
	}
	return *after, nil
}

// Resume returns the position after which a reader goes on who may have been there before: lastEventID, as the header
// Last-Event-ID has it, or the head of the feed when that is empty, cannot be read, or lies too far behind.
func (f *Feed) Resume(ctx context.Context, lastEventID string) (int64, error) {
	var from *int64
	if after, err := strconv.ParseInt(lastEventID, 10, 64); err == nil {
		from = &after
	}
	at, err := f.begin(ctx, from)
	if errors.Is(err, ErrTooFarBehind) {
		return f.begin(ctx, nil)
	}
	return at, err
}

// next waits until there is something after a position and returns the first of it.
func (f *Feed) next(ctx context.Context, at int64) ([]Event, error) {
	for {
		events, known, changed := f.live.after(at)
		if !known {
			var err error
			if events, err = f.Read(ctx, at, liveBatch); err != nil {
				return nil, err
			}
		}
		if len(events) > 0 && events[0].Position > at+1 {
			return nil, ErrTooFarBehind // what came in between was removed: see Prune
		}
		if len(events) > 0 {
			return events, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.ended:
			return nil, errStopped
		case <-changed:
		}
	}
}
