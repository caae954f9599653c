package ghfake

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/ghfake/bare"
)

// Push adds commits to a branch, which is made from the default branch when it is new, and returns the new head. It
// sends push, check_suite.requested and, for pull requests from the branch, pull_request.synchronize.
func (r *Repository) Push(login, branch string, changes ...Change) (string, error) {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.addUser(login, "User")
	before := r.git.Resolve("refs/heads/" + branch)
	head, err := before, error(nil)
	if before == "" {
		head = r.git.Resolve("refs/heads/" + r.branch)
	}
	for _, c := range changes {
		if head, err = r.git.Commit("refs/ghfake/new", head, by.name(), by.email(), c, s.Now()); err != nil {
			return "", fmt.Errorf("ghfake: push: %w", err)
		}
	}
	return head, r.move(by, "refs/heads/"+branch, before, head, false)
}

// ForcePush replaces a branch by a commit whose parent is another revision.
func (r *Repository) ForcePush(login, branch, onto string, c Change) (string, error) {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.addUser(login, "User")
	before := r.git.Resolve("refs/heads/" + branch)
	head, err := r.git.Commit("refs/ghfake/new", r.git.Resolve(onto), by.name(), by.email(), c, s.Now())
	if err != nil {
		return "", fmt.Errorf("ghfake: push: %w", err)
	}
	return head, r.move(by, "refs/heads/"+branch, before, head, true)
}

// DeleteBranch deletes a branch: push with a head of zeros, and delete.
func (r *Repository) DeleteBranch(login, branch string) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	before := r.git.Resolve("refs/heads/" + branch)
	if before == "" {
		return fmt.Errorf("ghfake: there is no branch %s", branch)
	}
	return r.move(s.addUser(login, "User"), "refs/heads/"+branch, before, "", false)
}

// Tag makes a tag at a revision: create, and push.
func (r *Repository) Tag(login, tag, at string) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	sha := r.git.Resolve(at)
	if sha == "" {
		return fmt.Errorf("ghfake: there is no %s to tag", at)
	}
	return r.move(s.addUser(login, "User"), "refs/tags/"+tag, "", sha, false)
}

// move puts a ref to another commit and tells everybody.
func (r *Repository) move(by *User, ref, before, after string, forced bool) error {
	args := []string{"update-ref", ref, after}
	if after == "" {
		args = []string{"update-ref", "-d", ref}
	}
	if _, err := r.git.Git(nil, args...); err != nil {
		return fmt.Errorf("ghfake: %s: %w", ref, err)
	}
	r.pushed = r.server.Now()
	body, err := r.pushJSON(by, ref, before, after, forced)
	if err != nil {
		return fmt.Errorf("ghfake: %s: %w", ref, err)
	}
	short, kind := strings.TrimPrefix(ref, "refs/heads/"), "branch"
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		short, kind = tag, "tag"
	}
	about := obj{"ref": short, "ref_type": kind, "pusher_type": "user"}
	if before == "" {
		r.server.tell(r, "create", "", by, obj{"ref": short, "ref_type": kind, "master_branch": r.branch, "description": nil, "pusher_type": "user"})
	}
	r.server.tell(r, "push", "", by, body)
	if after == "" {
		r.server.tell(r, "delete", "", by, about)
		return nil
	}
	if kind == "branch" {
		r.server.openSuites(r, short, before, after, by)
		return r.server.synchronize(r, short, before, after, by)
	}
	return nil
}

func orZeros(sha string) string {
	if sha == "" {
		return zeros
	}
	return sha
}

// maxPushCommits is how many commits a push event lists.
const maxPushCommits = 2048

func (r *Repository) pushJSON(by *User, ref, before, after string, forced bool) (obj, error) {
	s := r.server
	html := s.root + "/" + r.FullName()
	body := obj{
		"ref": ref, "before": orZeros(before), "after": orZeros(after), "created": before == "", "deleted": after == "", "forced": forced, "base_ref": nil,
		"commits": []any{}, "head_commit": nil, "pusher": obj{"name": by.Login, "email": by.email()}, "repository": s.repoForPush(r),
		"compare": html + "/compare/" + short(orZeros(before)) + "..." + short(orZeros(after)),
	}
	if after == "" {
		return body, nil
	}
	span := []string{after}
	if strings.HasPrefix(ref, "refs/tags/") {
		span = []string{after, "^" + after}
	} else if before != "" {
		span = []string{after, "^" + before}
	} else if main := r.git.Resolve("refs/heads/" + r.branch); main != "" && main != after {
		span = []string{after, "^" + main}
	}
	list, err := r.git.Log(maxPushCommits, span...)
	if err != nil {
		return nil, err
	}
	slices.Reverse(list)
	commits := make([]any, len(list))
	for i, g := range list {
		if commits[i], err = r.pushCommit(g); err != nil {
			return nil, err
		}
	}
	head, err := r.git.Log(1, after)
	if err != nil {
		return nil, err
	}
	body["commits"] = commits
	body["head_commit"], err = r.pushCommit(head[0])
	return body, err
}

