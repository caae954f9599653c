package lineindex_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/ui/logs/lineindex"
)

// shelf keeps logs in memory.
type shelf struct {
	mu      sync.Mutex
	text    []byte
	growing bool
	grown   chan struct{}
	opened  atomic.Int32 // from the beginning
}

func (s *shelf) write(text string, growing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.growing = append(s.text, text...), growing
	close(s.grown)
	s.grown = make(chan struct{})
}

func (s *shelf) open(ctx context.Context, _, offset int64) (lineindex.Stream, int64, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if offset == 0 {
		s.opened.Add(1)
	}
	return &reader{s, ctx, offset}, int64(len(s.text)), s.growing, nil
}

type reader struct {
	*shelf
	ctx context.Context //nolint:containedctx // as of a request
	at  int64
}

func (r *reader) Waits() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.growing && r.at >= int64(len(r.text))
}

func (r *reader) Read(p []byte) (int, error) {
	for {
		r.mu.Lock()
		rest, growing, grown := r.text[min(r.at, int64(len(r.text))):], r.growing, r.grown
		r.mu.Unlock()
		if n := copy(p, rest); n > 0 {
			r.at += int64(n)
			return n, nil
		}
		if !growing {
			return 0, io.EOF
		}
		select {
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		case <-grown:
		}
	}
}

func (r *reader) Close() error { return nil }

func newLogs(t testing.TB, text string, growing bool) (*lineindex.Logs, *shelf) {
	s := &shelf{text: []byte(text), growing: growing, grown: make(chan struct{})}
	return lineindex.New(pgtest.DB(t), s.open, slog.New(slog.NewTextHandler(t.Output(), nil))), s
}

