package ghfake

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/internal/ghfake/form"
)

func (s *Server) routes() []route {
	const repo = "/repos/{owner}/{repo}"
	comment, reaction := form.Comment(), form.Reaction()
	return []route{
		{"GET /meta", "", nil, func(c *call) (any, error) {
			return obj{"verifiable_password_authentication": false, "hooks": []any{"127.0.0.0/8"}, "installed_version": "3.17.0"}, nil
		}},
		{"GET /rate_limit", "", nil, (*call).rateLimit},
		{"GET /users/{login}", "", nil, (*call).getUser},

		{"POST /app-manifests/{code}/conversions", anybody, nil, (*call).convert},
		{"GET /app", "app", nil, (*call).getApp},
		{"GET /app/hook/config", "app", nil, (*call).hookConfig},
		{"GET /app/installations", "app", nil, (*call).listInstallations},
		{"GET /app/installations/{id}", "app", nil, (*call).getInstallation},
		{"POST /app/installations/{id}/access_tokens", "app", form.Token(), (*call).createToken},
		{"GET " + repo + "/installation", "app", nil, (*call).repoInstallation},
		{"GET /app/hook/deliveries", "app", nil, (*call).listDeliveries},
		{"GET /app/hook/deliveries/{id}", "app", nil, (*call).getDelivery},
		{"POST /app/hook/deliveries/{id}/attempts", "app", nil, (*call).redeliver},
		{"GET /installation/repositories", "metadata:read", nil, (*call).installationRepositories},

		{"GET " + repo, "metadata:read", nil, func(c *call) (any, error) { return c.showRepository() }},
		{"GET /repositories/{repository_id}", "metadata:read", nil, func(c *call) (any, error) { return c.s.repoJSON(c.repo), nil }},
		{"GET " + repo + "/branches", "contents:read", nil, (*call).listBranches},
		{"GET " + repo + "/branches/{branch}", "contents:read", nil, (*call).getBranch},
		{"GET " + repo + "/contents/{path...}", "contents:read", nil, (*call).getContents},
		{"GET " + repo + "/git/ref/{ref...}", "contents:read", nil, (*call).getRef},
		{"GET " + repo + "/git/matching-refs/{ref...}", "contents:read", nil, (*call).matchingRefs},
		{"GET " + repo + "/git/commits/{sha}", "contents:read", nil, (*call).getGitCommit},
		{"GET " + repo + "/git/trees/{sha}", "contents:read", nil, (*call).getTree},
		{"GET " + repo + "/git/blobs/{sha}", "contents:read", nil, (*call).getBlob},
		{"POST " + repo + "/git/trees", "contents:write", form.Tree(), (*call).createTree},
		{"POST " + repo + "/git/commits", "contents:write", form.Commit(), (*call).createGitCommit},
		{"POST " + repo + "/git/refs", "contents:write", form.Ref(true), (*call).createRef},
		{"PATCH " + repo + "/git/refs/{ref...}", "contents:write", form.Ref(false), (*call).updateRef},
		{"GET " + repo + "/tarball/{ref...}", "contents:read", nil, (*call).getTarball},
		{"GET " + repo + "/commits", "contents:read", nil, (*call).listCommits},
		{"GET " + repo + "/commits/{ref...}", "contents:read", nil, (*call).getCommit},
		{"GET " + repo + "/compare/{range...}", "contents:read", nil, (*call).compare},

		{"GET " + repo + "/pulls", "pull_requests:read", nil, (*call).listPulls},
		{"POST " + repo + "/pulls", "pull_requests:write", form.Pull(), (*call).createPull},
		{"GET " + repo + "/pulls/{number}", "pull_requests:read", nil, (*call).getPull},
		{"GET " + repo + "/pulls/{number}/files", "pull_requests:read", nil, (*call).pullFiles},
		{"GET " + repo + "/pulls/{number}/commits", "pull_requests:read", nil, (*call).pullCommits},
		{"GET " + repo + "/collaborators/{login}", "metadata:read", nil, (*call).isCollaborator},
		{"GET " + repo + "/collaborators/{login}/permission", "metadata:read", nil, (*call).permission},
		{"GET " + repo + "/issues/{number}/comments", "issues|pull_requests:read", nil, (*call).listComments},
		{"POST " + repo + "/issues/{number}/comments", "issues|pull_requests:write", comment, (*call).createComment},
		{"PATCH " + repo + "/issues/comments/{id}", "issues|pull_requests:write", comment, (*call).editComment},
		{"POST " + repo + "/issues/comments/{id}/reactions", "issues|pull_requests:write", reaction, (*call).react},
		{"POST " + repo + "/commits/{ref}/comments", "contents:read", form.CommitComment(), (*call).createCommitComment},
		{"GET " + repo + "/releases", "contents:read", nil, (*call).listReleases},
		{"GET " + repo + "/releases/tags/{tag...}", "contents:read", nil, (*call).releaseByTag},

		{"POST " + repo + "/statuses/{sha}", "statuses:write", form.Status(), (*call).createStatus},
		{"GET " + repo + "/commits/{ref}/statuses", "statuses:read", nil, (*call).listStatuses},
		{"GET " + repo + "/commits/{ref}/status", "statuses:read", nil, (*call).combinedStatus},
		{"POST " + repo + "/check-runs", "checks:write", form.CheckRun(true), (*call).createCheckRun},
		{"GET " + repo + "/check-runs/{id}", "checks:read", nil, (*call).getCheckRun},
		{"PATCH " + repo + "/check-runs/{id}", "checks:write", form.CheckRun(false), (*call).updateCheckRun},
		{"GET " + repo + "/check-runs/{id}/annotations", "checks:read", nil, (*call).annotations},
		{"POST " + repo + "/check-runs/{id}/rerequest", "checks:write", nil, (*call).rerequestRun},
		{"GET " + repo + "/commits/{ref}/check-runs", "checks:read", nil, (*call).runsOfRef},
		{"GET " + repo + "/commits/{ref}/check-suites", "checks:read", nil, (*call).suitesOfRef},
		{"GET " + repo + "/check-suites/{id}", "checks:read", nil, (*call).getSuite},
		{"GET " + repo + "/check-suites/{id}/check-runs", "checks:read", nil, (*call).runsOfSuite},
		{"POST " + repo + "/check-suites/{id}/rerequest", "checks:write", nil, (*call).rerequestSuite},
	}
}

