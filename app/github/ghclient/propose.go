package ghclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Proposal is a pull request to be made: new files on top of a branch.
type Proposal struct {
	Base   string // the branch that it is for
	Branch string // the branch that holds it, which is the App's own
	Title  string // of the pull request, and the commit's message
	Body   string
	Files  map[string]string // contents by path
}

// Proposed is a pull request.
type Proposed struct {
	Number int
	URL    string // for browsers
	Before bool   // it was open before
}

// Propose makes a pull request in the App's name, by a commit on top of the base's head. It writes to no branch but the
// proposal's, and only ever forward. An open pull request from that branch is returned as it is; a branch without one
// is used again, unless somebody else's commits are on it. Errors are faults: Conflict where files are there already,
// where the branch is somebody else's, and where there is nothing to build on.
func (f *Forge) Propose(ctx context.Context, p Proposal) (Proposed, error) {
	for again := false; ; again = true {
		if open, err := f.openFrom(ctx, p); err != nil || open != nil {
			return f.proposed(open, true), err
		}
		err := f.put(ctx, p)
		if err == nil {
			made, _, err := f.client.PullRequests.Create(ctx, f.owner, f.name, &github.NewPullRequest{Title: &p.Title, Head: &p.Branch, Base: &p.Base, Body: &p.Body})
			if err == nil {
				return f.proposed(made, false), nil
			}
			if again || Status(err) != http.StatusUnprocessableEntity {
				return Proposed{}, f.wrap("pull request from "+p.Branch, err)
			}
			continue // somebody else may have made it meanwhile
		}
		if again || Status(err) != http.StatusUnprocessableEntity {
			return Proposed{}, err
		}
	}
}

func (f *Forge) proposed(p *github.PullRequest, before bool) Proposed {
	return Proposed{Number: p.GetNumber(), URL: p.GetHTMLURL(), Before: before}
}

// openFrom returns the open pull request from the proposal's branch; nil when there is none.
func (f *Forge) openFrom(ctx context.Context, p Proposal) (*github.PullRequest, error) {
	list, _, err := f.client.PullRequests.List(ctx, f.owner, f.name, &github.PullRequestListOptions{State: "open", Head: f.owner + ":" + p.Branch, Base: p.Base})
	if err != nil {
		return nil, f.wrap("pull requests", err)
	}
	for _, one := range list { // of forks of the same owner, too
		if strings.EqualFold(one.GetHead().GetRepo().GetFullName(), one.GetBase().GetRepo().GetFullName()) && one.GetHead().GetRef() == p.Branch {
			return one, nil
		}
	}
	return nil, nil
}

// put has the proposal's branch hold the files on top of the base.
func (f *Forge) put(ctx context.Context, p Proposal) error {
	base, err := f.head(ctx, p.Base)
	if err != nil {
		return err
	}
	if base == "" {
		return fault.New(fault.Conflict, "The branch %s has no commit yet, and a pull request needs one to build on: make the files at the forge.", p.Base)
	}
	if err := f.refuseThere(ctx, base, p.Files); err != nil {
		return err
	}
	at, err := f.head(ctx, p.Branch)
	if err != nil {
		return err
	}
	parents := []string{base}
	if at != "" {
		beyond, err := f.ours(ctx, p, base, at)
		if err != nil {
			return err
		}
		if beyond {
			parents = []string{at, base}
		}
	}
	sha, err := f.commit(ctx, p, base, parents)
	if err != nil {
		return err
	}
	ref := &github.Reference{Ref: github.String("refs/heads/" + p.Branch), Object: &github.GitObject{SHA: &sha}}
	if at == "" {
		_, _, err = f.client.Git.CreateRef(ctx, f.owner, f.name, ref)
	} else {
		_, _, err = f.client.Git.UpdateRef(ctx, f.owner, f.name, ref, false)
	}
	return f.wrap("branch "+p.Branch, err)
}

