// Package combine lets concurrent calls share one piece of work, as a database shares one write of
// its log among the transactions that commit meanwhile: what arrives while a batch runs becomes the
// next batch. Nobody waits for company: a call that comes alone runs alone, at once, unless a Gate is full.
//
// It knows nothing of what the work is. Everything here can be used concurrently.
package combine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/stamp"
)

// Options say how calls are combined. Run must be given; the zero value of everything else has a
// meaning.
type Options[I, O any] struct {
	// Run does the work of a batch and answers each call, in the order given. An error says that
	// nothing was done, for nobody; then the halves of the batch run one after the other, and so on,
	// until whoever is to blame is alone with it. An error that is fault.Unavailable is nobody's fault
	// and goes to all. The context ends when every caller of the batch has left.
	Run func(ctx context.Context, calls []Call[I]) ([]Answer[O], error)
	// Key keeps apart what cannot share a batch; nil: everything can.
	Key func(I) string
	// Lost is told the answers, errors left out, whose caller had given up when they came; nil: they are
	// forgotten. The context does not end.
	Lost func(ctx context.Context, item I, value O)
	// Size is what an item adds to its batch, such as bytes; nil: nothing.
	Size func(I) int

	// Gate is what batches pass before they run, of several combiners perhaps; nil: none.
	Gate *Gate

	MaxCalls int // of one batch; 0: 100
	MaxSize  int // of one batch, unless one item alone is larger; 0: no limit
	Running  int // batches of one key that run at the same time; 0: one
	// A batch that has run for Patience, because it waits for a lock perhaps, does not hold up the
	// next one any more: it does not count as Running. 0: 20 milliseconds.
	Patience time.Duration
	// MaxRunning limits the batches of one key, patient or not; 0: 4 times Running.
	MaxRunning int
}

// Call is an item together with who asks for it.
type Call[I any] struct {
	Item I
	ctx  context.Context
}

// CallOf returns a call that no combiner made; ctx is its caller's.
func CallOf[I any](ctx context.Context, item I) Call[I] { return Call[I]{Item: item, ctx: ctx} }

// Left reports whether the caller has given up: nobody will get the answer.
func (c Call[I]) Left() bool { return c.ctx != nil && c.ctx.Err() != nil }

// Answer is what a call returns.
type Answer[O any] struct {
	Value O
	Err   error
}

// Combiner combines calls. Make it with New.
type Combiner[I, O any] struct {
	o     Options[I, O]
	mu    sync.Mutex
	lines map[string]*line[I, O] // by key; only those in use
}

// line has the calls of one key.
type line[I, O any] struct {
	waiting []*caller[I, O]
	young   int // running batches whose patience lasts
	running int
}

// caller is a call on its way. All but done is guarded by the combiner's lock; answer may be read when
// done is closed.
type caller[I, O any] struct {
	call     Call[I]
	batch    *batch[I, O] // nil while it waits
	done     chan struct{}
	answered bool
	left     bool
	answer   Answer[O]
}

type batch[I, O any] struct {
	callers []*caller[I, O]
	present int // callers neither answered nor gone
	ctx     context.Context
	cancel  context.CancelFunc
	late    bool // its patience is over
	ended   bool
}

// New returns a Combiner.
func New[I, O any](o Options[I, O]) *Combiner[I, O] {
	if o.Key == nil {
		o.Key = func(I) string { return "" }
	}
	if o.Size == nil {
		o.Size = func(I) int { return 0 }
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = 100
	}
	o.Running = max(o.Running, 1)
	if o.Patience == 0 {
		o.Patience = 20 * time.Millisecond
	}
	if o.MaxRunning == 0 {
		o.MaxRunning = 4 * o.Running
	}
	return &Combiner[I, O]{o: o, lines: map[string]*line[I, O]{}}
}

// Do has the item done in a batch and returns its answer. When ctx ends first, it returns the context's
// error: an item that still waits is then never done; one whose batch runs may be done
// all the same, for the others of the batch.
func (c *Combiner[I, O]) Do(ctx context.Context, item I) (O, error) {
	var none O
	if err := ctx.Err(); err != nil {
		return none, err
	}
	w := &caller[I, O]{call: Call[I]{item, ctx}, done: make(chan struct{})}
	c.join(w)
	select {
	case <-w.done:
		return w.answer.Value, w.answer.Err
	case <-ctx.Done():
	}
	if c.leave(w) {
		return none, ctx.Err()
	}
	return w.answer.Value, w.answer.Err // it came at the same moment
}

func (c *Combiner[I, O]) join(w *caller[I, O]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := c.o.Key(w.call.Item)
	l := c.lines[key]
	if l == nil {
		l = &line[I, O]{}
		c.lines[key] = l
	}
	l.waiting = append(l.waiting, w)
	c.start(key, l)
}

// leave takes out a caller who gave up; it reports false when the answer is there already.
func (c *Combiner[I, O]) leave(w *caller[I, O]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.answered {
		return false
	}
	w.left = true
	if b := w.batch; b != nil {
		b.lose()
		return true
	}
	l := c.lines[c.o.Key(w.call.Item)]
	l.waiting = slices.DeleteFunc(l.waiting, func(other *caller[I, O]) bool { return other == w })
	return true
}

