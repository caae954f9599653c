// Package screen writes what the taskgraph commands say beside their results: warnings, faults,
// notes and how far the work is. On a terminal it uses colours and shows the stage at work in one
// line that later lines take the place of; elsewhere it writes plain lines.
//
// NO_COLOR or TERM=dumb turn colours and that line off, FORCE_COLOR turns colours on.
package screen

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Screen is one place to write to. It is safe for concurrent use.
type Screen struct {
	mu     sync.Mutex
	w      io.Writer
	colour bool
	live   bool // a line may be taken back
	shown  bool // such a line stands there
	since  time.Time
	stage  string
	long   bool // say each stage and how long it took
}

// New writes to w. With long, every stage gets a line with its time.
func New(w io.Writer, long bool) *Screen {
	f, ok := w.(*os.File)
	terminal := ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
	return &Screen{w: w, colour: terminal || os.Getenv("FORCE_COLOR") != "", live: terminal && !long, long: long}
}

// Colour is an ANSI colour.
type Colour string

// The colours used.
const (
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
	Faint  Colour = "2"
)

// Paint gives text in the colour, where there are colours.
func (s *Screen) Paint(c Colour, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Line writes a line whose head is coloured: "head: text".
func (s *Screen) Line(c Colour, head, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.w, "%s %s\n", s.Paint(c, head+":"), strings.TrimRight(text, "\n"))
}

// Print writes text and a newline.
func (s *Screen) Print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.w, format+"\n", args...)
}

// Warning writes what is odd and has a meaning all the same.
func (s *Screen) Warning(text string) { s.Line(Yellow, "warning", text) }

// Fault writes what is wrong with the tree.
func (s *Screen) Fault(text string) { s.Line(Red, "treeline", text) }

// Note writes what is good to know.
func (s *Screen) Note(text string) { s.Line(Faint, "note", text) }

// Stage says that a stage of the work has begun.
func (s *Screen) Stage(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended()
	s.stage, s.since = name, time.Now()
	if s.live {
		s.clear()
		fmt.Fprint(s.w, s.Paint(Faint, name+"…"))
		s.shown = true
	}
}

// Done says that the last stage has ended.
func (s *Screen) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.ended()
	s.stage = ""
}

func (s *Screen) ended() {
	if s.long && s.stage != "" {
		fmt.Fprintf(s.w, "%s %s\n", s.stage, s.Paint(Faint, time.Since(s.since).Round(100*time.Microsecond).String()))
	}
}

// clear takes the line of the stage back.
func (s *Screen) clear() {
	if s.shown {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.shown = false
	}
}
