package intake

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/templates"
)

func TestOutcomeOfADecisionTask(t *testing.T) {
	status := func(state task.State, reason task.ReasonResolved) task.Status {
		return task.Status{State: state, Runs: []task.Run{{State: state, ReasonResolved: reason}}}
	}
	for _, c := range []struct {
		name   string
		push   push.State
		status task.Status
		want   push.State
		code   string
		final  bool
	}{
		{"a completed decision decides", push.Deciding, status(task.Completed, task.ReasonCompleted), push.Decided, "", true},
		{"a completed rerun takes a failure back", push.Failed, status(task.Completed, task.ReasonCompleted), push.Decided, "", true},
		{"a failed decision fails the push", push.Deciding, status(task.Failed, task.ReasonFailed), push.Failed, "decision-failed", true},
		{"one whose deadline passed too", push.Deciding, status(task.Exception, task.ReasonDeadlineExceeded), push.Failed, "decision-deadline-exceeded", true},
		{"one that was canceled too", push.Received, status(task.Exception, task.ReasonCanceled), push.Failed, "decision-canceled", true},
		{"one that never ran too", push.Deciding, task.Status{State: task.Exception}, push.Failed, "decision-exception", true},
		{"the push knows the reason better", push.Failed, status(task.Failed, task.ReasonFailed), "", "", false},
		{"a running decision is not the end", push.Deciding, status(task.Running, ""), "", "", false},
		{"nor one that waits for its retry", push.Deciding, status(task.Pending, ""), "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, final := outcomeOf(push.Push{State: c.push}, c.status)
			if got.State != c.want || final != c.final || (got.Error == nil) != (c.code == "") {
				t.Fatalf("%+v, %v", got, final)
			}
			if got.Error != nil && (got.Error.Code != c.code || got.Error.Message == "") {
				t.Errorf("%+v", got.Error)
			}
		})
	}
}

