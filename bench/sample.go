package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Sample is a number of measured times, in any order.
type Sample []time.Duration

// At returns the time below which the given share of the sample lies: At(0.5) is the median, At(1)
// the longest. Of an empty sample it is 0.
func (s Sample) At(share float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	rank := int(math.Ceil(share*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// Line is one row of a report.
type Line struct {
	Name        string  `json:"name"`
	Connections int     `json:"connections,omitempty"`
	Count       int     `json:"count"`            // things done
	PerSecond   float64 `json:"perSecond"`        // things done in a second; 0 where it says nothing
	P50         float64 `json:"p50Millis"`        // of one call
	P95         float64 `json:"p95Millis"`        //
	P99         float64 `json:"p99Millis"`        //
	Max         float64 `json:"maxMillis"`        //
	Errors      int     `json:"errors,omitempty"` // calls that failed
	// Processor is the time of all the server's processes for one of the things, in milliseconds, where
	// they are known.
	Processor float64 `json:"processorMillis,omitempty"`
	Old       int     `json:"oldTasks,omitempty"` // how many resolved tasks the database had
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// timed fills in what a sample says.
func (l Line) timed(s Sample) Line {
	l.P50, l.P95, l.P99, l.Max = millis(s.At(0.5)), millis(s.At(0.95)), millis(s.At(0.99)), millis(s.At(1))
	return l
}

// Report is what a benchmark found.
type Report struct {
	Title string `json:"title"`
	Began string `json:"began"` // RFC 3339
	Lines []Line `json:"lines"`
	// Stranded are tasks that were pending but that nobody got who asked.
	Stranded int      `json:"stranded"`
	Notes    []string `json:"notes"` // what one has to know to read the figures
	peer     map[measure]figure
}

func newReport(title string) *Report {
	return &Report{Title: title, Began: time.Now().UTC().Format(time.RFC3339)}
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// noteSync adds what a commit's sync costs in dir at this moment.
func (r *Report) noteSync(dir string) error {
	took, err := ProbeSync(dir, 100)
	if err != nil {
		return err
	}
	r.note("fdatasync of 8 KiB in %s: p50 %.2f ms, p99 %.2f ms", dir, millis(took.At(0.5)), millis(took.At(0.99)))
	return nil
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	wide := utf8.RuneCountInString(r.Title)
	for _, l := range r.Lines {
		wide = max(wide, utf8.RuneCountInString(l.Name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s  conn       n        /s    p50 ms    p95 ms    p99 ms    max ms  cpu ms  errors%s\n", wide, r.Title, r.peerHead())
	old := 0
	for _, l := range r.Lines {
		if l.Old != old {
			old = l.Old
			fmt.Fprintf(&b, "with %d old tasks:\n", old)
		}
		fmt.Fprintf(&b, "%-*s  %4s  %6s  %8s  %8.1f  %8.1f  %8.1f  %8.1f  %6s  %6s%s\n", wide, l.Name,
			whole(l.Connections), whole(l.Count), whole(int(math.Round(l.PerSecond))), l.P50, l.P95, l.P99, l.Max, hundredths(l.Processor), whole(l.Errors), r.peerColumns(l))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("bench: table: %w", err)
	}
	for _, n := range r.Notes {
		if _, err := fmt.Fprintln(w, n); err != nil {
			return fmt.Errorf("bench: table: %w", err)
		}
	}
	return nil
}

// peerHead and peerColumns set the peer's figures and ours to reach beside what was measured.
func (r *Report) peerHead() string {
	if r.peer == nil {
		return ""
	}
	return "    peer/s       x  reach/s"
}

func (r *Report) peerColumns(l Line) string {
	if r.peer == nil {
		return ""
	}
	f := r.peer[measure{l.Name, l.Connections}]
	times := "-"
	if f.peer > 0 {
		times = fmt.Sprintf("%.1f", l.PerSecond/f.peer)
	}
	return fmt.Sprintf("  %8s  %6s  %7s", whole(int(f.peer)), times, whole(int(f.reach)))
}

func hundredths(f float64) string {
	if f == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", f)
}

func whole(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