func (c *call) getUser() (any, error) {
	u := c.s.users[strings.ToLower(c.r.PathValue("login"))]
	if u == nil {
		return nil, notFound()
	}
	o := c.s.userJSON(u)
	o["name"], o["email"], o["bio"], o["blog"], o["company"], o["location"], o["hireable"] = nil, nil, nil, "", nil, nil, nil
	o["user_view_type"], o["public_repos"], o["public_gists"], o["followers"], o["following"] = "public", 0, 0, 0, 0
	o["created_at"], o["updated_at"] = "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
	if u.Name != "" {
		o["name"] = u.Name
	}
	if u.Email != "" {
		o["email"] = u.Email
	}
	return o, nil
}

func (c *call) getApp() (any, error) {
	n := 0
	for _, in := range c.s.installations {
		if in.app == c.app {
			n++
		}
	}
	o := c.s.appJSON(c.app)
	o["installations_count"] = n
	return o, nil
}

func (s *Server) appJSON(a *App) obj {
	return obj{
		"id": a.ID, "slug": a.Slug, "node_id": nodeID("App", a.ID), "owner": s.userJSON(a.owner), "name": a.Name, "description": "",
		"external_url": s.root, "html_url": s.root + "/apps/" + a.Slug, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z",
		"permissions": a.Permissions, "events": a.Events,
	}
}

func (c *call) listInstallations() (any, error) {
	var list []*Installation
	for _, in := range c.s.installations {
		if in.app == c.app {
			list = append(list, in)
		}
	}
	slices.SortFunc(list, func(a, b *Installation) int { return int(a.ID - b.ID) })
	return each(page(c, list), func(in *Installation) any { return c.s.installationJSON(in) }), nil
}

func (c *call) installationOfApp() (*Installation, error) {
	in := c.s.installations[c.pathID("id")]
	if in == nil || in.app != c.app {
		return nil, notFound()
	}
	return in, nil
}

func (c *call) getInstallation() (any, error) {
	in, err := c.installationOfApp()
	if err != nil {
		return nil, err
	}
	return c.s.installationJSON(in), nil
}

func (c *call) repoInstallation() (any, error) {
	for _, in := range c.s.installations {
		if in.app == c.app && in.reaches(c.repo) {
			return c.s.installationJSON(in), nil
		}
	}
	return nil, notFound()
}

func (c *call) installationRepositories() (any, error) {
	var list []*Repository
	for _, r := range c.s.repos {
		if c.token.reaches(r) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *Repository) int { return int(a.ID - b.ID) })
	return obj{"total_count": len(list), "repositories": each(page(c, list), func(r *Repository) any { return c.s.repoJSON(r) })}, nil
}

