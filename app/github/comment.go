package github

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
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
	x := &comment{told: t, g: g, own: found[1] == "treeline", text: found[2]}
	outcome, err := x.do(ctx)
	if err == nil && x.sign != "" {
		g.react(ctx, t, x.sign)
	}
	return outcome, err
}

// comment is a command under way.
type comment struct {
	*told
	g    *GitHub
	own  bool // written as /treeline
	text string
	sign string // the reaction
}

// answer answers a command with a sign and an explanation.
func (x *comment) answer(ctx context.Context, sign, format string, args ...any) (string, error) {
	x.sign = sign
	text := fmt.Sprintf(format, args...)
	x.g.say(ctx, x.repo, x.Issue.Number, fmt.Sprint(x.Comment.ID), text)
	return text, nil
}

func (x *comment) do(ctx context.Context) (string, error) {
	file, exists, err := x.g.defaults(ctx, x.repo)
	if err != nil {
		return "", err
	}
	verb, rest, _ := strings.Cut(x.text, " ")
	own := x.own && (verb == "retest" || verb == "cancel" || verb == "explain")
	if !own {
		if !exists {
			return "the default branch has no " + configFile, nil
		}
		if file.Policy.AllowComments != "collaborators" {
			return x.answer(ctx, "confused", "Comments start nothing here: `policy.allowComments` in `%s` on the default branch does not say `collaborators`.", configFile)
		}
	}
	may, err := x.g.mayWrite(ctx, x.repo, x.payload.Sender.login())
	if err != nil {
		return "", err
	}
	if !may {
		return x.answer(ctx, "eyes", "%s may not write to %s/%s, and only those who may can give commands.", x.payload.Sender.login(), x.repo.Owner, x.repo.Repo)
	}
	p, whole, err := x.g.pullRequest(ctx, x.repo, x.Issue.Number)
	if err != nil {
		return "", err
	}
	if at := revisionAtEnd.FindStringSubmatch(x.text); at != nil {
		if !strings.HasPrefix(p.Head.SHA, at[1]) {
			return x.answer(ctx, "confused", "The command is for %s, and the pull request is at %s by now.", at[1], p.Head.SHA)
		}
		x.text = strings.TrimSuffix(x.text, at[0])
	}
	if own {
		return x.steer(ctx, verb, strings.TrimSpace(rest), p)
	}
	return x.start(ctx, p, whole)
}

// start renders the file of the pull request for the command. The tasks run with the trusted role, whoever opened the
// pull request: a collaborator asked for them (taskcluster-map 13.3).
func (x *comment) start(ctx context.Context, p pullPayload, whole map[string]any) (string, error) {
	t := x.g.pullTrigger(x.told, p, "github-issue-comment", "pull-request")
	t.eventType, t.seed = "issue_comment", "github "+x.GUID
	t.extra = map[string]any{"taskcluster_comment": x.text, "pull_request": whole}
	var err error
	if t.change.FilesChanged, err = x.g.pullFiles(ctx, x.repo, p.Number); err != nil {
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

// steer does what /treeline itself can.
func (x *comment) steer(ctx context.Context, verb, rest string, p pullPayload) (string, error) {
	switch verb {
	case "cancel":
		list, err := x.g.CancelBuilds(ctx, Filter{Organization: x.repo.Owner, Repository: x.repo.Repo, PullNumber: p.Number})
		x.sign = "+1"
		return fmt.Sprintf("%d builds cancelled", len(list)), err
	case "retest":
		return x.retest(ctx, p)
	default:
		list, err := x.g.builds(ctx, newestSQL, x.repo.ID, p.Head.SHA)
		if err != nil {
			return "", err
		}
		if len(list) == 0 {
			return x.answer(ctx, "confused", "There is no build of %s.", p.Head.SHA)
		}
		if rest == "" {
			return x.answer(ctx, "confused", "Say which task: `/treeline explain LABEL`.")
		}
		return x.answer(ctx, "+1", "What became of `%s`, and why: %s/api/taskgraph/v1/task/%s/why?label=%s", strings.ReplaceAll(rest, "`", "'"), x.g.RootURL, list[0].TaskGroupID, queryEscape(rest))
	}
}

// retest runs the failed tasks of the newest build of the head again.
func (x *comment) retest(ctx context.Context, p pullPayload) (string, error) {
	list, err := x.g.builds(ctx, newestSQL, x.repo.ID, p.Head.SHA)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return x.answer(ctx, "confused", "There is no build of %s to run again.", p.Head.SHA)
	}
	n := 0
	for token := ""; ; {
		page, err := x.g.Queue.ListGroup(ctx, list[0].TaskGroupID, 0, token)
		if err != nil {
			return "", err
		}
		for _, i := range page.Tasks {
			if i.Status.State != task.Failed && i.Status.State != task.Exception {
				continue
			}
			if _, err := x.g.Queue.Rerun(ctx, i.Status.TaskID); err != nil && fault.KindOf(err) != fault.Conflict {
				return "", err
			}
			n++
		}
		if token = page.Next; token == "" {
			break
		}
	}
	if n > 0 {
		if _, err := x.g.Pool.Exec(ctx, setBuildSQL.Text, list[0].TaskGroupID, "pending"); err != nil {
			return "", err
		}
	}
	x.sign = "+1"
	return fmt.Sprintf("%d tasks run again", n), nil
}
