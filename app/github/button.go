package github

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/app/github/buttons"
	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/complaint"
	"github.com/treeline-ci/treeline/app/github/scopegate"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/templates"
)

// onCheckRun does what somebody asks for at a check run: a button, or to run it again. Before anything is done it is
// made sure that the check run is ours and the one that it says to be, that the button is on it, that it is the latest
// attempt, and that whoever presses may; GitHub shows buttons to people who may write, which is no reason to rely on it.
func (g *GitHub) onCheckRun(ctx context.Context, t *told) (string, error) {
	c := t.CheckRun
	switch {
	case t.payload.Action != "requested_action" && t.payload.Action != "rerequested":
		return ignored("check_run", t.payload.Action), nil
	case c.App.ID != g.AppID:
		return "the check run is another App's", nil
	case t.ours(c.App):
		return "we asked for it ourselves", nil
	}
	if why, err := g.find(ctx, t); err != nil || why != "" {
		return why, err
	}
	check, state, err := g.Checks.Find(ctx, t.repo.Owner+"/"+t.repo.Repo, c.ID)
	if errors.Is(err, fault.NotFound) && !g.learns(ctx, t) {
		return "the check run is not known", nil
	}
	if err != nil {
		return "", err
	}
	if check.SHA != c.HeadSHA || check.Installation != t.payload.Installation.ID {
		return fmt.Sprintf("refused: the check run is of %s, not of %s", check.SHA, c.HeadSHA), nil
	}
	p := &press{told: t, g: g, check: check, state: state, where: check.ID, wish: "asked to run it again", again: t.payload.Action == "rerequested"}
	if p.again {
		p.key = "rerequested"
	} else {
		p.key = t.RequestedAction.Identifier
		i := slices.IndexFunc(state.Actions, func(a checks.Action) bool { return a.Identifier == p.key })
		if i < 0 {
			return "refused: the check run has no such button", nil
		}
		p.wish = "pressed **" + complaint.Escape(state.Actions[i].Label) + "**"
	}
	return p.do(ctx)
}

// learns reports whether it may be heard soon of which check a check run is: GitHub shows one before it has told us its id.
func (g *GitHub) learns(ctx context.Context, t *told) bool {
	list, err := g.Checks.OfSuite(ctx, t.repo.Owner+"/"+t.repo.Repo, t.CheckRun.HeadSHA)
	return t.Tries <= 5 && (err != nil || slices.ContainsFunc(list, func(c checks.Check) bool { return c.GitHubID == 0 || c.GitHubID == t.CheckRun.ID }))
}

// ours reports whether what GitHub tells of was done by the App itself: its own requests come back as webhooks.
func (t *told) ours(a appPayload) bool {
	return t.payload.Sender.Type == "Bot" && strings.EqualFold(t.payload.Sender.login(), a.Slug+"[bot]")
}

// press is a wish of somebody at a check.
type press struct {
	*told
	g     *GitHub
	check checks.Check
	state checks.State
	where int64  // the check that shows what becomes of it; 0 when there is none
	wish  string // what was done, for people
	key   string // tells the wishes at one attempt apart; "" for those that can be had again and again
	again bool   // Re-run, not a button
}

// say shows at the check what became of the wish.
func (p *press) say(ctx context.Context, format string, args ...any) (string, error) {
	text := fmt.Sprintf(format, args...)
	if p.where != 0 {
		if err := p.g.Checks.Note(ctx, p.where, fmt.Sprintf("%s %s: %s", complaint.Escape(p.payload.Sender.login()), p.wish, text)); err != nil {
			return "", ignoreGone(err)
		}
	}
	return text, nil
}

func (p *press) do(ctx context.Context) (string, error) {
	late, err := p.stale(ctx)
	if err != nil {
		return "", err
	}
	if late {
		return p.say(ctx, "refused, since there is a newer attempt of it.")
	}
	file, _, err := p.g.defaults(ctx, p.repo)
	if err != nil {
		return "", err
	}
	b, err := p.button(ctx, file)
	if err != nil {
		return "", err
	}
	if b.Name() == "" {
		return p.say(ctx, "refused, since %s on the default branch, or the actions of the task group, do not offer it any more.", configFile)
	}
	need, word := buttons.Least(file, b.Name())
	has, err := p.g.roleOf(ctx, p.repo, p.payload.Sender.login())
	if err != nil {
		return "", err
	}
	if has < need {
		return p.say(ctx, "refused, since they may not %s %s/%s.", word, p.repo.Owner, p.repo.Repo)
	}
	mine, err := p.claim(ctx)
	if err != nil {
		return "", err
	}
	if !mine {
		return p.say(ctx, "it had been asked for already, and is done once.")
	}
	done, err := p.perform(ctx, b)
	if refusal(err) {
		if err := p.g.once.Release(ctx, p.once(), p.GUID); err != nil {
			return "", err
		}
		return p.say(ctx, "refused. %s", plainText(fault.Message(err)))
	}
	if err != nil {
		return "", err
	}
	return p.say(ctx, "%s", done)
}

// once names what is done once: a button of an attempt as it ended. What ran again and ended so soon that GitHub heard
// of the new end only has the same attempt, and another end.
func (p *press) once() string {
	return fmt.Sprintf("%d %s %s %d", p.check.GitHubID, p.key, p.state.Conclusion, p.state.CompletedAt.Unix())
}

