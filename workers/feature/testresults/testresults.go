// Package testresults reads what test programs wrote about their tests: JUnit's XML, and the lines of JSON of
// "go test -json". It sums them up in one small document that people and programs read without knowing either.
package testresults

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Artifact is the name of the summary.
const Artifact = "public/test-summary.json"

// Limits of what is read and kept.
const (
	MaxFile     = 64 << 20 // bytes of one file
	maxFailures = 200
	maxText     = 4000 // characters of one failure's message
)

// Summary is what the tests of one run came to.
type Summary struct {
	Version  int       `json:"version"` // 1
	Tests    int       `json:"tests"`
	Passed   int       `json:"passed"`
	Failed   int       `json:"failed"`
	Skipped  int       `json:"skipped"`
	Seconds  float64   `json:"seconds"` // of all tests together
	Files    []File    `json:"files"`
	Failures []Failure `json:"failures"` // the first 200
	Slowest  []Test    `json:"slowest"`  // ten
}

// File is one that was read.
type File struct {
	Name   string `json:"name"` // of the artifact
	Format string `json:"format"`
	Tests  int    `json:"tests"`
	Failed int    `json:"failed"`
}

// Test is one test.
type Test struct {
	Name    string  `json:"name"`
	Suite   string  `json:"suite,omitempty"`
	Seconds float64 `json:"seconds"`
}

// Failure is a test that failed.
type Failure struct {
	Test
	Text string `json:"text"`
	File string `json:"file"` // the artifact that tells it
}

// Candidate says by its name whether a file may hold results: read it then.
func Candidate(name string) bool {
	base := strings.ToLower(path.Base(name))
	switch path.Ext(base) {
	case ".xml":
		return true
	case ".json", ".jsonl", ".ndjson":
		return strings.Contains(base, "test") || strings.Contains(base, "result")
	}
	return false
}

// Add reads a file and says whether it held results. A file that begins as results and then cannot be read counts
// as far as it could be; the error says what was wrong.
func (s *Summary) Add(name string, r io.Reader) (held bool, err error) {
	in := bufio.NewReaderSize(io.LimitReader(r, MaxFile), 64<<10)
	start, err := in.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	f := &file{s: s, File: File{Name: name}}
	switch start = bytes.TrimLeft(start, "\ufeff \t\r\n"); {
	case bytes.HasPrefix(start, []byte("<")):
		f.Format = "junit"
		err = f.junit(in)
	case bytes.HasPrefix(start, []byte("{")) && bytes.Contains(start, []byte(`"Action"`)):
		f.Format = "go"
		err = f.goTest(in)
	default:
		return false, nil
	}
	if f.Tests == 0 && !f.found {
		return false, nil
	}
	s.Version = 1
	s.Files = append(s.Files, f.File)
	return true, err
}

// Finish puts the summary in order. It is complete then.
func (s *Summary) Finish() {
	slices.SortStableFunc(s.Slowest, func(a, b Test) int { return cmp.Compare(b.Seconds, a.Seconds) })
	s.Slowest = s.Slowest[:min(len(s.Slowest), 10)]
	if s.Failures == nil {
		s.Failures = []Failure{}
	}
}

// file is one on its way.
type file struct {
	File
	s     *Summary
	found bool // a root element of results
}

func (f *file) count(t Test, state, text string) {
	f.Tests++
	f.s.Tests++
	f.s.Seconds += t.Seconds
	switch state {
	case "fail":
		f.Failed++
		f.s.Failed++
		if len(f.s.Failures) < maxFailures {
			f.s.Failures = append(f.s.Failures, Failure{Test: t, Text: shorten(text), File: f.Name})
		}
	case "skip":
		f.s.Skipped++
	default:
		f.s.Passed++
	}
	f.s.Slowest = append(f.s.Slowest, t)
	if len(f.s.Slowest) > 1000 {
		slices.SortStableFunc(f.s.Slowest, func(a, b Test) int { return cmp.Compare(b.Seconds, a.Seconds) })
		f.s.Slowest = f.s.Slowest[:10]
	}
}

func shorten(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\ufffd")
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + " ..."
}

type testcase struct {
	Name      string    `xml:"name,attr"`
	Classname string    `xml:"classname,attr"`
	Time      string    `xml:"time,attr"`
	Failures  []problem `xml:"failure"`
	Errors    []problem `xml:"error"`
	Skipped   *problem  `xml:"skipped"`
}

type problem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (f *file) junit(r io.Reader) error {
	dec := xml.NewDecoder(r)
	for depth := 0; ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			switch {
			case depth == 0 && e.Name.Local != "testsuites" && e.Name.Local != "testsuite":
				return nil // some other XML
			case e.Name.Local == "testcase":
				var c testcase
				if err := dec.DecodeElement(&c, &e); err != nil {
					return err
				}
				f.testcase(c)
				continue
			}
			f.found = true
			depth++
		}
	}
}

func (f *file) testcase(c testcase) {
	seconds, err := strconv.ParseFloat(strings.ReplaceAll(c.Time, ",", ""), 64)
	if err != nil || seconds < 0 || seconds > 1e7 {
		seconds = 0
	}
	t := Test{Name: c.Name, Suite: c.Classname, Seconds: seconds}
	problems := append(c.Failures, c.Errors...)
	switch {
	case len(problems) > 0:
		var text strings.Builder
		for _, p := range problems {
			text.WriteString(strings.TrimSpace(p.Message+"\n"+p.Text) + "\n")
		}
		f.count(t, "fail", text.String())
	case c.Skipped != nil:
		f.count(t, "skip", "")
	default:
		f.count(t, "pass", "")
	}
}

func (f *file) goTest(r io.Reader) error {
	type event struct {
		Action, Package, Test, Output string
		Elapsed                       float64
	}
	output := map[[2]string]*strings.Builder{}
	for dec := json.NewDecoder(r); ; {
		var e event
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Action == "" || e.Test == "" {
			continue
		}
		key := [2]string{e.Package, e.Test}
		switch e.Action {
		case "output":
			if output[key] == nil {
				output[key] = &strings.Builder{}
			}
			if b := output[key]; b.Len() < maxText {
				b.WriteString(e.Output)
			}
		case "pass", "fail", "skip":
			text := ""
			if b := output[key]; b != nil {
				text = b.String()
			}
			delete(output, key)
			f.count(Test{Name: e.Test, Suite: e.Package, Seconds: max(0, e.Elapsed)}, e.Action, text)
		}
	}
}
