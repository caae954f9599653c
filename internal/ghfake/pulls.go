package ghfake

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake/bare"
)

// Pull is a pull request; its methods are what people do with it.
type Pull struct {
	Number int

	repo   *Repository
	from   *Repository // nil when the fork was deleted
	id     int64
	branch string // of from
	base   string
	title  string
	body   string
	author *User
	head   string
	baseAt string
	state  string
	draft  bool
	merged string // the merge commit
	labels []string

	created, updated, closed time.Time
}

// OpenPull opens a pull request from a branch of from, which is the repository itself or a fork, and sends
// pull_request.opened.
func (r *Repository) OpenPull(login string, from *Repository, branch, base, title string) (*Pull, error) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	return r.openPull(r.server.addUser(login, "User"), from, branch, base, title, "")
}

func (r *Repository) openPull(by *User, from *Repository, branch, base, title, body string) (*Pull, error) {
	s := r.server
	head, baseAt := from.git.Resolve("refs/heads/"+branch), r.git.Resolve("refs/heads/"+base)
	if head == "" || baseAt == "" {
		return nil, fmt.Errorf("ghfake: pull request from %s to %s: there is no such branch", branch, base)
	}
	r.number++
	p := &Pull{
		Number: r.number, repo: r, from: from, id: s.nextID(), branch: branch, base: base, title: title, body: body, author: by,
		head: head, baseAt: baseAt, state: "open", created: s.Now(),
	}
	r.pulls[p.Number] = p
	if err := p.pin(); err != nil {
		return nil, err
	}
	if from != r {
		s.openSuites(r, "", "", head, p.author)
	}
	p.tell("opened", p.author, nil)
	return p, nil
}

// pin makes refs/pull/N/head and, when the branches can be merged, refs/pull/N/merge in the base repository.
func (p *Pull) pin() error {
	g := p.repo.git
	if _, err := g.Git(nil, "update-ref", fmt.Sprintf("refs/pull/%d/head", p.Number), p.head); err != nil {
		return fmt.Errorf("ghfake: %w", err)
	}
	merge := fmt.Sprintf("refs/pull/%d/merge", p.Number)
	args := []string{"update-ref", "-d", merge}
	if sha, err := g.Merge(p.baseAt, p.head, "Merge "+p.head+" into "+p.baseAt); err == nil {
		args = []string{"update-ref", merge, sha}
	}
	_, err := g.Git(nil, args...)
	return err
}

// Head returns the pull request's newest revision.
func (p *Pull) Head() string {
	p.repo.server.mu.Lock()
	defer p.repo.server.mu.Unlock()
	return p.head
}

// synchronize moves the pull requests that come from a branch.
func (s *Server) synchronize(from *Repository, branch, before, after string, by *User) error {
	for _, r := range s.repos {
		for _, n := range slices.Sorted(maps.Keys(r.pulls)) {
			p := r.pulls[n]
			if p.from != from || p.branch != branch || p.state != "open" {
				continue
			}
			p.head = after
			if err := p.pin(); err != nil {
				return err
			}
			if from != r {
				s.openSuites(r, "", before, after, by)
			}
			p.tell("synchronize", by, obj{"before": orZeros(before), "after": after})
		}
	}
	return nil
}

func (p *Pull) act(login, action string, rest obj, change func()) {
	s := p.repo.server
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	p.tell(action, s.addUser(login, "User"), rest)
}

// Close closes the pull request without merging it.
func (p *Pull) Close(login string) {
	p.act(login, "closed", nil, func() { p.state, p.closed = "closed", p.repo.server.Now() })
}

// Reopen opens a closed pull request again.
func (p *Pull) Reopen(login string) {
	p.act(login, "reopened", nil, func() { p.state, p.closed = "open", time.Time{} })
}

// SetDraft makes the pull request a draft, or ready for review.
func (p *Pull) SetDraft(login string, draft bool) {
	action := "ready_for_review"
	if draft {
		action = "converted_to_draft"
	}
	p.act(login, action, nil, func() { p.draft = draft })
}

