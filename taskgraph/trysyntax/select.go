package trysyntax

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Answer says whether the syntax asks for a task, why, and which part of the syntax it was.
type Answer struct {
	Selected   bool
	Rule, Part string
}

// Context is what selection knows besides the options and the graph.
type Context struct {
	// RidealongBuilds are platforms that come along with others: config.yml try.ridealong-builds.
	RidealongBuilds map[string][]string
	// Project is that of the push: tasks run by default whose run_on_projects holds "all", "try" or it.
	Project string
}

// Selector answers for the tasks of one graph.
type Selector struct {
	o       Options
	context Context
	full    *graph.Graph
	aliases map[string]alias
	notes   []*graph.Error
	seen    map[string]bool

	platforms     []string // nil: all
	jobs          []string // nil with allJobs
	allJobs       bool
	testPlatforms []string // of the graph, up to the slash
	suites        []suite
	tiers         map[string]map[int64]bool // of tests by their name
}

// suite is one family of tests with the option that asks for it.
type suite struct {
	flag, attribute string
	tests           map[string]test
}

// NewSelector prepares the options for a graph. The error holds a *graph.Error for each thing that is
// wrong: platforms and build types that no task has.
func NewSelector(o Options, full *graph.Graph, c Context) (*Selector, error) {
	s := &Selector{o: o, context: c, full: full, aliases: aliases(), seen: map[string]bool{}, notes: slices.Clone(o.Notes), tiers: map[string]map[int64]bool{}}
	facts := s.survey()
	s.testPlatforms = facts.short
	var errs []error
	errs = append(errs, s.checkBuildTypes(facts.types))
	errs = append(errs, s.readPlatforms(facts.platforms))
	for _, x := range []struct{ flag, attribute, text string }{
		{"-u", "unittest_try_name", o.Unittests}, {"-t", "talos_try_name", o.Talos}, {"-r", "raptor_try_name", o.Raptor},
	} {
		tests, err := s.tests(x.flag, x.text, facts.names[x.attribute])
		errs = append(errs, err)
		s.suites = append(s.suites, suite{x.flag, x.attribute, tests})
	}
	s.readJobs(facts.names["job_try_name"])
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// facts is what a graph offers, each list sorted.
type facts struct {
	types, platforms, short []string
	names                   map[string][]string // by attribute
}

func (s *Selector) survey() facts {
	f := facts{names: map[string][]string{}}
	add := func(to *[]string, v any) {
		if t, ok := v.(string); ok {
			*to = append(*to, t)
		}
	}
	for _, t := range s.full.All() {
		add(&f.types, t.Attribute("build_type"))
		add(&f.platforms, t.Attribute("build_platform"))
		if p, ok := t.Attribute("test_platform").(string); ok {
			f.platforms = append(f.platforms, p)
			p, _, _ = strings.Cut(p, "/")
			f.short = append(f.short, p)
		}
		for _, attribute := range []string{"unittest_try_name", "talos_try_name", "raptor_try_name", "job_try_name"} {
			if name, ok := t.Attribute(attribute).(string); ok {
				f.names[attribute] = append(f.names[attribute], name)
			}
		}
		if name, ok := t.Attribute("unittest_try_name").(string); ok && t.Kind == "test" {
			if s.tiers[name] == nil {
				s.tiers[name] = map[int64]bool{}
			}
			s.tiers[name][tier(t)] = true
		}
	}
	unique := func(list []string) []string { slices.Sort(list); return slices.Compact(list) }
	f.types, f.platforms, f.short = unique(f.types), unique(f.platforms), unique(f.short)
	for attribute, list := range f.names {
		f.names[attribute] = unique(list)
	}
	return f
}

func (s *Selector) checkBuildTypes(known []string) error {
	var bad []string
	for _, t := range s.o.BuildTypes {
		if !slices.Contains(known, t) {
			bad = append(bad, t)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fault(s.o.line, "-b: no task of the graph is of build type %s (known: %s)", strings.Join(bad, ", "), some(known))
}

// readPlatforms reads -p: platforms of builds and tests; the Mac's name means what tests run on, if
// tests are asked for.
func (s *Selector) readPlatforms(known []string) error {
	if s.o.Platforms == All {
		return nil
	}
	s.platforms = []string{}
	var bad []string
	for _, p := range strings.Split(s.o.Platforms, ",") {
		p = strings.TrimSpace(p)
		if p == "" {
			continue
		}
		wanted := p
		tests := s.o.Unittests != None || s.o.Talos != None || s.o.Raptor != None
		if p == "macosx64" && tests && slices.Contains(known, "macosx64-shippable") {
			wanted = "macosx64-shippable"
		}
		for _, name := range append([]string{wanted}, s.context.RidealongBuilds[p]...) {
			s.platforms = append(s.platforms, name)
			if !slices.Contains(known, name) {
				bad = append(bad, name)
			}
		}
	}
	if len(bad) == 0 {
		return nil
	}
	hint := ""
	if near := graph.Nearest(bad[0], known); near != "" {
		hint = fmt.Sprintf("; is %q meant?", near)
	}
	return fault(s.o.line, "-p: no task of the graph is for platform %s (known: %s)%s", clip(strings.Join(bad, ", ")), some(known), hint)
}

func (s *Selector) readJobs(known []string) {
	if len(s.o.Jobs) == 1 && s.o.Jobs[0] == All {
		s.allJobs = true
		return
	}
	if len(s.o.Jobs) == 1 && s.o.Jobs[0] == None {
		return
	}
	for _, list := range s.o.Jobs {
		for _, name := range strings.Split(list, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			s.jobs = append(s.jobs, name)
			if slices.Contains(known, name) || s.noted("-j"+name) {
				continue
			}
			hint := ""
			if near := graph.Nearest(name, known); near != "" {
				hint = fmt.Sprintf("; is %q meant?", near)
			}
			s.note("-j: no job of the graph is called %q%s", clip(name), hint)
		}
	}
}

// Notes tell what of the syntax is left out of account, in this graph or in any.
func (s *Selector) Notes() []*graph.Error { return slices.Clone(s.notes) }

func (s *Selector) note(format string, args ...any) {
	s.notes = append(s.notes, fault(s.o.line, format, args...))
}

// noted reports whether a note of that name was made before.
func (s *Selector) noted(name string) bool {
	was := s.seen[name]
	s.seen[name] = true
	return was
}

// some lists the first names of a list.
func some(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	if len(list) > 12 {
		return strings.Join(list[:12], ", ") + ", …"
	}
	return strings.Join(list, ", ")
}

// tier is the tier of a task in Treeherder, 1 without one.
func tier(t *graph.Task) int64 {
	v, _ := value.Get(t.Definition, "extra.treeherder.tier")
	if n, ok := v.(int64); ok {
		return n
	}
	return 1
}
