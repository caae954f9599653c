package logtext

import (
	"bytes"
	"strings"
	"time"
)

// Section is a part of a log that belongs together: a group, a step, or what one part of a wrapper has written.
type Section struct {
	From   int    `json:"from"` // lines, from 1
	To     int    `json:"to"`   // 0 while it goes on
	Depth  int    `json:"depth"`
	Title  string `json:"title"`
	Failed bool   `json:"failed"`
	Began  int64  `json:"began"` // milliseconds since 1970, 0 when the log has no times
	Ended  int64  `json:"ended"`
	kind   byte
}

// The kinds of sections, the outer ones first.
const (
	wrapper = 'w' // lines of one part of a task wrapper: [vcs TIME], [task TIME]
	step    = 's' // "===== Started NAME" to "===== Finished NAME", "##### Running NAME step." to "##### Finished"
	group   = 'g' // "##[group]NAME" to "##[endgroup]", and "::group::"
)

const (
	maxSections = 5000 // of a log
	maxDepth    = 8
	maxTitle    = 200 // bytes
)

// Sections finds the sections of a log. Its zero value is ready.
type Sections struct {
	List    []Section
	Stamped bool // lines have times
	open    []int
	last    int64 // the time of the last line that had one
	who     string
}

// titles are what the parts of wrappers and workers are called.
func title(who string) string {
	switch who {
	case "taskcluster":
		return "Worker"
	case "setup":
		return "Setup"
	case "cache":
		return "Caches"
	case "vcs":
		return "Checkout"
	case "fetches":
		return "Fetches"
	case "task":
		return "Task"
	}
	return ""
}

// Line looks at the line of a number, without its end.
func (s *Sections) Line(n int, line []byte) {
	if len(line) == 0 || line[0] != '[' && line[0] != '#' && line[0] != '=' && line[0] != ':' && line[0] != 0x1b {
		return
	}
	if line[0] == 0x1b {
		if len(line) > 4096 {
			return
		}
		var room [512]byte
		line = Visible(line, room[:0])
	}
	if who, at, rest, ok := Stamp(line); ok {
		s.Stamped = true
		s.last = at.UnixMilli()
		line = rest
		if who != s.who && title(who) != "" {
			s.close(n-1, 0)
			s.who = who
			s.begin(n, wrapper, title(who))
		}
	}
	s.marker(n, bytes.TrimRight(line, " \t"))
}

func (s *Sections) marker(n int, line []byte) {
	for _, m := range []string{"##[group]", "::group::"} {
		if name, ok := bytes.CutPrefix(line, []byte(m)); ok {
			s.begin(n, group, string(name))
			return
		}
	}
	switch {
	case bytes.Equal(line, []byte("##[endgroup]")), bytes.Equal(line, []byte("::endgroup::")):
		s.end(n, group, false)
	case bytes.HasPrefix(line, []byte("=====")):
		text := string(bytes.Trim(line, "= "))
		if name, ok := strings.CutPrefix(text, "Started "); ok {
			name, _, _ = strings.Cut(name, " (results:")
			s.begin(n, step, name)
		} else if rest, ok := strings.CutPrefix(text, "Finished "); ok {
			_, result, _ := strings.Cut(rest, "(results: ")
			s.end(n, step, strings.HasPrefix(result, "2") || strings.HasPrefix(result, "4") || strings.HasPrefix(result, "5"))
		}
	case bytes.HasPrefix(line, []byte("##### ")):
		text := string(bytes.TrimLeft(line, "# "))
		if name, ok := strings.CutPrefix(text, "Running "); ok && strings.HasSuffix(name, " step.") {
			s.begin(n, step, strings.TrimSuffix(name, " step."))
		} else if strings.HasPrefix(text, "Finished ") {
			s.end(n, step, strings.Contains(text, "(fail"))
		}
	}
}

func (s *Sections) begin(n int, kind byte, name string) {
	if len(s.List) >= maxSections || len(s.open) >= maxDepth {
		return
	}
	if name = strings.ToValidUTF8(name, "?"); len(name) > maxTitle {
		name = strings.ToValidUTF8(name[:maxTitle], "") + "…"
	}
	s.open = append(s.open, len(s.List))
	s.List = append(s.List, Section{From: n, Depth: len(s.open) - 1, Title: name, Began: s.last, kind: kind})
}

// end ends the innermost section of a kind, and what is open in it.
func (s *Sections) end(n int, kind byte, failed bool) {
	for i := len(s.open) - 1; i >= 0; i-- {
		if o := &s.List[s.open[i]]; o.kind == kind {
			o.Failed = failed
			s.close(n, i)
			return
		}
	}
}

// close ends the open sections from depth on at a line.
func (s *Sections) close(n, depth int) {
	for _, i := range s.open[min(depth, len(s.open)):] {
		s.List[i].To, s.List[i].Ended = n, s.last
	}
	s.open = s.open[:min(depth, len(s.open))]
}

// End says that the log has that many lines.
func (s *Sections) End(lines int) { s.close(lines, 0) }

// Took is how long a section took; 0 when that is not known.
func (s Section) Took() time.Duration {
	if s.Ended == 0 || s.Began == 0 {
		return 0
	}
	return time.Duration(s.Ended-s.Began) * time.Millisecond
}
