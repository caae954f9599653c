// Package startest runs the tests of a tree's Starlark: functions test_… without parameters, in
// files …_test.star below the directory of config.yml. Such files have the modules assert and test
// besides all that other files have:
//
//	load("//taskcluster/transforms.star", "add_env")
//
//	def test_level():
//	    got = test.transform(add_env, [{"name": "a"}], params = {"level": "3"})
//	    assert.eq(got[0]["worker"]["env"]["LEVEL"], "3")
//
// Tests of all files run at once, each within limits of its own; results come in the order of
// files and lines. Nothing but golden files is written, and those only by the function that
// Options.Update is.
package startest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/star"
)

// Options say what is run and how.
type Options struct {
	Tree fs.FS
	// Root is the directory of config.yml.
	Root string
	// Run selects tests by a match anywhere in FILE:NAME; nil means all.
	Run *regexp.Regexp
	// Jobs is how many tests run at once, at least 1.
	Jobs int
	// Scripts are those of taskgraph.Input, for test.graph.
	Scripts fs.FS
	// Update writes a golden file of the tree, in the place of comparing with it; nil compares.
	Update func(name string, content []byte) error
	// Clock measures how long tests take; nil measures nothing.
	Clock func() time.Time
}

// Result is what became of one test. A file that cannot be loaded has one result without a name.
type Result struct {
	File, Name string
	Line       int // of the function
	Failure    *Failure
	Printed    []string
	Took       time.Duration
}

// Failure says why a test failed.
type Failure struct {
	File      string // where, the innermost call in a file of tests
	Line, Col int
	Message   string // one line or more
	Traceback string
}

// Find gives the files of tests below dir, sorted.
func Find(tree fs.FS, dir string) ([]string, error) {
	var out []string
	err := fs.WalkDir(tree, path.Clean(dir), func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == ".git" || e.Name() == ".hg" || e.Name() == "node_modules") {
			return fs.SkipDir
		}
		if !e.IsDir() && strings.HasSuffix(name, star.TestSuffix) {
			out = append(out, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("startest: tests in %s: %w", dir, err)
	}
	return out, nil
}

// one is a test to be run.
type one struct {
	module *star.Module
	result Result
	done   chan struct{}
}

// Run runs the tests of files and hands each result to report, in the order of files and lines. The
// error is the context's only: what is wrong with a test is in its result.
func Run(ctx context.Context, files []string, o Options, report func(Result)) error {
	tests := load(ctx, files, o)
	limit := make(chan struct{}, max(o.Jobs, 1))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for _, t := range tests {
			if t.result.Failure != nil {
				close(t.done)
				continue
			}
			limit <- struct{}{}
			wg.Go(func() {
				defer func() { close(t.done); <-limit }()
				t.run(ctx, o)
			})
		}
	})
	for _, t := range tests {
		<-t.done
		if ctx.Err() == nil {
			report(t.result)
		}
	}
	return ctx.Err()
}

// load loads the files and lists their tests.
func load(ctx context.Context, files []string, o Options) []*one {
	var tests []*one
	for _, file := range files {
		var printed []string
		h := &harness{ctx: ctx, o: o}
		m, err := star.Load(ctx, o.Tree, file, star.Options{Extra: h.names(), Print: func(line string) { printed = append(printed, line) }})
		if err != nil {
			tests = append(tests, &one{result: Result{File: file, Failure: failure(file, err), Printed: printed}, done: make(chan struct{})})
			continue
		}
		names := slices.DeleteFunc(m.Functions(), func(name string) bool {
			return !strings.HasPrefix(name, "test_") || o.Run != nil && !o.Run.MatchString(file+":"+name)
		})
		slices.SortStableFunc(names, func(a, b string) int { return m.Line(a) - m.Line(b) })
		for _, name := range names {
			tests = append(tests, &one{module: m, result: Result{File: file, Name: name, Line: m.Line(name)}, done: make(chan struct{})})
		}
	}
	return tests
}

// run runs the test. A fault of Treeline must not end the others.
func (t *one) run(ctx context.Context, o Options) {
	r := &t.result
	defer func() {
		if p := recover(); p != nil {
			r.Failure = &Failure{File: r.File, Line: r.Line, Message: fmt.Sprintf("a fault in Treeline, please report it: %v", p)}
		}
	}()
	var began time.Time
	if o.Clock != nil {
		began = o.Clock()
	}
	if err := t.module.Run(ctx, r.Name, func(line string) { r.Printed = append(r.Printed, line) }); err != nil {
		r.Failure = failure(r.File, err)
	}
	if o.Clock != nil {
		r.Took = o.Clock().Sub(began)
	}
}

// failure makes a Failure of what Starlark says.
func failure(file string, err error) *Failure {
	var e *star.Error
	if !errors.As(err, &e) {
		return &Failure{File: file, Message: err.Error()}
	}
	f := &Failure{File: e.File, Line: e.Line, Col: e.Col, Message: e.Message, Traceback: e.Detail()}
	return f
}

// harness makes the names that files of tests have. It is shared by all tests of a file, and lives
// as long as the one Run, whose context it keeps.
type harness struct {
	ctx context.Context
	o   Options
}

func (h *harness) names() starlark.StringDict {
	return starlark.StringDict{"assert": asserts(), "test": h.fixtures()}
}

// Names are the full names of what files of tests have besides the library, sorted.
func Names() []string {
	var out []string
	for name, v := range (&harness{}).names() {
		out = append(out, star.Members(name, v)...)
	}
	slices.Sort(out)
	return out
}
