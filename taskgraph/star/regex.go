package star

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// maxPattern bounds regular expressions, in bytes; maxPatterns is how many a call remembers.
const (
	maxPattern  = 1000
	maxPatterns = 500
)

// pattern is a compiled regular expression with the size of its program, which is how much each
// byte of a text may cost.
type pattern struct {
	*regexp.Regexp
	size int
}

// compiled compiles a regular expression and charges t for matching a text of n bytes with it.
func compiled(b *bounded.Budget, t *starlark.Thread, text string, n int) (pattern, error) {
	if len(text) > maxPattern {
		return pattern{}, bounded.Limitf("matches with a pattern of more than %d bytes", maxPattern)
	}
	s := around(b)
	re, ok := s.patterns[text]
	if !ok {
		if err := b.Work(t, 1000+10*len(text)); err != nil {
			return pattern{}, err
		}
		tree, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			return pattern{}, fmt.Errorf("pattern %q: %w", text, err)
		}
		program, err := syntax.Compile(tree.Simplify())
		if err != nil {
			return pattern{}, fmt.Errorf("pattern %q: %w", text, err)
		}
		re = pattern{size: len(program.Inst)}
		if err := b.Work(t, 10*re.size); err != nil {
			return pattern{}, err
		}
		if re.Regexp, err = regexp.Compile(text); err != nil {
			return pattern{}, fmt.Errorf("pattern %q: %w", text, err)
		}
		if s.patterns == nil || len(s.patterns) >= maxPatterns {
			s.patterns = map[string]pattern{}
		}
		s.patterns[text] = re
	}
	return re, b.Work(t, 10+re.size*n/16)
}

// regexes is the module re.
func regexes() *bounded.Record {
	return bounded.Module("re",
		matcher("re.match", `\A(?:`, `)`), matcher("re.fullmatch", `\A(?:`, `)\z`), matcher("re.search", `(?:`, `)`),
		starlark.NewBuiltin("re.findall", findAll), starlark.NewBuiltin("re.sub", substitute), starlark.NewBuiltin("re.split", splitAt),
		starlark.NewBuiltin("re.escape", escape))
}

// matcher gives None, or the whole match and its groups.
func matcher(name, before, after string) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var pattern, text string
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &pattern, "text", &text); err != nil {
			return nil, err
		}
		re, err := compiled(bounded.BudgetOf(t), t, before+pattern+after, len(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		found := re.FindStringSubmatch(text)
		if found == nil {
			return starlark.None, nil
		}
		return texts(found), nil
	})
}

func texts(list []string) *starlark.List {
	out := make([]starlark.Value, len(list))
	for i, s := range list {
		out[i] = starlark.String(s)
	}
	return starlark.NewList(out)
}

// findAll is re.findall: the matches, or their groups when the pattern has some.
func findAll(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var pattern, text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &pattern, "text", &text); err != nil {
		return nil, err
	}
	budget := bounded.BudgetOf(t)
	re, err := compiled(budget, t, pattern, len(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	var out []starlark.Value
	for _, m := range re.FindAllStringSubmatch(text, budget.Limits.Values/(re.NumSubexp()+1)) {
		switch len(m) {
		case 1:
			out = append(out, starlark.String(m[0]))
		case 2:
			out = append(out, starlark.String(m[1]))
		default:
			out = append(out, texts(m[1:]))
		}
	}
	return starlark.NewList(out), budget.Elements(t, len(out)*(re.NumSubexp()+1))
}

// substitute is re.sub; the replacement names groups as ${1} or ${name}.
func substitute(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var pattern, replacement, text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &pattern, "replacement", &replacement, "text", &text); err != nil {
		return nil, err
	}
	budget := bounded.BudgetOf(t)
	re, err := compiled(budget, t, pattern, len(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	var out []byte
	last := 0
	for _, m := range re.FindAllStringSubmatchIndex(text, -1) {
		out = append(out, text[last:m[0]]...)
		longest := len(replacement) * (m[1] - m[0] + 1) // each two bytes of it may stand for a group
		if longest > budget.Limits.Text || len(out)+longest > budget.Limits.Text {
			return nil, bounded.Limitf("makes a text of more than %d bytes", budget.Limits.Text)
		}
		out = re.ExpandString(out, replacement, text, m)
		last = m[1]
	}
	out = append(out, text[last:]...)
	return starlark.String(out), budget.Text(len(out))
}

func splitAt(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var pattern, text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "pattern", &pattern, "text", &text); err != nil {
		return nil, err
	}
	budget := bounded.BudgetOf(t)
	re, err := compiled(budget, t, pattern, len(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	parts := re.Split(text, budget.Limits.Values)
	return texts(parts), budget.Elements(t, len(parts))
}

func escape(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text); err != nil {
		return nil, err
	}
	return starlark.String(regexp.QuoteMeta(text)), bounded.BudgetOf(t).Text(2 * len(text))
}
