package star

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// Module is a file that has been run; its globals are frozen.
type Module struct {
	path    string
	tree    fs.FS
	limits  Limits
	say     func(line string)
	globals starlark.StringDict
	files   []string
	actions []*registration
}

// TestSuffix ends the names of files that hold tests; they are no part of the graph.
const TestSuffix = "_test.star"

// Options of Load.
type Options struct {
	Limits Limits            // the zero value means DefaultLimits
	Print  func(line string) // gets what the file and its functions print; nil drops it
	// Extra are names that files of tests (TestSuffix) have besides the library; the values are
	// used by several goroutines at once.
	Extra starlark.StringDict
}

// SplitName splits "dir/file.star:function"; ok is false when name has another form.
func SplitName(name string) (file, function string, ok bool) {
	file, function, ok = strings.Cut(name, ":")
	return file, function, ok && strings.HasSuffix(file, ".star") && function != ""
}

// Load runs the file at name in tree, with all it loads. Errors are *Error.
func Load(ctx context.Context, tree fs.FS, name string, o Options) (*Module, error) {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits()
	}
	l := &loader{tree: tree, budget: newBudget(tree, o.Limits, 0, o.Print), library: library(), extra: o.Extra, done: map[string]starlark.StringDict{}}
	l.thread = l.budget.Thread("load " + name)
	l.thread.Load = l.load
	var actions []*registration
	around(l.budget).actions = &actions
	stop := context.AfterFunc(ctx, func() { l.thread.Cancel("the time is up") })
	defer stop()
	globals, err := l.file(path.Clean(name))
	if err != nil {
		return nil, ended(ctx, wrapError(name, "", l.budget, err))
	}
	files := make([]string, 0, len(l.done))
	for f := range l.done {
		files = append(files, f)
	}
	slices.Sort(files)
	return &Module{path: name, tree: tree, limits: o.Limits, say: o.Print, globals: globals, files: files, actions: actions}, nil
}

// Files are the paths of all files the module was made of, sorted.
func (m *Module) Files() []string { return slices.Clone(m.files) }

// Path is the module's own file.
func (m *Module) Path() string { return m.path }