// claim reports whether this webhook is the one that may do it. Two of a button that was pressed twice are two.
func (p *press) claim(ctx context.Context) (bool, error) {
	if p.key == "" || p.key == scopegate.Button { // to approve twice does no harm
		return true, nil
	}
	return p.g.once.Claim(ctx, p.once(), p.GUID)
}

// stale reports whether the check has a newer attempt.
func (p *press) stale(ctx context.Context) (bool, error) {
	if p.check.ID == 0 {
		return false, nil
	}
	list, err := p.g.Checks.OfSuite(ctx, p.check.Repository, p.check.SHA)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(list, func(c checks.Check) bool { return c.ID == p.check.ID }), nil
}

// button resolves an identifier to the button that is offered now; the zero button is none.
func (p *press) button(ctx context.Context, file *templates.File) (buttons.Button, error) {
	if p.again {
		own := "rerun-failed"
		if p.check.Kind == checks.OfTask {
			own = "rerun"
		}
		return buttons.Button{Button: templates.Button{Own: own}}, nil
	}
	if p.check.Kind == checks.GraphDiff {
		if file.Extras.ApproveNewScopes == "" || p.key != scopegate.Button {
			return buttons.Button{}, nil
		}
		return buttons.Button{Button: templates.Button{Own: scopegate.Button}}, nil
	}
	place := buttons.PlaceOf(p.check, nil)
	there, _, err := p.g.startable(ctx, p.repo, place)
	if err != nil {
		return buttons.Button{}, err
	}
	places := []string{templates.ForAggregate}
	if place.TaskID != "" {
		places = []string{templates.ForFailed, templates.ForPassed, templates.ForRunning} // whatever it was when it was offered
	}
	for _, place.For = range places {
		place.Bad, place.Going = 1, true
		if b, ok := buttons.Choose(buttons.Wished(file, place, there), place, there, p.g.RootURL).Find(p.key); ok {
			return b, nil
		}
	}
	return buttons.Button{}, nil
}

// perform does what a button is for and says in Markdown what that was.
func (p *press) perform(ctx context.Context, b buttons.Button) (string, error) {
	switch b.Own {
	case "rerun":
		_, err := p.g.Queue.Rerun(ctx, p.check.TaskID)
		return "the task runs again.", err
	case "rerun-failed":
		switch p.check.Kind {
		case checks.GraphDiff:
			return p.g.compareAgain(ctx, p.repo, p.check.SHA)
		case checks.OfGroup:
			n, err := p.g.rerunBuild(ctx, Build{TaskGroupID: p.check.TaskGroupID})
			return fmt.Sprintf("%d failed tasks of the build run again.", n), err
		}
		return p.g.rerunFailed(ctx, p.repo, p.check.SHA, p.check.Name)
	case "cancel":
		return p.cancel(ctx)
	case "explain":
		return p.explain(ctx)
	case scopegate.Button:
		return p.approve(ctx)
	}
	caller, err := p.g.starter(ctx, p.repo, p.check.TaskGroupID)
	if err != nil {
		return "", err
	}
	var input any
	if b.Input != nil {
		input = b.Input
	}
	started, err := p.g.StartAction(ctx, caller, actions.Start{
		TaskGroupID: p.check.TaskGroupID, Name: b.Action, TaskID: p.check.TaskID, Input: input, By: p.by(), Key: "github button " + p.GUID,
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("[the action %s](%s/tasks/%s) was started.", complaint.Escape(b.Action), p.g.RootURL, started.TaskID), nil
}

// by names who asked as records of actions have it.
func (t *told) by() string {
	return fmt.Sprintf("github/%d|%s", t.payload.Sender.ID, t.payload.Sender.login())
}

func (p *press) cancel(ctx context.Context) (string, error) {
	if p.check.TaskID != "" {
		_, err := p.g.Queue.Cancel(ctx, p.check.TaskID)
		return "the task is cancelled.", err
	}
	list, err := p.g.builds(ctx, aggregatedSQL, p.repo.ID, p.check.SHA, p.check.Name, checks.DefaultName)
	if err != nil {
		return "", err
	}
	for _, b := range list {
		if b.State == "cancelled" {
			continue
		}
		if err := p.g.cancelBuild(ctx, b.TaskGroupID); err != nil {
			return "", err
		}
	}
	return "what was not done is cancelled.", nil
}

func (p *press) explain(ctx context.Context) (string, error) {
	d, err := p.g.Queue.Task(ctx, p.check.TaskID)
	if err != nil {
		return "", err
	}
	label := d.Tags["label"]
	if label == "" {
		label = d.Metadata.Name
	}
	return p.g.story(ctx, p.check.TaskGroupID, label, maxStory)
}

// refusal reports whether an error is one that people can do something about, so that asking again is worth it.
func refusal(err error) bool {
	switch fault.KindOf(err) {
	case fault.Forbidden, fault.Invalid, fault.NotFound, fault.Conflict, fault.TooLarge, fault.BadInput, fault.BadArguments:
		return err != nil
	}
	return false
}

// plainText makes an error readable within a line of Markdown.
func plainText(s string) string { return complaint.Escape(strings.Join(strings.Fields(s), " ")) }
