// Package cond evaluates the conditions of kind files, such as
//
//	if: level >= 3 && project == 'x' && changed('src/**', 'docs/*.md')
//
// which are written in expr (github.com/expr-lang/expr). A condition is compiled and type-checked
// when the kind is loaded; a mistake is an *Error with line and column inside the condition.
//
// # Names
//
//	level, build_number, build_date, pushdate             integers
//	project, tasks_for, owner, repository_type, pushlog_id, target_tasks_method,
//	base_repository, base_ref, base_rev, head_repository, head_ref, head_rev, head_tag,
//	version, next_version                                  strings, "" when null
//	branch                                                 head_ref without refs/heads/
//	is_pull_request                                        whether the event is a pull request
//	files_changed                                          list of strings
//	changed(pattern, …)                                    whether a changed file matches (package glob)
//	params                                                 all parameters, by name
//	kind, name                                             of the task in question
//	task                                                   the task in question, as it stands
//
// Functions lists what else can be called. Nothing depends on clock, chance or machine, and nothing
// makes texts or lists larger than what it is given. A condition is at most 2,000 bytes, nests
// predicates (as in any(files_changed, {# == 'x'})) at most 2 deep, and what its predicates do is
// counted (cost.go), so that it ends soon.
package cond

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/treeline-ci/treeline/taskgraph/glob"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// Limits of a condition.
const (
	maxSource     = 2000
	maxNodes      = 500
	maxPredicates = 2
)

// Error is a mistake in a condition.
type Error struct {
	Source       string
	Line, Column int // in Source, both 1-based, the column in characters; 0 when unknown
	Message      string
}

// Error is the message, and below it the line of the condition with a caret under the place.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s\n    %s", e.Message, excerpt(e.Source))
	}
	lines := strings.Split(e.Source, "\n")
	where := fmt.Sprintf("column %d", e.Column)
	if strings.Contains(strings.TrimSpace(e.Source), "\n") {
		where = fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	}
	line := []rune(strings.TrimRight(lines[min(e.Line, len(lines))-1], "\r"))
	at := min(max(e.Column-1, 0), len(line))
	from := max(at-width/2, 0)
	shown := line[from:min(from+width, len(line))]
	text, indent := string(shown), at-from
	if from > 0 {
		text, indent = "…"+text, indent+1
	}
	if from+len(shown) < len(line) {
		text += "…"
	}
	return fmt.Sprintf("%s: %s\n    %s\n    %s^", where, e.Message, strings.ReplaceAll(text, "\t", " "), strings.Repeat(" ", indent))
}

// width is how much of a condition's line is shown, in characters.
const width = 100

func excerpt(source string) string {
	line, _, more := strings.Cut(strings.TrimSpace(source), "\n")
	if r := []rune(line); len(r) > width {
		return string(r[:width]) + "…"
	}
	if more {
		return line + " …"
	}
	return line
}

// Condition is a compiled condition. It is safe for concurrent use.
type Condition struct {
	source  string
	program *vm.Program
	weighty bool // what its predicates do depends on the sizes of what they look at
}

// String is the condition as it was written.
func (c *Condition) String() string { return c.source }

// Compile checks source, which must give true or false. The error is an *Error.
func Compile(source string) (*Condition, error) {
	if len(source) > maxSource {
		return nil, &Error{Source: source[:60], Message: fmt.Sprintf("longer than %d bytes", maxSource)}
	}
	if err := checkNesting(source); err != nil {
		return nil, err
	}
	var c counter
	options := []expr.Option{expr.Env(environment{}), expr.AsBool(), expr.MaxNodes(maxNodes), expr.DisableAllBuiltins(), expr.Patch(&c)}
	for _, name := range Functions() {
		if !slices.Contains(own, name) {
			options = append(options, expr.EnableBuiltin(name))
		}
	}
	program, err := expr.Compile(source, options...)
	if err != nil {
		return nil, place(source, err)
	}
	return &Condition{source: source, program: program, weighty: c.weighty}, nil
}

// place takes the place out of an error of expr.
func place(source string, err error) error {
	e := &Error{Source: source, Message: err.Error()}
	var f *file.Error
	if errors.As(err, &f) {
		e.Line, e.Column, e.Message = f.Line, f.Column+1, f.Message
	}
	if name, ok := strings.CutPrefix(e.Message, "unknown name "); ok {
		if near := graph.Nearest(name, append(Names(), Functions()...)); near != "" {
			e.Message += fmt.Sprintf("; is %q meant?", near)
		} else {
			e.Message += " (parameters of the tree's own are in params, as params." + name + ")"
		}
	}
	return e
}

// checkNesting refuses predicates inside predicates inside predicates, which take the product of
// the lengths of their lists.
func checkNesting(source string) error {
	tree, err := parser.Parse(source)
	if err != nil {
		return place(source, err)
	}
	v := nesting{}
	ast.Walk(&tree.Node, &v)
	if v.other != nil {
		unknown := &file.Error{Location: v.other.Location(), Message: "unknown name " + v.other.Name}
		return place(source, unknown.Bind(file.NewSource(source)))
	}
	if v.deepest > maxPredicates {
		return &Error{Source: source, Message: fmt.Sprintf("predicates nested more than %d deep", maxPredicates)}
	}
	return nil
}

// nesting counts predicates. Walk visits children first, so the depth of a node is known from
// the nodes within its place in the source.
type nesting struct {
	inner   []predicate
	deepest int
	other   *ast.BuiltinNode // calls what is not among Functions
}

type predicate struct {
	from, depth int
}

