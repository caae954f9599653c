package intake

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
	"github.com/treeline-ci/treeline/taskgraph/trysyntax"
)

// tryLevel is the trust of pushes to branches that the operator calls try: anybody's.
const tryLevel = 1

// toTry reports whether the operator calls a branch try.
func (in *Intake) toTry(r push.Repository, branch string) bool {
	return in.Try != nil && in.Try(r.Name, branch)
}

// Level is the trust of pushes to a branch of a repository: the repository's, but that of try for the
// branches that the operator calls so.
func (in *Intake) Level(r push.Repository, branch string) int {
	if in.toTry(r, branch) {
		return min(r.Level, tryLevel)
	}
	return r.Level
}

// try reads what a push to try asks for, from its message and from its head, into the decision. Other
// pushes are left as they are, and the file is not read.
func (d *nativeDecision) try(hooks *taskgraph.Hooks, tree Tree, into *params.Decision) error {
	if d.occasion.Cron != nil || !d.toTry(d.occasion.Repository, d.push.Branch) && !hooks.IsTry(*into) {
		return nil
	}
	if n, err := strconv.Atoi(into.Level); err == nil && d.toTry(d.occasion.Repository, d.push.Branch) {
		into.Level = strconv.Itoa(min(n, tryLevel))
	}
	file, err := tree.ReadFile(tryconfig.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		file = nil
	}
	asked, err := hooks.Try(*into, file, tryconfig.Name)
	if err != nil {
		return err
	}
	into.Try, d.notes = asked.Values, asked.Notes
	mode, _ := asked.Values["try_mode"].(string)
	d.say("A push to try: %s", map[string]string{"": "it names no tasks", "try_task_config": tryconfig.Name, "try_option_syntax": "the try: line of its message"}[mode])
	return nil
}

// ofTry reports whether a fault is of what a push to try says.
func ofTry(file string) bool { return file == trysyntax.Place || file == tryconfig.Name }

// notesOf are the notes of a decision for the person who pushed: those of what the push itself says, and
// what selection found of it in the graph.
func notesOf(notes, warnings []*graph.Error) []*graph.Error {
	out := slices.Clone(notes)
	for _, w := range warnings {
		if ofTry(w.File) {
			out = append(out, w)
		}
	}
	return out
}

// codeTryNotes is the code of what stands with a push that was decided all the same.
const codeTryNotes = "try-notes"

// saidNotes returns what a decision that went well published for the person who pushed; nil when it did
// not.
func (in *Intake) saidNotes(ctx context.Context, status task.Status) *push.Error {
	if status.State != task.Completed {
		return nil
	}
	list := in.saidIn(ctx, status, decision.NotesName)
	if len(list) == 0 {
		return nil
	}
	what := &push.Error{Code: codeTryNotes, File: list[0].File, Line: list[0].Line, Message: list[0].Message}
	var rest []string
	for _, n := range list[1:] {
		rest = append(rest, n.String())
	}
	what.Detail = strings.Join(rest, "\n")
	return what
}