// head returns the revision of a branch; "" when there is none, and in a repository without commits.
func (f *Forge) head(ctx context.Context, branch string) (string, error) {
	ref, _, err := f.client.Git.GetRef(ctx, f.owner, f.name, "heads/"+branch)
	switch Status(err) {
	case http.StatusNotFound, http.StatusConflict:
		return "", nil
	}
	return ref.GetObject().GetSHA(), f.wrap("branch "+branch, err)
}

// refuseThere is an error when some of the files are there already.
func (f *Forge) refuseThere(ctx context.Context, revision string, files map[string]string) error {
	tree, err := f.Tree(ctx, revision)
	if err != nil {
		return err
	}
	var there []string
	for name := range files {
		if _, err := tree.Stat(name); err == nil {
			there = append(there, name)
		}
	}
	if len(there) == 0 {
		return nil
	}
	slices.Sort(there)
	return fault.New(fault.Conflict, "The repository has %s already: nothing was changed.", strings.Join(there, " and "))
}

// ours is an error when the branch holds commits that the App did not make; else it tells whether there are any beyond
// the base.
func (f *Forge) ours(ctx context.Context, p Proposal, base, at string) (beyond bool, err error) {
	c, _, err := f.client.Repositories.CompareCommits(ctx, f.owner, f.name, base, at, &github.ListOptions{PerPage: 100})
	if err != nil {
		return false, f.wrap("comparison "+base+"..."+at, err)
	}
	if c.GetAheadBy() == 0 {
		return false, nil
	}
	self, _, err := f.app.AsApp().Apps.Get(ctx, "")
	if err != nil {
		return false, f.wrap("the App", err)
	}
	for _, one := range c.Commits {
		if !strings.EqualFold(one.GetAuthor().GetLogin(), self.GetSlug()+"[bot]") {
			return false, fault.New(fault.Conflict, "The branch %s holds commits of somebody else (%.7s): nothing was changed. Delete or rename it, or open a pull request from it.", p.Branch, one.GetSHA())
		}
	}
	if c.GetAheadBy() > len(c.Commits) {
		return false, fault.New(fault.Conflict, "The branch %s is %d commits ahead of %s: nothing was changed. Delete or rename it.", p.Branch, c.GetAheadBy(), p.Base)
	}
	return true, nil
}

// commit makes a commit of the base's tree with the files. Without an author it is the App's, and GitHub signs it.
func (f *Forge) commit(ctx context.Context, p Proposal, base string, parents []string) (string, error) {
	on, _, err := f.client.Git.GetCommit(ctx, f.owner, f.name, base)
	if err != nil {
		return "", f.wrap("commit "+base, err)
	}
	var entries []*github.TreeEntry
	for name, text := range p.Files {
		entries = append(entries, &github.TreeEntry{Path: &name, Mode: github.String("100644"), Type: github.String("blob"), Content: &text})
	}
	slices.SortFunc(entries, func(a, b *github.TreeEntry) int { return strings.Compare(a.GetPath(), b.GetPath()) })
	tree, _, err := f.client.Git.CreateTree(ctx, f.owner, f.name, on.GetTree().GetSHA(), entries)
	if err != nil {
		return "", f.wrap("new tree", err)
	}
	c := &github.Commit{Message: &p.Title, Tree: tree}
	for _, sha := range parents {
		c.Parents = append(c.Parents, &github.Commit{SHA: &sha})
	}
	made, _, err := f.client.Git.CreateCommit(ctx, f.owner, f.name, c, nil)
	if err != nil {
		return "", f.wrap("new commit", err)
	}
	return made.GetSHA(), nil
}

// Said is what GitHub says in a refusal, with what it names as wrong; "" when err is none.
func Said(err error) string {
	e, ok := errors.AsType[*github.ErrorResponse](err)
	if !ok {
		return ""
	}
	said := e.Message
	for _, one := range e.Errors {
		switch {
		case one.Message != "":
			said += ": " + one.Message
		case one.Field != "":
			said += fmt.Sprintf(": %s is %s", one.Field, one.Code)
		}
	}
	return said
}
