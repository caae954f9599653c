package line

import (
	"maps"
	"sync"
	"time"
)

// Turns gives pending tasks their places in line, such that the task groups of one line share it by
// their weights: start-time fair queuing. Every task gets a turn, lowest first served:
//
//	turn = max(front of the line, last turn of its group in this line + Unit/weight)
//
// A group that had no turn lately so joins at the front; its next tasks come one share later each. Those
// that join while the front stands still come one after the other, a 1/Unit of a turn apart.
//
// Turns is the memory of one process. What is older than TurnAge is looked up in the database before
// it is used; between looks it is what keeps concurrent transactions of this process from giving one
// turn twice. Several processes that add tasks to one group at the same time give a turn twice now and
// then, as each does not see the other's latest ones; the next look makes up for it (LookSQL), and comes
// sooner for such a group. Of a group that has nothing waiting in the line, each knows only the last turn
// that it gave itself.
type Turns struct {
	mu     sync.Mutex
	lines  map[Line]*front
	shares map[Share]*share
	sweep  int // how many shares may be remembered until idle ones are forgotten
}

// Line is the pending tasks of a task queue that have one priority.
type Line struct {
	Queue    string
	Priority int // rank, 1 to 7
}

// Share is a task group's part of a line.
type Share struct {
	Line
	Group string
}

// Want is a task that needs a turn.
type Want struct {
	Share
	Front bool // it had its turn and lost its worker: it goes before the front
}

// Found is what a look at the database found.
type Found struct {
	Share
	Head   int64 // the lowest turn in the line; 0: it is empty
	Last   int64 // the last turn that the group has had in the line; 0: none of its tasks waits there
	Weight int   // of the group
}

// Hand is the turns given to one transaction.
type Hand struct {
	turns  *Turns
	shares []*share
}

const (
	// Unit is one turn of a group of weight 1. Every weight up to 16 divides it.
	Unit = 720720
	// FirstTurn is the lowest turn; what is lower in a line was added by an older program, in its order.
	FirstTurn = int64(1) << 40
	// MaxWeight is the most that a group can weigh; the least is 1.
	MaxWeight = 100
	// TurnAge is how old may be what is remembered of the database.
	TurnAge = 100 * time.Millisecond
	// sharedAge is that of a group to which another process has added within sharedFor, or may have: it is new here.
	sharedAge = 10 * time.Millisecond
	sharedFor = 300 * time.Millisecond

	// fallAge is how long the head of a line must be found below its front until the front is believed
	// to be wrong: a row whose transaction took long to commit is there for a moment only.
	fallAge   = 300 * time.Millisecond
	maxShares = 20000

	// wholeAge is how often a process without a mark looks at a line from its beginning.
	wholeAge = 10 * time.Second
)

type front struct {
	turn   int64     // how far the line has been served
	newest int64     // the last turn of a group that joined
	at     time.Time // of the last look
	whole  time.Time // of the last look from the beginning of the line, by a process that has no mark
	low    time.Time // since when looks find a lower head; zero: they do not
}

type share struct {
	turn   int64 // the last given; 0: none
	weight int64
	at     time.Time // of the last look; zero: it must be looked up
	others time.Time // of the last look that found turns which this process did not give
	dealt  time.Time // when turns were last given
	open   int       // transactions that hold turns and have not ended
}

// Unknown returns those of the shares that must be looked up before Deal, each once.
func (t *Turns) Unknown(now time.Time, shares []Share) []Share {
	t.mu.Lock()
	defer t.mu.Unlock()
	var (
		out  []Share
		seen map[Share]bool
	)
	for i, s := range shares {
		if i > 0 && s == shares[i-1] || seen[s] || t.known(now, s) {
			continue
		}
		if seen == nil {
			seen = map[Share]bool{}
		}
		seen[s] = true
		out = append(out, s)
	}
	return out
}

func (t *Turns) known(now time.Time, s Share) bool {
	f, g := t.lines[s.Line], t.shares[s]
	if f == nil || g == nil {
		return false
	}
	age := TurnAge
	if now.Sub(g.others) < sharedFor {
		age = sharedAge
	}
	return now.Sub(f.at) < TurnAge && now.Sub(g.at) < age
}

