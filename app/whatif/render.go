package whatif

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/taskgraph/diff"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/templates"
	"github.com/treeline-ci/treeline/ui/debug"
	"github.com/treeline-ci/treeline/ui/prose"
)

// decisionQueue is where decisions are made in the server.
const decisionQueue = "built-in/decision"

// trial is one try under way.
type trial struct {
	*Lab
	request    debug.Request
	occasion   occasion
	place      place
	base, head intake.Tree
	out        debug.Outcome

	tasks  []templates.Task
	root   string // of the graph, as the decision task says; "" where it says nothing
	method string // of selecting tasks
}

func (t *trial) mistake(file string, line int, label, message string) {
	t.out.Mistakes = append(t.out.Mistakes, debug.Mistake{File: file, Line: line, Label: label, Message: message})
}

// render makes the tasks of .taskcluster.yml, and compares them with those of the default branch.
func (t *trial) render(ctx context.Context) error {
	source, err := t.head.ReadFile(debug.ConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		t.mistake(debug.ConfigFile, 0, "", "The repository has no such file here. Write one, or begin with the quickstart.")
		return nil
	}
	if fault.KindOf(err) == fault.TooLarge {
		t.mistake(debug.ConfigFile, 0, "", fault.Message(err))
		return nil
	}
	if err != nil {
		return err
	}
	file, err := templates.Parse(source, debug.ConfigFile)
	if err == nil {
		t.warn(file)
		t.tasks, err = file.Render(t.occasion.event)
	}
	if wrong, ok := errors.AsType[*templates.Error](err); ok {
		message := wrong.Message
		if wrong.Path != "" {
			message += " (at " + wrong.Path + ")"
		}
		t.mistake(wrong.File, wrong.Line, "", message)
		return nil
	}
	if err != nil {
		return err
	}
	if len(t.tasks) == 0 {
		t.out.Warnings = append(t.out.Warnings, "The file asks for no task on "+t.occasion.event.TasksFor+".")
	}
	held := scope.NewSet(t.out.Scopes)
	for _, one := range t.tasks {
		if err := t.task(one, held); err != nil {
			return err
		}
		var told struct{ Root, TargetTasksMethod string }
		if one.Definition.TaskQueueID == decisionQueue && json.Unmarshal(one.Definition.Payload, &told) == nil && fs.ValidPath(told.Root) {
			t.root, t.method = told.Root, told.TargetTasksMethod
		}
	}
	t.compare(ctx, source)
	return nil
}

// warn tells what is allowed and seldom meant.
func (t *trial) warn(file *templates.File) {
	say := func(text string) { t.out.Warnings = append(t.out.Warnings, text) }
	if file.Version == 0 {
		say("The file is in the format before version 1: write it anew with version: 1 and tasks.")
	}
	forge := t.place.repository.Kind == "github"
	if forge && !file.Checks() {
		say("Builds are told of by commit statuses: reporting: checks-v1 makes check runs, with logs and buttons.")
	}
	if forge && !file.AutoCancel {
		say("autoCancelPreviousChecks is off: a new push leaves the builds of the old one running.")
	}
}

func (t *trial) task(one templates.Task, held scope.Set) error {
	text, err := prose.YAML(one.Definition)
	if err != nil {
		return err
	}
	shown := debug.Task{ID: one.ID, Name: one.Definition.Metadata.Name, Queue: one.Definition.TaskQueueID, Line: one.Line, Definition: text, Lacking: []string{}}
	n := queue.NewTask{ID: one.ID, Definition: one.Definition}
	if err := n.Prepare(); err != nil {
		t.mistake(debug.ConfigFile, one.Line, "", fault.Message(err))
	} else {
		shown.Queue = n.Definition.TaskQueueID
		if missing, lacks := held.Missing(scopes.Create(n.Definition)); lacks {
			shown.Lacking = lacking(missing, n.Definition.TaskQueueID)
			t.mistake(debug.ConfigFile, one.Line, "", fmt.Sprintf("The role %s lacks scopes that this task needs: it would not be created.", t.occasion.role))
		}
	}
	t.out.Tasks = append(t.out.Tasks, shown)
	return nil
}

// lacking lists missing scopes; of those for the task's queue at this priority or a higher one only the first.
func lacking(missing scope.Expr, queueID string) []string {
	out, queued := []string{}, false
	for _, s := range missing.Scopes() {
		if strings.HasPrefix(s, "queue:create-task:") && strings.HasSuffix(s, ":"+queueID) {
			if queued {
				continue
			}
			queued = true
		}
		out = append(out, s)
	}
	return out
}

// compare says how the tasks of the file differ from those of the default branch's.
func (t *trial) compare(_ context.Context, source []byte) {
	other, err := t.base.ReadFile(debug.ConfigFile)
	if err != nil || slices.Equal(other, source) {
		return
	}
	var before []templates.Task
	if file, err := templates.Parse(other, debug.ConfigFile); err == nil {
		if before, err = file.Render(t.occasion.event); err != nil {
			t.out.Warnings = append(t.out.Warnings, "The default branch's "+debug.ConfigFile+" makes no tasks of this: "+err.Error())
		}
	}
	a, errBefore := graph.OfDefinitions("", templates.Definitions(before))
	b, errNow := graph.OfDefinitions("", templates.Definitions(t.tasks))
	if errBefore == nil && errNow == nil { // with two tasks of one name, nobody could say which one changed
		t.changes(debug.ConfigFile, diff.Compare(a, b, nil))
	}
}
