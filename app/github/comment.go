package github

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/app/github/buttons"
	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/templates"
)

// command is a line of a comment that asks for something: /taskcluster CMD or /treeline CMD. A revision at its end
// binds it to that revision.
var command = regexp.MustCompile(`(?m)^\s*/(taskcluster|treeline)[ \t]+(\S.*?)\s*$`)

var revisionAtEnd = regexp.MustCompile(`\s+@?([0-9a-f]{7,40})$`)

// onComment does what a comment on an open pull request asks for, if who wrote it may write to the repository.
func (g *GitHub) onComment(ctx context.Context, t *told) (string, error) {
	if t.payload.Action != "created" && t.payload.Action != "edited" {
		return ignored("issue_comment", t.payload.Action), nil
	}
	if len(t.Issue.PullRequest) == 0 || string(t.Issue.PullRequest) == "null" {
		return "the comment is not on a pull request", nil
	}
	found := command.FindStringSubmatch(strings.ReplaceAll(t.Comment.Body, "\r\n", "\n"))
	switch {
	case found == nil:
		return "the comment has no command", nil
	case t.Issue.State != "open":
		return "the pull request is closed", nil
	case t.payload.Sender.Type == "Bot":
		return "commands of bots are not taken", nil
	case t.payload.Sender.login() != t.Comment.User.login():
		return "the comment was edited by somebody else than its author", nil
	}
	if why, err := g.find(ctx, t); err != nil || why != "" {
		return why, err
	}
	x := &comment{told: t, g: g, own: found[1] == "treeline", line: "/" + found[1] + " " + found[2], text: found[2]}
	outcome, err := x.do(ctx)
	if err == nil && x.sign != "" {
		if err := g.forge(t.repo).React(ctx, t.Comment.ID, x.sign); err != nil {
			g.Log.WarnContext(ctx, "react to a comment at GitHub", "repository", t.repo.Owner+"/"+t.repo.Repo, "comment", t.Comment.ID, "err", err)
		}
	}
	return outcome, err
}

// comment is a command under way.
type comment struct {
	*told
	g    *GitHub
	own  bool   // written as /treeline
	line string // as it was written
	text string
	sign string          // the reaction
	role ghclient.Role   // of who wrote it
	file *templates.File // of the default branch
}

// answer answers a command with a sign and an explanation.
func (x *comment) answer(ctx context.Context, sign, format string, args ...any) (string, error) {
	x.sign = sign
	text := fmt.Sprintf(format, args...)
	x.g.say(ctx, x.repo, x.Issue.Number, fmt.Sprint(x.Comment.ID), text)
	return text, nil
}

// ownCommands are those of /treeline that are Treeline's own; other words are for the file.
var ownCommands = map[string]func(*comment, context.Context, string, pullPayload) (string, error){
	"cancel": (*comment).cancel, "retest": (*comment).retest, "explain": (*comment).explain, "action": (*comment).action,
}

// alsoButtons are the buttons that do the same as a command: who may not press one cannot give the other.
var alsoButtons = map[string]string{"cancel": "cancel", "retest": "rerun-failed", "explain": "explain"}

func (x *comment) do(ctx context.Context) (string, error) {
	file, exists, err := x.g.defaults(ctx, x.repo)
	if err != nil {
		return "", err
	}
	verb, _, _ := strings.Cut(x.text, " ")
	own := ownCommands[verb]
	if !x.own {
		own = nil
	}
	if own == nil {
		if !exists {
			return "the default branch has no " + configFile, nil
		}
		if file.Policy.AllowComments != "collaborators" {
			return x.answer(ctx, "confused", "Comments start nothing here: `policy.allowComments` in `%s` on the default branch does not say `collaborators`.", configFile)
		}
	}
	if x.role, err = x.g.roleOf(ctx, x.repo, x.payload.Sender.login()); err != nil {
		return "", err
	}
	if x.role < ghclient.Writes {
		return x.answer(ctx, "eyes", "%s may not write to %s/%s, and only those who may can give commands.", x.payload.Sender.login(), x.repo.Owner, x.repo.Repo)
	}
	if need, word := buttons.Least(file, alsoButtons[verb]); own != nil && x.role < need {
		return x.answer(ctx, "eyes", "%s may not %s %s/%s, which `treeline.mayStart` in `%s` asks of who does this.", x.payload.Sender.login(), word, x.repo.Owner, x.repo.Repo, configFile)
	}
	x.file = file
	p, whole, err := x.g.pullRequest(ctx, x.repo, x.Issue.Number)
	if err != nil {
		return "", err
	}
	moved, err := x.moved(ctx, p)
	if err != nil {
		return "", err
	}
	if moved != "" {
		return x.answer(ctx, "confused", "%s", moved)
	}
	if own == nil {
		return x.start(ctx, p, whole)
	}
	_, rest, _ := strings.Cut(x.text, " ")
	return own(x, ctx, strings.TrimSpace(rest), p)
}