// Learn takes what a look found that was asked for at the given time.
func (t *Turns) Learn(asked time.Time, found []Found) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(asked)
	for _, f := range found {
		line := t.front(f.Line)
		line.learn(asked, f.Head)
		g := t.share(f.Share)
		if g.turn == 0 || f.Last > g.turn {
			g.others = asked
		}
		// What this process gave since, or holds uncommitted, the look has not seen. Other turns that are
		// before the front were served; those after it that are not there were canceled.
		if g.open == 0 && g.dealt.Before(asked) {
			g.turn = min(g.turn, line.turn)
		}
		g.turn = max(g.turn, f.Last)
		g.weight, g.at = int64(min(max(f.Weight, 1), MaxWeight)), asked
	}
}

func (f *front) learn(now time.Time, head int64) {
	f.at = now
	switch {
	case head == 0:
		f.low = time.Time{}
	case head >= f.turn:
		f.turn, f.low = head, time.Time{}
	case f.low.IsZero():
		f.low = now
	case now.Sub(f.low) >= fallAge:
		f.turn, f.newest, f.low = head, 0, time.Time{}
	}
}

func (t *Turns) front(l Line) *front {
	if t.lines == nil {
		t.lines = map[Line]*front{}
	}
	f := t.lines[l]
	if f == nil {
		f = &front{turn: FirstTurn}
		t.lines[l] = f
	}
	return f
}

func (t *Turns) share(s Share) *share {
	if t.shares == nil {
		t.shares = map[Share]*share{}
	}
	g := t.shares[s]
	if g == nil {
		g = &share{weight: 1}
		t.shares[s] = g
	}
	return g
}

// forget drops what is of no use any more when there is much of it.
func (t *Turns) forget(now time.Time) {
	if len(t.shares) < max(t.sweep, maxShares) {
		return
	}
	maps.DeleteFunc(t.shares, func(_ Share, g *share) bool { return g.open == 0 && now.Sub(g.at) >= TurnAge })
	maps.DeleteFunc(t.lines, func(_ Line, f *front) bool { return now.Sub(f.at) >= time.Minute })
	t.sweep = 2 * len(t.shares)
}

// Deal gives each task its turn, in order. The hand must be told how its transaction ended.
func (t *Turns) Deal(now time.Time, wants []Want) ([]int64, *Hand) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var (
		turns = make([]int64, len(wants))
		hand  = &Hand{turns: t}
		held  = map[Share]bool{}
	)
	for i, w := range wants {
		f := t.front(w.Line)
		if w.Front {
			turns[i] = f.turn - 1
			continue
		}
		g := t.share(w.Share)
		turns[i] = g.next(f)
		g.dealt = now
		if !held[w.Share] {
			held[w.Share] = true
			g.open++
			hand.shares = append(hand.shares, g)
		}
	}
	return turns, hand
}

// next gives the group its next turn in the line.
func (g *share) next(f *front) int64 {
	if turn := g.turn + Unit/g.weight; g.turn > 0 && turn > f.turn {
		g.turn = turn
	} else {
		f.newest = max(f.turn, f.newest+1)
		g.turn = f.newest
	}
	return g.turn
}

// Done ends the hand: its rows are in the database, or (kept is false) its turns were not used and
// are looked up again.
func (h *Hand) Done(kept bool) {
	h.turns.mu.Lock()
	defer h.turns.mu.Unlock()
	for _, g := range h.shares {
		g.open--
		if !kept {
			g.at = time.Time{}
		}
	}
	h.shares = nil
}

// Weighed forgets what is remembered of a task group, which has a new weight. Other processes see it
// with their next look.
func (t *Turns) Weighed(group string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, g := range t.shares {
		if s.Group == group {
			g.at = time.Time{}
		}
	}
}

// Served moves the fronts of a task queue's lines on to the last tasks that a claim took. A group that joins so never
// gets turns among those that were served: what is left of these in the index is not passed again.
func (t *Turns) Served(queue string, last []Place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range last {
		if f := t.lines[Line{queue, p.Priority}]; f != nil {
			f.turn = max(f.turn, p.Seq)
		}
	}
}
