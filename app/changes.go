package app

import (
	"context"
	"strings"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/groups"
)

// shownChange is what the pages show of what a task group was made for at a forge.
func (a *App) shownChange(ctx context.Context, group string) (groups.Change, error) {
	if a.github == nil {
		return groups.Change{}, fault.New(fault.NotFound, "This server knows no forge that tells of changes.")
	}
	c, err := a.github.ByTaskGroup(ctx, group)
	if err != nil {
		return groups.Change{}, err
	}
	return describe(c), nil
}

// describe says what a change is, and where.
func describe(c intake.Change) groups.Change {
	at := strings.TrimSuffix(c.BaseRepository, ".git")
	author, _, _ := strings.Cut(c.Owner, "@")
	out := groups.Change{Title: c.Message, Author: author, Repository: c.Repository}
	pull, isPull := strings.CutPrefix(c.Branch, "pull/")
	switch {
	case isPull && c.TasksFor == "github-issue-comment":
		out.What, out.URL = "Command on pull request #"+pull, at+"/pull/"+pull
	case isPull && strings.HasPrefix(c.TasksFor, "github-pull-request"):
		out.What, out.URL = "Pull request #"+pull, at+"/pull/"+pull
	case c.TasksFor == "github-release":
		out.What, out.URL = "Release "+c.HeadTag, at+"/releases/tag/"+c.HeadTag
	case c.HeadTag != "":
		out.What, out.URL = "Tag "+c.HeadTag, at+"/tree/"+c.HeadTag
	case c.TasksFor == "github-merge-group":
		out.What, out.URL = "Merge queue", at+"/commit/"+c.Revision
	default:
		out.What, out.URL = "Push to "+c.Branch, at+"/commit/"+c.Revision
	}
	return out
}
