package graphcmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/startest"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// testCommand is one use of treeline taskgraph test.
type testCommand struct {
	generator
	run          string
	json, update bool
	junit        string
	jobs         int

	began time.Time
	files map[string]*fileTally // by name
	all   []startest.Result
}

// fileTally counts the tests of one file.
type fileTally struct {
	passed, failed int
	took           time.Duration
}

func newTestCommand() *cobra.Command {
	var c testCommand
	cmd := &cobra.Command{
		Use:   "test [PATH...]",
		Short: "Run the tests of the tree's Starlark",
		Long: `Runs the functions test_… of the files …_test.star below the paths, which are files or directories; by
default below the directory of config.yml. Each test that fails is shown with its place, and makes the
command fail. What such files can use is told in the reference of Starlark, and in the guide to testing.`,
		Example: "  treeline taskgraph test\n  treeline taskgraph test taskcluster/transforms_test.star -v\n  treeline taskgraph test --run 'level|project' --junit report.xml\n  treeline taskgraph test --update      # write the golden files anew",
		RunE:    c.does(c.test),
	}
	f := cmd.Flags()
	f.StringVarP(&c.root, "root", "r", "", rootHelp)
	f.StringVar(&c.run, "run", "", "only tests whose FILE:NAME this regular expression matches")
	f.BoolVar(&c.update, "update", false, "write what test.golden compares with, in the place of comparing")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "name the tests that pass too, with what they print")
	f.BoolVar(&c.json, "json", false, "print a JSON object for each test, one a line")
	f.StringVar(&c.junit, "junit", "", "write a report in JUnit's form to this file")
	f.IntVarP(&c.jobs, "jobs", "j", runtime.NumCPU(), "how many tests to run at once")
	f.Lookup("jobs").DefValue = "the number of processors" // the same help on every machine
	return cmd
}

func (c *testCommand) test(ctx context.Context, args []string) error {
	o := startest.Options{Tree: c.tree, Root: c.root, Jobs: c.jobs, Clock: time.Now}
	var err error
	if c.run != "" {
		if o.Run, err = regexp.Compile(c.run); err != nil {
			return fmt.Errorf("--run: %w", err)
		}
	}
	if o.Scripts, err = runtask.Scripts(); err != nil {
		return err
	}
	files, err := c.testFiles(args)
	if err != nil {
		return err
	}
	if c.update {
		root, err := os.OpenRoot(c.top)
		if err != nil {
			return fmt.Errorf("taskgraph: %w", err)
		}
		defer root.Close() //nolint:errcheck // what was written is closed already
		o.Update = func(name string, content []byte) error {
			if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
				return err
			}
			return root.WriteFile(name, content, 0o644)
		}
	}
	c.began, c.files = time.Now(), map[string]*fileTally{}
	if err := startest.Run(ctx, files, o, c.take); err != nil {
		return err
	}
	return c.finish()
}