// moved says that the pull request is at another revision than the one that the command is for: the one that it names,
// or the one that was the head when it was written. Whoever can push to a pull request could else have a command run
// what its author never saw.
func (x *comment) moved(ctx context.Context, p pullPayload) (string, error) {
	if at := revisionAtEnd.FindStringSubmatch(x.text); at != nil {
		if !strings.HasPrefix(p.Head.SHA, at[1]) {
			return fmt.Sprintf("The command is for %s, and the pull request is at %s by now.", at[1], p.Head.SHA), nil
		}
		x.text = strings.TrimSuffix(x.text, at[0])
		return "", nil
	}
	list, err := x.g.recent(ctx, x.repo, []string{"pull_request"})
	if err != nil {
		return "", err
	}
	written := x.Comment.Created
	if x.payload.Action == "edited" {
		written = x.Comment.Updated
	}
	again := fmt.Sprintf("The pull request is at %s, and that is newer than the command. If you have read it, give the command again with the revision at its end: `%s %s`.",
		p.Head.SHA, strings.ReplaceAll(x.line, "`", "'"), p.Head.SHA[:min(10, len(p.Head.SHA))])
	for _, d := range list { // the newest first
		if d.number != p.Number || !slices.Contains(movesHead, d.Action) {
			continue
		}
		if d.Seq > x.Seq { // told of after the command
			if d.head == p.Head.SHA {
				return again, nil
			}
			continue
		}
		if d.head != p.Head.SHA || !written.IsZero() && d.Received.After(written.Add(sameTime)) {
			return again, nil
		}
		return "", nil
	}
	return "", nil // it has not moved as long as webhooks are kept
}

// movesHead are the actions on a pull request that tell of its revision.
var movesHead = []string{"opened", "reopened", "synchronize"}

// sameTime is how far GitHub's clock may be from ours, and how long a webhook may take.
const sameTime = 10 * time.Second

// start renders the file of the pull request for the command. The tasks run with the trusted role, whoever opened the
// pull request: a collaborator asked for them (taskcluster-map 13.3).
func (x *comment) start(ctx context.Context, p pullPayload, whole map[string]any) (string, error) {
	t := x.g.pullTrigger(x.told, p, "github-issue-comment", "pull-request")
	t.eventType, t.seed = "issue_comment", "github "+x.GUID
	t.extra = map[string]any{"taskcluster_comment": x.text, "pull_request": whole}
	var err error
	if t.change.FilesChanged, err = x.g.forge(x.repo).PullFiles(ctx, p.Number); err != nil {
		return "", err
	}
	outcome, err := x.g.run(ctx, t)
	if err != nil {
		return "", err
	}
	if _, err := x.g.ByTaskGroup(ctx, x.lastGroup(ctx)); err == nil {
		x.sign = "+1"
		return outcome, nil
	} else if !errors.Is(err, fault.NotFound) {
		return "", err
	}
	if strings.HasPrefix(outcome, "not built") {
		x.sign = "confused" // a comment says why
		return outcome, nil
	}
	if strings.HasSuffix(outcome, "hooks") {
		x.sign = "+1"
		return outcome, nil
	}
	return x.answer(ctx, "confused", "The command `%s` makes no tasks: %s.", strings.ReplaceAll(x.text, "`", "'"), outcome)
}

// lastGroup is the group of the build that this delivery made.
func (x *comment) lastGroup(ctx context.Context) string {
	list, err := x.g.builds(ctx, newestSQL, x.repo.ID, x.GUID)
	if err != nil || len(list) == 0 {
		return ""
	}
	return list[0].TaskGroupID
}
