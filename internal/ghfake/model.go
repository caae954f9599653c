package ghfake

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake/bare"
)

// User is an account: of a person, a bot or an organization.
type User struct {
	Login string
	ID    int64
	Kind  string // User, Bot or Organization
	Name  string // may be empty
	Email string // public address; may be empty
}

func (u *User) name() string {
	if u.Name != "" {
		return u.Name
	}
	return u.Login
}

func (u *User) email() string {
	if u.Email != "" {
		return u.Email
	}
	if u.Kind == "Bot" {
		return fmt.Sprintf("%d+%s@users.noreply.github.com", u.ID, u.Login)
	}
	return u.Login + "@users.noreply.github.com"
}

// Repository is a repository; its methods are what people do with it.
type Repository struct {
	ID     int64
	Name   string
	server *Server
	owner  *User
	git    bare.Repo

	private  bool
	archived bool
	fork     *Repository // what it was forked from
	branch   string      // its default branch
	former   []string    // full names before renames, in lower case
	people   map[string]string
	pulls    map[int]*Pull
	comments map[int64]*Comment
	releases []*Release
	statuses map[string][]obj // by revision, newest first
	number   int              // of the last issue or pull request
	created  time.Time
	pushed   time.Time
}

// AddUser returns the person with a login, who is made when there is none.
func (s *Server) AddUser(login string) *User { return s.add(login, "User") }

// AddOrganization returns the organization with a login, which is made when there is none.
func (s *Server) AddOrganization(login string) *User { return s.add(login, "Organization") }

func (s *Server) add(login, kind string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addUser(login, kind)
}

func (s *Server) addUser(login, kind string) *User {
	key := strings.ToLower(login)
	if s.users[key] == nil {
		s.users[key] = &User{Login: login, ID: s.nextID(), Kind: kind}
	}
	return s.users[key]
}

// AddRepository makes an empty repository owner/name; an unknown owner becomes an organization. Its default branch is
// main.
func (s *Server) AddRepository(fullName string, private bool) (*Repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, name, ok := strings.Cut(fullName, "/")
	if !ok || s.repoByName(fullName) != nil {
		return nil, fmt.Errorf("ghfake: repository %s: the name must be owner/name, and free", fullName)
	}
	return s.makeRepository(s.addUser(owner, "Organization"), name, private)
}

func (s *Server) makeRepository(owner *User, name string, private bool) (*Repository, error) {
	r := &Repository{
		ID: s.nextID(), Name: name, server: s, owner: owner, private: private, branch: "main", people: map[string]string{},
		pulls: map[int]*Pull{}, comments: map[int64]*Comment{}, statuses: map[string][]obj{}, created: s.Now(), pushed: s.Now(),
	}
	r.git = bare.Repo{Dir: s.gitDir(r.ID)}
	if _, err := r.git.Git(nil, "init", "--bare", "--quiet", "--initial-branch=main", r.git.Dir); err != nil {
		return nil, fmt.Errorf("ghfake: repository %s: %w", name, err)
	}
	for key, value := range map[string]string{"uploadpack.allowAnySHA1InWant": "true", "uploadpack.allowFilter": "true", "gc.auto": "0"} {
		if _, err := r.git.Git(nil, "config", key, value); err != nil {
			return nil, fmt.Errorf("ghfake: repository %s: %w", name, err)
		}
	}
	s.repos[r.ID] = r
	return r, nil
}