// Label puts a label on the pull request.
func (p *Pull) Label(login, label string) {
	p.act(login, "labeled", obj{"label": p.labelJSON(label)}, func() { p.labels = append(p.labels, label) })
}

// Retitle changes the title.
func (p *Pull) Retitle(login, title string) {
	p.act(login, "edited", obj{"changes": obj{"title": obj{"from": p.title}}}, func() { p.title = title })
}

// Retarget changes the base branch.
func (p *Pull) Retarget(login, base string) {
	from, at := p.base, p.baseAt
	p.act(login, "edited", obj{"changes": obj{"base": obj{"ref": obj{"from": from}, "sha": obj{"from": at}}}}, func() {
		p.base, p.baseAt = base, p.repo.git.Resolve("refs/heads/"+base)
	})
}

// LoseFork deletes the repository that the pull request came from.
func (p *Pull) LoseFork() {
	s := p.repo.server
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.repos, p.from.ID)
	p.from = nil
}

// Merge merges the pull request: push to its base, and pull_request.closed.
func (p *Pull) Merge(login string) (string, error) {
	s := p.repo.server
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.addUser(login, "User")
	before := p.repo.git.Resolve("refs/heads/" + p.base)
	sha, err := p.repo.git.Merge(before, p.head, fmt.Sprintf("Merge pull request #%d from %s", p.Number, p.branch))
	if err != nil {
		return "", fmt.Errorf("ghfake: merge: %w", err)
	}
	return sha, p.land(by, before, sha)
}

func (p *Pull) land(by *User, before, sha string) error {
	p.state, p.merged, p.closed = "closed", sha, p.repo.server.Now()
	if err := p.repo.move(by, "refs/heads/"+p.base, before, sha, false); err != nil {
		return err
	}
	p.tell("closed", by, nil)
	return nil
}

// MergeGroup is an entry of the merge queue.
type MergeGroup struct {
	Head, Ref string // the revision to check, and the branch it stands on
	pull      *Pull
	base      string
}

// Enqueue puts the pull request in the merge queue: push to gh-readonly-queue/…, pull_request.enqueued and
// merge_group.checks_requested.
func (p *Pull) Enqueue(login string) (*MergeGroup, error) {
	s := p.repo.server
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.addUser(login, "User")
	base := p.repo.git.Resolve("refs/heads/" + p.base)
	sha, err := p.repo.git.Merge(base, p.head, fmt.Sprintf("Merge pull request #%d from %s", p.Number, p.branch))
	if err != nil {
		return nil, fmt.Errorf("ghfake: enqueue: %w", err)
	}
	g := &MergeGroup{Head: sha, Ref: fmt.Sprintf("refs/heads/gh-readonly-queue/%s/pr-%d-%s", p.base, p.Number, base), pull: p, base: base}
	p.tell("enqueued", by, nil)
	if err := p.repo.move(s.addUser("github-merge-queue[bot]", "Bot"), g.Ref, "", sha, false); err != nil {
		return nil, err
	}
	return g, g.tell("checks_requested", by, nil)
}

func (g *MergeGroup) tell(action string, by *User, rest obj) error {
	r := g.pull.repo
	list, err := r.git.Log(1, g.Head)
	if err != nil {
		return fmt.Errorf("ghfake: %w", err)
	}
	commit, err := r.pushCommit(list[0])
	if err != nil {
		return err
	}
	for _, extra := range []string{"added", "removed", "modified", "url", "distinct"} {
		delete(commit, extra)
	}
	body := obj{"merge_group": obj{
		"head_sha": g.Head, "head_ref": g.Ref, "base_sha": g.base, "base_ref": "refs/heads/" + g.pull.base, "head_commit": commit,
	}}
	maps.Copy(body, rest)
	r.server.tell(r, "merge_group", action, by, body)
	return nil
}