func TestOptionsOfADecision(t *testing.T) {
	for _, c := range []struct {
		payload string
		want    options
		wrong   string
	}{
		{`{}`, options{Root: "taskcluster"}, ""},
		{`{"root": "ci/graph", "targetTasksMethod": "nightly"}`, options{Root: "ci/graph", TargetTasksMethod: "nightly"}, ""},
		{`{"root": "."}`, options{Root: "."}, ""},
		{`{"roof": "x"}`, options{}, `unknown field "roof"`},
		{`{"root": 1}`, options{}, "payload of the decision task"},
		{`[]`, options{}, "payload of the decision task"},
		{`{"root": "/etc"}`, options{}, "must be a directory of the repository"},
		{`{"root": "../other"}`, options{}, "must be a directory of the repository"},
		{`{"root": "a/../../b"}`, options{}, "must be a directory of the repository"},
	} {
		t.Run(c.payload, func(t *testing.T) {
			got, err := readOptions([]byte(c.payload))
			if wrong, ok := errors.AsType[*mistakeError](err); ok != (c.wrong != "") || ok && (!strings.Contains(wrong.what.Message, c.wrong) || wrong.what.File != configFile) {
				t.Fatalf("%v", err)
			}
			if diff := cmp.Diff(c.want, got); err == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzReadOptions(f *testing.F) {
	for _, seed := range []string{`{}`, `{"root":"a/b"}`, `{"root":"../x"}`, `null`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if o, err := readOptions(payload); err == nil && (strings.HasPrefix(o.Root, "/") || strings.HasPrefix(o.Root, "..")) {
			t.Errorf("%s leads out of the tree: %q", payload, o.Root)
		}
	})
}

func TestMistakesOfThePusher(t *testing.T) {
	two := errors.Join(
		&graph.Error{File: "taskcluster/kinds/a/kind.yml", Line: 3, Label: "a-b", Message: "no such thing"},
		&graph.Error{File: "taskcluster/kinds/c/kind.yml", Line: 9, Message: "nor this"},
	)
	ours := errors.New("the disk is full")
	for _, c := range []struct {
		name string
		err  error
		want *push.Error
		text string
	}{
		{"of the configuration", &templates.Error{File: ".taskcluster.yml", Line: 4, Path: "tasks[0]", Message: "unknown context value x"},
			&push.Error{Code: "bad-config", File: ".taskcluster.yml", Line: 4, Message: "unknown context value x", Detail: "tasks[0]"},
			".taskcluster.yml:4: unknown context value x"},
		{"of the graph, the first of several", two,
			&push.Error{Code: "bad-graph", File: "taskcluster/kinds/a/kind.yml", Line: 3, Message: "task a-b: no such thing", Detail: "taskcluster/kinds/c/kind.yml:9: nor this\n"},
			"taskcluster/kinds/a/kind.yml:3: task a-b: no such thing"},
		{"of Starlark, with the calls that led there and the task", &graph.Error{File: "x.star", Line: 3, Label: "a", Message: "Starlark",
			Err: &star.Error{File: "x.star", Line: 3, Col: 5, Label: "a", Message: "no key", Value: "{}", Traceback: "Traceback:\n  x.star:9:1: in f\n  x.star:3:5: in g"}},
			&push.Error{Code: "bad-graph", File: "x.star", Line: 3, Message: `task a: Starlark: x.star:3:5: task "a": no key`, Detail: "Traceback:\n  x.star:9:1: in f\n  x.star:3:5: in g\nThe task was then:\n  {}\n"},
			`x.star:3: task a: Starlark: x.star:3:5: task "a": no key`},
		{"not the pusher's", ours, nil, "the disk is full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := asMistake(c.err)
			var got *push.Error
			if wrong, ok := errors.AsType[*mistakeError](err); ok {
				got = &wrong.what
			}
			if diff := cmp.Diff(c.want, got); diff != "" || err.Error() != c.text {
				t.Errorf("%s\n%v", diff, err)
			}
		})
	}
}

func TestScopesThatAreNotHeld(t *testing.T) {
	held := scope.NewSet([]string{"a:*"})
	if err := notHeld("The task", "the role r", "f", 1, held, scope.Strings("a:b", "a:c")); err != nil {
		t.Errorf("held: %v", err)
	}
	for _, c := range []struct {
		want scope.Expr
		text string
	}{
		{scope.Strings("a:b", "b:c"), "f:1: The task needs the scope b:c, which the role r does not hold. Leave it out, or have it granted."},
		{scope.Strings("c:d", "b:c"), "f:1: The task needs scopes, among them c:d, which the role r does not hold. Leave it out, or have it granted."},
		{scope.AnyOf(), "f:1: The task needs more than anybody holds. Leave it out."},
	} {
		err := notHeld("The task", "the role r", "f", 1, held, c.want)
		if err == nil || err.Error() != c.text {
			t.Errorf("%v, want %s", err, c.text)
		}
	}
}

func TestDecisionTaskIDFollowsFromThePush(t *testing.T) {
	p := push.Push{Repository: "r", ID: 1, Revision: "a"}
	id := DecisionTaskID(p)
	if id != DecisionTaskID(p) {
		t.Error("it differs for the same push")
	}
	for i := range int64(200) {
		if other := DecisionTaskID(push.Push{Repository: "r", ID: i}); !slug.Valid(other) || other[0] < 'A' || other[0] > 'f' {
			t.Errorf("%s does not start with a letter", other)
		}
	}
	for _, other := range []push.Push{{Repository: "r", ID: 2, Revision: "a"}, {Repository: "r", ID: 1, Revision: "b"}, {Repository: "s", ID: 1, Revision: "a"}} {
		if DecisionTaskID(other) == id {
			t.Errorf("%+v has the same", other)
		}
	}
}

func TestWhatTryingAgainCannotHelp(t *testing.T) {
	for err, want := range map[error]bool{
		errors.New("x"): false, fault.New(fault.Unavailable, "x"): false,
		fault.New(fault.Conflict, "x"): true, fault.New(fault.Invalid, "x"): true, fault.New(fault.NotFound, "x"): true,
	} {
		if isInput(err) != want {
			t.Errorf("%v: %v", fault.KindOf(err), !want)
		}
	}
	if isInput(nil) {
		t.Error("no error is not of the input")
	}
}
