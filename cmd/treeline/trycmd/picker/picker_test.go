package picker

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func labels() []string {
	return []string{"build-linux64/opt", "build-win64/opt", "lint-eslint", "test-linux64/opt-unit-1", "test-linux64/opt-unit-2"}
}

// typed sends what a terminal sends.
func typed(m *Model, sent string) {
	for b := []byte(sent); len(b) > 0; {
		k, n := next(b, true)
		b = b[n:]
		m.Key(k)
	}
}

func TestKeysPickAmongWhatMatches(t *testing.T) {
	for _, c := range []struct {
		name, keys string
		want       []string
	}{
		{"the first, when nothing is picked", "^test\r", []string{"test-linux64/opt-unit-1"}},
		{"the one under the cursor", "^test\x1b[B\r", []string{"test-linux64/opt-unit-2"}},
		{"one after the other", "\t\x1b[B\t\r", []string{"build-linux64/opt", "lint-eslint"}},
		{"one, and not again", "\t\x1b[Z\x1b[A\t\r", []string{"build-win64/opt"}},
		{"all that match", "opt !win\x01\r", []string{"build-linux64/opt", "test-linux64/opt-unit-1", "test-linux64/opt-unit-2"}},
		{"all but some", "\x01^test\x04\r", []string{"build-linux64/opt", "build-win64/opt", "lint-eslint"}},
		{"the others", "lint\t\x15\x14\r", []string{"build-linux64/opt", "build-win64/opt", "test-linux64/opt-unit-1", "test-linux64/opt-unit-2"}},
		{"of two queries", "win64\t\x15lint\t\r", []string{"build-win64/opt", "lint-eslint"}},
		{"what is left of a query", "lintx\x7f\r", []string{"lint-eslint"}},
		{"with a word taken back", "opt zzz\x17^test\x01\r", []string{"test-linux64/opt-unit-1", "test-linux64/opt-unit-2"}},
		{"with the caret moved", "nt-e\x1b[D\x1b[D\x1b[D\x1b[D\x1b[Cx\x7f\x01i\x1b[3~\r", nil},
		{"what is pasted", "\x1b[200~nt-es\r\x01\x1b[201~\x01\r", []string{"lint-eslint"}},
		{"at the end of the list", "\x1b[1;5F\r", []string{"test-linux64/opt-unit-2"}},
		{"a page further", "\x1b[6~\x1b[5~\x1b[6~\r", []string{"test-linux64/opt-unit-2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New(Options{Labels: labels()})
			typed(m, c.keys)
			ended, ok := m.Ended()
			if c.want == nil { // keys that only must not do harm
				return
			}
			if diff := cmp.Diff(c.want, m.Picked()); diff != "" || !ended || !ok {
				t.Errorf("ended %v, ok %v, query %q: %s", ended, ok, m.Query(), diff)
			}
		})
	}
	t.Run("escape stops", func(t *testing.T) {
		for _, key := range []string{"\x1b", "\x03", "\x07"} {
			m := New(Options{Labels: labels()})
			typed(m, "\t"+key)
			if ended, ok := m.Ended(); !ended || ok {
				t.Errorf("%q: ended %v, ok %v", key, ended, ok)
			}
		}
	})
	t.Run("nothing cannot be taken", func(t *testing.T) {
		m := New(Options{Labels: labels()})
		typed(m, "zzz\r")
		if ended, _ := m.Ended(); ended || !strings.Contains(strings.Join(m.View(), "\n"), "nothing is picked") {
			t.Errorf("ended %v:\n%s", ended, strings.Join(m.View(), "\n"))
		}
	})
	t.Run("a query and picks to begin with", func(t *testing.T) {
		m := New(Options{Labels: labels(), Query: "lint", Picked: []string{"build-win64/opt", "gone"}})
		typed(m, "\t\r")
		if diff := cmp.Diff([]string{"build-win64/opt", "lint-eslint"}, m.Picked()); diff != "" {
			t.Error(diff)
		}
	})
}