func (c *call) showRepository() (any, error) {
	if asked := c.r.PathValue("owner") + "/" + c.r.PathValue("repo"); !strings.EqualFold(asked, c.repo.FullName()) {
		return moved{http.StatusMovedPermanently, c.s.APIURL() + "repositories/" + strconv.FormatInt(c.repo.ID, 10)}, nil
	}
	o := c.s.repoJSON(c.repo)
	o["network_count"], o["subscribers_count"], o["has_discussions"] = 0, 0, false
	return o, nil
}

func (c *call) isCollaborator() (any, error) {
	if role := c.repo.role(c.r.PathValue("login")); role == "none" || role == "read" && c.repo.people[strings.ToLower(c.r.PathValue("login"))] == "" {
		return nil, notFound()
	}
	return nil, nil
}

func (c *call) permission() (any, error) {
	u := c.s.users[strings.ToLower(c.r.PathValue("login"))]
	if u == nil {
		return nil, &apiError{Status: http.StatusNotFound, Message: c.r.PathValue("login") + " is not a user"}
	}
	role := c.repo.role(u.Login)
	user := c.s.userJSON(u)
	rank := slices.Index([]string{"none", "read", "triage", "write", "maintain", "admin"}, role)
	user["role_name"] = role
	user["permissions"] = obj{"pull": rank >= 1, "triage": rank >= 2, "push": rank >= 3, "maintain": rank >= 4, "admin": rank >= 5}
	folded := map[string]string{"maintain": "write", "triage": "read"}[role]
	if folded == "" {
		folded = role
	}
	return obj{"permission": folded, "role_name": role, "user": user}, nil
}

func (c *call) createStatus() (any, error) {
	sha := c.r.PathValue("sha")
	if c.repo.git.Resolve(sha) != sha {
		return nil, invalid("No commit found for SHA: %s", sha)
	}
	context := c.text("context")
	if context == "" {
		context = "default"
	}
	n := 0
	for _, s := range c.repo.statuses[sha] {
		if s["context"] == context {
			n++
		}
	}
	if n >= 1000 {
		return nil, &apiError{Status: http.StatusUnprocessableEntity, Message: "Validation Failed", Errors: []any{obj{
			"resource": "Status", "code": "custom", "message": "This SHA and context has reached the maximum number of statuses."}}}
	}
	id := c.s.nextID()
	o := obj{
		"id": id, "node_id": nodeID("Status", id), "state": c.body["state"], "context": context, "description": c.body["description"], "target_url": c.body["target_url"],
		"creator": c.s.userJSON(c.token.installation.app.bot), "url": c.s.APIURL() + "repos/" + c.repo.FullName() + "/statuses/" + sha,
		"created_at": stamp(c.s.Now()), "updated_at": stamp(c.s.Now()), "avatar_url": c.s.root + "/avatars/" + c.token.installation.app.Slug,
	}
	c.repo.statuses[sha] = append([]obj{o}, c.repo.statuses[sha]...)
	c.status = http.StatusCreated
	return o, nil
}

func (c *call) listStatuses() (any, error) {
	return each(page(c, c.repo.statuses[c.repo.git.Resolve(c.r.PathValue("ref"))]), func(o obj) any { return o }), nil
}

func (c *call) combinedStatus() (any, error) {
	sha := c.repo.git.Resolve(c.r.PathValue("ref"))
	if sha == "" {
		return nil, notFound()
	}
	seen, list, state := map[any]bool{}, []any{}, "success"
	for _, o := range c.repo.statuses[sha] {
		context := o["context"]
		if seen[context] {
			continue
		}
		seen[context] = true
		list = append(list, o)
		switch o["state"] {
		case "error", "failure":
			state = "failure"
		case "pending":
			if state == "success" {
				state = "pending"
			}
		}
	}
	if len(list) == 0 {
		state = "pending"
	}
	return obj{"state": state, "sha": sha, "total_count": len(list), "statuses": list, "repository": c.s.repoJSON(c.repo), "commit_url": c.api("commits/" + sha), "url": c.api("commits/" + sha + "/status")}, nil
}

// Status returns the newest status of a context at a revision: its state, description and address.
func (r *Repository) Status(sha, context string) (state, description, target string, err error) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	for _, o := range r.statuses[sha] {
		if o["context"] == context {
			state, _ = o["state"].(string)
			description, _ = o["description"].(string)
			target, _ = o["target_url"].(string)
			return state, description, target, nil
		}
	}
	return "", "", "", errors.New("ghfake: no such status")
}
