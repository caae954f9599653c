package lineindex

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/treeline-ci/treeline/internal/logtext"
)

const (
	// MaxLines is how many lines Lines returns at most.
	MaxLines = 2000
	// maxText is how many bytes of lines it returns at most, but for a first line asked for whole.
	maxText = 2 << 20
	// Shown is how many bytes of a line it returns at most.
	Shown = 16 << 10
	// Whole is how many bytes it returns of a line that is asked for whole.
	Whole = 16 << 20
)

// Piece is some lines of a log that follow each other.
type Piece struct {
	From  int           `json:"from"` // the first line, from 1
	Lines []string      `json:"lines"`
	Codes string        `json:"codes"` // escape codes in force where the first line begins
	Cut   map[int]int64 `json:"cut"`   // the bytes of lines that are longer than shown, by number
	Total int           `json:"total"` // lines of the log as far as known
	Done  bool          `json:"done"`  // no more lines will come
}

// Lines returns lines from..to, as many of them as there are and fit. Of each the beginning up to most bytes.
func (x *Index) Lines(ctx context.Context, from, to, most int) (Piece, error) {
	from = max(1, from)
	to = min(to, from+MaxLines-1)
	if err := x.Wait(ctx, to); err != nil {
		return Piece{}, err
	}
	x.mu.Lock()
	d := &x.data
	out := Piece{From: from, Lines: []string{}, Cut: map[int]int64{}, Total: d.Total(), Done: x.done || x.stopped}
	end := d.Bytes + d.Tail
	mark := (from - 1) / Every
	start, at, codes := end, out.Total, ""
	if mark < len(d.Offsets) {
		start, at, codes = d.Offsets[mark], mark*Every, d.Looks[mark]
	} else if from == out.Total {
		start, at, codes = d.Bytes, d.Lines, d.look.Codes() // the first line behind a mark has no end yet
	}
	x.mu.Unlock()
	if start >= end || from > out.Total || from > to {
		return out, nil
	}
	s, _, _, err := x.logs.open(ctx, x.object, start)
	if err != nil {
		return out, err
	}
	defer s.Close()
	return out, out.read(s, end-start, at, to, most, codes)
}

func (p *Piece) read(s io.Reader, size int64, before, to, most int, codes string) error {
	var look logtext.Look
	look.Advance([]byte(codes))
	held, full := 0, false
	split := logtext.Lines{Most: most, Count: before, Each: func(n int, line []byte, size int64) {
		switch {
		case n < p.From:
			look.Advance(line)
		case n == p.From:
			p.Codes = look.Codes()
			fallthrough
		case n <= to && !full:
			if full = held > maxText; full {
				return
			}
			held += len(line)
			p.Lines = append(p.Lines, strings.ToValidUTF8(string(line), "\ufffd"))
			if size > int64(len(line))+2 {
				p.Cut[n] = size
			}
		default:
			full = true
		}
	}}
	buf := make([]byte, 64<<10)
	for in := io.LimitReader(s, size); !full && split.Count < to; {
		n, err := in.Read(buf)
		_, _ = split.Write(buf[:n]) // never fails
		if errors.Is(err, io.EOF) {
			split.End()
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls do with every line from..to as people see it, until it answers false.
func (x *Index) each(ctx context.Context, from int, do func(n int, seen []byte) bool) error {
	x.mu.Lock()
	mark := max(0, min((from-1)/Every, len(x.data.Offsets)-1))
	start := int64(0)
	if mark < len(x.data.Offsets) {
		start = x.data.Offsets[mark]
	}
	end := x.data.Bytes + x.data.Tail
	x.mu.Unlock()
	if start >= end {
		return nil
	}
	s, _, _, err := x.logs.open(ctx, x.object, start)
	if err != nil {
		return err
	}
	defer s.Close()
	goOn := true
	buf := make([]byte, 0, 4096)
	split := logtext.Lines{Most: Whole, Count: mark * Every, Each: func(n int, line []byte, _ int64) {
		if goOn && n >= from {
			buf = buf[:0]
			goOn = do(n, logtext.Visible(line, buf))
		}
	}}
	in := bufio.NewReaderSize(io.LimitReader(s, end-start), 256<<10)
	for goOn && ctx.Err() == nil {
		piece, err := in.Peek(1)
		if len(piece) == 0 {
			if errors.Is(err, io.EOF) {
				split.End()
				return nil
			}
			return err
		}
		piece, _ = in.Peek(in.Buffered())
		_, _ = split.Write(piece) // never fails
		if _, err := in.Discard(len(piece)); err != nil {
			return err
		}
	}
	return ctx.Err()
}
