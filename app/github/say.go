package github

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/push"
)

// maxComment is how many characters a comment of ours has at most; GitHub takes 65,536.
const maxComment = 60_000

// complain tells people in a comment what is wrong with their file: on the pull request, or on the commit. Where the
// comment cannot be made, nothing more is tried: the build's outcome says it too.
func (g *GitHub) complain(ctx context.Context, t trigger, what push.Error) {
	where := what.File
	if what.Line > 0 {
		where = fmt.Sprintf("%s:%d", what.File, what.Line)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<details>\n<summary>Treeline made no tasks of this: %s</summary>\n\n", escape(firstLine(what.Message)))
	fence := "```"
	for strings.Contains(what.Message+what.Detail, fence) {
		fence += "`"
	}
	text := what.Message
	if where != "" {
		text = where + ": " + text
	}
	if what.Detail != "" {
		text += "\n" + what.Detail
	}
	if len(text) > maxComment-1000 {
		text = strings.ToValidUTF8(text[:maxComment-1000], "") + "\n…"
	}
	fmt.Fprintf(&b, "%s\n%s\n%s\n\n</details>\n", fence, text, fence)
	g.say(ctx, t.repo, t.pull, t.sha, b.String())
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	if len(line) > 200 {
		line = strings.ToValidUTF8(line[:200], "") + "…"
	}
	return line
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u200b", "`", "'").Replace

// say makes a comment on a pull request, or on a commit when number is 0; the same is said once. A failure is logged
// and no more: to report it at GitHub would cost the very requests that it may lack.
func (g *GitHub) say(ctx context.Context, r repository, number int, sha, text string) {
	key := []string{fmt.Sprint(r.ID), fmt.Sprint(number), sha, text}
	first, err := g.once.First(ctx, key...)
	if err == nil && !first {
		return
	}
	if err == nil {
		err = g.comment(ctx, r, number, sha, text)
		if err != nil && ghclient.Status(err) != 0 { // GitHub said no: nothing was written
			if err := g.once.Undo(ctx, key...); err != nil {
				g.Log.WarnContext(ctx, "forget a comment that was not made", "err", err)
			}
		}
	}
	if err != nil {
		g.Log.WarnContext(ctx, "comment at GitHub", "repository", r.Owner+"/"+r.Repo, "pull", number, "revision", sha, "err", err)
	}
}

func (g *GitHub) comment(ctx context.Context, r repository, number int, sha, text string) error {
	c := g.client.Installation(r.Installation)
	if number > 0 {
		_, _, err := c.Issues.CreateComment(ctx, r.Owner, r.Repo, number, &github.IssueComment{Body: &text})
		return err
	}
	_, _, err := c.Repositories.CreateComment(ctx, r.Owner, r.Repo, sha, &github.RepositoryComment{Body: &text})
	return err
}

// react answers a comment with a sign: +1, confused or eyes.
func (g *GitHub) react(ctx context.Context, t *told, sign string) {
	c := g.client.Installation(t.repo.Installation)
	if _, _, err := c.Reactions.CreateIssueCommentReaction(ctx, t.repo.Owner, t.repo.Repo, t.Comment.ID, sign); err != nil {
		g.Log.WarnContext(ctx, "react to a comment at GitHub", "repository", t.repo.Owner+"/"+t.repo.Repo, "comment", t.Comment.ID, "err", err)
	}
}