// Finish merges what was checked into its base, or throws it away; either way the group is destroyed.
func (g *MergeGroup) Finish(login string, merge bool) error {
	p := g.pull
	s := p.repo.server
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.addUser(login, "User")
	reason := "dequeued"
	if merge {
		reason = "merged"
		if err := p.land(by, p.repo.git.Resolve("refs/heads/"+p.base), g.Head); err != nil {
			return err
		}
	} else {
		p.tell("dequeued", by, nil)
	}
	return errors.Join(g.tell("destroyed", by, obj{"reason": reason}), p.repo.move(by, g.Ref, g.Head, "", false))
}

func (p *Pull) tell(action string, by *User, rest obj) {
	p.updated = p.repo.server.Now()
	body := obj{"number": p.Number, "pull_request": p.json()}
	maps.Copy(body, rest)
	p.repo.server.tell(p.repo, "pull_request", action, by, body)
}

func (p *Pull) labelJSON(name string) any {
	return obj{"id": int64(len(name)) + 7_000_000_000, "node_id": nodeID("Label", 1), "name": name, "color": "ededed", "default": false, "description": nil,
		"url": p.repo.server.APIURL() + "repos/" + p.repo.FullName() + "/labels/" + name}
}

func (p *Pull) association() string {
	switch p.repo.role(p.author.Login) {
	case "admin":
		return "OWNER"
	case "maintain", "write", "triage":
		return "COLLABORATOR"
	}
	return "NONE"
}