// Visit implements ast.Visitor.
func (n *nesting) Visit(node *ast.Node) {
	if b, ok := (*node).(*ast.BuiltinNode); ok && n.other == nil && !slices.Contains(Functions(), b.Name) {
		n.other = b
	}
	p, ok := (*node).(*ast.PredicateNode)
	if !ok {
		return
	}
	depth := 1
	at := predicate{from: p.Location().From}
	for _, in := range n.inner {
		if contains(p, in) {
			depth = max(depth, in.depth+1)
		}
	}
	at.depth = depth
	n.inner = append(n.inner, at)
	n.deepest = max(n.deepest, depth)
}

// contains reports whether the predicate that begins where in begins is part of p.
func contains(p *ast.PredicateNode, in predicate) bool {
	found := finder{from: in.from}
	ast.Walk(&p.Node, &found)
	return found.found
}

type finder struct {
	from  int
	found bool
}

// Visit implements ast.Visitor.
func (f *finder) Visit(node *ast.Node) {
	if p, ok := (*node).(*ast.PredicateNode); ok && p.Location().From == f.from {
		f.found = true
	}
}

// environment is what conditions see.
type environment struct {
	Level             int                           `expr:"level"`
	BuildNumber       int                           `expr:"build_number"`
	BuildDate         int                           `expr:"build_date"`
	Pushdate          int                           `expr:"pushdate"`
	Project           string                        `expr:"project"`
	TasksFor          string                        `expr:"tasks_for"`
	Owner             string                        `expr:"owner"`
	RepositoryType    string                        `expr:"repository_type"`
	PushlogID         string                        `expr:"pushlog_id"`
	TargetTasksMethod string                        `expr:"target_tasks_method"`
	BaseRepository    string                        `expr:"base_repository"`
	BaseRef           string                        `expr:"base_ref"`
	BaseRev           string                        `expr:"base_rev"`
	HeadRepository    string                        `expr:"head_repository"`
	HeadRef           string                        `expr:"head_ref"`
	HeadRev           string                        `expr:"head_rev"`
	HeadTag           string                        `expr:"head_tag"`
	Version           string                        `expr:"version"`
	NextVersion       string                        `expr:"next_version"`
	Branch            string                        `expr:"branch"`
	IsPullRequest     bool                          `expr:"is_pull_request"`
	FilesChanged      []string                      `expr:"files_changed"`
	Changed           func(patterns ...string) bool `expr:"changed"`
	Params            map[string]any                `expr:"params"`
	Kind              string                        `expr:"kind"`
	Name              string                        `expr:"name"`
	Task              map[string]any                `expr:"task"`
	Spend             func(int) (bool, error)       `expr:"cost of"` // a name that cannot be written
}

// own are the functions that expr does not have.
var own = []string{"changed"}

// Functions are the functions that conditions may call, besides the operators of expr, sorted.
func Functions() []string {
	return []string{
		"abs", "all", "any", "changed", "count", "filter", "find", "findIndex", "first", "float", "get", "hasPrefix", "hasSuffix", "indexOf", "int",
		"keys", "last", "lastIndexOf", "len", "lower", "map", "max", "min", "none", "one", "split", "trim", "trimPrefix", "trimSuffix", "type", "upper", "values",
	}
}

// Names are the names of values that conditions know, sorted.
func Names() []string {
	var out []string
	for f := range reflect.TypeFor[environment]().Fields() {
		if name := f.Tag.Get("expr"); f.Type.Kind() != reflect.Func {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Scope is what all conditions of one generation share. It is safe for concurrent use.
type Scope struct{ base environment }

// NewScope prepares the names for parameters p.
func NewScope(p *params.Parameters) *Scope {
	files := p.Strings("files_changed")
	level := 0
	fmt.Sscanf(p.String("level"), "%d", &level) //nolint:errcheck // parameters are checked; "" gives 0
	return &Scope{base: environment{
		Level: level, BuildNumber: int(p.Int("build_number")), BuildDate: int(p.Int("build_date")), Pushdate: int(p.Int("pushdate")),
		Project: p.String("project"), TasksFor: p.String("tasks_for"), Owner: p.String("owner"), RepositoryType: p.String("repository_type"),
		PushlogID: p.String("pushlog_id"), TargetTasksMethod: p.String("target_tasks_method"),
		BaseRepository: p.String("base_repository"), BaseRef: p.String("base_ref"), BaseRev: p.String("base_rev"),
		HeadRepository: p.String("head_repository"), HeadRef: p.String("head_ref"), HeadRev: p.String("head_rev"), HeadTag: p.String("head_tag"),
		Version: p.String("version"), NextVersion: p.String("next_version"), Branch: strings.TrimPrefix(p.String("head_ref"), "refs/heads/"),
		IsPullRequest: p.IsPullRequest(), FilesChanged: files, Params: p.Map(),
		Changed: func(patterns ...string) bool {
			for _, pattern := range patterns {
				if glob.First(pattern, files) != "" {
					return true
				}
			}
			return false
		},
	}}
}

// Eval says whether the condition holds for a task. The error is an *Error.
func (c *Condition) Eval(s *Scope, kind, name string, task map[string]any) (bool, error) {
	env := s.base
	env.Kind, env.Name, env.Task = kind, name, task
	env.Spend = c.meter(&env)
	out, err := expr.Run(c.program, env)
	if err != nil {
		return false, place(c.source, err)
	}
	holds, ok := out.(bool)
	if !ok {
		return false, &Error{Source: c.source, Message: fmt.Sprintf("gives %v, not true or false", out)}
	}
	return holds, nil
}