// lose notes that one caller less waits for the batch's end.
func (b *batch[I, O]) lose() {
	if b.present--; b.present == 0 {
		b.cancel()
	}
}

// start begins as many batches as may run now. The lock must be held.
func (c *Combiner[I, O]) start(key string, l *line[I, O]) {
	for c.mayStart(l) {
		l.begin()
		go c.run(key, l)
	}
	if l.running == 0 && len(l.waiting) == 0 {
		delete(c.lines, key)
	}
}

func (c *Combiner[I, O]) mayStart(l *line[I, O]) bool {
	return len(l.waiting) > 0 && l.young < c.o.Running && l.running < c.o.MaxRunning
}

// begin counts a batch as running, which is made when it has passed the gate.
func (l *line[I, O]) begin() {
	l.young++
	l.running++
}

// take makes a batch of the first who wait; nil when all have left.
func (c *Combiner[I, O]) take(l *line[I, O]) *batch[I, O] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(l.waiting) == 0 {
		return nil
	}
	n, size := 0, 0
	for n < len(l.waiting) && n < c.o.MaxCalls {
		size += c.o.Size(l.waiting[n].call.Item)
		if n > 0 && c.o.MaxSize > 0 && size > c.o.MaxSize {
			break
		}
		n++
	}
	b := &batch[I, O]{callers: slices.Clone(l.waiting[:n]), present: n}
	l.waiting = slices.Delete(l.waiting, 0, n)
	ctx := context.WithoutCancel(b.callers[0].call.ctx)
	if n > 1 {
		ctx = stamp.Bare(ctx)
	}
	b.ctx, b.cancel = context.WithCancel(ctx)
	for _, w := range b.callers {
		w.batch = b
	}
	return b
}

// run runs batches, one after the other while calls wait: a goroutine that has run one has a stack of
// the right size.
func (c *Combiner[I, O]) run(key string, l *line[I, O]) {
	for more := true; more; {
		leave := c.o.Gate.enter()
		b := c.take(l)
		if b != nil {
			c.runOne(key, l, b, leave)
		}
		leave()
		more = c.end(key, l, b)
	}
}

// end takes a batch off the running ones and tells whether the next is this goroutine's. b may be nil.
func (c *Combiner[I, O]) end(key string, l *line[I, O], b *batch[I, O]) (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b == nil || !b.late {
		l.young--
	}
	if b != nil {
		b.ended = true
	}
	l.running--
	if more = c.mayStart(l); more {
		l.begin()
	}
	c.start(key, l)
	return more
}

// runOne runs a batch. When its patience is over, it leaves its place to others.
func (c *Combiner[I, O]) runOne(key string, l *line[I, O], b *batch[I, O], leave func()) {
	defer b.cancel()
	patience := time.AfterFunc(c.o.Patience, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !b.ended {
			b.late = true
			l.young--
			leave()
			c.start(key, l)
		}
	})
	defer patience.Stop()
	c.serve(b, b.callers)
}

// serve runs callers together, or in halves when that fails.
func (c *Combiner[I, O]) serve(b *batch[I, O], callers []*caller[I, O]) {
	answers, err := c.try(b.ctx, callers)
	switch n := len(callers); {
	case err == nil:
		c.answer(callers, func(i int) Answer[O] { return answers[i] })
	case n == 1 || b.ctx.Err() != nil || errors.Is(err, fault.Unavailable):
		c.answer(callers, func(int) Answer[O] { return Answer[O]{Err: err} })
	default:
		c.serve(b, callers[:n/2])
		c.serve(b, callers[n/2:])
	}
}

// try runs callers together once. A panic is an error: it must not take the process with it, nor the
// others of the batch.
func (c *Combiner[I, O]) try(ctx context.Context, callers []*caller[I, O]) (answers []Answer[O], err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("combine: panic in a batch of %d: %v\n%s", len(callers), p, debug.Stack())
		}
	}()
	calls := make([]Call[I], len(callers))
	for i, w := range callers {
		calls[i] = w.call
	}
	answers, err = c.o.Run(ctx, calls)
	if err == nil && len(answers) != len(calls) {
		err = fmt.Errorf("combine: %d answers to %d calls", len(answers), len(calls))
	}
	return answers, err
}

func (c *Combiner[I, O]) answer(callers []*caller[I, O], of func(i int) Answer[O]) {
	var lost []*caller[I, O]
	c.mu.Lock()
	for i, w := range callers {
		w.answer, w.answered = of(i), true
		close(w.done)
		if !w.left {
			w.batch.lose()
		} else if w.answer.Err == nil {
			lost = append(lost, w)
		}
	}
	c.mu.Unlock()
	if c.o.Lost == nil {
		return
	}
	for _, w := range lost {
		c.o.Lost(context.WithoutCancel(w.call.ctx), w.call.Item, w.answer.Value)
	}
}