// Fork makes a fork at a person's account.
func (r *Repository) Fork(login string) (*Repository, error) {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.makeRepository(s.addUser(login, "User"), r.Name, r.private)
	if err != nil {
		return nil, err
	}
	f.fork, f.branch = r, r.branch
	// The network shares its objects, as GitHub's does: what a fork has can be asked of the repository it came from.
	for _, link := range [][2]*Repository{{f, r}, {r, f}} {
		at := filepath.Join(link[0].git.Dir, "objects", "info", "alternates")
		old, err := os.ReadFile(at)
		if err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("ghfake: fork: %w", err)
		}
		if err := os.WriteFile(at, append(old, filepath.Join(link[1].git.Dir, "objects")+"\n"...), 0o644); err != nil {
			return nil, fmt.Errorf("ghfake: fork: %w", err)
		}
	}
	heads, err := r.git.Refs("refs/heads/")
	for _, h := range heads {
		if err == nil {
			_, err = f.git.Git(nil, "update-ref", h[0], h[1])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ghfake: fork: %w", err)
	}
	return f, nil
}

// FullName returns owner/name.
func (r *Repository) FullName() string { return r.owner.Login + "/" + r.Name }

// CloneURL returns where the repository can be cloned from.
func (r *Repository) CloneURL() string { return r.server.root + "/" + r.FullName() + ".git" }

// Head returns the revision of a branch or other ref; "" when there is none.
func (r *Repository) Head(ref string) string { return r.git.Resolve(ref) }

// Grant gives a person a role at the repository: admin, maintain, write, triage or read; "" takes it away.
func (r *Repository) Grant(login, role string) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	u := r.server.addUser(login, "User")
	if role == "" {
		delete(r.people, strings.ToLower(login))
	} else {
		r.people[strings.ToLower(login)] = role
	}
	action := "added"
	if role == "" {
		action = "removed"
	}
	r.server.tell(r, "member", action, r.owner, obj{"member": r.server.userJSON(u)})
}

// role returns a person's role at the repository; "none" when there is none.
func (r *Repository) role(login string) string {
	login = strings.ToLower(login)
	if login == strings.ToLower(r.owner.Login) {
		return "admin"
	}
	if role, ok := r.people[login]; ok {
		return role
	}
	if !r.private && r.server.users[login] != nil {
		return "read"
	}
	return "none"
}

// SetDefaultBranch bare.Changeds the default branch, and sends repository.edited.
func (r *Repository) SetDefaultBranch(branch string) error {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	from := r.branch
	r.branch = branch
	if _, err := r.git.Git(nil, "symbolic-ref", "HEAD", "refs/heads/"+branch); err != nil {
		return fmt.Errorf("ghfake: %w", err)
	}
	r.server.tell(r, "repository", "edited", r.owner, obj{"changes": obj{"default_branch": obj{"from": from}}})
	return nil
}

// Rename gives the repository another name; the old one leads to the new.
func (r *Repository) Rename(name string) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	from := r.Name
	r.former = append(r.former, strings.ToLower(r.FullName()))
	r.Name = name
	r.server.tell(r, "repository", "renamed", r.owner, obj{"changes": obj{"repository": obj{"name": obj{"from": from}}}})
}

// Archive makes the repository read-only, and sends repository.archived.
func (r *Repository) Archive() {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.archived = true
	r.server.tell(r, "repository", "archived", r.owner, obj{})
}

func (s *Server) repoByName(fullName string) *Repository {
	key := strings.ToLower(fullName)
	var before *Repository
	for _, id := range slices.Sorted(maps.Keys(s.repos)) {
		r := s.repos[id]
		if strings.ToLower(r.FullName()) == key {
			return r
		}
		if slices.Contains(r.former, key) {
			before = r
		}
	}
	return before
}

func nodeID(kind string, id int64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%03d:%s%d", len(kind), kind, id))
}

func (s *Server) userJSON(u *User) obj {
	if u == nil {
		return nil
	}
	api := s.APIURL() + "users/" + u.Login
	return obj{
		"login": u.Login, "id": u.ID, "node_id": nodeID(u.Kind, u.ID), "avatar_url": s.root + "/avatars/" + u.Login, "gravatar_id": "",
		"url": api, "html_url": s.root + "/" + u.Login, "followers_url": api + "/followers", "repos_url": api + "/repos",
		"events_url": api + "/events{/privacy}", "type": u.Kind, "site_admin": false,
		"following_url": api + "/following{/other_user}", "gists_url": api + "/gists{/gist_id}", "starred_url": api + "/starred{/owner}{/repo}",
		"subscriptions_url": api + "/subscriptions", "organizations_url": api + "/orgs", "received_events_url": api + "/received_events",
	}
}

