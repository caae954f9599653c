package logtext_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/treeline-ci/treeline/internal/logtext"
)

// cases are those that the viewer's own script passes.
func cases(t testing.TB) [][3]string {
	t.Helper()
	text, err := os.ReadFile("../../ui/src/log/ansi.cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var list [][3]string
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestVisibleIsWhatTheViewerDraws(t *testing.T) {
	marks := regexp.MustCompile(`\[(fg=|bg=|->|[bfius]\b|inv|hid)[^\]]*\]|\[\]`)
	for _, c := range cases(t) {
		want := marks.ReplaceAllString(c[2], "")
		if got := string(logtext.Visible([]byte(c[1]), nil)); got != want {
			t.Errorf("%s: got %q, want %q", c[0], got, want)
		}
	}
}

func TestCodesBringTheLookBack(t *testing.T) {
	for _, c := range cases(t) {
		var a, b logtext.Look
		a.Advance([]byte(c[1]))
		b.Advance([]byte(a.Codes()))
		if diff := cmp.Diff(a.Codes(), b.Codes()); diff != "" {
			t.Errorf("%s: %s", c[0], diff)
		}
	}
	var l logtext.Look
	l.Advance([]byte("\x1b[1;31;48;5;17mx\x1b]8;;https://example.com\x1b\\y"))
	if diff := cmp.Diff("\x1b[1;31;48;5;17m\x1b]8;;https://example.com\x1b\\", l.Codes()); diff != "" {
		t.Error(diff)
	}
}

func TestLines(t *testing.T) {
	const log = "one\r\ntwo\n\nthree\rTHREE\nfour four four\r\r\nfive"
	want := []string{"one", "two", "", "three\rTHREE", "four four four\r", "five"}
	for cut := range len(log) + 1 {
		var got []string
		var bytes int64
		l := logtext.Lines{Most: 100, Each: func(n int, line []byte, size int64) {
			got = append(got, string(line))
			bytes += size
			if n != len(got) {
				t.Fatalf("line %d has number %d", len(got), n)
			}
		}}
		_, _ = l.Write([]byte(log[:cut]))
		_, _ = l.Write([]byte(log[cut:]))
		l.End()
		if diff := cmp.Diff(want, got); diff != "" || bytes != int64(len(log)) {
			t.Fatalf("cut at %d: %d bytes: %s", cut, bytes, diff)
		}
	}
	t.Run("of a long line only the beginning is held", func(t *testing.T) {
		var lengths []int
		l := logtext.Lines{Most: 10, Each: func(_ int, line []byte, size int64) { lengths = append(lengths, len(line), int(size)) }}
		for range 1000 {
			_, _ = l.Write([]byte("0123456789abcdef"))
		}
		_, _ = l.Write([]byte("\nx\n"))
		if diff := cmp.Diff([]int{10, 16001, 1, 2}, lengths); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFailing(t *testing.T) {
	for line, want := range map[string]string{
		"[task 2026-01-02T03:04:05.678Z] \x1b[31merror\x1b[0m: no such file": "error: no such file",
		"main.go:3: error: x":                    "main.go:3: error: x",
		"FAILED tests/test_a.py::test_b - x":     "FAILED tests/test_a.py::test_b - x",
		"--- FAIL: TestX (0.00s)":                "--- FAIL: TestX (0.00s)",
		"not ok 3 - x":                           "not ok 3 - x",
		"TypeError: x is null":                   "TypeError: x is null",
		"bash: foo: command not found":           "bash: foo: command not found",
		"make: *** [all] Error 2":                "make: *** [all] Error 2",
		"TEST-UNEXPECTED-FAIL | a | b":           "TEST-UNEXPECTED-FAIL | a | b",
		"E: Unable to locate package":            "E: Unable to locate package",
		"e[E0308]: mismatched types":             "e[E0308]: mismatched types",
		"Segmentation fault (core dumped)":       "Segmentation fault (core dumped)",
		"Assertion `x' failed.":                  "Assertion `x' failed.",
		"npm ERR! code 1":                        "npm ERR! code 1",
		"[taskcluster:error] Task was too large": "Task was too large",
		"0 errors, 0 failures":                   "",
		"ok  \tpkg\t0.1s":                        "",
		"[taskcluster 2026-01-02] error: x":      "",
		"error: " + strings.Repeat("x", 5000):    "",
	} {
		if text, _, failing := logtext.Failing([]byte(line)); failing != (want != "") || failing && text != want {
			t.Errorf("%q: got %q, %v", line, text, failing)
		}
	}
}

func TestSections(t *testing.T) {
	const log = `[taskcluster 2026-01-02T03:00:00.000Z] Task X, run 0
[vcs 2026-01-02T03:00:01.000Z] cloning
[vcs 2026-01-02T03:00:05.000Z] done
[task 2026-01-02T03:00:06.000Z] ##[group]Compile
[task 2026-01-02T03:00:07.000Z] gcc
[task 2026-01-02T03:00:16.500Z] ##[endgroup]
[task 2026-01-02T03:00:17.000Z] ========= Started mochitest (results: 0, elapsed: 0 secs) (at 2026) =========
TinderboxPrint: mochitest<br/>1/2
[task 2026-01-02T03:01:17.000Z] ========= Finished mochitest (results: 2, elapsed: 1 mins) (at 2026) =========
##### Running upload step.
::group::inner
::endgroup::
##### Finished upload step (success)
[taskcluster 2026-01-02T03:02:00.000Z] Result: failed.
`
	var s logtext.Sections
	l := logtext.Lines{Most: 1000, Each: func(n int, line []byte, _ int64) { s.Line(n, line) }}
	_, _ = l.Write([]byte(log))
	s.End(l.Count)
	type short struct {
		From, To, Depth int
		Title           string
		Failed          bool
		Took            string
	}
	var got []short
	for _, p := range s.List {
		got = append(got, short{p.From, p.To, p.Depth, p.Title, p.Failed, p.Took().String()})
	}
	want := []short{
		{1, 1, 0, "Worker", false, "1s"}, {2, 3, 0, "Checkout", false, "5s"}, {4, 13, 0, "Task", false, "1m54s"},
		{4, 6, 1, "Compile", false, "10.5s"}, {7, 9, 1, "mochitest", true, "1m0s"}, {10, 13, 1, "upload", false, "0s"},
		{11, 12, 2, "inner", false, "0s"}, {14, 14, 0, "Worker", false, "0s"},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func FuzzVisible(f *testing.F) {
	for _, c := range cases(f) {
		f.Add([]byte(c[1]))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		line = bytes.ToValidUTF8(line, []byte("\ufffd")) // as browsers read it
		seen := logtext.Visible(line, nil)
		for i, b := range seen {
			if b < 0x20 && b != '\t' || b == 0x7f || b == 0xc2 && i+1 < len(seen) && seen[i+1] >= 0x80 && seen[i+1] < 0xa0 {
				t.Fatalf("%q shows a control character: %q", line, seen)
			}
		}
		var l, again logtext.Look
		l.Advance(line)
		again.Advance([]byte(l.Codes()))
		if l.Codes() != again.Codes() {
			t.Fatalf("%q: %q, then %q", line, l.Codes(), again.Codes())
		}
		_, _, _ = logtext.Failing(line)
		new(logtext.Sections).Line(1, line)
	})
}
