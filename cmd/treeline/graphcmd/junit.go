package graphcmd

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/startest"
)

// The report of tests in the form that most CI systems read.
type (
	junitReport struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`

		seconds float64
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr,omitempty"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes the report of all results, which come by file.
func writeJUnit(name string, all []startest.Result) error {
	var report junitReport
	total := 0.0
	for _, r := range all {
		if n := len(report.Suites); n == 0 || report.Suites[n-1].Name != r.File {
			report.Suites = append(report.Suites, junitSuite{Name: r.File})
		}
		s := &report.Suites[len(report.Suites)-1]
		c := junitCase{Name: r.Name, Class: r.File, File: r.File, Line: r.Line, Time: seconds(r.Took.Seconds()), Out: strings.Join(r.Printed, "\n")}
		if c.Name == "" {
			c.Name = "load"
		}
		if f := r.Failure; f != nil {
			c.Failure = &junitFailure{Message: f.Message, Text: place(f.File, f.Line, f.Col) + ": " + f.Message + "\n" + f.Traceback}
			s.Failures++
			report.Failures++
		}
		s.Tests++
		report.Tests++
		s.seconds += r.Took.Seconds()
		s.Time = seconds(s.seconds)
		total += r.Took.Seconds()
		s.Cases = append(s.Cases, c)
	}
	report.Time = seconds(total)
	b, err := xml.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("taskgraph: report: %w", err)
	}
	if err := os.WriteFile(name, append([]byte(xml.Header), append(b, '\n')...), 0o644); err != nil {
		return fmt.Errorf("taskgraph: --junit: %w", err)
	}
	return nil
}

func seconds(s float64) string { return fmt.Sprintf("%.6f", s) }
