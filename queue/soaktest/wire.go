package soaktest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Cut says what happens to a connection at a message of the client.
type Cut int

// The cuts. PostgreSQL works off everything that was sent before the cut, as it does when a process is
// killed.
const (
	Pass       Cut = iota // nothing
	Before                // the message is not sent
	Unanswered            // the message is sent and worked off, its answer does not come
	Abrupt                // as Before, but what was sent may still be worked on when the caller learns of it
)

// Message is a message of PostgreSQL's protocol on its way to the server.
type Message struct {
	Kind byte   // its type: Q, P, B, D, E, S, …
	SQL  string // the statement that it is about, where it has one
}

// Commits reports whether the message makes PostgreSQL commit.
func (m Message) Commits() bool {
	return (m.Kind == 'Q' || m.Kind == 'E') && strings.EqualFold(strings.TrimSpace(m.SQL), "commit")
}

// Wire stands between a pool and PostgreSQL and cuts connections between two messages. It can be used
// concurrently.
type Wire struct {
	mu   sync.Mutex
	plan func(Message) Cut
	cuts map[string]int
}

// Plan sets who decides about each message from now on; nil lets all pass. The function is called by one
// connection at a time.
func (w *Wire) Plan(plan func(Message) Cut) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plan = plan
}

// Cuts returns how many connections were cut so far, by kind.
func (w *Wire) Cuts() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string]int, len(w.cuts))
	for k, n := range w.cuts {
		out[k] = n
	}
	return out
}

// Option puts the wire under a pool.
func (w *Wire) Option() pg.Option {
	return func(c *pgxpool.Config) {
		c.ConnConfig.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, inner net.Conn) (net.Conn, error) {
			return &cutter{Conn: inner, wire: w, prepared: map[string]string{}}, nil
		}
	}
}

func (w *Wire) decide(m Message) Cut {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plan == nil {
		return Pass
	}
	cut := w.plan(m)
	if cut == Pass {
		return cut
	}
	what := "a statement"
	if m.Commits() {
		what = "COMMIT"
	}
	how := "connection cut before "
	if cut == Unanswered {
		how = "answer lost of "
	}
	if w.cuts == nil {
		w.cuts = map[string]int{}
	}
	w.cuts[how+what]++
	return cut
}

// cutter is a connection that knows where the client's messages begin.
type cutter struct {
	net.Conn
	wire *Wire

	started  bool   // the start-up message, which has no type, is through
	rest     []byte // of a message that is not whole yet
	prepared map[string]string
	bound    string // the statement that was bound last

	mu   sync.Mutex
	dead bool
}

// Write sends the whole messages of p as far as the plan lets them pass.
func (c *cutter) Write(p []byte) (int, error) {
	if c.isDead() {
		return 0, gone("write")
	}
	data := p
	if len(c.rest) > 0 {
		data = append(c.rest, p...)
	}
	sent := 0
	for {
		n := c.whole(data[sent:])
		if n == 0 {
			break
		}
		cut := Pass
		if c.started {
			cut = c.wire.decide(c.describe(data[sent : sent+n]))
		}
		c.started = true
		if cut == Before || cut == Abrupt {
			return len(p), c.cut(data[:sent], cut)
		}
		sent += n
		if cut == Unanswered {
			return len(p), c.cut(data[:sent], cut)
		}
	}
	if _, err := c.Conn.Write(data[:sent]); err != nil {
		return 0, err
	}
	c.rest = append([]byte(nil), data[sent:]...)
	return len(p), nil
}

// Read reads what the server says, until the cut.
func (c *cutter) Read(p []byte) (int, error) {
	if c.isDead() {
		return 0, gone("read")
	}
	return c.Conn.Read(p)
}

func (c *cutter) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// whole returns the length of the first message in data, 0 when it is not whole.
func (c *cutter) whole(data []byte) int {
	head := 1
	if !c.started {
		head = 0
	}
	if len(data) < head+4 {
		return 0
	}
	if n := head + int(binary.BigEndian.Uint32(data[head:])); n <= len(data) {
		return n
	}
	return 0
}

// describe tells what a message is about. Statements that were prepared are known by their names.
func (c *cutter) describe(m []byte) Message {
	out := Message{Kind: m[0]}
	body := m[5:]
	switch out.Kind {
	case 'Q':
		out.SQL, _ = text(body)
	case 'P':
		name, rest := text(body)
		out.SQL, _ = text(rest)
		c.prepared[name] = out.SQL
	case 'B':
		_, rest := text(body)
		name, _ := text(rest)
		c.bound = c.prepared[name]
		out.SQL = c.bound
	case 'E':
		out.SQL = c.bound
	}
	return out
}

func text(b []byte) (string, []byte) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return string(b), nil
	}
	return string(b[:i]), b[i+1:]
}

// cut sends what comes before the cut and ends the connection. Unless it is abrupt, it first lets the
// server work off what was sent.
func (c *cutter) cut(sent []byte, cut Cut) error {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	defer c.Conn.Close()
	if _, err := c.Conn.Write(sent); err != nil {
		return err
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && cut != Abrupt {
		if err := half.CloseWrite(); err != nil {
			return err
		}
		if err := c.Conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, c.Conn); err != nil {
			return err
		}
	}
	return gone("write")
}

// gone is what the client of a connection sees that the other side has reset.
func gone(op string) error { return &net.OpError{Op: op, Net: "unix", Err: syscall.ECONNRESET} }
