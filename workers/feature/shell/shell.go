// Package shell offers people shells in a running task: it keeps a WebSocket to the server, which tells of each
// person who wants one, and makes another for each of them. The worker needs no open port.
//
// On a shell's connection people's messages begin with a byte: 1, and what was typed follows; 2, and the width and
// height of the terminal follow, two bytes each, the low one first. The other way come the terminal's bytes as they
// are (taskcluster-map 16.4, interactive). Who names a session gets, besides, messages of text in JSON (Note), may break off
// and come back to the same shell (session.go), and may bring and take files (files.go). These are ours: who does not ask
// for them sees none.
package shell

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/workers/engine"
)

const (
	again    = 2 * time.Second // between two tries to connect
	dialTime = 20 * time.Second
)

// Offer is what a run offers.
type Offer struct {
	Client func() *client.Client // with the task's credentials of the moment
	TaskID string
	RunID  int
	// Open runs one shell to its end.
	Open func(ctx context.Context, t engine.Terminal) error
	// Exec runs a command beside the others, on a terminal, and returns its exit status.
	Exec func(ctx context.Context, argv []string, t engine.Terminal) (int, error)
	Say  func(format string, args ...any) // to the task's log
	Log  *slog.Logger

	open   atomic.Int32
	opened atomic.Int32

	mu       sync.Mutex
	sessions map[string]*session // that may be come back to
}

// Wanted is what a person wants.
type Wanted struct {
	Session string `json:"session"` // of the connection
	Who     string `json:"who"`
	Shell   string `json:"shell"` // the person's own name of the shell, to come back to it; "" wants one that ends with its connection
	File    string `json:"file"`  // "get" or "put": a file, no shell
	Path    string `json:"path"`  // of the file, as a shell would take it
	Size    int64  `json:"size"`  // of a file that is brought, in bytes
}

// Note is what a person is told beside what the terminal shows.
type Note struct {
	Shell string `json:"shell,omitempty"` // "new" or "resumed"; "taken" when another connection has the shell now
	Size  *int64 `json:"size,omitempty"`  // of a file that comes, before its bytes
	Ready bool   `json:"ready,omitempty"` // a file may be sent
	Done  *int64 `json:"done,omitempty"`  // bytes of a file that arrived whole
	Error string `json:"error,omitempty"`
}

func tell(ctx context.Context, conn *websocket.Conn, n Note) error { return wsjson.Write(ctx, conn, n) }

// Count is how many shells are open now, and how many there ever were.
func (o *Offer) Count() (open, ever int) { return int(o.open.Load()), int(o.opened.Load()) }

// Run offers shells until ctx ends, through restarts of the server; all shells have ended when it returns.
func (o *Offer) Run(ctx context.Context) {
	var shells sync.WaitGroup
	defer shells.Wait()
	for ctx.Err() == nil {
		if err := o.listen(ctx, &shells); err != nil && ctx.Err() == nil {
			o.Log.Debug("the offer of shells is made again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

func (o *Offer) dial(ctx context.Context, session string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c := o.Client()
	address := fmt.Sprintf("%s/shell/worker/%s/%d", c.RootURL(), o.TaskID, o.RunID)
	if session != "" {
		address += "/" + session
	}
	// WebSockets begin as HTTP/1.1.
	plain := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: dialTime, Protocols: &http.Protocols{}}
	plain.Protocols.SetHTTP1(true)
	conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: &http.Client{Transport: c.Sign(plain)}}) //nolint:bodyclose // the library closes it
	return conn, err
}

func (o *Offer) listen(ctx context.Context, shells *sync.WaitGroup) error {
	conn, err := o.dial(ctx, "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	for {
		var want Wanted
		if err := wsjson.Read(ctx, conn, &want); err != nil {
			return err
		}
		shells.Go(func() {
			if err := o.serve(ctx, want, shells); err != nil && ctx.Err() == nil {
				o.Log.Warn("shell", "error", err)
			}
		})
	}
}

// serve is one connection of a person.
func (o *Offer) serve(ctx context.Context, want Wanted, shells *sync.WaitGroup) error {
	conn, err := o.dial(ctx, want.Session)
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	switch {
	case want.File != "":
		return o.file(ctx, conn, want)
	case want.Shell != "":
		return o.resume(ctx, conn, want, shells)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	typed, keys := io.Pipe()
	sizes := make(chan [2]uint, 8)
	go func() {
		defer cancel() // the person has gone: the shell ends
		_ = keys.CloseWithError(o.read(ctx, conn, keys, sizes))
	}()
	err = o.started(ctx, want.Who, engine.Terminal{In: typed, Out: screen{ctx, conn}, Resize: sizes})
	_ = typed.Close() // nobody reads any more
	return errors.Join(err, conn.Close(websocket.StatusNormalClosure, ended))
}

const ended = "the shell has ended"

// started runs one shell, and counts it.
func (o *Offer) started(ctx context.Context, who string, t engine.Terminal) error {
	o.open.Add(1)
	o.opened.Add(1)
	defer o.open.Add(-1)
	began := time.Now()
	o.Say("Shell opened by %s", who)
	defer func() { o.Say("Shell of %s closed after %s", who, time.Since(began).Round(time.Second)) }()
	return o.Open(ctx, t)
}

// read takes what is typed, and sizes, until the connection ends.
func (o *Offer) read(ctx context.Context, conn *websocket.Conn, keys io.Writer, sizes chan<- [2]uint) error {
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		switch {
		case len(message) > 1 && message[0] == 1:
			if _, err := keys.Write(message[1:]); err != nil {
				return err
			}
		case len(message) == 5 && message[0] == 2:
			size := [2]uint{uint(binary.LittleEndian.Uint16(message[3:])), uint(binary.LittleEndian.Uint16(message[1:]))}
			select {
			case sizes <- size:
			default: // another will come
			}
		}
	}
}

// screen sends what a terminal shows.
type screen struct {
	ctx  context.Context
	conn *websocket.Conn
}

// Write sends it as one message.
func (s screen) Write(p []byte) (int, error) {
	if err := s.conn.Write(s.ctx, websocket.MessageBinary, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