func (s *Server) repoJSON(r *Repository) obj {
	if r == nil {
		return nil
	}
	api, html := s.APIURL()+"repos/"+r.FullName(), s.root+"/"+r.FullName()
	visibility := "public"
	if r.private {
		visibility = "private"
	}
	o := obj{
		"id": r.ID, "node_id": nodeID("Repository", r.ID), "name": r.Name, "full_name": r.FullName(), "private": r.private,
		"owner": s.userJSON(r.owner), "html_url": html, "description": nil, "fork": r.fork != nil, "url": api,
		"contents_url": api + "/contents/{+path}", "compare_url": api + "/compare/{base}...{head}", "statuses_url": api + "/statuses/{sha}",
		"pulls_url": api + "/pulls{/number}", "git_url": strings.Replace(html, "http://", "git://", 1) + ".git", "ssh_url": "git@github.com:" + r.FullName() + ".git",
		"clone_url": html + ".git", "archived": r.archived, "disabled": false, "visibility": visibility, "default_branch": r.branch,
		"created_at": stamp(r.created), "updated_at": stamp(r.pushed), "pushed_at": stamp(r.pushed), "forks": 0, "open_issues": 0, "watchers": 0,
		"size": 0, "language": nil, "has_issues": true, "topics": []any{}, "svn_url": html, "homepage": nil, "mirror_url": nil, "license": nil,
		"forks_count": 0, "stargazers_count": 0, "watchers_count": 0, "open_issues_count": 0, "has_projects": false, "has_wiki": false, "has_pages": false,
		"has_downloads": false, "allow_forking": true, "is_template": false, "web_commit_signoff_required": false,
	}
	for name, rest := range repoAddresses {
		o[name+"_url"] = api + rest
	}
	return o
}

// repoAddresses are addresses of the API that a repository's description leads to, by the name before "_url".
var repoAddresses = map[string]string{
	"archive": "/{archive_format}{/ref}", "assignees": "/assignees{/user}", "blobs": "/git/blobs{/sha}", "branches": "/branches{/branch}",
	"collaborators": "/collaborators{/collaborator}", "comments": "/comments{/number}", "commits": "/commits{/sha}", "contributors": "/contributors",
	"deployments": "/deployments", "downloads": "/downloads", "events": "/events", "forks": "/forks", "git_commits": "/git/commits{/sha}",
	"git_refs": "/git/refs{/sha}", "git_tags": "/git/tags{/sha}", "hooks": "/hooks", "issue_comment": "/issues/comments{/number}",
	"issue_events": "/issues/events{/number}", "issues": "/issues{/number}", "keys": "/keys{/key_id}", "labels": "/labels{/name}", "languages": "/languages",
	"merges": "/merges", "milestones": "/milestones{/number}", "notifications": "/notifications{?since,all,participating}", "releases": "/releases{/id}",
	"stargazers": "/stargazers", "subscribers": "/subscribers", "subscription": "/subscription", "tags": "/tags", "teams": "/teams", "trees": "/git/trees{/sha}",
}

// repoForPush is the repository as a push event has it: with times as numbers, and an owner with name and address.
func (s *Server) repoForPush(r *Repository) obj {
	o := s.repoJSON(r)
	o["url"] = s.root + "/" + r.FullName()
	o["created_at"], o["pushed_at"] = r.created.Unix(), r.pushed.Unix()
	o["master_branch"] = r.branch
	owner := s.userJSON(r.owner)
	owner["name"], owner["email"] = r.owner.Login, r.owner.email()
	o["owner"] = owner
	return o
}
