// Package lineindex knows where the lines of logs are, so that any of them is found without reading the whole log. An
// index is made while its log grows, or when an old log is first read; the finished index of a large log is kept in the
// database.
package lineindex

import (
	"github.com/treeline-ci/treeline/internal/logtext"
)

const (
	// Every is how many lines lie between two places that an index knows.
	Every = 1000
	// maxErrors is how many failing lines an index knows; it counts all.
	maxErrors = 1000
	// examined is how much of a line is looked at for failures and sections.
	examined = 64 << 10
)

// Error is a line that tells of a failure.
type Error struct {
	Line   int    `json:"line"` // from 1
	Text   string `json:"text"`
	Worker bool   `json:"worker"` // the worker says so, not the task
}

// Data is an index.
type Data struct {
	Lines      int               `json:"lines"` // whole ones
	Bytes      int64             `json:"bytes"` // of whole lines
	Tail       int64             `json:"tail"`  // bytes behind the last end of a line
	Offsets    []int64           `json:"offsets"`
	Looks      map[int]string    `json:"looks"` // escape codes in force at an offset, by its place in Offsets
	Errors     []Error           `json:"errors"`
	ErrorCount int               `json:"errorCount"`
	Sections   []logtext.Section `json:"sections"`
	Stamped    bool              `json:"stamped"` // lines begin with times
	sections   logtext.Sections
	look       logtext.Look
}

// Total counts the lines, with the one that has no end yet.
func (d *Data) Total() int {
	if d.Tail > 0 {
		return d.Lines + 1
	}
	return d.Lines
}

// line takes the next line.
func (d *Data) line(n int, text []byte, size int64) {
	if (n-1)%Every == 0 {
		if codes := d.look.Codes(); codes != "" {
			d.Looks[len(d.Offsets)] = codes
		}
		d.Offsets = append(d.Offsets, d.Bytes)
	}
	d.Lines, d.Bytes = n, d.Bytes+size
	d.look.Advance(text)
	d.sections.Line(n, text)
	if said, worker, failing := logtext.Failing(text); failing {
		if !worker {
			d.ErrorCount++
		}
		if len(d.Errors) < maxErrors {
			d.Errors = append(d.Errors, Error{n, said, worker})
		}
	}
}

// publish brings sections to where readers find them.
func (d *Data) publish() {
	d.Sections, d.Stamped = d.sections.List, d.sections.Stamped
}

// Failures are the lines that tell why a run failed: those of the task, or else the first of the worker.
func (d *Data) Failures() []Error {
	out := []Error{}
	for _, e := range d.Errors {
		if !e.Worker {
			out = append(out, e)
		}
	}
	for _, e := range d.Errors {
		if len(out) == 0 && e.Worker {
			return []Error{e}
		}
	}
	return out
}
