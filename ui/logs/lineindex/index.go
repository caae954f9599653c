package lineindex

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/logtext"
)

// Stream is the text of a log from some place on. Reading one that grows waits for more.
type Stream interface {
	io.ReadCloser
	// Waits reports whether the next Read would wait.
	Waits() bool
}

// Open opens the log kept as an object at an offset; size is what it has now.
type Open func(ctx context.Context, object, offset int64) (s Stream, size int64, growing bool, err error)

const (
	kept    = 128              // indexes in memory
	large   = 1 << 20          // bytes; the index of a smaller log is made again rather than kept
	forgets = time.Minute      // for so long a growing log is read on though nobody asks
	buildBy = 10 * time.Minute // nobody takes longer to make an index
	atOnce  = 4                // finished logs that are read at the same time
)

// Logs are the indexes of logs. It is safe for concurrent use.
type Logs struct {
	pool *pgxpool.Pool
	open Open
	log  *slog.Logger

	mu    sync.Mutex
	known map[int64]*Index
	slots chan struct{}
}

// New returns the indexes of logs that open opens.
func New(pool *pgxpool.Pool, open Open, log *slog.Logger) *Logs {
	return &Logs{pool: pool, open: open, log: log, known: map[int64]*Index{}, slots: make(chan struct{}, atOnce)}
}

// Index is where the lines of one log are. It is safe for concurrent use.
type Index struct {
	logs    *Logs
	object  int64
	expires time.Time

	mu      sync.Mutex
	data    Data
	lines   logtext.Lines
	changed chan struct{} // closed when something changes
	running bool
	done    bool // the log is whole, and all is known of it
	stopped bool // the log ends here although it is not whole
	atEnd   bool // all that was written is known
	err     error
	used    time.Time
	stop    context.CancelFunc
}

// Of returns the index of a log, which is made in the background; expires is when the log does.
func (l *Logs) Of(ctx context.Context, object int64, expires time.Time) *Index {
	l.mu.Lock()
	x := l.known[object]
	if x == nil {
		x = &Index{logs: l, object: object, expires: expires, changed: make(chan struct{}), data: Data{Looks: map[int]string{}}}
		x.lines = logtext.Lines{Most: examined, Each: x.data.line}
		l.forget()
		l.known[object] = x
	}
	l.mu.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.used = time.Now()
	if !x.running && !x.done && !x.stopped {
		x.running, x.err = true, nil
		var run context.Context
		// It is made for all who ask for it, not for who asks first.
		run, x.stop = context.WithTimeout(context.WithoutCancel(ctx), 24*time.Hour)
		go x.make(run)
	}
	return x
}

const (
	ahead = 4 << 20             // bytes: the index of a log that grows is brought up to date each time when it has so many more
	hoard = 30 * 24 * time.Hour // how long an index is kept that nobody has asked for
)

// Grown says that a log has grown by a piece to a size. The index of a large log is made while it grows, so that it is
// there when somebody asks.
func (l *Logs) Grown(ctx context.Context, object, size int64) {
	if size >= ahead && size%ahead < 64<<10 {
		l.Of(ctx, object, time.Now().Add(hoard))
	}
}

// forget drops the index that was used longest ago when there are too many. The caller has the lock.
func (l *Logs) forget() {
	if len(l.known) < kept {
		return
	}
	var oldest *Index
	for _, x := range l.known {
		x.mu.Lock()
		idle := !x.running
		x.mu.Unlock()
		if idle && (oldest == nil || x.lastUse().Before(oldest.lastUse())) {
			oldest = x
		}
	}
	if oldest != nil {
		delete(l.known, oldest.object)
	}
}

func (x *Index) lastUse() time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.used
}

// State is what is known of a log at a moment.
type State struct {
	Lines   int   // with the one that has no end yet
	Bytes   int64 // of them
	Done    bool  // the log is whole and known
	Stopped bool  // it is not, but nothing more will come
	Err     error
	Changed <-chan struct{} // closed when there is more to know
	Failing int             // lines that tell of a failure
	Parts   int             // sections
}

// State tells what is known now.
func (x *Index) State() State {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.used = time.Now()
	d := &x.data
	return State{d.Total(), d.Bytes + d.Tail, x.done, x.stopped, x.err, x.changed, len(d.Errors), len(d.Sections)}
}