func screen(m *Model) string { return strings.Join(m.View(), "\n") }

func TestTheScreenFitsTheTerminal(t *testing.T) {
	about := func(label string) []string {
		return []string{"kind: " + label, "a description that is long enough to be broken into several lines of the preview"}
	}
	m := New(Options{Labels: labels(), Preview: about})
	typed(m, "lin\t")
	t.Run("narrow, with the preview below", func(t *testing.T) {
		m.Resize(40, 20)
		want := `> lin
  5 of 5 match, 1 picked
 * lint-eslint
>  build-linux64/opt
   test-linux64/opt-unit-1
   test-linux64/opt-unit-2
   build-win64/opt




────────────────────────────────────────
kind: build-linux64/opt
a description that is long enough to be
  broken into several lines of the
  preview



enter: take them  tab: pick  esc: stop`
		if diff := cmp.Diff(want, screen(m)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("wide, with the preview beside", func(t *testing.T) {
		m.Resize(100, 6)
		lines := m.View()
		if len(lines) != 6 || !strings.Contains(lines[2], "lint-eslint") || !strings.Contains(lines[2], " │ kind: build-linux64/opt") {
			t.Errorf("%q", lines)
		}
	})
	t.Run("without the preview", func(t *testing.T) {
		typed(m, "\x0f")
		if s := screen(m); strings.Contains(s, "kind:") {
			t.Error(s)
		}
	})
	t.Run("as small as can be", func(t *testing.T) {
		m.Resize(1, 1)
		if lines := m.View(); len(lines) != 1 {
			t.Errorf("%q", lines)
		}
	})
}

func TestColoursAreOnlyWhereTheyAreWanted(t *testing.T) {
	plain, colour := New(Options{Labels: labels()}), New(Options{Labels: labels(), Colour: true})
	typed(plain, "lint")
	typed(colour, "lint")
	if strings.Contains(screen(plain), "\x1b") {
		t.Error("an escape without colours")
	}
	if s := screen(colour); !strings.Contains(s, "\x1b[1;32ml\x1b[0m\x1b[1;32mi\x1b[0m\x1b[1;32mn\x1b[0m\x1b[1;32mt\x1b[0m\x1b[1m-") {
		t.Errorf("%q", s)
	}
}

func TestLabelsDoNothingToTheTerminal(t *testing.T) {
	m := New(Options{Labels: []string{"evil\x1b]0;title\x07\x1b[2J", "宽宽宽宽"}, Preview: func(label string) []string { return []string{label + "\n\x9b2J"} }})
	m.Resize(100, 10)
	for _, line := range m.View() {
		if strings.ContainsAny(line, "\x1b\x07\n") || strings.ContainsRune(line, 0x9b) {
			t.Errorf("%q", line)
		}
	}
	m.Resize(7, 5)
	if s := m.View()[3]; s != "   宽宽" {
		t.Errorf("%q", s)
	}
}

// Whatever keys come, the screen has its size and the cursor is on it.
func TestPropertyAnyKeysLeaveAScreenThatFits(t *testing.T) {
	keys := []string{"a", "l", "t", "-", "!", "^", " ", "|", "é", "宽", "\t", "\x1b[Z", "\x1b[A", "\x1b[B", "\x1b[5~", "\x1b[6~", "\x01", "\x04", "\x14", "\x15", "\x17", "\x7f", "\x0f", "\x1b[D", "\x1b[C", "\x1b[H", "\x1b[F", "\x1b[1;5F", "\x1b[3~", "\x1b[999~"}
	rapid.Check(t, func(t *rapid.T) {
		m := New(Options{Labels: slices.Concat(labels(), many(30)), Preview: func(label string) []string { return []string{label, "x"} }})
		for range rapid.IntRange(1, 40).Draw(t, "keys") {
			if rapid.IntRange(0, 9).Draw(t, "resize") == 0 {
				m.Resize(rapid.IntRange(1, 120).Draw(t, "width"), rapid.IntRange(1, 40).Draw(t, "height"))
			}
			typed(m, rapid.SampledFrom(keys).Draw(t, "key"))
			lines := m.View()
			if len(lines) != m.height {
				t.Fatalf("%d lines for %d rows of %d columns:\n%s", len(lines), m.height, m.width, screen(m))
			}
			cursors := 0
			for i, line := range lines {
				if _, n := cut(line, 1<<20); n > m.width {
					t.Fatalf("row %d takes %d columns of %d: %q", i, n, m.width, line)
				}
				if i >= m.heads() && strings.HasPrefix(line, ">") {
					cursors++
				}
			}
			if len(m.found) > 0 && m.rows() > 0 && cursors != 1 {
				t.Fatalf("%d cursors:\n%s", cursors, screen(m))
			}
			if row, column := m.Caret(); row != 0 || column < 0 || column >= m.width {
				t.Fatalf("the caret is in row %d, column %d of %d", row, column, m.width)
			}
			if n := strings.Count(fmt.Sprint(m.picked), "true"); n != m.count {
				t.Fatalf("%d are picked, %d counted", n, m.count)
			}
		}
	})
}

func FuzzKeys(f *testing.F) {
	for _, s := range []string{"abc", "\x1b", "\x1b[", "\x1b[1;5H", "\x1bOA", "\x1b\x1b", "\xff", "\xc3", "\x1b[200~a\x1b[201~", "\x1b[" + strings.Repeat("1", 50)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		m := New(Options{Labels: labels()})
		for len(sent) > 0 {
			if k, n := next(sent, false); n < 0 || n > len(sent) || n > 0 && k == (Key{}) && sent[0] != 0 {
				t.Fatalf("%q: %v, %d bytes", sent, k, n)
			}
			k, n := next(sent, true)
			if n <= 0 || n > len(sent) {
				t.Fatalf("%q: %d bytes", sent, n)
			}
			sent = sent[n:]
			m.Key(k)
		}
		if !utf8.ValidString(screen(m)) {
			t.Fatal("the screen is no text")
		}
	})
}

func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("test-linux1804-64-shippable/opt-%s-%d", []string{"mochitest-browser-chrome", "xpcshell", "web-platform-tests"}[i%3], i/3+1)
	}
	return out
}

