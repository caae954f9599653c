package trysyntax

import (
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// buildKinds are the kinds that -b and -p govern.
func buildKinds() []string {
	return []string{"build", "artifact-build", "hazard", "l10n", "valgrind", "spidermonkey"}
}

// Answer says whether the options ask for t (taskgraph-map 23.2).
func (s *Selector) Answer(t *graph.Task) Answer {
	switch {
	case value.Truthy(t.Attribute("job_try_name")):
		return s.job(t)
	case t.Kind == "test":
		return s.test(t)
	case slices.Contains(buildKinds(), t.Kind):
		return s.build(t)
	}
	return Answer{Rule: "try syntax selects builds, tests and jobs; this is none of them", Part: "kind: " + t.Kind}
}

func yes(rule, part string) Answer { return Answer{Selected: true, Rule: rule, Part: part} }
func no(rule, part string) Answer  { return Answer{Rule: rule, Part: part} }

func (s *Selector) job(t *graph.Task) Answer {
	name := text(t, "job_try_name")
	if !s.allJobs {
		if slices.Contains(s.jobs, name) {
			return yes("try syntax names the job", "-j "+name)
		}
		return no("try syntax does not name the job", "job_try_name: "+name)
	}
	if !s.onPlatform(t) {
		return no("try syntax does not ask for the platform", "-p "+s.o.Platforms)
	}
	if !s.byDefault(t) {
		return no("run_on_projects leaves try out", "-j all")
	}
	return yes("try syntax asks for all jobs", "-j all")
}

func (s *Selector) build(t *graph.Task) Answer {
	if !s.ofType(t) {
		return no("try syntax does not ask for the build type", s.shownTypes())
	}
	if s.platforms == nil {
		if !s.byDefault(t) {
			return no("run_on_projects leaves try out, and try syntax does not name the platform", "-p all")
		}
		return yes("try syntax asks for the build type on all platforms", s.shownTypes()+" -p all")
	}
	if !s.onPlatform(t) {
		return no("try syntax does not ask for the platform", "-p "+s.o.Platforms)
	}
	return yes("try syntax asks for the build type and the platform", s.shownTypes()+" -p "+s.o.Platforms)
}

// test asks each family; the answer that selects counts, else that of the family that knows the test.
func (s *Selector) test(t *graph.Task) Answer {
	if !s.ofType(t) {
		return no("try syntax does not ask for the build type", s.shownTypes())
	}
	if !s.onPlatform(t) {
		return no("try syntax does not ask for the platform", "-p "+s.o.Platforms)
	}
	best := no("try syntax does not name the test", fmt.Sprintf("-u %s -t %s -r %s", s.o.Unittests, s.o.Talos, s.o.Raptor))
	for _, family := range s.suites {
		x, ok := family.tests[text(t, family.attribute)]
		if !ok {
			continue
		}
		if a := s.asked(t, x); a.Selected {
			return a
		} else {
			best = a
		}
	}
	return best
}

// asked says whether t is one of the tests that x asks for.
func (s *Selector) asked(t *graph.Task, x test) Answer {
	if x.chunks != nil && !slices.Contains(x.chunks, fmt.Sprint(t.Attribute("test_chunk"))) {
		return no("try syntax names other chunks of the test", x.said)
	}
	if x.limited {
		platform, _, _ := strings.Cut(text(t, "test_platform"), "/")
		if slices.Contains(x.platforms, All) || slices.Contains(x.platforms, platform) {
			return yes("try syntax names the test on the platform", x.said)
		}
		return no("try syntax names the test on other platforms", x.said)
	}
	if own := tier(t); own != 1 {
		return s.lowTier(t, x, own)
	}
	if !s.byDefault(t) {
		return no("run_on_projects leaves try out, and try syntax does not name the platform behind the test", x.said)
	}
	return yes("try syntax names the test", x.said)
}

// lowTier says whether a test of tier 2 or 3 runs that is not named with its platform.
func (s *Selector) lowTier(t *graph.Task, x test, own int64) Answer {
	if b := s.full.Task(t.Dependencies["build"]); b != nil && own <= tier(b) {
		return yes(fmt.Sprintf("try syntax names the test; it is of tier %d as its build", own), x.said)
	}
	if !s.tiers[text(t, "unittest_try_name")][1] {
		return yes(fmt.Sprintf("try syntax names the test; it is of tier %d, and there is none of tier 1", own), x.said)
	}
	return no(fmt.Sprintf("the test is of tier %d, and another of that name is of tier 1; name its platform in brackets", own), x.said)
}

func (s *Selector) ofType(t *graph.Task) bool {
	return slices.Contains(s.o.BuildTypes, text(t, "build_type"))
}

func (s *Selector) onPlatform(t *graph.Task) bool {
	return s.platforms == nil || slices.Contains(s.platforms, text(t, "build_platform"))
}

// byDefault reports whether the task runs on try without being named.
func (s *Selector) byDefault(t *graph.Task) bool {
	list, _ := value.Strings(t.Attribute("run_on_projects"))
	return slices.ContainsFunc(list, func(p string) bool { return p == All || p == "try" || p != "" && p == s.context.Project })
}

func (s *Selector) shownTypes() string {
	if len(s.o.BuildTypes) == 0 {
		return "no -b"
	}
	letters := ""
	for _, t := range s.o.BuildTypes {
		letters += t[:1]
	}
	return "-b " + letters
}

func text(t *graph.Task, attribute string) string {
	v, _ := t.Attribute(attribute).(string)
	return v
}