func short(sha string) string { return sha[:12] }

// pushCommit is a commit as push and merge_group events have it.
func (r *Repository) pushCommit(g bare.Commit) (obj, error) {
	from, _, _ := strings.Cut(g.Parents, " ")
	files, err := r.git.Diff(from, g.SHA)
	if err != nil {
		return nil, err
	}
	lists := map[string][]any{"added": {}, "removed": {}, "modified": {}}
	for _, f := range files {
		switch f.Status {
		case "renamed":
			lists["added"] = append(lists["added"], f.Name)
			lists["removed"] = append(lists["removed"], f.Before)
		default:
			lists[f.Status] = append(lists[f.Status], f.Name)
		}
	}
	person := func(name, email string) obj {
		o := obj{"name": name, "email": email}
		if u := r.server.byEmail(email); u != nil {
			o["username"] = u.Login
		}
		return o
	}
	return obj{
		"id": g.SHA, "tree_id": g.Tree, "distinct": true, "message": g.Message, "timestamp": g.Date.Format("2006-01-02T15:04:05Z07:00"),
		"url": r.server.root + "/" + r.FullName() + "/commit/" + g.SHA, "author": person(g.Name, g.Email), "committer": person(g.Committer, g.CommitterEmail),
		"added": lists["added"], "removed": lists["removed"], "modified": lists["modified"],
	}, nil
}

// Release is a release; its fields do not change.
type Release struct {
	ID         int64
	Tag, Name  string
	Target     string // branch or revision that the tag was made from
	Draft      bool
	Prerelease bool

	author *User
	at     string
}

// Release publishes a release, whose tag is made at target when it is new. It sends release.created, published and
// released, as GitHub does for one click.
func (r *Repository) Release(login, tag, target string) (*Release, error) {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.addUser(login, "User")
	if r.git.Resolve("refs/tags/"+tag) == "" {
		sha := r.git.Resolve(target)
		if sha == "" {
			return nil, fmt.Errorf("ghfake: there is no %s to release", target)
		}
		if err := r.move(by, "refs/tags/"+tag, "", sha, false); err != nil {
			return nil, err
		}
	}
	at, _ := stamp(s.Now()).(string)
	x := &Release{ID: s.nextID(), Tag: tag, Name: tag, Target: target, author: by, at: at}
	r.releases = append(r.releases, x)
	for _, action := range []string{"created", "published", "released"} {
		s.tell(r, "release", action, by, obj{"release": s.releaseJSON(r, x)})
	}
	return x, nil
}

func (s *Server) releaseJSON(r *Repository, x *Release) obj {
	api := s.APIURL() + "repos/" + r.FullName() + "/releases/" + fmt.Sprint(x.ID)
	return obj{
		"url": api, "assets_url": api + "/assets", "html_url": s.root + "/" + r.FullName() + "/releases/tag/" + x.Tag, "id": x.ID, "node_id": nodeID("Release", x.ID),
		"tag_name": x.Tag, "target_commitish": x.Target, "name": x.Name, "draft": x.Draft, "prerelease": x.Prerelease, "author": s.userJSON(x.author),
		"created_at": x.at, "published_at": x.at, "assets": []any{}, "body": "", "upload_url": api + "/assets{?name,label}",
		"tarball_url": s.APIURL() + "repos/" + r.FullName() + "/tarball/" + x.Tag, "zipball_url": s.APIURL() + "repos/" + r.FullName() + "/zipball/" + x.Tag,
	}
}

func (c *call) listReleases() (any, error) {
	list := slices.Clone(c.repo.releases)
	slices.Reverse(list)
	return each(page(c, list), func(x *Release) any { return c.s.releaseJSON(c.repo, x) }), nil
}

func (c *call) releaseByTag() (any, error) {
	for _, x := range c.repo.releases {
		if x.Tag == c.r.PathValue("tag") {
			return c.s.releaseJSON(c.repo, x), nil
		}
	}
	return nil, notFound()
}

// errNoComment is what acting on a comment gives that is not there.
var errNoComment = errors.New("ghfake: the comment is not there")