func (p *Pull) json() obj {
	s := p.repo.server
	api, html := s.APIURL()+"repos/"+p.repo.FullName(), s.root+"/"+p.repo.FullName()
	n := strconv.Itoa(p.Number)
	side := func(r *Repository, ref, sha string) obj {
		o := obj{"ref": ref, "sha": sha, "label": ref, "user": nil, "repo": nil}
		if r != nil {
			o["label"], o["user"], o["repo"] = r.owner.Login+":"+ref, s.userJSON(r.owner), s.repoJSON(r)
		}
		return o
	}
	o := obj{
		"url": api + "/pulls/" + n, "id": p.id, "node_id": nodeID("PullRequest", p.id), "html_url": html + "/pull/" + n, "diff_url": html + "/pull/" + n + ".diff",
		"patch_url": html + "/pull/" + n + ".patch", "issue_url": api + "/issues/" + n, "commits_url": api + "/pulls/" + n + "/commits",
		"comments_url": api + "/issues/" + n + "/comments", "statuses_url": api + "/statuses/" + p.head, "number": p.Number, "state": p.state, "locked": false,
		"title": p.title, "user": s.userJSON(p.author), "body": orNull(p.body), "created_at": stamp(p.created), "updated_at": stamp(p.updated), "closed_at": stamp(p.closed),
		"merged_at": nil, "merge_commit_sha": nil, "assignee": nil, "assignees": []any{}, "requested_reviewers": []any{}, "requested_teams": []any{},
		"labels": each(p.labels, p.labelJSON), "milestone": nil, "draft": p.draft, "head": side(p.from, p.branch, p.head), "base": side(p.repo, p.base, p.baseAt),
		"author_association": p.association(), "auto_merge": nil, "active_lock_reason": nil, "merged": p.merged != "", "mergeable": nil, "mergeable_state": "unknown",
		"merged_by": nil, "comments": 0, "review_comments": 0, "maintainer_can_modify": p.from != p.repo, "commits": 1, "additions": 0, "deletions": 0, "changed_files": 1,
	}
	links := obj{"commits": o["commits_url"], "comments": o["comments_url"], "html": o["html_url"], "issue": o["issue_url"], "self": o["url"], "statuses": o["statuses_url"]}
	o["review_comments_url"], o["review_comment_url"] = api+"/pulls/"+n+"/comments", api+"/pulls/comments{/number}"
	links["review_comments"], links["review_comment"] = o["review_comments_url"], o["review_comment_url"]
	for name, address := range links {
		links[name] = obj{"href": address}
	}
	o["_links"] = links
	if p.merged != "" {
		o["merged_at"], o["merge_commit_sha"] = stamp(p.closed), p.merged
	} else if sha := p.repo.git.Resolve("refs/pull/" + n + "/merge"); sha != "" {
		o["merge_commit_sha"] = sha
	}
	return o
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (c *call) pull() (*Pull, error) {
	if p := c.repo.pulls[int(c.pathID("number"))]; p != nil {
		return p, nil
	}
	return nil, notFound()
}

func (c *call) getPull() (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	return p.json(), nil
}

func (c *call) listPulls() (any, error) {
	q := c.r.URL.Query()
	state := q.Get("state")
	if state == "" {
		state = "open"
	}
	var list []*Pull
	for _, n := range slices.Sorted(maps.Keys(c.repo.pulls)) {
		p := c.repo.pulls[n]
		from, ofBranch, _ := strings.Cut(q.Get("head"), ":")
		if q.Get("head") != "" && (p.from == nil || !strings.EqualFold(p.from.owner.Login, from) || p.branch != ofBranch) {
			continue
		}
		if (state == "all" || p.state == state) && (q.Get("base") == "" || p.base == q.Get("base")) {
			list = append(list, p)
		}
	}
	slices.Reverse(list) // newest first
	return each(page(c, list), func(p *Pull) any { return p.json() }), nil
}

func (c *call) pullFiles() (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	middle, err := c.repo.git.Line("merge-base", p.baseAt, p.head)
	if err != nil {
		return nil, err
	}
	files, err := c.repo.git.Diff(middle, p.head)
	return each(page(c, files[:min(3000, len(files))]), c.fileJSON), err
}

func (c *call) pullCommits() (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	list, err := c.repo.git.Log(250, p.head, "^"+p.baseAt)
	slices.Reverse(list)
	return each(page(c, list), func(g bare.Commit) any { return c.gitJSON(g) }), err
}

// Comment is a comment on an issue, a pull request or, without a number, a commit.
type Comment struct {
	ID        int64
	Number    int    // of the issue or pull request; 0 on a commit
	Revision  string // of the commit
	Author    string
	Body      string
	Reactions []string

	edited time.Time
}

// Comment writes a comment on a pull request, or on an issue when there is no such pull request, and sends
// issue_comment.created.
func (r *Repository) Comment(login string, number int, text string) *Comment {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.addUser(login, "User")
	m := r.addComment(by, number, "", text)
	s.tell(r, "issue_comment", "created", by, obj{"issue": r.issueJSON(number), "comment": r.commentJSON(m)})
	return m
}

// EditComment changes a comment's text, as its author or somebody with write access can.
func (r *Repository) EditComment(login string, id int64, text string) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	m := r.comments[id]
	if m == nil {
		return errNoComment
	}
	from := m.Body
	m.Body, m.edited = text, s.Now()
	s.tell(r, "issue_comment", "edited", s.addUser(login, "User"), obj{
		"issue": r.issueJSON(m.Number), "comment": r.commentJSON(m), "changes": obj{"body": obj{"from": from}},
	})
	return nil
}

// Comments returns the comments on a pull request, oldest first; number 0 gives those on commits.
func (r *Repository) Comments(number int) []Comment {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	var out []Comment
	for _, id := range slices.Sorted(maps.Keys(r.comments)) {
		if m := r.comments[id]; m.Number == number {
			c := *m
			c.Reactions = slices.Clone(m.Reactions)
			out = append(out, c)
		}
	}
	return out
}

func (r *Repository) addComment(by *User, number int, revision, text string) *Comment {
	m := &Comment{ID: r.server.nextID(), Number: number, Revision: revision, Author: by.Login, Body: text, edited: r.server.Now()}
	r.comments[m.ID] = m
	return m
}