// testFiles are the files of tests that the arguments mean, as paths in the tree.
func (c *testCommand) testFiles(args []string) ([]string, error) {
	if len(args) == 0 {
		files, err := startest.Find(c.tree, c.root)
		if err == nil && len(files) == 0 {
			err = fmt.Errorf("taskgraph: there are no tests below %s: they stand in files whose names end in %s", c.root, star.TestSuffix)
		}
		return files, err
	}
	var out []string
	for _, arg := range args {
		abs, err := filepath.Abs(arg)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(c.top, abs)
		if err != nil || !filepath.IsLocal(name) {
			return nil, fmt.Errorf("taskgraph: %s is not in the repository %s", arg, c.top)
		}
		name = filepath.ToSlash(name)
		info, err := fs.Stat(c.tree, name)
		if err != nil {
			return nil, fmt.Errorf("taskgraph: %w", err)
		}
		if !info.IsDir() {
			if !strings.HasSuffix(name, star.TestSuffix) {
				return nil, fmt.Errorf("taskgraph: %s holds no tests: names of such files end in %s", arg, star.TestSuffix)
			}
			out = append(out, name)
			continue
		}
		found, err := startest.Find(c.tree, name)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("taskgraph: there are no tests below %s", arg)
		}
		out = append(out, found...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// take shows the result of one test.
func (c *testCommand) take(r startest.Result) {
	tally := c.files[r.File]
	if tally == nil {
		if n := len(c.all); n > 0 && !c.json {
			c.sum(c.all[n-1].File)
		}
		tally = &fileTally{}
		c.files[r.File] = tally
	}
	c.all = append(c.all, r)
	tally.took += r.Took
	if r.Failure == nil {
		tally.passed++
	} else {
		tally.failed++
	}
	switch {
	case c.json:
		c.line(r)
	case r.Failure != nil:
		c.failed(r)
	case c.verbose:
		fmt.Fprintf(c.out, "%s %s (%s:%d) %s\n", c.screen.Paint(screen.Green, "--- PASS"), r.Name, r.File, r.Line, milliseconds(r.Took))
		printed(c, r)
	}
}

func printed(c *testCommand, r startest.Result) {
	for _, line := range r.Printed {
		fmt.Fprintf(c.out, "    print: %s\n", line)
	}
}

func milliseconds(d time.Duration) string { return d.Round(time.Millisecond / 10).String() }

// failed shows a test that failed: place, message, and the way there when it is not plain.
func (c *testCommand) failed(r startest.Result) {
	name := r.Name
	if name == "" {
		name = "the file cannot be loaded"
	}
	fmt.Fprintf(c.out, "%s %s (%s)\n", c.screen.Paint(screen.Red, "--- FAIL"), name, place(r.File, r.Line, 0))
	printed(c, r)
	f := r.Failure
	indent := func(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }
	fmt.Fprintln(c.out, indent(place(f.File, f.Line, f.Col)+": "+f.Message))
	if strings.Count(f.Traceback, "\n") > 1 {
		fmt.Fprintln(c.out, indent(f.Traceback))
	}
}

func place(file string, line, col int) string {
	switch {
	case line == 0:
		return file
	case col == 0:
		return fmt.Sprintf("%s:%d", file, line)
	}
	return fmt.Sprintf("%s:%d:%d", file, line, col)
}

// sum sums one file up.
func (c *testCommand) sum(file string) {
	t := c.files[file]
	if t.failed > 0 {
		fmt.Fprintf(c.out, "%s  %s  %d of %d failed\n", c.screen.Paint(screen.Red, "FAIL"), file, t.failed, t.passed+t.failed)
		return
	}
	fmt.Fprintf(c.out, "%s    %s  %s\n", c.screen.Paint(screen.Green, "ok"), file, count(t.passed))
}

func count(n int) string {
	if n == 1 {
		return "1 test"
	}
	return fmt.Sprintf("%d tests", n)
}

// testLine is the JSON form of a result.
type testLine struct {
	File      string   `json:"file"`
	Name      string   `json:"name,omitempty"`
	Line      int      `json:"line,omitempty"`
	Passed    bool     `json:"passed"`
	Seconds   float64  `json:"seconds"`
	Place     string   `json:"place,omitempty"`
	Message   string   `json:"message,omitempty"`
	Traceback string   `json:"traceback,omitempty"`
	Printed   []string `json:"printed,omitempty"`
}

func (c *testCommand) line(r startest.Result) {
	l := testLine{File: r.File, Name: r.Name, Line: r.Line, Passed: r.Failure == nil, Seconds: r.Took.Seconds(), Printed: r.Printed}
	if f := r.Failure; f != nil {
		l.Place, l.Message, l.Traceback = place(f.File, f.Line, f.Col), f.Message, f.Traceback
	}
	b, err := json.Marshal(l)
	if err != nil { // it holds texts and numbers only
		b = fmt.Appendf(nil, "%q", err.Error())
	}
	fmt.Fprintf(c.out, "%s\n", b)
}

// finish sums up; the error ends the command with a code of its own when a test failed.
func (c *testCommand) finish() error {
	if len(c.all) == 0 {
		if c.run != "" {
			return fmt.Errorf("taskgraph: no test's FILE:NAME matches --run %q", c.run)
		}
		return errors.New("taskgraph: the files hold no functions test_…")
	}
	var total fileTally
	for _, t := range c.files {
		total.passed += t.passed
		total.failed += t.failed
	}
	if c.junit != "" {
		if err := writeJUnit(c.junit, c.all); err != nil {
			return err
		}
	}
	if !c.json {
		c.sum(c.all[len(c.all)-1].File)
		fmt.Fprintf(c.out, "%s passed, %d failed in %s\n", count(total.passed), total.failed, time.Since(c.began).Round(time.Millisecond))
	}
	if total.failed > 0 {
		return exit.Told
	}
	return nil
}
