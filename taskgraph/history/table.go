// Package history holds what is known of a project's earlier pushes: when they came, which tasks ran
// on them and how that went, and how long tasks take. It is the snapshot from which the strategies
// of low-value tests, bucketed pushes, backstops and coalescing decide (docs/explanation/history.md),
// and from which costs are estimated.
//
// A Table is an input of a decision like its parameters: it is recorded beside them, and the same
// table gives the same graph. Where it comes from (the server's database, a file) is no matter of
// this package, which knows no clock and no network. Tables are immutable once read and safe for
// concurrent use; all methods work on a nil table, which knows nothing.
package history

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Version is the version of the form that Write writes and Read reads.
const Version = 1

// MaxBytes is the largest table that Read takes.
const MaxBytes = 256 << 20

// Table is the history of one project as one decision sees it.
type Table struct {
	Version int    `json:"version"`
	Project string `json:"project"`
	// Push is the push that is being decided. Its time is the "now" of all strategies.
	Push Push `json:"push"`
	// Pushes are the pushes before it, the oldest first, numbers ascending.
	Pushes []Push `json:"pushes"`
	// Regressions are the pushes on which tasks began to fail, the oldest first.
	Regressions []Regression `json:"regressions"`
	// Labels are the tasks that ran on any of the pushes.
	Labels map[string]Label `json:"labels"`

	once    sync.Once
	typical time.Duration
}

// Push is one push of the project.
type Push struct {
	// Number counts the project's pushes, one by one, from 1.
	Number   int64     `json:"number"`
	Revision string    `json:"revision,omitempty"`
	Time     time.Time `json:"time"`
	// Undecided is true of a push whose decision failed or never ended: it tested nothing.
	Undecided bool `json:"undecided,omitempty"`
}

// Regression is a push on which tasks failed that had passed before, and that did not pass when they
// were run again.
type Regression struct {
	Push   int64    `json:"push"`
	Labels []string `json:"labels"` // sorted
}

// Label is what is known of the tasks of one label.
type Label struct {
	// Runs counts the pushes on which it ran to an end; Failed those of them on which it did not
	// pass at all, Flaky those on which it both failed and passed.
	Runs   int `json:"runs"`
	Failed int `json:"failed,omitempty"`
	Flaky  int `json:"flaky,omitempty"`
	// LastRun and LastPassed are the latest pushes on which it ran to an end, and passed; nil for
	// none.
	LastRun    *Moment `json:"lastRun,omitempty"`
	LastPassed *Moment `json:"lastPassed,omitempty"`
	// Median and P90 are of the durations of its runs that passed (of all runs, if none did), from
	// start to end, in seconds.
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
}

// Moment is a push by number and time.
type Moment struct {
	Number int64     `json:"number"`
	Time   time.Time `json:"time"`
}

// Durations tells how long tasks take: what estimates of cost and of critical paths need. *Table is
// one.
type Durations interface {
	// Duration is the usual duration of the task of that label; false if it is not known.
	Duration(label string) (time.Duration, bool)
	// Typical is the median over all labels: a guess for a task that never ran. 0 if nothing is
	// known at all.
	Typical() time.Duration
}

// Duration implements Durations: the median of the label's runs.
func (t *Table) Duration(label string) (time.Duration, bool) {
	if t == nil {
		return 0, false
	}
	l, ok := t.Labels[label]
	if !ok || l.Runs == 0 {
		return 0, false
	}
	return seconds(l.Median), true
}

// Typical implements Durations.
func (t *Table) Typical() time.Duration {
	if t == nil {
		return 0
	}
	t.once.Do(func() {
		all := make([]float64, 0, len(t.Labels))
		for _, l := range t.Labels {
			if l.Runs > 0 {
				all = append(all, l.Median)
			}
		}
		if len(all) > 0 {
			slices.Sort(all)
			t.typical = seconds(all[len(all)/2])
		}
	})
	return t.typical
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Read reads a table and checks it.
func Read(r io.Reader) (*Table, error) {
	limited := &io.LimitedReader{R: r, N: MaxBytes + 1}
	d := json.NewDecoder(limited)
	var t Table
	if err := d.Decode(&t); err != nil {
		if limited.N <= 0 {
			return nil, fmt.Errorf("history: the table has more than %d MiB", MaxBytes>>20)
		}
		return nil, fmt.Errorf("history: not a table as treeline taskgraph history writes it: %w", err)
	}
	return &t, t.Check()
}

// Check says what is wrong with a table, if anything: another version, pushes or regressions out of
// order, numbers that cannot be.
func (t *Table) Check() error {
	if t.Version != Version {
		return fmt.Errorf("history: the table has version %d; this program reads version %d", t.Version, Version)
	}
	if t.Push.Number < 1 {
		return fmt.Errorf("history: push.number is %d; pushes are counted from 1", t.Push.Number)
	}
	last := int64(0)
	for i, p := range t.Pushes {
		if p.Number <= last || p.Number >= t.Push.Number {
			return fmt.Errorf("history: pushes[%d] has number %d after %d; numbers ascend and stay below %d, the push being decided", i, p.Number, last, t.Push.Number)
		}
		last = p.Number
	}
	last = 0
	for i, r := range t.Regressions {
		if r.Push <= last || len(r.Labels) == 0 || !slices.IsSorted(r.Labels) {
			return fmt.Errorf("history: regressions[%d]: pushes ascend, and labels are sorted and not empty", i)
		}
		last = r.Push
	}
	for label, l := range t.Labels {
		if l.Runs < 0 || l.Failed < 0 || l.Flaky < 0 || l.Failed+l.Flaky > l.Runs || l.Median < 0 || l.P90 < 0 {
			return fmt.Errorf("history: labels.%s: counts and durations are not negative, and failed and flaky are among the runs", label)
		}
	}
	return nil
}

// Write writes the table as Read reads it: the same bytes for the same table.
func (t *Table) Write(w io.Writer) error {
	b, err := t.Bytes()
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// Bytes is what Write writes.
func (t *Table) Bytes() ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(t); err != nil {
		return nil, fmt.Errorf("history: write: %w", err)
	}
	return []byte(b.String()), nil
}
