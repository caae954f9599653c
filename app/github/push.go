package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
)

// mergeQueue is where GitHub's merge queue puts what it wants to have checked.
const mergeQueue = "gh-readonly-queue/"

// tasksForMergeGroup is tasks_for of a merge group. Taskcluster knows none: it builds the push to the queue's branch,
// and so do we where the file does not name this.
const tasksForMergeGroup = "github-merge-group"

// onPush builds what was pushed to a branch or a tag.
func (g *GitHub) onPush(ctx context.Context, t *told) (string, error) {
	if why, err := g.find(ctx, t); err != nil || why != "" {
		return why, err
	}
	name, isTag := tagOrBranch(t.Ref)
	switch {
	case t.Deleted || t.After == zeros || t.After == "":
		if isTag {
			return "a tag was deleted", nil
		}
		return "a branch was deleted", g.Push.DropHead(ctx, t.repo.Name, name)
	case !printable.MatchString(name) || !printable.MatchString(t.Ref):
		return "the name of the branch cannot stand in scopes: it is not printable ASCII", nil
	}
	message := t.message()
	x := trigger{
		told: t, tasksFor: "github-push", role: "branch:" + name, sha: t.After, branch: name, eventType: "push",
		change: intake.Change{
			TasksFor: "github-push", Repository: t.repo.Name, Project: t.repo.Repo, Branch: name, Revision: t.After,
			BaseRepository: t.repo.URL, BaseRef: t.Ref, BaseRev: t.Before, HeadRepository: t.repo.URL, HeadRef: t.Ref,
			Owner: cmp.Or(t.Pusher.Email, t.payload.Sender.email()), Message: message, Time: t.Received,
		},
	}
	known, err := g.Push.Repository(ctx, t.repo.Name)
	if err != nil {
		return "", err
	}
	x.change.Level = known.Level
	if isTag {
		x.role, x.eventType, x.change.HeadTag, x.seed = "tag:"+name, "tag", name, "github "+t.GUID
		if skips(message) {
			return "the commit's message says to skip it", g.skipped(ctx, &x, "the commit's message says to skip it")
		}
		return g.run(ctx, x)
	}
	if name == t.repo.DefaultBranch {
		g.files.Drop(t.repo.ID) // its buttons may be others
	}
	if x.push, err = g.record(ctx, t, name); err != nil {
		return "", err
	}
	// The ids of tasks follow from the push and not from the delivery: a push may be told of twice.
	x.seed = fmt.Sprintf("github-push %d %d %s", t.repo.ID, x.push.ID, t.After)
	x.change.FilesChanged = x.push.FilesChanged
	if skips(message) {
		const text = "the commit's message says to skip it"
		if err := g.skipped(ctx, &x, text); err != nil {
			return "", err
		}
		return text, g.Push.SetOutcome(ctx, t.repo.Name, x.push.ID, push.Outcome{State: push.Ignored, Error: &push.Error{Code: "skipped", Message: "The commit's message says to skip it."}})
	}
	if strings.HasPrefix(name, mergeQueue) {
		source, err := g.forge(t.repo).File(ctx, configFile, t.After)
		if err != nil {
			return "", err
		}
		if strings.Contains(string(source), tasksForMergeGroup) {
			return "its merge group is built", g.Push.SetOutcome(ctx, t.repo.Name, x.push.ID, push.Outcome{State: push.Ignored, Error: &push.Error{Code: "merge-group", Message: "The merge group at this revision is built."}})
		}
	}
	return g.run(ctx, x)
}

// message is that of the head, or of the last commit where the head is missing.
func (t *told) message() string {
	if t.HeadCommit != nil {
		return t.HeadCommit.Message
	}
	if n := len(t.Commits); n > 0 {
		return t.Commits[n-1].Message
	}
	return ""
}

// late is how many of the last pushes are looked at to see that one came late.
const late = 20

