package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/treeline-ci/treeline/workers/engine"
)

// Bounds of shells that may be come back to.
const (
	keepFor     = 2 * time.Minute // without a connection
	keepShown   = 256 << 10       // bytes of what was shown last
	maxSessions = 20
	maxName     = 64
)

// session is a shell that outlives the connection through which it is seen.
type session struct {
	ctx   context.Context // ends with the shell
	who   string
	keys  *io.PipeWriter
	sizes chan [2]uint
	over  chan struct{} // closed when the shell has ended

	writing sync.Mutex // held while something is shown
	shown   []byte     // the last of it, twice keepShown at most

	mu     sync.Mutex
	conn   *websocket.Conn // nil: nobody looks
	leave  context.CancelFunc
	ending *time.Timer // ends the shell when nobody comes
}

// Write shows a piece of output to who looks, and keeps it for who comes back. It never fails: a shell goes on without
// anybody.
func (s *session) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.shown = append(s.shown, p...)
	if len(s.shown) > 2*keepShown {
		s.shown = append([]byte(nil), s.shown[len(s.shown)-keepShown:]...)
	}
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		ctx, cancel := context.WithTimeout(s.ctx, dialTime)
		defer cancel()
		if err := conn.Write(ctx, websocket.MessageBinary, p); err != nil {
			_ = conn.CloseNow() // its reader notices
		}
	}
	return len(p), nil
}

// last is what was shown last.
func (s *session) last() []byte { return s.shown[max(0, len(s.shown)-keepShown):] }

// attach makes a connection the one that sees the shell; the one before is told that it is not any more. It shows what
// was shown before.
func (s *session) attach(ctx context.Context, conn *websocket.Conn, leave context.CancelFunc, note string) error {
	s.mu.Lock()
	old, gone := s.conn, s.leave
	s.conn, s.leave = nil, leave
	s.ending.Stop()
	s.mu.Unlock()
	if old != nil {
		_ = tell(ctx, old, Note{Shell: "taken"})
		_ = old.Close(websocket.StatusNormalClosure, "the shell is open elsewhere")
		gone()
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := tell(ctx, conn, Note{Shell: note}); err != nil {
		return err
	}
	if last := s.last(); len(last) > 0 {
		if err := conn.Write(ctx, websocket.MessageBinary, last); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = conn
	s.ending.Stop() // which the one before may have started meanwhile
	return nil
}

// detach leaves the shell without anybody, for a while.
func (s *session) detach(leave context.CancelFunc, conn *websocket.Conn) {
	leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == conn || s.conn == nil {
		s.conn = nil
		s.ending.Reset(keepFor)
	}
}

// resume connects a person with the shell of a name: the one that runs, or a new one.
func (o *Offer) resume(ctx context.Context, conn *websocket.Conn, want Wanted, shells *sync.WaitGroup) error {
	s, note, err := o.session(ctx, want, shells)
	if err != nil {
		return errors.Join(tell(ctx, conn, Note{Error: err.Error()}), conn.Close(websocket.StatusNormalClosure, "no shell"))
	}
	here, leave := context.WithCancel(context.WithoutCancel(ctx)) // when the offer ends the shell does, and says so
	defer s.detach(leave, conn)
	if err := s.attach(here, conn, leave, note); err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { gone <- o.read(here, conn, s.keys, s.sizes) }()
	select {
	case <-s.over:
		return conn.Close(websocket.StatusNormalClosure, ended)
	case <-gone: //nolint:errcheck // the person left, however
		return nil
	}
}

// session finds or starts the shell of a name. Whose it is, only they come back to.
func (o *Offer) session(ctx context.Context, want Wanted, shells *sync.WaitGroup) (s *session, note string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name := want.Who + "\n" + want.Shell
	if s := o.sessions[name]; s != nil {
		return s, "resumed", nil
	}
	switch {
	case len(want.Shell) > maxName:
		return nil, "", fmt.Errorf("the name of a shell has at most %d bytes", maxName)
	case len(o.sessions) >= maxSessions:
		return nil, "", fmt.Errorf("%d shells of this run are open or waited for already", maxSessions)
	}
	typed, keys := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	s = &session{ctx: ctx, who: want.Who, keys: keys, sizes: make(chan [2]uint, 8), over: make(chan struct{})}
	s.ending = time.AfterFunc(keepFor, cancel)
	if o.sessions == nil {
		o.sessions = map[string]*session{}
	}
	o.sessions[name] = s
	shells.Go(func() {
		defer cancel()
		if err := o.started(ctx, s.who, engine.Terminal{In: typed, Out: s, Resize: s.sizes}); err != nil && ctx.Err() == nil {
			o.Log.Warn("shell", "error", err)
		}
		_ = typed.Close() // nobody reads any more
		s.ending.Stop()
		o.mu.Lock()
		delete(o.sessions, name)
		o.mu.Unlock()
		close(s.over)
	})
	return s, "new", nil
}
