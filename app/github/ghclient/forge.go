package ghclient

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/push"
)

// Forge reads one repository by the REST API, as an installation. It is safe for concurrent use.
type Forge struct {
	app         *App
	client      *github.Client
	owner, name string
}

// Forge returns what reads a repository.
func (a *App) Forge(installation int64, owner, name string) *Forge {
	return &Forge{app: a, client: a.Installation(installation), owner: owner, name: name}
}

func (f *Forge) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("github: %s of %s/%s: %w", what, f.owner, f.name, err)
}

// Heads returns the revision of every branch.
func (f *Forge) Heads(ctx context.Context) (map[string]string, error) {
	heads := map[string]string{}
	o := &github.ReferenceListOptions{Ref: "heads/", ListOptions: github.ListOptions{PerPage: 100}}
	for {
		refs, answer, err := f.client.Git.ListMatchingRefs(ctx, f.owner, f.name, o)
		if err != nil {
			return nil, f.wrap("branches", err)
		}
		for _, r := range refs {
			if branch, ok := strings.CutPrefix(r.GetRef(), "refs/heads/"); ok {
				heads[branch] = r.GetObject().GetSHA()
			}
		}
		if answer.NextPage == 0 {
			return heads, nil
		}
		o.Page = answer.NextPage
	}
}

// Has reports whether the repository has a revision.
func (f *Forge) Has(ctx context.Context, revision string) bool {
	_, _, err := f.client.Git.GetCommit(ctx, f.owner, f.name, revision)
	return err == nil
}

// MaxFiles is how many changed files GitHub tells of a comparison.
const MaxFiles = 300

// Describe says of a revision what a push of it alone would: who made it, and what it changed since its parent.
func (f *Forge) Describe(ctx context.Context, revision string) (push.Push, error) {
	c, _, err := f.client.Repositories.GetCommit(ctx, f.owner, f.name, revision, &github.ListOptions{PerPage: MaxFiles})
	if err != nil {
		return push.Push{}, f.wrap("commit "+revision, err)
	}
	author := c.GetCommit().GetAuthor()
	p := push.Push{
		Revision: c.GetSHA(), Author: author.GetName(), Email: author.GetEmail(), Message: c.GetCommit().GetMessage(), Time: author.GetDate().Time,
		Commits: []push.Commit{}, FilesChanged: names(c.Files),
	}
	if len(c.Parents) > 0 {
		p.Base = c.Parents[0].GetSHA()
	}
	return p, nil
}

// PullFiles returns the files that a pull request changes, with the former names of those that moved: 3,000 at most,
// which is where GitHub ends.
func (f *Forge) PullFiles(ctx context.Context, number int) ([]string, error) {
	o := &github.ListOptions{PerPage: 100}
	out := []string{}
	for {
		files, answer, err := f.client.PullRequests.ListFiles(ctx, f.owner, f.name, number, o)
		if err != nil {
			return nil, f.wrap(fmt.Sprintf("files of pull request %d", number), err)
		}
		out = append(out, names(files)...)
		if answer.NextPage == 0 {
			return out, nil
		}
		o.Page = answer.NextPage
	}
}

func names(files []*github.CommitFile) []string {
	out := make([]string, 0, len(files))
	for _, file := range files {
		out = append(out, file.GetFilename())
		if before := file.GetPreviousFilename(); before != "" {
			out = append(out, before)
		}
	}
	return out
}

// Span is what lies between two revisions.
type Span struct {
	Commits []push.Commit // newest first
	Files   []string      // at most MaxFiles
	Base    string        // where the two part
	Ahead   int           // how many commits head has beyond base
}

// Compare tells what head has beyond base.
func (f *Forge) Compare(ctx context.Context, base, head string) (Span, error) {
	var s Span
	o := &github.ListOptions{PerPage: 100}
	for pages := 0; pages < 3; pages++ {
		c, answer, err := f.client.Repositories.CompareCommits(ctx, f.owner, f.name, base, head, o)
		if err != nil {
			return s, f.wrap("comparison "+base+"..."+head, err)
		}
		if pages == 0 {
			s.Files, s.Base, s.Ahead = names(c.Files), c.GetMergeBaseCommit().GetSHA(), c.GetAheadBy()
		}
		for _, one := range c.Commits {
			author := one.GetCommit().GetAuthor()
			s.Commits = append([]push.Commit{{
				Revision: one.GetSHA(), Author: author.GetName(), Email: author.GetEmail(), Message: one.GetCommit().GetMessage(), Time: author.GetDate().Time,
			}}, s.Commits...)
		}
		if answer.NextPage == 0 {
			break
		}
		o.Page = answer.NextPage
	}
	return s, nil
}

// Role is what a person may do with a repository, least first.
type Role int

// The roles of GitHub. Custom roles count as the one that they are built on.
const (
	NoRole Role = iota
	Reads
	Triages
	Writes
	Maintains
	Administers
)

// RoleOf returns a person's role. What the endpoint calls the permission folds maintain into write and triage into read.
// The user beside it tells them apart: by the role's name, or where an organization has given it one of its own, by what it
// permits (vcs-integration 1.9).
func (f *Forge) RoleOf(ctx context.Context, login string) (Role, error) {
	level, answer, err := f.client.Repositories.GetPermissionLevel(ctx, f.owner, f.name, login)
	if answer != nil && answer.StatusCode == http.StatusNotFound {
		return NoRole, nil // somebody who has gone
	}
	if err != nil {
		return NoRole, f.wrap("permission of "+login, err)
	}
	roles := map[string]Role{
		"read": Reads, "triage": Triages, "write": Writes, "maintain": Maintains, "admin": Administers,
		"pull": Reads, "push": Writes, // as permissions are called
	}
	u := level.GetUser()
	role := max(roles[level.GetPermission()], roles[u.GetRoleName()])
	for name, has := range u.GetPermissions() {
		if has {
			role = max(role, roles[name])
		}
	}
	return role, nil
}

// Revision returns the revision that a branch, tag or revision names.
func (f *Forge) Revision(ctx context.Context, ref string) (string, error) {
	sha, _, err := f.client.Repositories.GetCommitSHA1(ctx, f.owner, f.name, ref, "")
	return sha, f.wrap("revision "+ref, err)
}

// File returns a file at a revision or branch; nil when there is none, or a directory.
func (f *Forge) File(ctx context.Context, name, ref string) ([]byte, error) {
	file, _, answer, err := f.client.Repositories.GetContents(ctx, f.owner, f.name, name, &github.RepositoryContentGetOptions{Ref: ref})
	if answer != nil && answer.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, f.wrap(name, err)
	}
	if file == nil { // a directory
		return nil, nil
	}
	if file.GetEncoding() == "none" { // larger than a megabyte
		text, _, err := f.client.Git.GetBlobRaw(ctx, f.owner, f.name, file.GetSHA())
		return text, f.wrap(name, err)
	}
	text, err := file.GetContent()
	if err == nil && object([]byte(text)) == file.GetSHA() {
		f.app.blobs.put(file.GetSHA(), []byte(text))
	}
	return []byte(text), f.wrap(name, err)
}