// record writes a push down, or finds it where an earlier try did. Webhooks come in any order: a push from before
// the last one does not move the branch back.
func (g *GitHub) record(ctx context.Context, t *told, branch string) (push.Push, error) {
	p := push.Push{
		Repository: t.repo.Name, Revision: t.After, Branch: branch, Author: cmp.Or(t.Pusher.Name, t.payload.Sender.login()),
		Email: cmp.Or(t.Pusher.Email, t.payload.Sender.email()), Message: t.message(), FilesChanged: filesOf(t.Commits), State: push.Deciding,
	}
	if t.Before != zeros {
		p.Base = t.Before
	}
	for _, c := range slices.Backward(t.Commits) {
		if len(p.Commits) < 50 {
			p.Commits = append(p.Commits, push.Commit{Revision: c.ID, Author: c.Author.Name, Email: c.Author.Email, Message: c.Message, Time: c.Timestamp})
		}
	}
	if err := g.widen(ctx, t, &p); err != nil {
		return p, err
	}
	for range recordTries - 1 {
		if recorded, moved, err := g.recordOnce(ctx, t, p); !moved {
			return recorded, err
		}
	}
	recorded, moved, err := g.recordOnce(ctx, t, p)
	if moved {
		err = fmt.Errorf("github: branch %s of %s keeps moving", branch, t.repo.Name)
	}
	return recorded, err
}

// recordTries is how often a push is written down anew when its branch moves at the same time.
const recordTries = 5

// recordOnce writes a push down, and reports whether another server moved its branch meanwhile.
func (g *GitHub) recordOnce(ctx context.Context, t *told, p push.Push) (recorded push.Push, moved bool, err error) {
	branch := p.Branch
	heads, err := g.Push.Heads(ctx, t.repo.Name)
	if err != nil {
		return p, false, err
	}
	head := heads[branch]
	if head == t.After {
		if recorded, err := g.Push.AtRevision(ctx, t.repo.Name, branch, t.After); !errors.Is(err, fault.NotFound) {
			return recorded, false, err
		}
		// The branches were looked at before the webhook came: what they stood at then counts as known, this does not.
		if head = p.Base; head == "" {
			err = g.Push.DropHead(ctx, t.repo.Name, branch)
		} else {
			err = g.Push.SetHead(ctx, t.repo.Name, branch, head)
		}
		if err != nil {
			return p, false, err
		}
	}
	before, err := g.Push.List(ctx, t.repo.Name, 0, late)
	if err != nil {
		return p, false, err
	}
	wasLate := false
	for _, b := range before {
		if b.Branch != branch {
			continue
		}
		if b.Revision == t.After && b.Base == p.Base {
			return b, false, nil // an earlier try, and another push since
		}
		wasLate = wasLate || head != "" && b.Base == t.After
	}
	recorded, fresh, err := g.Push.Record(ctx, p, head)
	if err == nil && !fresh {
		return p, true, nil
	}
	if err == nil {
		g.Log.InfoContext(recorded.Mark(ctx), "a push arrived", "repository", recorded.Repository, "branch", branch, "revision", recorded.Revision)
	}
	if err == nil && wasLate {
		err = g.Push.SetHead(ctx, t.repo.Name, branch, head)
	}
	return recorded, false, err
}

// widen asks GitHub what a push changed where the webhook does not tell: of a new branch, of one whose history was
// rewritten, and of a great many commits.
func (g *GitHub) widen(ctx context.Context, t *told, p *push.Push) error {
	from := t.Before
	switch {
	case t.Before == zeros && p.Branch == t.repo.DefaultBranch:
		return nil // all its history is new
	case t.Before == zeros:
		from = t.repo.DefaultBranch
	case !t.Forced && len(t.Commits) < 2048:
		return nil
	}
	span, err := g.forge(t.repo).Compare(ctx, from, t.After)
	if ghclient.Gone(err) {
		return nil // no common history
	}
	if err != nil {
		return err
	}
	if t.Before == zeros {
		p.Base = span.Base
	}
	if len(span.Files) > 0 {
		p.FilesChanged = span.Files
	}
	if len(span.Commits) > 0 && len(p.Commits) == 0 {
		p.Commits = span.Commits[:min(50, len(span.Commits))]
	}
	return nil
}