func (r *Repository) issueJSON(number int) obj {
	s := r.server
	api, html := s.APIURL()+"repos/"+r.FullName(), s.root+"/"+r.FullName()
	n := strconv.Itoa(number)
	o := obj{
		"url": api + "/issues/" + n, "repository_url": api, "html_url": html + "/issues/" + n, "comments_url": api + "/issues/" + n + "/comments",
		"id": int64(number) + 8_000_000_000, "node_id": nodeID("Issue", int64(number)), "number": number, "title": "an issue", "user": s.userJSON(r.owner), "labels": []any{},
		"state": "open", "locked": false, "assignee": nil, "assignees": []any{}, "milestone": nil, "comments": 1, "created_at": stamp(r.created), "updated_at": stamp(s.Now()),
		"closed_at": nil, "author_association": "NONE", "active_lock_reason": nil, "body": nil,
	}
	if p := r.pulls[number]; p != nil {
		o["html_url"], o["title"], o["state"], o["user"], o["draft"] = html+"/pull/"+n, p.title, p.state, s.userJSON(p.author), p.draft
		o["pull_request"] = obj{"url": api + "/pulls/" + n, "html_url": html + "/pull/" + n, "diff_url": html + "/pull/" + n + ".diff", "patch_url": html + "/pull/" + n + ".patch"}
	}
	return o
}

func (r *Repository) commentJSON(m *Comment) obj {
	s := r.server
	api := s.APIURL() + "repos/" + r.FullName()
	id := strconv.FormatInt(m.ID, 10)
	return obj{
		"url": api + "/issues/comments/" + id, "html_url": s.root + "/" + r.FullName() + "/pull/" + strconv.Itoa(m.Number) + "#issuecomment-" + id,
		"issue_url": api + "/issues/" + strconv.Itoa(m.Number), "id": m.ID, "node_id": nodeID("IssueComment", m.ID), "user": s.userJSON(s.users[strings.ToLower(m.Author)]),
		"created_at": stamp(m.edited), "updated_at": stamp(m.edited), "author_association": "NONE", "body": m.Body,
	}
}

func (c *call) listComments() (any, error) {
	var list []*Comment
	for _, id := range slices.Sorted(maps.Keys(c.repo.comments)) {
		if m := c.repo.comments[id]; m.Number == int(c.pathID("number")) {
			list = append(list, m)
		}
	}
	return each(page(c, list), func(m *Comment) any { return c.repo.commentJSON(m) }), nil
}

func (c *call) createComment() (any, error) {
	number := int(c.pathID("number"))
	if number < 1 || number > c.repo.number {
		return nil, notFound()
	}
	by := c.token.installation.app.bot
	m := c.repo.addComment(by, number, "", c.text("body"))
	c.s.tell(c.repo, "issue_comment", "created", by, obj{"issue": c.repo.issueJSON(number), "comment": c.repo.commentJSON(m)})
	c.status = http.StatusCreated
	return c.repo.commentJSON(m), nil
}

func (c *call) editComment() (any, error) {
	m := c.repo.comments[c.pathID("id")]
	if m == nil {
		return nil, notFound()
	}
	m.Body, m.edited = c.text("body"), c.s.Now()
	return c.repo.commentJSON(m), nil
}

func (c *call) react() (any, error) {
	m := c.repo.comments[c.pathID("id")]
	if m == nil {
		return nil, notFound()
	}
	c.status = http.StatusOK
	if !slices.Contains(m.Reactions, c.text("content")) {
		m.Reactions = append(m.Reactions, c.text("content"))
		c.status = http.StatusCreated
	}
	return obj{"id": c.s.nextID(), "node_id": nodeID("Reaction", m.ID), "user": c.s.userJSON(c.token.installation.app.bot), "content": c.text("content"), "created_at": stamp(c.s.Now())}, nil
}

func (c *call) createCommitComment() (any, error) {
	sha := c.repo.git.Resolve(c.r.PathValue("ref"))
	if sha == "" {
		return nil, notFound()
	}
	m := c.repo.addComment(c.token.installation.app.bot, 0, sha, c.text("body"))
	c.status = http.StatusCreated
	o := c.repo.commentJSON(m)
	o["commit_id"], o["path"], o["line"], o["position"] = sha, nil, nil, nil
	return o, nil
}
