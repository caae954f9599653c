package trysyntax

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// test is one test that is asked for.
type test struct {
	name string
	// platforms restrict it where limited is set.
	platforms []string
	limited   bool
	chunks    []string // nil: all
	said      string   // the part of the syntax
}

// spec is one entry of a list of tests as it was written.
type spec struct {
	name, said string
	platforms  []string // as in the brackets, with their dashes; nil without brackets
}

// specs reads name[platform,-platform],name-1,…
func specs(text string) ([]spec, error) {
	var out []spec
	for rest := text; rest != ""; {
		end := strings.IndexAny(rest, ",[]")
		if end < 0 {
			end = len(rest)
		}
		s := spec{name: strings.TrimSpace(rest[:end]), said: strings.TrimSpace(rest[:end])}
		rest = rest[end:]
		if strings.HasPrefix(rest, "[") {
			inside, after, closed := strings.Cut(rest[1:], "]")
			switch after = strings.TrimLeft(after, " "); {
			case !closed:
				return nil, fmt.Errorf("the bracket behind %q is not closed", clip(s.name))
			case strings.Contains(inside, "["):
				return nil, fmt.Errorf("there is a bracket in the brackets behind %q", clip(s.name))
			case after != "" && after[0] != ',':
				return nil, fmt.Errorf("a comma is missing behind %q", clip(s.name+"["+inside+"]"))
			default:
				rest = after
			}
			for _, p := range strings.Split(inside, ",") {
				p = strings.TrimSpace(p)
				if p == "" || p == "-" {
					return nil, fmt.Errorf("a platform is missing in the brackets behind %q", clip(s.name))
				}
				s.platforms = append(s.platforms, p)
			}
			s.said += "[" + strings.TrimSpace(inside) + "]"
		} else if strings.HasPrefix(rest, "]") {
			return nil, fmt.Errorf("a bracket closes behind %q that none opens", clip(s.name))
		}
		rest = strings.TrimPrefix(rest, ",")
		if s.name != "" {
			out = append(out, s)
		} else if s.platforms != nil {
			return nil, errors.New("brackets need the name of a test before them")
		}
	}
	return out, nil
}

// restrict makes the platforms of a test of what stands in its brackets: each entry adds, or with a
// dash takes away; where the first one takes away, all test platforms are there at first.
func restrict(said, all []string) []string {
	var out []string
	pretty := prettyNames()
	if strings.HasPrefix(said[0], "-") {
		out = slices.Clone(all)
	}
	for _, s := range said {
		name, minus := strings.CutPrefix(s, "-")
		name = strings.TrimSpace(name)
		named, ok := pretty[name]
		if !ok {
			named = []string{name}
		}
		if minus {
			out = slices.DeleteFunc(out, func(p string) bool { return slices.Contains(named, p) })
		} else {
			out = append(out, named...)
		}
	}
	return out
}

// tests are the tests that a list asks for by the names that the graph knows, by name.
func (s *Selector) tests(flag, text string, names []string) (map[string]test, error) {
	out := map[string]test{}
	if text == None {
		return out, nil
	}
	list, err := specs(text)
	if err != nil {
		return nil, fault(s.o.line, "%s %s: %v", flag, clip(text), err)
	}
	for _, x := range list {
		t := test{said: flag + " " + x.said, limited: x.platforms != nil}
		if t.limited {
			t.platforms = restrict(x.platforms, s.testPlatforms)
			s.checkBrackets(flag, x)
		}
		matched, chunk := s.expand(x.name, names)
		if len(matched) == 0 && x.name != None && x.name != All {
			s.unknownTest(flag, x.name, names)
		}
		for _, name := range matched {
			t.name, t.chunks = name, nil
			if before, there := out[name]; chunk != "" && there && before.chunks != nil { // a further chunk of the same
				before.chunks = append(before.chunks, chunk)
				before.said += "," + x.said
				out[name] = before
				continue
			}
			if chunk != "" {
				t.chunks = []string{chunk}
			}
			out[name] = t
		}
	}
	return out, nil
}

// expand gives the test names that one name stands for, and the chunk that it restricts them to.
func (s *Selector) expand(name string, names []string) (matched []string, chunk string) {
	if name == All {
		return names, ""
	}
	if base, number, ok := chunkOf(name); ok && !slices.Contains(names, name) {
		name, chunk = base, number
		if slices.Contains(names, name) {
			return []string{name}, chunk
		}
	}
	if fits, ok := s.aliases[name]; ok {
		for _, n := range names {
			if fits(n) {
				matched = append(matched, n)
			}
		}
		return matched, chunk
	}
	if slices.Contains(names, name) {
		return []string{name}, chunk
	}
	return nil, ""
}

// chunkOf splits suite-12 into suite and 12.
func chunkOf(name string) (base, number string, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 1 || i == len(name)-1 || strings.Trim(name[i+1:], "0123456789") != "" {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

func (s *Selector) unknownTest(flag, name string, names []string) {
	if s.noted(flag + name) {
		return
	}
	hint := ""
	if near := graph.Nearest(name, append(slices.Collect(maps.Keys(s.aliases)), names...)); near != "" {
		hint = fmt.Sprintf("; is %q meant?", near)
	}
	s.note("%s: no test of the graph is called %q%s", flag, clip(name), hint)
}

// checkBrackets notes platforms in brackets that no test has: nothing would run there.
func (s *Selector) checkBrackets(flag string, x spec) {
	for _, said := range x.platforms {
		name := strings.TrimSpace(strings.TrimPrefix(said, "-"))
		if _, pretty := prettyNames()[name]; pretty || name == All || slices.Contains(s.testPlatforms, name) || s.noted(flag+"["+name) {
			continue
		}
		hint := ""
		if near := graph.Nearest(name, s.testPlatforms); near != "" {
			hint = fmt.Sprintf("; is %q meant?", near)
		}
		s.note("%s %s: no test of the graph runs on %q%s", flag, clip(x.said), clip(name), hint)
	}
}