// onRelease builds a release at its tag.
func (g *GitHub) onRelease(ctx context.Context, t *told) (string, error) {
	if why, err := g.find(ctx, t); err != nil || why != "" {
		return why, err
	}
	action, tag := t.payload.Action, t.Release.TagName
	if !printable.MatchString(action) || !printable.MatchString(tag) {
		return "the tag's name is not printable ASCII", nil
	}
	forge := g.forge(t.repo)
	sha, err := forge.Revision(ctx, "refs/tags/"+tag)
	if ghclient.Gone(err) || ghclient.Status(err) == 422 { // a draft has no tag
		sha, err = forge.Revision(ctx, cmp.Or(t.Release.TargetCommitish, t.repo.DefaultBranch))
	}
	if ghclient.Gone(err) || ghclient.Status(err) == 422 {
		return "neither the release's tag nor its target is there", nil
	}
	if err != nil {
		return "", err
	}
	x := trigger{
		told: t, tasksFor: "github-release", role: "release:" + action, sha: sha, branch: tag, eventType: "release", seed: "github " + t.GUID,
		change: intake.Change{
			TasksFor: "github-release", Repository: t.repo.Name, Project: t.repo.Repo, Branch: tag, Revision: sha, Level: g.Level(t.repo.Name),
			BaseRepository: t.repo.URL, BaseRef: "refs/tags/" + tag, HeadRepository: t.repo.URL, HeadRef: "refs/tags/" + tag, HeadTag: tag,
			Owner: t.payload.Sender.email(), Time: t.Received,
		},
	}
	if action != "published" { // publishing sends created, published and released
		x.quiet = action
	}
	return g.run(ctx, x)
}

// onMergeGroup builds what the merge queue wants to have checked, where the file names such events; else the push to
// the queue's branch is built.
func (g *GitHub) onMergeGroup(ctx context.Context, t *told) (string, error) {
	if why, err := g.find(ctx, t); err != nil || why != "" {
		return why, err
	}
	m := t.MergeGroup
	branch := strings.TrimPrefix(m.HeadRef, "refs/heads/")
	switch {
	case t.payload.Action == "destroyed":
		if t.Reason == "merged" {
			return "the merge group was merged", nil
		}
		list, err := g.CancelBuilds(ctx, Filter{Organization: t.repo.Owner, Repository: t.repo.Repo, SHA: m.HeadSHA})
		return fmt.Sprintf("the merge group is gone (%s); %d builds cancelled", t.Reason, len(list)), err
	case t.payload.Action != "checks_requested":
		return ignored("merge_group", t.payload.Action), nil
	case !printable.MatchString(branch):
		return "the name of the branch is not printable ASCII", nil
	}
	if err := g.passGroup(ctx, t.repo, m.HeadSHA); err != nil {
		return "", err
	}
	return g.run(ctx, trigger{
		told: t, tasksFor: tasksForMergeGroup, role: "branch:" + branch, sha: m.HeadSHA, branch: branch, eventType: "merge_group", seed: "github " + t.GUID,
		quiet: tasksForMergeGroup,
		change: intake.Change{
			TasksFor: tasksForMergeGroup, Repository: t.repo.Name, Project: t.repo.Repo, Branch: branch, Revision: m.HeadSHA, Level: pullLevel,
			BaseRepository: t.repo.URL, BaseRef: m.BaseRef, BaseRev: m.BaseSHA, HeadRepository: t.repo.URL, HeadRef: m.HeadRef,
			Owner: t.payload.Sender.email(), Message: m.HeadCommit.Message, Time: t.Received,
		},
	})
}