func lines(t testing.TB, x *lineindex.Index, from, to int) lineindex.Piece {
	t.Helper()
	p, err := x.Lines(t.Context(), from, to, lineindex.Shown)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLines(t *testing.T) {
	var b strings.Builder
	for n := 1; n <= 3500; n++ {
		switch n {
		case 900:
			b.WriteString("\x1b[31mred from here")
		case 2100:
			b.WriteString("\x1b[0mplain from here")
		case 2500:
			b.WriteString(strings.Repeat("long ", 10_000))
		default:
			fmt.Fprintf(&b, "line %d", n)
		}
		b.WriteString([]string{"\n", "\r\n"}[n%2])
	}
	b.WriteString("the end")
	logs, s := newLogs(t, b.String(), false)
	x := logs.Of(t.Context(), 1, time.Now().Add(time.Hour))
	for _, c := range []struct {
		from, to    int
		first, last string
		count       int
		codes       string
	}{
		{1, 3, "line 1", "line 3", 3, ""},
		{1000, 1001, "line 1000", "line 1001", 2, "\x1b[31m"},
		{2001, 2001, "line 2001", "line 2001", 1, "\x1b[31m"},
		{2101, 2101, "line 2101", "line 2101", 1, ""},
		{3499, 9999, "line 3499", "the end", 3, ""},
		{3501, 3501, "the end", "the end", 1, ""},
		{3502, 3600, "", "", 0, ""},
	} {
		p := lines(t, x, c.from, c.to)
		if len(p.Lines) != c.count || p.Total != 3501 || !p.Done || p.Codes != c.codes {
			t.Errorf("%d-%d: %d lines of %d, done %v, codes %q", c.from, c.to, len(p.Lines), p.Total, p.Done, p.Codes)
		} else if c.count > 0 && (p.Lines[0] != c.first || p.Lines[c.count-1] != c.last) {
			t.Errorf("%d-%d: from %q to %q", c.from, c.to, p.Lines[0], p.Lines[c.count-1])
		}
	}
	p := lines(t, x, 2500, 2500)
	if len(p.Lines[0]) != lineindex.Shown || p.Cut[2500] != 50_001 {
		t.Errorf("the long line has %d bytes, cut is %v", len(p.Lines[0]), p.Cut)
	}
	if p, err := x.Lines(t.Context(), 2500, 2500, lineindex.Whole); err != nil || len(p.Lines[0]) != 50_000 || len(p.Cut) != 0 {
		t.Errorf("the whole line has %d bytes, cut is %v, error %v", len(p.Lines[0]), p.Cut, err)
	}
	if n := s.opened.Load(); n > 3 {
		t.Errorf("the log was read %d times from its beginning", n)
	}
}

func TestGrowingLog(t *testing.T) {
	logs, s := newLogs(t, "one\ntw", true)
	x := logs.Of(t.Context(), 1, time.Now().Add(time.Hour))
	if p := lines(t, x, 1, 10); !slices.Equal(p.Lines, []string{"one", "tw"}) || p.Done {
		t.Errorf("got %+v", p)
	}
	for n := range 2500 {
		s.write(fmt.Sprintf("o\nline %d", n), true)
	}
	if err := x.Wait(t.Context(), 2502); err != nil {
		t.Fatal(err)
	}
	wait(t, x, func(st lineindex.State) bool { return st.Lines == 2502 })
	if p := lines(t, x, 2501, 2502); !slices.Equal(p.Lines, []string{"line 2498o", "line 2499"}) {
		t.Errorf("got %+v", p)
	}
	s.write("\nerror: it broke\n", false)
	wait(t, x, func(st lineindex.State) bool { return st.Done && st.Lines == 2503 })
	failing, _, _, _ := x.Outline()
	if diff := cmp.Diff([]lineindex.Error{{Line: 2503, Text: "error: it broke"}}, failing); diff != "" {
		t.Error(diff)
	}
	if s.opened.Load() != 2 { // once for the index, once for the first lines
		t.Errorf("the log was read %d times from its beginning", s.opened.Load())
	}
	t.Run("a log whose worker is gone ends where it is", func(t *testing.T) {
		logs, _ := newLogs(t, "one\ntwo", true)
		x := logs.Of(t.Context(), 1, time.Now().Add(time.Hour))
		lines(t, x, 1, 10)
		x.StopHere()
		if p := lines(t, x, 1, 10); !p.Done || !slices.Equal(p.Lines, []string{"one", "two"}) {
			t.Errorf("got %+v", p)
		}
	})
}

func wait(t testing.TB, x *lineindex.Index, until func(lineindex.State) bool) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		s := x.State()
		if s.Err != nil {
			t.Fatal(s.Err)
		}
		if until(s) {
			return
		}
		select {
		case <-s.Changed:
		case <-late:
			t.Fatalf("still %+v", s)
		}
	}
}

func big() string {
	var b strings.Builder
	for n := 1; b.Len() < 3<<20; n++ {
		fmt.Fprintf(&b, "[task 2026-01-02T03:04:05.678Z] line %d of a large log\n", n)
	}
	return b.String()
}

func TestIndexOfALargeLogIsKept(t *testing.T) {
	text := big()
	logs, s := newLogs(t, text, false)
	x := logs.Of(t.Context(), 7, time.Now().Add(time.Hour))
	wait(t, x, func(st lineindex.State) bool { return st.Done })
	total := x.State().Lines
	pool := pgtest.DB(t)
	first, second := lineindex.New(pool, s.open, slog.Default()), lineindex.New(pool, s.open, slog.Default())
	s.opened.Store(0)
	a, b := first.Of(t.Context(), 7, time.Now().Add(time.Hour)), second.Of(t.Context(), 7, time.Now().Add(time.Hour))
	wait(t, a, func(st lineindex.State) bool { return st.Done })
	wait(t, b, func(st lineindex.State) bool { return st.Done })
	if a.State().Lines != total || b.State().Lines != total || !a.State().Done {
		t.Errorf("the indexes know %d and %d lines, want %d", a.State().Lines, b.State().Lines, total)
	}
	var rows int
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM log_indexes WHERE body IS NOT NULL").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d indexes are kept, error %v", rows, err)
	}
	want := lines(t, a, 30_000, 30_001)
	if diff := cmp.Diff(want, lines(t, b, 30_000, 30_001)); diff != "" || len(want.Lines) != 2 {
		t.Errorf("%d lines: %s", len(want.Lines), diff)
	}
}

