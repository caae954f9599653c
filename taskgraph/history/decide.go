package history

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// MaxPushes is how many pushes a table may be asked to look back: as many as the server keeps in one.
const MaxPushes = 500

// ArtifactName is the file name of the table among a decision's artifacts.
const ArtifactName = "history.json"

// Source gives the table for a decision. It is asked at most once, and only if something asks.
type Source = func() (*Table, error)

// Answer is what a rule says, with the reason for people.
type Answer struct {
	Yes    bool
	Reason string
}

func yes(format string, args ...any) Answer {
	return Answer{Yes: true, Reason: fmt.Sprintf(format, args...)}
}

func no(format string, args ...any) Answer { return Answer{Reason: fmt.Sprintf(format, args...)} }

// Interval reports whether the push is one of every n-th, by its number.
func (t *Table) Interval(n int) Answer {
	if t.Push.Number%int64(n) == 0 {
		return yes("push %d is one of every %d", t.Push.Number, n)
	}
	return no("push %d is not one of every %d; the next is %d", t.Push.Number, n, t.Push.Number-t.Push.Number%int64(n)+int64(n))
}

// Bucket reports whether it is label's turn, if the labels take turns so that each comes up on one of
// n pushes. Which one follows from the label alone.
func (t *Table) Bucket(label string, n int) Answer {
	h := fnv.New64a()
	h.Write([]byte(label))
	own := int64(h.Sum64() % uint64(n))
	wait := (own - t.Push.Number%int64(n) + int64(n)) % int64(n)
	if wait == 0 {
		return yes("its turn of one push in %d is push %d", n, t.Push.Number)
	}
	return no("its turn of one push in %d is push %d, not %d", n, t.Push.Number+wait, t.Push.Number)
}

// Backstop reports whether the push is a backstop, on which everything runs: one of every n-th, and
// between those the first push that comes age or more after the last backstop (0: none between). A
// backstop whose decision failed tested nothing: the next push takes its place. The answer follows from
// the pushes since the last n-th alone, so that all decisions agree on it.
func (t *Table) Backstop(n int, age time.Duration) Answer {
	first := t.Push.Number - t.Push.Number%int64(n)
	var last *Push // the last backstop that was decided
	for i := range t.Pushes {
		p := &t.Pushes[i]
		if p.Number >= first && !p.Undecided && (last == nil || age > 0 && p.Time.Sub(last.Time) >= age) {
			last = p
		}
	}
	switch {
	case last == nil && t.Push.Number == first:
		return yes("push %d is one of every %d", t.Push.Number, n)
	case last == nil && len(t.Pushes) == 0:
		return yes("push %d is the first that is known", t.Push.Number)
	case last == nil:
		return yes("no push from %d on was tested: their decisions failed, or are not known", first)
	case age > 0 && t.Push.Time.Sub(last.Time) >= age:
		return yes("the last backstop, push %d, is %s ago, not less than %s", last.Number, short(t.Push.Time.Sub(last.Time)), short(age))
	}
	return no("the last backstop, push %d, is %d pushes and %s ago", last.Number, t.Push.Number-last.Number, short(t.Push.Time.Sub(last.Time)))
}

// Recent reports whether the task of that label ran within the last n pushes and less than age ago (0:
// of any age), and passed when it last ran.
func (t *Table) Recent(label string, n int, age time.Duration) Answer {
	l, ok := t.Labels[label]
	if !ok || l.LastRun == nil {
		return no("it is not known to have run")
	}
	pushes, ago := t.Push.Number-l.LastRun.Number, t.Push.Time.Sub(l.LastRun.Time)
	switch {
	case l.LastPassed == nil || l.LastPassed.Number != l.LastRun.Number:
		return no("it failed when it last ran, on push %d", l.LastRun.Number)
	case pushes >= int64(n):
		return no("it last ran %d pushes ago, not less than %d", pushes, n)
	case age > 0 && ago >= age:
		return no("it last ran %s ago, not less than %s", short(ago), short(age))
	}
	return yes("it passed on push %d, %d pushes and %s ago", l.LastRun.Number, pushes, short(ago))
}

// Coverage says which of some labels find regressions that no other of them finds.
type Coverage struct {
	t           *Table
	minRuns     int
	regressions int            // that any of the labels found
	caught      int            // of them, by the valuable labels
	rank        map[string]int // of the valuable labels, from 1
	found       map[string]int // regressions by label
}

// Cover chooses the valuable ones of labels: the fewest that together would have found at least the
// share catch (0 to 1) of the regressions of the last pushes (0: all that are known) that any of labels
// found. The choice is greedy: the label that finds most of what is not found yet comes next; of equals
// the quicker one, then the first by name. Labels that ran on fewer than minRuns pushes are not judged.
func (t *Table) Cover(labels []string, pushes int, catch float64, minRuns int) *Coverage {
	c := &Coverage{t: t, minRuns: minRuns, rank: map[string]int{}, found: map[string]int{}}
	asked := make(map[string]bool, len(labels))
	for _, l := range labels {
		asked[l] = true
	}
	finds := map[string][]int{} // label → positions of open regressions
	for _, r := range t.Regressions {
		if pushes > 0 && r.Push < t.Push.Number-int64(pushes) {
			continue
		}
		any := false
		for _, l := range r.Labels {
			if asked[l] {
				finds[l] = append(finds[l], c.regressions)
				any = true
			}
		}
		if any {
			c.regressions++
		}
	}
	for l, list := range finds {
		c.found[l] = len(list)
	}
	c.choose(finds, catch)
	return c
}

// choose takes labels until enough regressions are caught.
func (c *Coverage) choose(finds map[string][]int, catch float64) {
	caught := make([]bool, c.regressions)
	for len(finds) > 0 && float64(c.caught) < catch*float64(c.regressions) {
		best, most := "", 0
		for l, list := range finds {
			list = slices.DeleteFunc(list, func(i int) bool { return caught[i] })
			if finds[l] = list; len(list) == 0 {
				delete(finds, l)
				continue
			}
			if len(list) > most || len(list) == most && c.before(l, best) {
				best, most = l, len(list)
			}
		}
		if best == "" {
			return
		}
		for _, i := range finds[best] {
			caught[i] = true
		}
		c.caught += most
		c.rank[best] = len(c.rank) + 1
		delete(finds, best)
	}
}

func (c *Coverage) before(a, b string) bool {
	if x, y := c.t.Labels[a].Median, c.t.Labels[b].Median; x != y {
		return x < y
	}
	return strings.Compare(a, b) < 0
}

// LowValue reports whether the task of that label can be left out most of the time.
func (c *Coverage) LowValue(label string) Answer {
	runs := c.t.Labels[label].Runs
	switch rank := c.rank[label]; {
	case rank > 0:
		return no("it is number %d of the %d tasks that find %d of %d regressions", rank, len(c.rank), c.caught, c.regressions)
	case runs < c.minRuns:
		return no("it ran on %d pushes; with fewer than %d a task is not judged", runs, c.minRuns)
	case c.found[label] > 0:
		return yes("others find what it found: %d tasks find %d of %d regressions", len(c.rank), c.caught, c.regressions)
	}
	return yes("it found none of %d regressions in %d runs", c.regressions, runs)
}

// short writes a duration without the parts that nobody needs.
func short(d time.Duration) string {
	text := d.Round(time.Second).String()
	if d >= time.Minute {
		text = d.Round(time.Minute).String()
		text = strings.TrimSuffix(text, "0s")
	}
	if d >= time.Hour {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