// Outline returns failing lines and sections as far as they are known.
func (x *Index) Outline() (failing []Error, count int, sections []logtext.Section, stamped bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.data.Failures(), max(x.data.ErrorCount, len(x.data.Failures())), append([]logtext.Section{}, x.data.Sections...), x.data.Stamped
}

// StopHere says that nothing will come any more to a log that is not whole.
func (x *Index) StopHere() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.done && !x.stopped && x.atEnd {
		x.stopped = true
		x.data.sections.End(x.data.Total())
		x.data.publish()
		x.tell()
		if x.stop != nil {
			x.stop()
		}
	}
}

// Wait waits until a line is known, or that there is none such yet.
func (x *Index) Wait(ctx context.Context, line int) error {
	for {
		x.mu.Lock()
		d, changed, err := &x.data, x.changed, x.err
		ready := d.Lines >= line || x.done || x.stopped || x.atEnd
		x.mu.Unlock()
		if ready || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// tell wakes those who wait. The caller has the lock.
func (x *Index) tell() {
	close(x.changed)
	x.changed = make(chan struct{})
}

// make brings the index to the end of its log.
func (x *Index) make(ctx context.Context) {
	err := x.build(ctx)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stop()
	x.running = false
	if err != nil && !x.stopped && !errors.Is(err, context.Canceled) {
		x.err = fmt.Errorf("logs: lines of object %d: %w", x.object, err)
	}
	x.tell()
}

func (x *Index) build(ctx context.Context) error {
	x.mu.Lock()
	at := x.data.Bytes + x.data.Tail
	x.mu.Unlock()
	s, size, growing, err := x.logs.open(ctx, x.object, at)
	if err != nil {
		return err
	}
	defer s.Close()
	if growing {
		return x.read(ctx, s, true)
	}
	if at == 0 && size >= large {
		if known, err := x.logs.claim(ctx, x); known || err != nil {
			return err
		}
		hold, cancel := context.WithCancel(ctx)
		defer cancel()
		go x.logs.hold(hold, x.object)
	}
	select {
	case x.logs.slots <- struct{}{}:
		defer func() { <-x.logs.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, buildBy)
	defer cancel()
	return x.read(limited, s, false)
}

// read takes the log as it comes, until it is whole.
func (x *Index) read(ctx context.Context, s Stream, growing bool) error {
	if growing {
		idle := time.AfterFunc(forgets, x.rest)
		defer idle.Stop()
	}
	buf := make([]byte, 256<<10)
	for ctx.Err() == nil {
		if s.Waits() {
			x.caughtUp()
		}
		n, err := s.Read(buf)
		if n > 0 {
			x.mu.Lock()
			x.take(buf[:n])
			x.mu.Unlock()
		}
		if errors.Is(err, io.EOF) {
			return x.finish(ctx)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// take adds text. The caller has the lock.
func (x *Index) take(p []byte) {
	_, _ = x.lines.Write(p) // never fails
	x.data.Tail = x.lines.Size
	x.data.publish()
	x.atEnd = false
	x.tell()
}

func (x *Index) caughtUp() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.atEnd {
		x.atEnd = true
		x.tell()
	}
}

// rest stops to read a growing log that nobody looks at; it goes on from there when somebody asks.
func (x *Index) rest() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if idle := time.Since(x.used); idle < forgets && x.running {
		time.AfterFunc(forgets-idle+time.Second, x.rest)
	} else if x.stop != nil {
		x.stop()
	}
}

func (x *Index) finish(ctx context.Context) error {
	x.mu.Lock()
	x.lines.End()
	x.data.Tail = 0
	x.data.sections.End(x.data.Lines)
	x.data.publish()
	x.done, x.atEnd = true, true
	bytes := x.data.Bytes
	x.tell()
	x.mu.Unlock()
	if bytes < large {
		return nil
	}
	// Who reads the log has all that is needed; another reader may have to make the index again.
	if err := x.logs.keep(ctx, x); err != nil {
		x.logs.log.WarnContext(ctx, "the index of a log was not kept", "object", x.object, "error", err)
	}
	return nil
}
