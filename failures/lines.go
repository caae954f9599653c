package failures

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/logtext"
)

// What workers leave of a run, by the names they give it (docs/reference/task-page.md).
const summaryName = "public/test-summary.json"

// logNames are the names of a run's log, the best first.
var logNames = []string{"public/logs/live.log", "public/logs/live_backing.log", "public/live.log", "public/live_backing.log"}

// Limits of what is read and kept of one run.
const (
	maxSummary = 8 << 20
	maxLog     = 64 << 20
	maxLines   = 25 // of one run
)

// ofSummary reads a summary of tests. One that says of no failure gives none.
func ofSummary(r io.Reader) ([]Line, error) {
	var s struct {
		Failures []struct {
			Name  string `json:"name"`
			Suite string `json:"suite"`
			Text  string `json:"text"`
		} `json:"failures"`
	}
	if err := json.NewDecoder(io.LimitReader(r, maxSummary)).Decode(&s); err != nil {
		return nil, fmt.Errorf("failures: summary of tests: %w", err)
	}
	var out []Line
	for _, f := range s.Failures {
		test := f.Name
		if f.Suite != "" && !strings.HasPrefix(f.Name, f.Suite) {
			test = f.Suite + " " + f.Name
		}
		out = add(out, newLine(test, telling(f.Text), 0, f.Text))
	}
	return out, nil
}

// quiet are lines of a test's output that do not say what is wrong.
var quiet = regexp.MustCompile(`^(=== |--- |\s*$|Traceback |\s+at |goroutine )`)

// telling is the first line of a test's output that says something.
func telling(text string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if !quiet.MatchString(line) {
			return line
		}
	}
	return text
}

// add keeps the first of each signature.
func add(list []Line, l Line) []Line {
	if len(list) >= maxLines || slices.ContainsFunc(list, func(x Line) bool { return x.Signature == l.Signature }) {
		return list
	}
	return append(list, l)
}

// before and after are how many lines around one that fails are kept.
const (
	before = 4
	after  = 5
)

// logReader finds lines that tell of failures in a log.
type logReader struct {
	lines  []Line // of the task
	worker []Line // of the worker, which count only where the task says nothing
	past   []string
	open   []*excerpt
}

// excerpt is one that waits for the lines after it.
type excerpt struct {
	text   string // of the failing line
	number int
	worker bool
	around []string
	left   int
}

// ofLog reads a log.
func ofLog(r io.Reader) ([]Line, error) {
	var l logReader
	lines := logtext.Lines{Most: 2 * logtext.MaxFailing, Each: func(n int, line []byte, _ int64) { l.line(n, line) }}
	if _, err := io.Copy(&lines, io.LimitReader(r, maxLog)); err != nil {
		return nil, fmt.Errorf("failures: log: %w", err)
	}
	lines.End()
	for len(l.open) > 0 {
		l.close()
	}
	if len(l.lines) == 0 {
		return l.worker, nil
	}
	return l.lines, nil
}

func (l *logReader) line(n int, line []byte) {
	text, worker, failing := logtext.Failing(line)
	enough := len(l.lines)+len(l.open) >= maxLines
	if enough && len(l.open) == 0 {
		return
	}
	shown := logtext.Plain(line[:min(len(line), excerptLine)])
	for _, x := range l.open {
		x.around = append(x.around, shown)
		x.left--
	}
	for len(l.open) > 0 && l.open[0].left <= 0 {
		l.close()
	}
	if failing && !enough {
		l.open = append(l.open, &excerpt{text: text, number: n, worker: worker, around: append(slices.Clone(l.past), shown), left: after})
	}
	if l.past = append(l.past, shown); len(l.past) > before {
		l.past = l.past[1:]
	}
}

func (l *logReader) close() {
	x := l.open[0]
	l.open = l.open[1:]
	made := newLine("", x.text, x.number, strings.Join(x.around, "\n"))
	if x.worker {
		l.worker = add(l.worker, made)
	} else {
		l.lines = add(l.lines, made)
	}
}

// errNothing says that a run left nothing that tells of its failure.
var errNothing = errors.New("failures: the run left nothing to read")
