package github

import (
	"context"
	"fmt"

	"github.com/treeline-ci/treeline/app/github/complaint"
	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/push"
)

// complain tells people in a comment what is wrong with their file: on the pull request, or on the commit. Where the
// comment cannot be made, nothing more is tried: the build's outcome says it too.
func (g *GitHub) complain(ctx context.Context, t trigger, what push.Error) {
	g.say(ctx, t.repo, t.pull, t.sha, complaint.Text(what))
}

// say makes a comment on a pull request, or on a commit when number is 0; the same is said once. A failure is logged
// and no more: to report it at GitHub would cost the very requests that it may lack.
func (g *GitHub) say(ctx context.Context, r repository, number int, sha, text string) {
	key := []string{fmt.Sprint(r.ID), fmt.Sprint(number), sha, text}
	first, err := g.once.First(ctx, key...)
	if err == nil && !first {
		return
	}
	if err == nil {
		err = g.forge(r).Comment(ctx, number, sha, text)
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
