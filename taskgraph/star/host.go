package star

import (
	"context"

	"go.starlark.net/starlark"
)

// Value is what a transform or a loader sees as config. It belongs to one goroutine.
func (c TransformConfig) Value() starlark.Value { return c.value() }

// Value is what the callback of an action sees. It belongs to one goroutine.
func (c ActionCall) Value() starlark.Value { return c.value() }

// IsEach reports whether a transform works on one task at a time.
func IsEach(transform *starlark.Function) bool { return takesOne(transform, 1) }

// Run calls the function fn of the module, which takes nothing; say gets what it prints. Errors
// are *Error.
func (m *Module) Run(ctx context.Context, fn string, say func(line string)) error {
	v, err := m.invoke(ctx, fn, 0)
	if err != nil {
		return err
	}
	v.budget.Say = say
	_, err = v.call()
	return err
}

// Line is the line on which a function of the module begins, 0 without such a function.
func (m *Module) Line(fn string) int {
	f, err := m.function(fn)
	if err != nil {
		return 0
	}
	return int(f.Position().Line)
}

// AttrNames are what tests may look at.
func (e *effect) AttrNames() []string {
	return []string{"definition", "do", "labels", "parameters", "task_group_id", "task_id", "times"}
}

// Attr gives a part of the effect; None where it has none.
func (e *effect) Attr(name string) (starlark.Value, error) {
	orNone := func(s string) starlark.Value {
		if s == "" {
			return starlark.None
		}
		return starlark.String(s)
	}
	given := func(v starlark.Value) starlark.Value {
		if v == nil {
			return starlark.None
		}
		return v
	}
	switch name {
	case "do":
		return starlark.String(e.Do), nil
	case "labels":
		return texts(e.Labels), nil
	case "times":
		return starlark.MakeInt(e.Times), nil
	case "task_id":
		return orNone(e.TaskID), nil
	case "task_group_id":
		return orNone(e.TaskGroupID), nil
	case "definition":
		return given(e.definition), nil
	case "parameters":
		return given(e.parameters), nil
	}
	return nil, nil
}
