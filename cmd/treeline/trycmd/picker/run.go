package picker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// ErrStopped is returned when the person stops without picking.
var ErrStopped = errors.New("nothing was picked")

const (
	sizeInterval = 200 * time.Millisecond // between two looks at the size of the terminal
	escapePause  = 50 * time.Millisecond  // after it an escape is a key of its own
)

// IsTerminal reports whether a picker can run on these.
func IsTerminal(in io.Reader, out io.Writer) bool {
	i, ok := in.(*os.File)
	o, also := out.(*os.File)
	return ok && also && term.IsTerminal(int(i.Fd())) && term.IsTerminal(int(o.Fd())) && os.Getenv("TERM") != "dumb"
}

// Run lets the person at the terminal pick, and returns what is picked and the query it was found with.
// Whatever happens, the terminal is as before when it returns. The labels are ready to be picked as soon
// as the screen is drawn.
func Run(ctx context.Context, in, out *os.File, o Options) (picked []string, query string, err error) {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, "", fmt.Errorf("terminal: %w", err)
	}
	const begin, end = "\x1b[?1049h\x1b[?2004h", "\x1b[?2004l\x1b[?1049l" // another screen, and marks around what is pasted
	fmt.Fprint(out, begin)
	defer func() {
		fmt.Fprint(out, end)
		err = errors.Join(err, term.Restore(int(in.Fd()), before))
	}()
	m := New(o)
	s := &session{m: m, in: in, out: out, sent: make(chan []byte, 1)}
	if err := s.run(ctx); err != nil {
		return nil, m.Query(), err
	}
	if _, ok := m.Ended(); !ok {
		return nil, m.Query(), ErrStopped
	}
	return m.Picked(), m.Query(), nil
}

// session is one use of a terminal.
type session struct {
	m       *Model
	in, out *os.File
	sent    chan []byte // one for each read; nil when nothing more comes
	reading bool
	pending []byte // sent, and not yet a key
}

// read asks for more, unless that is done already. Nothing is read ahead: what is typed after the picker's
// end is for others.
func (s *session) read() {
	if s.reading {
		return
	}
	s.reading = true
	go func() {
		buf := make([]byte, 4096)
		n, err := s.in.Read(buf)
		if err != nil {
			s.sent <- nil
			return
		}
		s.sent <- buf[:n]
	}()
}

func (s *session) run(ctx context.Context) error {
	size := time.NewTicker(sizeInterval)
	defer size.Stop()
	s.resize()
	s.draw()
	for {
		s.read()
		var pause <-chan time.Time
		if len(s.pending) > 0 {
			pause = time.After(escapePause)
		}
		last := false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-size.C:
			if s.resize() {
				s.draw()
			}
			continue
		case <-pause:
			last = true
		case sent := <-s.sent:
			s.reading = false
			if sent == nil {
				return ErrStopped
			}
			s.pending = append(s.pending, sent...)
		}
		if s.keys(last) {
			return nil
		}
		s.draw()
	}
}

// keys gives the model what was sent; true when it has ended.
func (s *session) keys(last bool) bool {
	for len(s.pending) > 0 {
		k, n := next(s.pending, last)
		if n == 0 {
			break
		}
		s.pending = s.pending[n:]
		s.m.Key(k)
		if ended, _ := s.m.Ended(); ended {
			return true
		}
	}
	return false
}

// resize reports whether the terminal has another size than before.
func (s *session) resize() bool {
	w, h, err := term.GetSize(int(s.out.Fd()))
	if err != nil || w <= 0 || h <= 0 || w == s.m.width && h == s.m.height {
		return false
	}
	s.m.Resize(w, h)
	return true
}

// draw writes the screen in one piece, each line over what stood there.
func (s *session) draw() {
	var b strings.Builder
	b.WriteString("\x1b[?25l\x1b[H")
	for i, line := range s.m.View() {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + "\x1b[K")
	}
	row, column := s.m.Caret()
	fmt.Fprintf(&b, "\x1b[J\x1b[%d;%dH\x1b[?25h", row+1, column+1)
	_, _ = io.WriteString(s.out, b.String()) // a terminal that is gone ends the reading
}
