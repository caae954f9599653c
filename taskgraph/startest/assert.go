package startest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

type function = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// asserts is the module assert. Each function fails the test where what it says does not hold.
func asserts() starlark.Value {
	return bounded.Module("assert",
		starlark.NewBuiltin("assert.eq", equal(true)), starlark.NewBuiltin("assert.ne", equal(false)),
		starlark.NewBuiltin("assert.true", truth(true)), starlark.NewBuiltin("assert.false", truth(false)),
		starlark.NewBuiltin("assert.contains", contains), starlark.NewBuiltin("assert.fails", fails))
}

// message puts what the test says before what the function says.
func message(said, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if said != "" {
		text = said + ": " + text
	}
	return errors.New(text)
}

func equal(want bool) function {
	return func(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var x, y starlark.Value
		var said string
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, "got", &x, "want", &y, "message?", &said); err != nil {
			return nil, err
		}
		same, err := bounded.Equal(t, x, y)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		switch {
		case same == want:
			return starlark.None, nil
		case !want:
			return nil, message(said, "both are %s", bounded.Brief(x, bounded.BriefTask))
		}
		text, err := difference(t, x, y)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		return nil, message(said, "%s", text)
	}
}

func truth(want bool) function {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var x starlark.Value
		var said string
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, "value", &x, "message?", &said); err != nil {
			return nil, err
		}
		if bool(x.Truth()) != want {
			return nil, message(said, "%s does not count as %v", bounded.Brief(x, bounded.BriefTask), want)
		}
		return starlark.None, nil
	}
}

func contains(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var in, x starlark.Value
	var said string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "container", &in, "item", &x, "message?", &said); err != nil {
		return nil, err
	}
	ok, err := bounded.Contains(t, x, in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	if !ok {
		return nil, message(said, "%s is not in %s", bounded.Brief(x, bounded.BriefOperand), bounded.Brief(in, bounded.BriefTask))
	}
	return starlark.None, nil
}

// fails is assert.fails(function, pattern): it gives the message that the function fails with.
func fails(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var fn starlark.Callable
	pattern, said := "", ""
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "function", &fn, "pattern?", &pattern, "message?", &said); err != nil {
		return nil, err
	}
	if len(pattern) > 1000 {
		return nil, bounded.Limitf("matches with a pattern of more than 1000 bytes")
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("%s: pattern %q: %w", b.Name(), pattern, err)
	}
	v, err := starlark.Call(t, fn, nil, nil)
	budget := bounded.BudgetOf(t)
	switch {
	case err == nil:
		return nil, message(said, "it does not fail, but gives %s", bounded.Brief(v, bounded.BriefTask))
	case budget.Cause() != nil:
		return nil, budget.Cause() // the test itself has come to its end
	}
	text := bounded.Plainly(err.Error())
	var eval *starlark.EvalError
	if errors.As(err, &eval) {
		text = bounded.Plainly(eval.Msg)
	}
	if err := budget.Text(len(text)); err != nil {
		return nil, err
	}
	if !re.MatchString(text) {
		return nil, message(said, "it fails with %q, which %q does not match", text, pattern)
	}
	return starlark.String(text), nil
}

// difference says how x differs from y, by lines where they have several.
func difference(t *starlark.Thread, got, want starlark.Value) (string, error) {
	for _, v := range []starlark.Value{got, want} {
		if err := bounded.Within(t, v); err != nil {
			return "", err
		}
	}
	g, w := pretty(got), pretty(want)
	if len(g) == 1 && len(w) == 1 {
		return "got " + g[0] + ", want " + w[0], nil
	}
	return "(-want +got)\n" + strings.Join(compare(w, g), "\n"), nil
}
