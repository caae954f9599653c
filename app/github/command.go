package github

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/app/github/buttons"
	"github.com/treeline-ci/treeline/app/github/complaint"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/taskgraph/action"
)

// Treeline's own commands in comments, each with what follows its name.

func (x *comment) cancel(ctx context.Context, _ string, p pullPayload) (string, error) {
	list, err := x.g.CancelBuilds(ctx, Filter{Organization: x.repo.Owner, Repository: x.repo.Repo, PullNumber: p.Number})
	x.sign = "+1"
	return fmt.Sprintf("%d builds cancelled", len(list)), err
}

// retest runs the failed tasks of the head again.
func (x *comment) retest(ctx context.Context, _ string, p pullPayload) (string, error) {
	text, err := x.g.rerunFailed(ctx, x.repo, p.Head.SHA, "")
	if errors.Is(err, fault.NotFound) {
		return x.answer(ctx, "confused", "%s", fault.Message(err))
	}
	x.sign = "+1"
	return text, err
}

// newest is the group of the newest build of a revision; "" when there is none.
func (x *comment) newest(ctx context.Context, sha string) (string, error) {
	list, err := x.g.builds(ctx, newestSQL, x.repo.ID, sha)
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0].TaskGroupID, nil
}

func (x *comment) explain(ctx context.Context, label string, p pullPayload) (string, error) {
	group, err := x.newest(ctx, p.Head.SHA)
	switch {
	case err != nil:
		return "", err
	case label == "":
		return x.answer(ctx, "confused", "Say which task: `/treeline explain LABEL`.")
	case group == "":
		return x.answer(ctx, "confused", "There is no build of %s.", p.Head.SHA)
	}
	story, err := x.g.story(ctx, group, label, complaint.Max/2)
	if refusal(err) {
		return x.answer(ctx, "confused", "%s", plainText(fault.Message(err)))
	}
	if err != nil {
		return "", err
	}
	return x.answer(ctx, "+1", "%s", story)
}

// maxStory is how many bytes of a story a note has room for.
const maxStory = 700

// story tells in Markdown why a label has a task or none, and where all of it can be read.
func (g *GitHub) story(ctx context.Context, group, label string, most int) (string, error) {
	if g.Story == nil {
		return "", fault.New(fault.NotFound, "This server keeps no record of why tasks are made.")
	}
	s, err := g.Story(ctx, group, label)
	if err != nil {
		return "", err
	}
	return buttons.Story(s, fmt.Sprintf("%s/api/taskgraph/v1/task/%s/why?label=%s", g.RootURL, group, url.QueryEscape(label)), most)
}

// action starts an action on the newest build of the head, or on one of its tasks.
func (x *comment) action(ctx context.Context, text string, p pullPayload) (string, error) {
	c, err := buttons.ParseCommand(text)
	if err != nil {
		return x.answer(ctx, "confused", "%s.", escapeBut(err.Error()))
	}
	if need, word := buttons.Least(x.file, c.Action); x.role < need {
		return x.answer(ctx, "eyes", "%s may not %s %s/%s, which `treeline.mayStart` in `%s` asks of who starts %s.", x.payload.Sender.login(), word, x.repo.Owner, x.repo.Repo, configFile, c.Action)
	}
	group, err := x.newest(ctx, p.Head.SHA)
	if err != nil {
		return "", err
	}
	if group == "" || x.g.StartAction == nil {
		return x.answer(ctx, "confused", "There is no build of %s.", p.Head.SHA)
	}
	started, err := x.startAction(ctx, group, c)
	if input, ok := errors.AsType[*action.InputError](err); ok {
		return x.answer(ctx, "confused", "The input of `%s` is wrong:\n%s", c.Action, problems(input))
	}
	if refusal(err) {
		return x.answer(ctx, "confused", "%s", escapeBut(fault.Message(err)))
	}
	if err != nil {
		return "", err
	}
	return x.answer(ctx, "+1", "[The action %s](%s/tasks/%s) was started for %s.", c.Action, x.g.RootURL, started.TaskID, x.payload.Sender.login())
}

func (x *comment) startAction(ctx context.Context, group string, c buttons.Command) (actions.Started, error) {
	task := ""
	if c.Label != "" {
		var err error
		if task, err = x.g.labelled(ctx, group, c.Label); err != nil {
			return actions.Started{}, err
		}
	}
	there, caller, err := x.g.startable(ctx, x.repo, buttons.Place{TaskGroupID: group, TaskID: task})
	if err != nil {
		return actions.Started{}, err
	}
	var names []string
	for _, o := range there {
		names = append(names, "`"+o.Name+"`")
		if o.Name != c.Action {
			continue
		}
		input, err := c.Input(o.Schema)
		if err != nil {
			return actions.Started{}, fault.New(fault.Invalid, "%v.", err)
		}
		if buttons.NeedsForm(o.Schema, asInput(input)) && input == nil {
			return actions.Started{}, fault.New(fault.Invalid, "%s needs an input: write it as key=value, or fill in its form: %s", c.Action, buttons.FormURL(x.g.RootURL, group, task, c.Action))
		}
		return x.g.StartAction(ctx, caller, actions.Start{TaskGroupID: group, Name: c.Action, TaskID: task, Input: input, By: x.by(), Key: "github comment " + x.GUID})
	}
	what := "a whole task group; for one of a task write `on LABEL`"
	if task != "" {
		what = "task " + c.Label
	}
	return actions.Started{}, fault.New(fault.NotFound, "There is no action %s on %s. There are: %s.", c.Action, what, strings.Join(names, ", "))
}

func asInput(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// labelled is the task of a group with a label.
func (g *GitHub) labelled(ctx context.Context, group, label string) (string, error) {
	for token := ""; ; {
		page, err := g.Queue.ListGroup(ctx, group, 0, token)
		if err != nil {
			return "", err
		}
		for _, i := range page.Tasks {
			if i.Task.Tags["label"] == label || i.Task.Metadata.Name == label {
				return i.Status.TaskID, nil
			}
		}
		if token = page.Next; token == "" {
			return "", fault.New(fault.NotFound, "The task group has no task %s.", label)
		}
	}
}

// problems lists what is wrong with an input.
func problems(e *action.InputError) string {
	var b strings.Builder
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n- `%s`: %s", complaint.Escape(strings.Join(p.Path, ".")), complaint.Escape(p.Message))
	}
	return b.String()
}

// escapeBut escapes what a sentence of ours repeats of others, and leaves its own code as it is.
func escapeBut(s string) string {
	return strings.NewReplacer("<", "&lt;", "@", "@\u200b").Replace(s)
}