// processorTime is what this process has used so far, all its threads.
func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Each key among 10,000 labels is answered within 16 ms, with colours and a preview, on a screen of 200 by
// 60. It is the best of several that counts, and what the processor did for it where that is less than what passed:
// what else the machine does is not of the picker.
func TestEachKeyIsAnsweredWithin16Milliseconds(t *testing.T) {
	const tries = 30
	limit := 16 * time.Millisecond
	if raceDetector {
		limit *= 10
	}
	typing := []string{"t", "e", "s", "t", " ", "l", "i", "n", "u", "x", " ", "m", "o", "c", "h", "i", "1", "\x7f", "\x7f", "\x01", "\x15", "x", "p", "\x17", "\t", "\x1b[B"}
	o := Options{Labels: many(10_000), Colour: true, Preview: func(label string) []string { return []string{label} }}
	m := New(o)
	m.Resize(200, 60)
	before := ""
	for _, key := range typing {
		best := time.Hour
		for i := 0; i < tries && best > limit; i++ {
			m.query, m.caret = []rune(before), len([]rune(before))
			m.look()
			began, worked := time.Now(), processorTime(t)
			typed(m, key)
			m.View()
			best = min(best, time.Since(began), processorTime(t)-worked)
		}
		if best > limit {
			t.Errorf("%q takes %v after %q", key, best, before)
		}
		before = m.Query()
	}
}

func BenchmarkKeyAndScreen(b *testing.B) {
	m := New(Options{Labels: many(10_000), Colour: true, Preview: func(label string) []string { return []string{label} }})
	m.Resize(200, 60)
	for b.Loop() {
		typed(m, "t")
		m.View()
		typed(m, "\x7f")
		m.View()
	}
}
