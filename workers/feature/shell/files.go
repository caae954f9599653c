package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/coder/websocket"

	"github.com/treeline-ci/treeline/workers/engine"
)

// MaxFile is how many bytes a file may have that is brought or taken.
const MaxFile = 1 << 30

// Files are read and written by commands in the task's sandbox, so that the task's own user and file system count. Their
// terminal is made to pass all bytes as they are before anything else goes through.
const (
	getScript = `[ -e "$1" ] || exit 81; [ -f "$1" ] || exit 82; [ -r "$1" ] || exit 83; stty raw -echo || exit 84
n=$(wc -c <"$1") && printf 'R%s\n' $n && exec cat -- "$1"`
	putScript = `[ -d "$1" ] && exit 82; d=$(dirname -- "$1"); [ -d "$d" ] || exit 85; [ -w "$d" ] || exit 86; stty raw -echo || exit 84
t="$1.part-$$"; trap 'rm -f -- "$t"; exit 87' HUP INT TERM; printf 'R\n'; head -c "$2" >"$t" && [ "$(wc -c <"$t")" -eq "$2" ] && mv -f -- "$t" "$1" || { rm -f -- "$t"; exit 87; }`
)

// failures are what the scripts' statuses mean.
var failures = map[int]string{
	81: "there is no such file", 82: "that is no file", 83: "the task may not read that file", 84: "the task has no stty, which copying needs",
	85: "there is no such directory", 86: "the task may not write into that directory", 87: "the file could not be written whole; is the disk full?",
}

// file brings a file or takes one.
func (o *Offer) file(ctx context.Context, conn *websocket.Conn, want Wanted) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	size, err := o.copied(ctx, conn, want)
	if err != nil {
		return errors.Join(tell(ctx, conn, Note{Error: err.Error()}), conn.Close(websocket.StatusNormalClosure, "no file"))
	}
	if want.File == "put" {
		o.Say("%s brought the file %s (%d bytes)", want.Who, want.Path, size)
	} else {
		o.Say("%s took the file %s (%d bytes)", want.Who, want.Path, size)
	}
	return errors.Join(tell(ctx, conn, Note{Done: &size}), conn.Close(websocket.StatusNormalClosure, "done"))
}

func (o *Offer) copied(ctx context.Context, conn *websocket.Conn, want Wanted) (int64, error) {
	switch {
	case want.Path == "" || bytes.ContainsAny([]byte(want.Path), "\x00\n\r"):
		return 0, errors.New("a file needs a name, of one line")
	case want.Size < 0 || want.Size > MaxFile:
		return 0, fmt.Errorf("a file may have at most %d bytes", MaxFile)
	case want.File == "get":
		return o.get(ctx, conn, want.Path)
	case want.File == "put":
		return want.Size, o.put(ctx, conn, want)
	}
	return 0, fmt.Errorf("files are got and put, not %.20q", want.File)
}

// get sends a file.
func (o *Offer) get(ctx context.Context, conn *websocket.Conn, path string) (int64, error) {
	ctx = conn.CloseRead(ctx)
	out := &header{}
	var size, sent int64
	out.ready = func(text string) (err error) {
		if size, err = strconv.ParseInt(text, 10, 64); err != nil {
			return fmt.Errorf("the size %.40q is no number", text)
		}
		if size > MaxFile {
			return fmt.Errorf("the file has %d bytes; at most %d can be taken", size, MaxFile)
		}
		return tell(ctx, conn, Note{Size: &size})
	}
	out.rest = func(p []byte) error {
		sent += int64(len(p))
		return conn.Write(ctx, websocket.MessageBinary, p)
	}
	if err := o.script(ctx, getScript, engine.Terminal{In: silence{ctx}, Out: out}, out, path); err != nil {
		return 0, err
	}
	if sent != size {
		return 0, fmt.Errorf("the file changed while it was read: %d bytes of %d came", sent, size)
	}
	return size, nil
}

// put writes what comes.
func (o *Offer) put(ctx context.Context, conn *websocket.Conn, want Wanted) error {
	bytesIn, feed := io.Pipe()
	defer func() { _ = bytesIn.Close() }() // nobody reads any more
	out := &header{rest: func([]byte) error { return nil }}
	out.ready = func(string) error {
		go func() {
			_ = feed.CloseWithError(receive(ctx, conn, feed, want.Size))
			out.stop() // who does not send all of it leaves nothing behind
		}()
		return tell(ctx, conn, Note{Ready: true})
	}
	return o.script(ctx, putScript, engine.Terminal{In: bytesIn, Out: out}, out, want.Path, strconv.FormatInt(want.Size, 10))
}

// receive passes on as many bytes as a file has. When the person goes before, the command ends with its terminal.
func receive(ctx context.Context, conn *websocket.Conn, to io.Writer, size int64) error {
	for size > 0 {
		_, p, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		p = p[:min(int64(len(p)), size)]
		size -= int64(len(p))
		if _, err := to.Write(p); err != nil {
			return err
		}
	}
	<-ctx.Done() // the terminal stays open until the command has ended
	return ctx.Err()
}

// script runs one of the scripts.
func (o *Offer) script(ctx context.Context, text string, t engine.Terminal, out *header, args ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out.stop = cancel
	code, err := o.Exec(ctx, append([]string{"sh", "-c", text, "sh"}, args...), t)
	switch {
	case out.err != nil:
		return out.err
	case code != 0 && failures[code] != "":
		return errors.New(failures[code])
	case err != nil:
		return err
	case code != 0:
		return fmt.Errorf("copying ended with status %d", code)
	case !out.begun:
		return errors.New("the task's shell does not say what it should")
	}
	return nil
}

// header is the output of a script: "R", a word and a new line, then bytes as they are.
type header struct {
	ready func(word string) error
	rest  func([]byte) error
	stop  context.CancelFunc

	line  []byte
	begun bool
	err   error
}

// Write takes a piece.
func (h *header) Write(p []byte) (int, error) {
	n := len(p)
	if h.err == nil && !h.begun {
		h.line = append(h.line, p...)
		p = nil
		if line, rest, ok := bytes.Cut(h.line, []byte("\n")); ok && len(line) > 0 && line[0] == 'R' {
			h.begun, p = true, rest
			h.err = h.ready(string(bytes.TrimSpace(line[1:])))
		} else if len(h.line) > 4096 {
			h.err = fmt.Errorf("the task's shell says %.60q", h.line)
		}
	}
	if h.err == nil && h.begun && len(p) > 0 {
		h.err = h.rest(p)
	}
	if h.err != nil {
		h.stop()
		return 0, h.err
	}
	return n, nil
}

// silence is a keyboard on which nobody types.
type silence struct{ ctx context.Context }

// Read waits for the end.
func (s silence) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, io.EOF
}