// Functions are the names of the module's functions, sorted.
func (m *Module) Functions() []string {
	var out []string
	for name, v := range m.globals {
		if _, ok := v.(*starlark.Function); ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// ended adds the context's error to err when the context is over.
func ended(ctx context.Context, err error) error {
	var e *Error
	if ctx.Err() != nil && errors.As(err, &e) {
		e.cause = ctx.Err()
	}
	return err
}

// loader reads the files of one Load, each once.
type loader struct {
	tree    fs.FS
	budget  *bounded.Budget
	thread  *starlark.Thread
	library starlark.StringDict
	extra   starlark.StringDict // for files of tests
	done    map[string]starlark.StringDict
	open    []string // files being run, outermost first
}

// load serves the load statement of the innermost open file.
func (l *loader) load(_ *starlark.Thread, name string) (starlark.StringDict, error) {
	if rooted, ok := strings.CutPrefix(name, "//"); ok {
		return l.file(path.Clean(rooted))
	}
	return l.file(path.Join(path.Dir(l.open[len(l.open)-1]), name))
}

func (l *loader) file(name string) (starlark.StringDict, error) {
	if g, ok := l.done[name]; ok {
		return g, nil
	}
	switch {
	case !fs.ValidPath(name) || !strings.HasSuffix(name, ".star"):
		return nil, fmt.Errorf("load %q: not the path of a .star file in the tree", name)
	case slices.Contains(l.open, name):
		return nil, fmt.Errorf("load cycle: %s -> %s", strings.Join(l.open, " -> "), name)
	case len(l.done)+len(l.open) >= l.budget.Limits.Files:
		return nil, bounded.Limitf("load %q: more than %d files", name, l.budget.Limits.Files)
	}
	src, err := fs.ReadFile(l.tree, name)
	if err != nil {
		return nil, fmt.Errorf("load %q: %w", name, err)
	}
	l.open = append(l.open, name)
	defer func() { l.open = l.open[:len(l.open)-1] }()
	g, err := l.run(name, src)
	if err != nil {
		return nil, wrapError(name, "", l.budget, err)
	}
	l.done[name] = g
	return g, nil
}

func (l *loader) run(name string, src []byte) (starlark.StringDict, error) {
	f, err := bounded.Parse(name, src, l.budget.Limits)
	if err != nil {
		return nil, err
	}
	names := l.library
	if strings.HasSuffix(name, TestSuffix) {
		names = maps.Clone(names)
		maps.Copy(names, l.extra)
	}
	prog, err := starlark.FileProgram(f, names.Has)
	if err != nil {
		return nil, err
	}
	g, err := prog.Init(l.thread, names)
	if err != nil {
		return nil, err
	}
	return g, bounded.Freeze(g)
}

// function finds a function of the module by name.
func (m *Module) function(name string) (*starlark.Function, error) {
	v, ok := m.globals[name]
	if !ok {
		return nil, &Error{File: m.path, Message: fmt.Sprintf("there is no function %q (the file has %s)", name, strings.Join(m.Functions(), ", "))}
	}
	fn, ok := v.(*starlark.Function)
	if !ok {
		return nil, &Error{File: m.path, Message: fmt.Sprintf("%q is a %s, not a function", name, v.Type())}
	}
	return fn, nil
}

// invocation is one use of the module from Go: one thread, one budget.
type invocation struct {
	m       *Module
	fn      *starlark.Function
	ctx     context.Context
	thread  *starlark.Thread
	budget  *bounded.Budget
	label   string         // task being worked on
	subject starlark.Value // that task as it stands; nil: none, or not one alone
}

func (m *Module) invoke(ctx context.Context, name string, items int) (*invocation, error) {
	fn, err := m.function(name)
	if err != nil {
		return nil, err
	}
	return m.invokeFunction(ctx, fn, items), nil
}

func (m *Module) invokeFunction(ctx context.Context, fn *starlark.Function, items int) *invocation {
	b := newBudget(m.tree, m.limits, items, m.say)
	return &invocation{m: m, fn: fn, ctx: ctx, thread: b.Thread(fn.Name()), budget: b}
}

// watch lets the context's end stop what is called until stop is.
func (v *invocation) watch() (stop func() bool) {
	return context.AfterFunc(v.ctx, func() { v.thread.Cancel("the time is up") })
}

// call calls the function; the context's end stops it.
func (v *invocation) call(args ...starlark.Value) (starlark.Value, error) {
	defer v.watch()()
	return v.called(args...)
}

// called is call while watch goes on.
func (v *invocation) called(args ...starlark.Value) (starlark.Value, error) {
	if want := v.fn.NumParams(); want != len(args) && !v.fn.HasVarargs() {
		return nil, v.fail(fmt.Errorf("%s takes %d parameters, but is called with %d (see the forms of functions in the reference)", v.fn.Name(), want, len(args)))
	}
	out, err := starlark.Call(v.thread, v.fn, args, nil)
	if err != nil {
		return nil, v.fail(err)
	}
	return out, nil
}

// gave is the error of a function that gave v.
func (v *invocation) gave(res starlark.Value, want string) error {
	return fmt.Errorf("%s gave a %s, %s: give %s", v.fn.Name(), res.Type(), bounded.Brief(res, bounded.BriefOperand), want)
}

// fail puts the function's place and the task in an error.
func (v *invocation) fail(err error) error {
	var eval *starlark.EvalError
	wrapped := wrapError(v.m.path, v.label, v.budget, err)
	var e *Error
	if !errors.As(err, &eval) && errors.As(wrapped, &e) && e.Line == 0 {
		e.at(v.fn.Position())
		e.Function = v.fn.Name()
	}
	if errors.As(wrapped, &e) && e.Value == "" && v.subject != nil {
		e.Value = bounded.Brief(v.subject, bounded.BriefTask)
	}
	return ended(v.ctx, wrapped)
}

// takesOne tells by the parameter's name whether the function works on single tasks.
func takesOne(fn *starlark.Function, param int) bool {
	if fn.NumParams() <= param {
		return false
	}
	name, _ := fn.Param(param)
	return name == "task"
}