func TestSearch(t *testing.T) {
	var b strings.Builder
	for n := 1; n <= 5000; n++ {
		switch {
		case n%100 == 7:
			b.WriteString("\x1b[31mNee\x1b[32mdle\x1b[0m and Ünterschied 🌲 needle\n")
		case n == 50:
			b.WriteString("progress 1%\rprogress 2%\n")
		default:
			fmt.Fprintf(&b, "hay %d\r\n", n)
		}
	}
	logs, _ := newLogs(t, b.String(), false)
	x := logs.Of(t.Context(), 1, time.Now().Add(time.Hour))
	wait(t, x, func(st lineindex.State) bool { return st.Done })
	find := func(q lineindex.Query) (count int, first lineindex.Hit) {
		err := x.Search(t.Context(), q, func(_ int, hits []lineindex.Hit) bool {
			if count == 0 && len(hits) > 0 {
				first = hits[0]
			}
			count += len(hits)
			return true
		})
		if err != nil {
			t.Errorf("%+v: %v", q, err)
		}
		return count, first
	}
	for _, c := range []struct {
		q     lineindex.Query
		count int
		first lineindex.Hit
	}{
		{lineindex.Query{Text: "needle"}, 100, lineindex.Hit{Line: 7, From: 0, To: 6}},
		{lineindex.Query{Text: "needle", Case: true}, 50, lineindex.Hit{Line: 7, From: 26, To: 32}},
		{lineindex.Query{Text: "ünterschied"}, 50, lineindex.Hit{Line: 7, From: 11, To: 22}},
		{lineindex.Query{Text: `n(e+)dle$`, Regex: true}, 50, lineindex.Hit{Line: 7, From: 26, To: 32}},
		{lineindex.Query{Text: `^hay 1\d*$`, Regex: true}, 1100, lineindex.Hit{Line: 1, From: 0, To: 5}},
		{lineindex.Query{Text: "1%"}, 0, lineindex.Hit{}},
		{lineindex.Query{Text: "2%"}, 1, lineindex.Hit{Line: 50, From: 9, To: 11}},
		{lineindex.Query{Text: "needle", From: 4900}, 2, lineindex.Hit{Line: 4907, From: 0, To: 6}},
		{lineindex.Query{Text: `x*`, Regex: true}, 0, lineindex.Hit{}},
	} {
		if count, first := find(c.q); count != c.count || first != c.first {
			t.Errorf("%+v: %d hits, the first %+v; want %d and %+v", c.q, count, first, c.count, c.first)
		}
	}
	for _, q := range []lineindex.Query{{}, {Text: "(", Regex: true}, {Text: `(a)\1`, Regex: true}, {Text: strings.Repeat("a", 2000)}} {
		if err := q.Check(); fault.KindOf(err) != fault.BadArguments {
			t.Errorf("%.20q: error %v", q.Text, err)
		}
	}
}

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), lineindex.Statements...) }

// BenchmarkIndex makes the index of 100 MB with colours and times.
func BenchmarkIndex(b *testing.B) {
	line := []byte("\x1b[2m[12:00:00]\x1b[0m line 123456 of a log that does not end soon, which is as long as lines of builds are\n")
	text := bytes.Repeat(line, 100_000_000/len(line))
	pool := pgtest.DB(b)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s := &shelf{text: text, grown: make(chan struct{})}
		x := lineindex.New(pool, s.open, slog.Default()).Of(b.Context(), 1, time.Now().Add(time.Hour))
		wait(b, x, func(st lineindex.State) bool { return st.Done })
		started := time.Now()
		count := 0
		if err := x.Search(b.Context(), lineindex.Query{Text: "Line 1234567"}, func(_ int, h []lineindex.Hit) bool { count += len(h); return true }); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(started).Milliseconds()), "search-ms")
	}
}
